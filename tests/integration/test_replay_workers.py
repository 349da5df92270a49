"""Replayed workflows with real workers and stores: many at a time, long, wide, and with workers that die."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import CompleteProcess
from pyworkflow.event import ActivityEvent, DecisionFailedEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow, RunCache, query
from pyworkflow.result import ProcessCanceled, ProcessCompleted
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner
from pyworkflow.worker import Worker
from tests.integration.replay_program import SumWorkflow, add, manager
from tests.local_backends import LOCAL, local_backend

ROOT = Path(__file__).parents[2]


class ChainWorkflow(ReplayWorkflow):
    activities = (add,)
    cache = RunCache()

    async def run(self, steps: int) -> int:
        number = 0
        for _ in range(steps):
            number = await self.activity(add, number, 1)
        return number


class OnceWorkflow(ReplayWorkflow):
    activities = (add,)
    cache = RunCache(0)

    heard = 0

    @query
    def so_far(self) -> int:
        return self.heard

    async def run(self) -> Any:
        try:
            first = self.heard = await self.signal("early")
            await self.sleep(3600)
        except asyncio.CancelledError:
            await self.activity(add, 1, 1)
            raise
        return first


@pytest.fixture(params=LOCAL)
def runner(request: pytest.FixtureRequest) -> Iterator[Runner]:
    clock = FakeClock()
    with local_backend(request.param, request, clock) as backend:
        yield Runner(ChainWorkflow, OnceWorkflow, backend=backend, clock=clock)


def sound(runner: Runner, process: Process) -> None:
    assert runner.manager.backend.check() == []
    assert process.history.find(DecisionFailedEvent) == []


def test_a_long_chain_is_decided_again_as_a_whole(runner: Runner) -> None:
    process = runner.finish(runner.start(ChainWorkflow, 300))

    assert process.result == ProcessCompleted(300)
    sound(runner, process)
    ChainWorkflow.cache.clear()
    assert ChainWorkflow().decide(process) == [CompleteProcess(300)]


def test_a_signal_that_comes_first_and_a_cancellation_that_compensates(runner: Runner) -> None:
    runner.manager.start_process(Process(OnceWorkflow, "p"))
    runner.manager.signal_process("p", "early", 7)
    # Nobody has decided it yet, and no worker answers.
    assert runner.manager.query("p", "so_far") == 7
    runner.work()
    runner.manager.cancel_process("p", {"why": 1})

    process = runner.finish("p")

    assert process.result == ProcessCanceled({"why": 1})
    assert len(process.history.find(ActivityEvent)) == 1
    sound(runner, process)


def test_many_processes_with_a_worker_of_threads(tmp_path: Path) -> None:
    with SQLiteBackend(tmp_path / "x.db") as backend:
        of = Manager(backend, [SumWorkflow])
        worker = Worker(of)
        thread = threading.Thread(target=worker.run)
        thread.start()
        ids = [of.start_process(Process(SumWorkflow, input=5)) for _ in range(40)]
        results: list[Any] = [of.wait_for_process(i, 120).result.result for i in ids]  # type: ignore[union-attr]
        worker.stop()
        thread.join()

        assert {(r["total"], r["failures"]) for r in results} == {(10, 5)}
        assert len({r["chance"] for r in results}) == 40
        assert backend.check() == []
        assert of.query(ids[0], "so_far") == 10
        for process_id in ids:
            process = of.process_by_id(process_id)
            assert SumWorkflow().decide(process)[-1] == process.history[-1].decision  # type: ignore[attr-defined]


def test_processes_go_on_when_the_worker_that_keeps_their_code_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    of = manager(path)
    ids = [of.start_process(Process(SumWorkflow, input=30)) for _ in range(5)]
    program = [sys.executable, "-m", "tests.integration.replay_program", str(path)]
    workers = [subprocess.Popen(program, cwd=ROOT) for _ in range(2)]
    try:
        for _ in range(3):
            # Whoever has come far is killed where it is, and another one begins.
            while all(len(of.history(i)) < 60 for i in ids if of.process_by_id(i).is_open):
                if not any(of.process_by_id(i).is_open for i in ids):
                    break
                of.backend.feed(of.backend.feed_end(), wait=0.05)
            first = workers.pop(0)
            os.kill(first.pid, signal.SIGKILL)
            first.wait()
            workers.append(subprocess.Popen(program, cwd=ROOT))
        results: list[Any] = [of.wait_for_process(i, 120).result.result for i in ids]  # type: ignore[union-attr]
    finally:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.wait()

    assert {(r["total"], r["failures"]) for r in results} == {(435, 30)}
    assert of.backend.check() == []
    for process_id in ids:
        process = of.process_by_id(process_id)
        assert len(process.history.find(ActivityEvent)) == 60
        assert SumWorkflow().decide(process)[-1] == process.history[-1].decision  # type: ignore[attr-defined]
    of.backend.close()
