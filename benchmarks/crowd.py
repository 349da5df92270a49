"""W4 at its full size: how a store does with a hundred thousand or a million open processes in it."""

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psutil

from benchmarks.stores import Store
from benchmarks.work import BenchWorkflow, order
from benchmarks.workloads import disk, opened, percentile, workers
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.task import DecisionTask

THREADS = 8
TIMED = 100_000
"""Starts that are timed, each on its own; what a larger crowd has beyond them comes by the thousand."""
PAGE = 100
"""Processes on a page of a list."""


def large_crowd(store: Store, count: int, samples: int = 1000) -> dict[str, float]:
    """Start processes that wait for a signal, and measure what the store is like with all of them open.

    Args:
        store: Where.
        count: How many.
        samples: Claims, pages and signals to measure.
    """
    samples = min(samples, count)
    with opened(store) as (manager, url):
        figures: dict[str, float] = {}
        # Handed to the threads in chunks: a million futures would be measured, too.
        chunks = [range(at, min(at + 1000, count)) for at in range(0, count, 1000)]
        timed, rest = chunks[: TIMED // 1000], chunks[TIMED // 1000 :]
        with ThreadPoolExecutor(THREADS) as threads:
            began = time.perf_counter()
            ids = [i for some in threads.map(lambda c: _start(manager, c), timed) for i in some]
            figures["starts"] = len(ids) / (time.perf_counter() - began)
        for chunk in rest:
            manager.backend.start_processes([_waiting(number) for number in chunk])
        with workers(url, 1) as (worker,):
            began = time.perf_counter()
            most = _watch(worker, lambda: _is_idle(manager))
            figures["decisions"] = count / (time.perf_counter() - began)
            figures["disk"] = disk(store, url) / count
            figures["signals"] = _end(manager, ids[:: max(1, count // samples)][:samples])
            figures["rss"] = max(most, worker.memory_info().rss) / 1e6
        figures["claim_p99"] = percentile(_claims(manager, samples), 99) * 1e3
        pages = _pages(manager, min(samples, 100))
        figures["page"] = statistics.median(pages) * 1e3
        figures["page_p99"] = percentile(pages, 99) * 1e3
    return figures


def _start(manager: Manager, numbers: range) -> list[str]:
    return [manager.start_process(_waiting(number)) for number in numbers]


def _waiting(number: int) -> Process:
    given: dict[str, Any] = order(number, wait=True)
    return Process(BenchWorkflow, input=given)


def _end(manager: Manager, ids: list[str]) -> float:
    """Signal some processes and wait until they have ended; return how many a second."""
    with ThreadPoolExecutor(THREADS) as threads:
        began = time.perf_counter()
        list(threads.map(lambda i: manager.signal_process(i, "go", {"ok": True}), ids))
        for process_id in ids:
            manager.wait_for_process(process_id, 600)
        return len(ids) / (time.perf_counter() - began)


def _is_idle(manager: Manager) -> bool:
    return not any(queue.waiting or queue.running for queue in manager.backend.queues())


def _watch(worker: psutil.Popen, is_over: Callable[[], bool]) -> int:
    """Wait until something is over; return the most memory that a worker had until then."""
    most = 0
    while not is_over():
        with suppress(psutil.NoSuchProcess):
            most = max(most, worker.memory_info().rss)
        time.sleep(0.2)
    return most


def _claims(manager: Manager, count: int) -> list[float]:
    """Return the seconds of claims, each of one decision among all that is open."""
    took = []
    for number in range(count):
        manager.start_process(_waiting(number))
        began = time.perf_counter()
        task = manager.backend.poll_decision_task()
        took.append(time.perf_counter() - began)
        if not isinstance(task, DecisionTask):
            raise RuntimeError("the decision of a process that was started is not to be had")
        manager.backend.complete_decision_task(task, [])
    return took


def _pages(manager: Manager, count: int) -> list[float]:
    """Return the seconds of pages of the list of open processes, one after the other from the first."""
    took = []
    last = None
    for _ in range(count):
        began = time.perf_counter()
        page = manager.processes(limit=PAGE, after=last)
        took.append(time.perf_counter() - began)
        last = page[-1] if len(page) == PAGE else None
    return took
