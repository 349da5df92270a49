"""The workloads, each a function from a store to seconds or bytes."""

import statistics
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil
from msgspec import Struct

from benchmarks.raw import BATCH, Loop
from benchmarks.raw import Store as RawStore
from benchmarks.stores import Store
from benchmarks.work import BenchWorkflow, order
from pyworkflow.backend import connect
from pyworkflow.event import ActivityEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.worker import Worker

Inputs = list[dict[str, Any]]

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def opened(store: Store) -> Iterator[tuple[Manager, str]]:
    """Yield a manager on an empty store, and the store's URL."""
    with store.place() as url, connect(url) as backend:
        yield Manager(backend, [BenchWorkflow]), url


@contextmanager
def opened_raw(store: Store) -> Iterator[tuple[RawStore, str]]:
    """Yield the hand-written loop's store, empty, and its URL."""
    if store.raw is None:
        raise ValueError(f"there is no hand-written loop on {store.name}")
    with store.place() as url, closing(store.raw(url)) as raw:
        yield raw, url


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


class Spent(Struct, frozen=True):
    """What a piece of work took.

    Attributes:
        seconds: By the clock.
        cpu: Of all processors, this OS process only.
    """

    seconds: float
    cpu: float


def drained(store: Store, inputs: Inputs) -> Spent:
    """Return what a worker takes for some processes that are started before (W1, W2)."""
    with opened(store) as (manager, _):
        ids = [manager.start_process(Process(BenchWorkflow, input=given)) for given in inputs]
        began, cpu = time.perf_counter(), time.process_time()
        with working(manager, concurrency=100):
            all_closed(manager)
            spent = Spent(time.perf_counter() - began, time.process_time() - cpu)
        check_completed(manager, len(ids))
        return spent


def all_closed(manager: Manager) -> None:
    """Return once no process is open, having read none of those that ended meanwhile: no more does the hand-written loop."""
    while still_open := manager.processes(limit=1):
        manager.wait_for_process(still_open[0], 600)


def check_completed(manager: Manager, count: int) -> None:
    """See that so many processes have completed.

    Raises:
        RuntimeError: It is another number.
    """
    completed = len(manager.processes(status=Status.COMPLETED))
    if completed != count:
        raise RuntimeError(f"{completed} of {count} processes have completed")


def started_and_drained(store: Store, inputs: Inputs) -> float:
    """Return the seconds that a client takes to start some processes one by one and to see all of them end, beside a worker (W1)."""
    with opened(store) as (manager, _), working(manager, concurrency=100):
        began = time.perf_counter()
        ids = [manager.start_process(Process(BenchWorkflow, input=given)) for given in inputs]
        for process_id in ids:
            manager.wait_for_process(process_id, 600)
        return time.perf_counter() - began


def drained_raw(store: Store, inputs: Inputs) -> float:
    """Return the seconds that the hand-written loop takes for processes that are started before."""
    with opened_raw(store) as (opened_store, _):
        opened_store.start(list(inputs))
        began = time.perf_counter()
        Loop(opened_store).run()
        return time.perf_counter() - began


def latencies(store: Store, count: int) -> tuple[float, float]:
    """Return the median and 99th percentile of the seconds from the start of a one-step process to its end, with an idle worker (W3)."""
    took: list[float] = []
    with opened(store) as (manager, _), working(manager):
        for number in range(count):
            began = time.perf_counter()
            given = order(number, steps=1)
            manager.wait_for_process(manager.start_process(Process(BenchWorkflow, input=given)), 60)
            took.append(time.perf_counter() - began)
    return statistics.median(took), percentile(took, 99)


def latencies_raw(store: Store, count: int) -> tuple[float, float]:
    """Return the same of the hand-written loop, in one thread: nobody is woken."""
    took: list[float] = []
    with opened_raw(store) as (opened_store, _):
        loop = Loop(opened_store)
        for number in range(count):
            began = time.perf_counter()
            opened_store.start([order(number, steps=1)])
            loop.run()
            took.append(time.perf_counter() - began)
    return statistics.median(took), percentile(took, 99)


