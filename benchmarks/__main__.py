"""``./do bench``: W1, W2, W3 and W5 on memory and SQLite, beside the hand-written loop, in one run."""

import argparse
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.measure import Figure, paired, table
from benchmarks.raw import Loop, MemoryStore, SQLiteStore, Store
from benchmarks.work import BenchWorkflow, order
from pyworkflow.backend.base import Backend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.event import ActivityEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.worker import Worker

Stores = tuple[str, Callable[[Path], Backend], Callable[[Path], Store]]

STORES: list[Stores] = [
    ("memory", lambda path: MemoryBackend(), lambda path: MemoryStore()),
    ("sqlite", SQLiteBackend, SQLiteStore),
]


def ours(open_backend: Callable[[Path], Backend], inputs: list[dict[str, object]]) -> float:
    """Return the seconds that a worker takes for some processes that are started before."""
    with tempfile.TemporaryDirectory() as folder, open_backend(Path(folder) / "x.db") as backend:
        manager = Manager(backend, [BenchWorkflow])
        ids = [manager.start_process(Process(BenchWorkflow, input=given)) for given in inputs]
        worker = Worker(manager, concurrency=100)
        thread = threading.Thread(target=worker.run)
        began = time.perf_counter()
        thread.start()
        for process_id in ids:
            manager.wait_for_process(process_id, 600)
        took = time.perf_counter() - began
        worker.stop()
        thread.join()
        return took


def limit(open_store: Callable[[Path], Store], inputs: list[dict[str, object]]) -> float:
    """Return the seconds that the hand-written loop takes for the same."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "x.db")
        store.start(list(inputs))
        began = time.perf_counter()
        Loop(store).run()
        return time.perf_counter() - began


def latency(open_backend: Callable[[Path], Backend], processes: int) -> float:
    """Return the median seconds from the start of a one-step process to its end, with an idle worker (W3)."""
    with tempfile.TemporaryDirectory() as folder, open_backend(Path(folder) / "x.db") as backend:
        manager = Manager(backend, [BenchWorkflow])
        worker = Worker(manager)
        thread = threading.Thread(target=worker.run)
        thread.start()
        took: list[float] = []
        for number in range(processes):
            began = time.perf_counter()
            given = order(number, steps=1)
            manager.wait_for_process(manager.start_process(Process(BenchWorkflow, input=given)), 60)
            took.append(time.perf_counter() - began)
        worker.stop()
        thread.join()
        return statistics.median(took)


def steps(open_backend: Callable[[Path], Backend], count: int) -> tuple[float, float]:
    """Return the seconds of one of the first and one of the last hundred steps of a long process (W5)."""
    with tempfile.TemporaryDirectory() as folder, open_backend(Path(folder) / "x.db") as backend:
        manager = Manager(backend, [BenchWorkflow])
        worker = Worker(manager)
        thread = threading.Thread(target=worker.run)
        thread.start()
        process_id = manager.start_process(Process(BenchWorkflow, input=order(1, steps=count)))
        process = manager.wait_for_process(process_id, 600)
        worker.stop()
        thread.join()
    ends = [e.datetime for e in process.history if isinstance(e, ActivityEvent) and e.datetime]
    first = (ends[110] - ends[10]).total_seconds() / 100
    last = (ends[-1] - ends[-101]).total_seconds() / 100
    return first, last


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    count, repeat = given.processes, given.repeat
    figures: list[Figure] = []
    for name, backend, store in STORES:
        many = [order(number) for number in range(count)]
        mine, theirs = paired(
            lambda b=backend, m=many: count / ours(b, m),  # type: ignore[misc]
            lambda s=store, m=many: count / limit(s, m),  # type: ignore[misc]
            repeat,
        )
        figures.append(Figure("W1", name, "processes/s", mine, theirs))
        fan = [order(1, fan=count)]
        mine, theirs = paired(
            lambda b=backend, f=fan: ours(b, f) / count * 1e6,  # type: ignore[misc]
            lambda s=store, f=fan: limit(s, f) / count * 1e6,  # type: ignore[misc]
            repeat,
        )
        figures.append(Figure("W2", name, "µs an activity", mine, theirs, more_is_better=False))
        figures.append(Figure("W3", name, "ms, median", latency(backend, 200) * 1e3))
        first, last = steps(backend, max(count, 500))
        figures.append(Figure("W5", name, "µs a step, first hundred", first * 1e6))
        figures.append(Figure("W5", name, "last step / first step", last / first))
    print(table(figures))


if __name__ == "__main__":
    main()
