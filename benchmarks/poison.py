"""``python -m benchmarks.poison``: how much later others end when one process in a hundred does harm.

Processes of four styles, each with one activity of a quarter of a second, are started at once; three worker OS processes do them, and are started
again when they end. One run is without harm, and one with it, in turns: harmful processes end their worker, do not return, or raise what cannot be
printed, in deciders and in activities. The lateness of a process is the time from its start to its end; ratios are those of one turn.
"""

import argparse
import statistics
import tempfile
from pathlib import Path
from random import Random
from typing import Any

from msgspec import Struct

from benchmarks.stores import STORES, Store
from benchmarks.workloads import percentile
from pyworkflow.backend import connect
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from tests.integration.crew import Crew
from tests.integration.poison_program import STYLES, WORKFLOWS, harms

POOLS = ("thread", "asyncio", "process")

PROGRAM = "tests.integration.poison_program"


class Lateness(Struct, frozen=True):
    """How late the innocent processes of a run have ended.

    Attributes:
        median: Seconds.
        p95: Seconds.
        restarts: Workers that were started again.
    """

    median: float
    p95: float
    restarts: int


def processes(count: int, every: int, seconds: float, seed: int) -> list[Process]:
    """Return processes of all styles, one in ``every`` of which does harm; none if it is 0."""
    made = []
    harmful = harms()
    Random(seed).shuffle(harmful)  # noqa: S311 - the same in every run
    for number in range(count):
        order: dict[str, Any] = {"number": number, "seconds": seconds}
        style = STYLES[number % len(STYLES)]
        if every and number % every == every // 2:
            name, place, harm = harmful[number // every % len(harmful)]
            style, order = f"Harmful{name}", order | {"place": place, "harm": harm}
        made.append(Process(style, id=f"p{number}", input=order))
    return made


def lateness(store: Store, pool: str, started: list[Process], concurrency: int) -> Lateness:
    """Have processes done; return how late those are that do no harm.

    Raises:
        RuntimeError: One of them has not completed.
    """
    with store.place() as url, connect(url) as backend, tempfile.TemporaryDirectory() as folder:
        Manager(backend, WORKFLOWS)
        crew = Crew(backend, PROGRAM, url, Path(folder) / "log")
        try:
            backend.start_processes(started)
            crew.start([(pool, str(concurrency))] * 3)
            crew.watch_until(crew.is_settled)
        finally:
            crew.kill()
        late = []
        for process in backend.processes(status=None):
            if "harm" in process.input:
                continue
            if process.status is not Status.COMPLETED or not process.closed or not process.started:
                raise RuntimeError(f"{process.id} is {process.status}: {process.parked}")
            late.append((process.closed - process.started).total_seconds())
    return Lateness(statistics.median(late), percentile(late, 95), crew.restarts)


def main(given: list[str] | None = None) -> None:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks.poison", description=__doc__)
    parser.add_argument("--processes", type=int, default=2000)
    parser.add_argument("--every", type=int, default=100, help="one in so many does harm")
    parser.add_argument("--seconds", type=float, default=0.25, help="of an activity")
    parser.add_argument("--concurrency", type=int, default=8, help="activities of a worker")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--stores", default="sqlite,postgresql")
    parser.add_argument("--pools", default=",".join(POOLS))
    options = parser.parse_args(given)
    print(f"{'store':10} {'pool':8} {'p95 s':>7} {'with harm':>9} {'ratio':>6} {'restarts':>8}")
    for store in STORES:
        if store.name.lower() not in options.stores.split(","):
            continue
        for pool in options.pools.split(","):
            for turn in range(options.repeat):
                innocent, harmed = (
                    lateness(
                        store,
                        pool,
                        processes(options.processes, every, options.seconds, turn),
                        options.concurrency,
                    )
                    for every in (0, options.every)
                )
                ratio = harmed.p95 / innocent.p95
                figures = f"{innocent.p95:7.1f} {harmed.p95:9.1f} {ratio:6.2f} {harmed.restarts:8}"
                print(f"{store.name:10} {pool:8} {figures}", flush=True)


if __name__ == "__main__":
    main()
