"""Celery: a chain and a group of tasks on Redis, and its worker as it starts by default: a child process a CPU. Not durable."""

import os
import subprocess
import sys
from typing import Any

from celery import Celery, chain, group

from benchmarks.peers.programs.common import Json, Stopwatch, order, percentiles, run, stepped

NAME = "benchmarks.peers.programs.celery_program"
URL = os.environ.get("BENCH_CELERY_URL", sys.argv[-1])
app = Celery("bench", broker=URL, backend=URL)


@app.task(name="step")
def step(given: Json) -> Json:
    """Do one activity."""
    return stepped(given)


def worker() -> "subprocess.Popen[bytes]":
    """Start a worker."""
    command = [sys.executable, "-m", "celery", "-A", NAME, "worker", "--loglevel=ERROR"]
    environment = {**os.environ, "BENCH_CELERY_URL": URL, "C_FORCE_ROOT": "1"}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def measure(work: str, count: int, url: str) -> Json:
    """Measure one workload.

    A worker takes a second to start: the first result is waited for before the clock begins, and the starts are in the time.
    """
    child = worker()
    try:
        step.delay(order(0)).get(timeout=60)
        return _measure(work, count)
    finally:
        child.terminate()
        child.wait()


def _measure(work: str, count: int) -> Json:
    if work == "w1":
        with Stopwatch() as watch:
            chains: list[Any] = [
                chain(step.s(order(number)), step.s(), step.s())() for number in range(count)
            ]
            for result in chains:
                result.get(timeout=600)
        return {"rate_with_starts": count / watch.seconds}
    if work == "w2":
        with Stopwatch() as watch:
            group(step.s(order(1)) for _ in range(count))().get(timeout=600)
        return {"each": watch.seconds / count * 1e6}
    took = []
    for number in range(count):
        with Stopwatch() as watch:
            step.delay(order(number)).get(timeout=60)
        took.append(watch.seconds)
    return percentiles(took)


if __name__ == "__main__":
    run(measure)
