"""``python -m benchmarks.paint``: how long a reader waits for the dashboard on a SQLite file with a hundred thousand processes.

For each page: the server's time for it, its bytes, and the first contentful paint in a headless Chromium, each the median of some runs.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, sync_playwright

from benchmarks.work import BenchWorkflow, StepActivity, order
from pyworkflow.backend.base import Completion, Poll
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import CompleteProcess, Decision, FailProcess, ScheduleActivity
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask

BATCH = 200
PAINT = """() => new Promise(found => new PerformanceObserver(list => found(list.getEntries()[0].startTime))
    .observe({type: 'paint', buffered: true}))"""
PAGES = (
    "/",
    "/?state=failed&workflow=Bench",
    "/?state=open&tag=vip&order=oldest",
    "/?state=parked",
    "/queues",
    "/processes/large",
    "/processes/large?since=9000&all=true",
)


def fill(manager: Manager, count: int, events: int) -> None:
    """Start processes and end most of them: one in ten stays open, one in a hundred fails; one has a long history."""

    def start(numbers: range) -> None:
        for n in numbers:
            tags = ["vip"] if n % 50 == 0 else ["eu" if n % 2 else "us"]
            manager.start_process(Process(BenchWorkflow, f"order-{n}", order(n), tags))

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(start, (range(n, min(n + 1000, count)) for n in range(0, count, 1000))))
    _decide(manager, _end)
    manager.start_process(Process(BenchWorkflow, "large", order(0)))
    _decide(
        manager, lambda n: [ScheduleActivity(StepActivity, id=str(i)) for i in range(events // 3)]
    )
    done: list[Completion] = []
    while True:
        tasks = manager.backend.turn(done, [Poll(ActivityTask, limit=BATCH)]).tasks
        if not tasks:
            break
        done = [Completion(task, ActivityCompleted({"ok": True})) for task in tasks]


def _end(number: int) -> list[Decision]:
    if number % 10 == 0:
        return []
    if number % 100 == 1:
        return [FailProcess("no stock", "Traceback: ...")]
    return [CompleteProcess({"ok": True})]


def _decide(manager: Manager, decide: Callable[[int], list[Decision]]) -> None:
    done: list[Completion] = []
    while True:
        tasks = manager.backend.turn(done, [Poll(DecisionTask, limit=BATCH)]).tasks
        if not tasks:
            break
        done = [
            Completion(t, decide(t.process.input["order"]))
            for t in tasks
            if isinstance(t, DecisionTask)
        ]


@contextmanager
def served(path: Path) -> Generator[str]:
    """Serve a file in another OS process until the end of the block."""
    command = [sys.executable, "-m", "pyworkflow", "--backend", f"sqlite:///{path}", "serve"]
    server = subprocess.Popen(
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    )
    try:
        if server.stdout is None:
            raise RuntimeError("the server has no output")
        with server.stdout:
            yield json.loads(server.stdout.readline())["address"].rstrip("/")
    finally:
        server.terminate()
        server.wait()


def answered(http: httpx2.Client, page: str, runs: int) -> tuple[float, int]:
    """Return the milliseconds until a page has come, and its bytes."""
    took: list[float] = []
    size = 0
    for _ in range(runs):
        began = time.perf_counter()
        answer = http.get(page).raise_for_status()
        took.append((time.perf_counter() - began) * 1000)
        size = len(answer.content)
    return statistics.median(took), size


def painted(browser: Browser, address: str, page: str, runs: int) -> float:
    """Return the milliseconds until a browser that was never here shows something of a page."""
    took: list[float] = []
    for _ in range(runs):
        context = browser.new_context(base_url=address)
        tab = context.new_page()
        tab.goto(page)
        took.append(float(tab.evaluate(PAINT)))
        context.close()
    return statistics.median(took)


def main(given: list[str] | None = None) -> None:
    """Fill a file, look at it, and print the figures."""
    parser = argparse.ArgumentParser(prog="benchmarks.paint", description=__doc__)
    parser.add_argument("--processes", type=int, default=100_000)
    parser.add_argument("--events", type=int, default=10_000, help="of the process with most")
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument(
        "--chromium", default=os.environ.get("PYWORKFLOW_CHROMIUM") or shutil.which("chromium")
    )
    options = parser.parse_args(given)
    if options.chromium is None:
        parser.error("no Chromium: name one with --chromium")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "paint.db"
        began = time.perf_counter()
        with SQLiteBackend(path) as backend:
            fill(Manager(backend, [BenchWorkflow]), options.processes, options.events)
        print(f"{options.processes:,} processes in {time.perf_counter() - began:.0f} s")
        with served(path) as address, sync_playwright() as playwright:
            # Without its sandbox: root may have none, and only our own pages are loaded.
            browser = playwright.chromium.launch(
                executable_path=options.chromium, args=["--no-sandbox"]
            )
            with httpx2.Client(base_url=address, timeout=60) as http:
                print(f"{'page':40} {'server ms':>10} {'kB':>7} {'paint ms':>9}")
                for page in PAGES:
                    took, size = answered(http, page, options.runs)
                    paint = painted(browser, address, page, options.runs)
                    print(f"{page:40} {took:10.1f} {size / 1000:7.1f} {paint:9.0f}")
            browser.close()


if __name__ == "__main__":
    main()
