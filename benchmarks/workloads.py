"""The workloads, each a function from a store to seconds or bytes."""

import statistics
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from benchmarks.raw import BATCH, Loop, Store
from benchmarks.work import BenchWorkflow, order
from pyworkflow.backend.base import Backend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.event import ActivityEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.worker import Worker

OpenBackend = Callable[[Path], Backend]
OpenStore = Callable[[Path], Store]
Inputs = list[dict[str, Any]]

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def opened(open_backend: OpenBackend) -> Iterator[tuple[Manager, Path]]:
    """Yield a manager on a fresh store, and the store's file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        with open_backend(path) as backend:
            yield Manager(backend, [BenchWorkflow]), path


@contextmanager
def working(manager: Manager, concurrency: int = 8) -> Iterator[None]:
    """Have a worker work for as long as the block lasts."""
    worker = Worker(manager, concurrency=concurrency)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join()


def drained(open_backend: OpenBackend, inputs: Inputs) -> float:
    """Return the seconds that a worker takes for some processes that are started before (W1, W2)."""
    with opened(open_backend) as (manager, _):
        ids = [manager.start_process(Process(BenchWorkflow, input=given)) for given in inputs]
        began = time.perf_counter()
        with working(manager, concurrency=100):
            for process_id in ids:
                manager.wait_for_process(process_id, 600)
            return time.perf_counter() - began


def drained_raw(open_store: OpenStore, inputs: Inputs) -> float:
    """Return the seconds that the hand-written loop takes for the same."""
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder) / "x.db")
        store.start(list(inputs))
        began = time.perf_counter()
        Loop(store).run()
        return time.perf_counter() - began


def latencies(open_backend: OpenBackend, count: int) -> tuple[float, float]:
    """Return the median and 99th percentile of the seconds from the start of a one-step process to its end, with an idle worker (W3)."""
    took: list[float] = []
    with opened(open_backend) as (manager, _), working(manager):
        for number in range(count):
            began = time.perf_counter()
            given = order(number, steps=1)
            manager.wait_for_process(manager.start_process(Process(BenchWorkflow, input=given)), 60)
            took.append(time.perf_counter() - began)
    return statistics.median(took), statistics.quantiles(took, n=100)[98]


def disk(path: Path) -> int:
    """Return the bytes of a SQLite file with nothing left in its write-ahead log; 0 if there is no file."""
    if not path.exists():
        return 0
    with closing(apsw.Connection(str(path))) as db:
        db.set_busy_timeout(10_000)
        db.execute("pragma wal_checkpoint(truncate)").fetchall()
    return path.stat().st_size


class Crowd(Struct, frozen=True):
    """Many processes that wait for a signal (W4).

    Attributes:
        starts: Processes started a second.
        bytes_each: Bytes of disk for each open process.
        signals: Processes signaled and completed a second.
    """

    starts: float
    bytes_each: float
    signals: float


def crowd(open_backend: OpenBackend, count: int) -> Crowd:
    """Start processes one by one from eight threads, and signal each."""
    with opened(open_backend) as (manager, path):

        def start(number: int) -> str:
            return manager.start_process(Process(BenchWorkflow, input=order(number, wait=True)))

        def tell(process_id: str) -> None:
            manager.signal_process(process_id, "go", {"ok": True})

        with ThreadPoolExecutor(8) as threads:
            began = time.perf_counter()
            ids = list(threads.map(start, range(count)))
            starts = count / (time.perf_counter() - began)
            with working(manager, concurrency=1):
                while any(queue.waiting or queue.running for queue in manager.backend.queues()):
                    time.sleep(0.05)
                size = disk(path)
                began = time.perf_counter()
                list(threads.map(tell, ids))
                for process_id in ids:
                    manager.wait_for_process(process_id, 600)
                signals = count / (time.perf_counter() - began)
    return Crowd(starts, size / count, signals)


def memory_each(open_backend: OpenBackend, count: int) -> float:
    """Return the bytes of memory that Python holds for each open process."""
    with opened(open_backend) as (manager, _), working(manager, concurrency=1):
        manager.start_process(Process(BenchWorkflow, input=order(0, wait=True)))
        tracemalloc.start()
        for number in range(count):
            manager.start_process(Process(BenchWorkflow, input=order(number, wait=True)))
        while any(queue.waiting or queue.running for queue in manager.backend.queues()):
            time.sleep(0.05)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return held / count


def crowd_raw(open_store: OpenStore, count: int) -> Crowd:
    """Do the same with the hand-written loop, a hundred processes a transaction."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.db"
        store = open_store(path)
        loop = Loop(store)
        chunks = [range(at, min(at + BATCH, count)) for at in range(0, count, BATCH)]
        began = time.perf_counter()
        pids = [store.start([order(n, wait=True) for n in chunk]) for chunk in chunks]
        starts = count / (time.perf_counter() - began)
        loop.run()
        size = disk(path)
        began = time.perf_counter()
        for chunk in pids:
            store.signal(chunk, {"ok": True})
        loop.run()
        signals = count / (time.perf_counter() - began)
    return Crowd(starts, size / count, signals)


def long_process(open_backend: OpenBackend, count: int) -> tuple[float, float]:
    """Return the seconds of one of the first and one of the last steps of a long process, each the median of 200 (W5).

    A step is an activity after the other: five events.
    """
    with opened(open_backend) as (manager, _), working(manager):
        given = order(1, steps=count)
        process_id = manager.start_process(Process(BenchWorkflow, input=given))
        process = manager.wait_for_process(process_id, 600)
    ends = [e.datetime for e in process.history if isinstance(e, ActivityEvent) and e.datetime]
    steps = [(b - a).total_seconds() for a, b in pairwise(ends)]
    return statistics.median(steps[10:210]), statistics.median(steps[-200:])


def shared(count: int, workers: int) -> float:
    """Return the processes a second that some worker OS processes do on one SQLite file (W6)."""
    with opened(SQLiteBackend) as (manager, path):
        with ThreadPoolExecutor(8) as threads:
            given = [Process(BenchWorkflow, input=order(number)) for number in range(count)]
            ids = list(threads.map(manager.start_process, given))
        command = [sys.executable, "-m", "benchmarks.worker", str(path)]
        pipe = subprocess.PIPE
        children = [
            subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True)  # noqa: S603
            for _ in range(workers)
        ]
        for child in children:
            assert child.stdout is not None  # noqa: S101 - it is a pipe
            child.stdout.readline()
        began = time.perf_counter()
        for child in children:
            assert child.stdin is not None  # noqa: S101 - it is a pipe
            child.stdin.write("go\n")
            child.stdin.flush()
        for process_id in ids:
            manager.wait_for_process(process_id, 600)
        took = time.perf_counter() - began
        for child in children:
            child.terminate()
        codes = [child.wait() for child in children]
        if any(codes):
            raise RuntimeError(f"worker processes ended with {codes}")
    return count / took