def percentile(values: list[float], percent: int) -> float:
    """Return a percentile of at least two values."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def disk(store: Store, url: str) -> int:
    """Return the bytes of disk that a store takes."""
    return store.size(url) if store.size else 0


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


def crowd(store: Store, count: int) -> Crowd:
    """Start processes one by one from eight threads, and signal each."""
    with opened(store) as (manager, url):

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
                size = disk(store, url)
                began = time.perf_counter()
                list(threads.map(tell, ids))
                all_closed(manager)
                signals = count / (time.perf_counter() - began)
    return Crowd(starts, size / count, signals)


def memory_each(store: Store, count: int) -> float:
    """Return the bytes of memory that Python holds for each open process."""
    with opened(store) as (manager, _), working(manager, concurrency=1):
        manager.start_process(Process(BenchWorkflow, input=order(0, wait=True)))
        tracemalloc.start()
        for number in range(count):
            manager.start_process(Process(BenchWorkflow, input=order(number, wait=True)))
        while any(queue.waiting or queue.running for queue in manager.backend.queues()):
            time.sleep(0.05)
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return held / count


def crowd_raw(store: Store, count: int) -> Crowd:
    """Do the same with the hand-written loop, a hundred processes a transaction."""
    with opened_raw(store) as (opened_store, url):
        loop = Loop(opened_store)
        chunks = [range(at, min(at + BATCH, count)) for at in range(0, count, BATCH)]
        began = time.perf_counter()
        pids = [opened_store.start([order(n, wait=True) for n in chunk]) for chunk in chunks]
        starts = count / (time.perf_counter() - began)
        loop.run()
        size = disk(store, url)
        began = time.perf_counter()
        for chunk in pids:
            opened_store.signal(chunk, {"ok": True})
        loop.run()
        signals = count / (time.perf_counter() - began)
    return Crowd(starts, size / count, signals)


def long_process(store: Store, count: int) -> tuple[float, float]:
    """Return the seconds of one of the first and one of the last steps of a long process, each the median of 200 (W5).

    A step is an activity after the other: five events.
    """
    with opened(store) as (manager, _), working(manager):
        given = order(1, steps=count)
        process_id = manager.start_process(Process(BenchWorkflow, input=given))
        process = manager.wait_for_process(process_id, 600)
    ends = [e.datetime for e in process.history if isinstance(e, ActivityEvent) and e.datetime]
    steps = [(b - a).total_seconds() for a, b in pairwise(ends)]
    return statistics.median(steps[10:210]), statistics.median(steps[-200:])


@contextmanager
def workers(url: str, count: int) -> Iterator[list[psutil.Popen]]:
    """Yield worker OS processes that begin to work now.

    Raises:
        RuntimeError: One did not end well.
    """
    command = [sys.executable, "-m", "benchmarks.worker", url]
    pipe = subprocess.PIPE
    children = [
        psutil.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) for _ in range(count)
    ]
    try:
        for child in children:
            child.stdout.readline()
        for child in children:
            child.stdin.write("go\n")
            child.stdin.flush()
        yield children
    finally:
        for child in children:
            child.terminate()
        codes = [child.wait() for child in children]
        for child in children:
            child.stdin.close()
            child.stdout.close()
    if any(codes):
        raise RuntimeError(f"worker processes ended with {codes}")


def shared(store: Store, count: int, crew: int) -> float:
    """Return the processes a second that some worker OS processes do on one store (W6)."""
    with opened(store) as (manager, url):
        with ThreadPoolExecutor(8) as threads:
            given = [Process(BenchWorkflow, input=order(number)) for number in range(count)]
            ids = list(threads.map(manager.start_process, given))
        with workers(url, crew):
            began = time.perf_counter()
            all_closed(manager)
            rate = count / (time.perf_counter() - began)
        check_completed(manager, len(ids))
        return rate
