"""How close jobs come to no cost at all: ``python -m benchmarks.jobs``.

Many short tasks, each in an OS process of its own, on a SQLite file. The ideal is what the naps of the tasks take where nothing else takes time: as
many at a time as are allowed, one after another.
"""

import argparse
import resource
import sys
import time
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from benchmarks.measure import machine
from pyworkflow.jobs.definition import JobConfig, JobDefinition, TaskDefinition
from pyworkflow.jobs.find import find
from pyworkflow.jobs.runner import run_job
from pyworkflow.process import Status

NAP = """
import time
from pyworkflow.jobs.task import Task, task

@task
class Nap(Task):
    seconds: float

    def run(self):
        time.sleep(self.seconds)
"""


class Figures(Struct, frozen=True):
    """What a run took, in seconds.

    Attributes:
        ideal: The naps alone.
        wall: From the call that runs the job to its return, the start of the fork server included.
        cpu: Of all OS processes together.
    """

    ideal: float
    wall: float
    cpu: float

    @property
    def ratio(self) -> float:
        """How many times the ideal it took."""
        return self.wall / self.ideal


def measure(tasks: int, concurrency: int, seconds: float) -> Figures:
    """Run a job of naps."""
    with TemporaryDirectory() as folder:
        root = Path(folder).resolve()
        (root / "tasks").mkdir()
        (root / "tasks" / "naps.py").write_text(NAP, encoding="utf-8")
        find(root)
        job = JobDefinition(
            root,
            {
                f"nap {number}": TaskDefinition("Nap", parameters={"seconds": seconds})
                for number in range(tasks)
            },
            JobConfig(max_concurrency=concurrency),
            extensions={},
        )
        cpu, began = _cpu(), time.perf_counter()
        report = run_job(job)
        wall = time.perf_counter() - began
    if report.status is not Status.COMPLETED:
        sys.exit(f"the job is {report.status.value}: {report.failures} tasks failed")
    return Figures(ceil(tasks / concurrency) * seconds, wall, _cpu() - cpu)


def _cpu() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main(given: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.jobs", description=__doc__)
    parser.add_argument("--tasks", type=int, default=500)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=0.1, help="of a nap")
    options = parser.parse_args(given)
    figures = measure(options.tasks, options.concurrency, options.seconds)
    print(machine())
    print(
        f"{options.tasks} tasks of {options.seconds} s, {options.concurrency} at a time:"
        f" {figures.wall:.2f} s, {figures.ratio:.2f} times the ideal; CPU {figures.cpu:.2f} s"
    )


if __name__ == "__main__":
    main()
