"""``./do bench``: W1 to W7 on memory and SQLite, beside the hand-written loop, in one run."""

import argparse
from collections.abc import Iterator
from statistics import median

from benchmarks import replayed, workloads
from benchmarks.measure import Figure, machine, paired, table
from benchmarks.raw import MemoryStore, SQLiteStore
from benchmarks.work import order
from benchmarks.workloads import OpenBackend, OpenStore
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend

STORES: list[tuple[str, OpenBackend, OpenStore]] = [
    ("memory", lambda path: MemoryBackend(), lambda path: MemoryStore()),
    ("sqlite", SQLiteBackend, SQLiteStore),
]

LONG = 2_000
"""Steps of W5's process: 10,000 events."""


class Bench:
    """Measures one store.

    Args:
        name: What to call it.
        backend: Opens ours.
        store: Opens the hand-written one.
        count: Processes of W1 and W4, activities of W2.
        repeat: Runs, of which the median counts.
    """

    def __init__(
        self, name: str, backend: OpenBackend, store: OpenStore, count: int, repeat: int
    ) -> None:
        self.name = name
        self.backend = backend
        self.store = store
        self.count = count
        self.repeat = repeat

    def w1(self) -> Iterator[Figure]:
        """Many processes of three steps."""
        many = [order(number) for number in range(self.count)]
        mine, theirs = paired(
            lambda: self.count / workloads.drained(self.backend, many),
            lambda: self.count / workloads.drained_raw(self.store, many),
            self.repeat,
        )
        yield Figure("W1", self.name, "processes/s", mine, theirs)

    def w2(self) -> Iterator[Figure]:
        """One process with many activities at once."""
        fan = [order(1, fan=self.count)]
        mine, theirs = paired(
            lambda: workloads.drained(self.backend, fan) / self.count * 1e6,
            lambda: workloads.drained_raw(self.store, fan) / self.count * 1e6,
            self.repeat,
        )
        yield Figure("W2", self.name, "µs an activity", mine, theirs, more_is_better=False)

    def w3(self) -> Iterator[Figure]:
        """One process at a time."""
        middle, worst = workloads.latencies(self.backend, 300)
        yield Figure("W3", self.name, "ms from start to end, median", middle * 1e3)
        yield Figure("W3", self.name, "ms from start to end, 99th percentile", worst * 1e3)

    def w4(self) -> Iterator[Figure]:
        """A crowd that waits for a signal."""
        mine = workloads.crowd(self.backend, self.count * 5)
        raw = workloads.crowd_raw(self.store, self.count * 5)
        yield Figure("W4", self.name, "starts/s, from 8 threads", mine.starts, raw.starts)
        memory = workloads.memory_each(self.backend, self.count)
        yield Figure("W4", self.name, "bytes of memory an open process", memory)
        if mine.bytes_each:
            what, limit = "bytes of disk an open process", raw.bytes_each
            yield Figure("W4", self.name, what, mine.bytes_each, limit, more_is_better=False)
        yield Figure("W4", self.name, "signals and ends/s", mine.signals, raw.signals)

    def w5(self) -> Iterator[Figure]:
        """One long process."""
        runs = [workloads.long_process(self.backend, LONG) for _ in range(self.repeat)]
        first, ratio = median(r[0] for r in runs), median(r[1] / r[0] for r in runs)
        yield Figure("W5", self.name, "µs a step, at the start", first * 1e6)
        yield Figure("W5", self.name, "step at 10,000 events / step at the start", ratio)

    def w6(self) -> Iterator[Figure]:
        """Many OS processes on one file."""
        if self.name != "sqlite":
            return
        alone: float | None = None
        for workers in (1, 2, 4):
            rate = median(workloads.shared(self.count, workers) for _ in range(self.repeat))
            alone = alone or rate
            what = f"processes/s, {workers} OS processes (limit: one alone)"
            yield Figure("W6", self.name, what, rate, alone)

    def w7(self) -> Iterator[Figure]:
        """Plain async code, replayed."""
        runs = [replayed.stored(self.backend, LONG) for _ in range(self.repeat)]
        first, ratio = median(r[0] for r in runs), median(r[1] / r[0] for r in runs)
        yield Figure("W7", self.name, "µs a step of async code, at the start", first * 1e6)
        yield Figure("W7", self.name, "step at 10,000 events / step at the start", ratio)
        if self.name != "memory":
            return
        chains = [replayed.chain(10_000) for _ in range(self.repeat)]
        yield Figure(
            "W7", "none", "µs a decision, at the start", median(c[0] for c in chains) * 1e6
        )
        yield Figure(
            "W7", "none", "µs a decision, at 10,000 events", median(c[1] for c in chains) * 1e6
        )
        yield Figure("W7", "none", "ms to replay 10,000 events", median(c[2] for c in chains) * 1e3)
        for width in (1_000, 10_000):
            seconds = median(replayed.fan(width) for _ in range(self.repeat))
            yield Figure("W7", "none", f"µs an activity, {width:,} gathered", seconds * 1e6)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("works", nargs="*", metavar="W", help="which ones; all if left out")
    parser.add_argument("--processes", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=3)
    given = parser.parse_args()
    works = [work.lower() for work in given.works] or ["w1", "w2", "w3", "w4", "w5", "w6", "w7"]
    figures: list[Figure] = []
    for name, backend, store in STORES:
        bench = Bench(name, backend, store, given.processes, given.repeat)
        for work in works:
            figures.extend(getattr(bench, work)())
    print(machine())
    print()
    print(table(figures))


if __name__ == "__main__":
    main()
