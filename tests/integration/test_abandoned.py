"""Activities that do not return: once their lease has ended they cost their worker neither a place nor its other work."""

import asyncio
import logging
import subprocess
import sys
import threading
import time
from typing import Any

import pytest

from pyworkflow.activity import activity, current_activity
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ProcessCompleted
from pyworkflow.worker import DecisionWorker, Worker, async_pool
from pyworkflow.workflow import Decidable, DefaultWorkflow
from tests.integration.test_workers import working


@activity(execution_timeout=0.2)
def wait_for_ever() -> None:
    threading.Event().wait()


@activity(execution_timeout=0.2)
def spin() -> None:
    while True:
        pass


@activity(execution_timeout=0.2)
async def await_for_ever() -> None:
    await asyncio.Event().wait()


@activity(execution_timeout=0.2)
async def ignore_cancellation() -> None:
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


@activity(execution_timeout=0.2)
async def block_for_ever() -> None:
    threading.Event().wait()


@activity(execution_timeout=0.2)
async def spin_in_the_loop() -> None:
    while True:
        pass


@activity(execution_timeout=0.2)
async def block_from_within() -> None:
    async def inner() -> None:
        threading.Event().wait()

    await asyncio.create_task(inner())


@activity
def add_one(number: int) -> int:
    return number + 1


@activity
async def add_one_later(number: int) -> int:
    await asyncio.sleep(0.01)
    return number + 1


HANGS = (
    wait_for_ever,
    spin,
    await_for_ever,
    ignore_cancellation,
    block_for_ever,
    spin_in_the_loop,
    block_from_within,
)


class Calls(DefaultWorkflow):
    """Does the activity that its input names."""

    activities = (*HANGS, add_one, add_one_later)

    def initiate(self, process: Process) -> Decidable:
        return ScheduleActivity(process.input[0], input=process.input[1])

    def respond_to_completed_activity(
        self, process: Process, execution: Any, result: Any
    ) -> Decidable:
        return CompleteProcess(result)


def reason(process: Process) -> str:
    return str(getattr(process.result, "reason", None))


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(async_pool, "BLOCKED_SECONDS", 0.05)


CASES = [
    *(("asyncio", hang) for hang in HANGS),
    *((pool, hang) for pool in ("thread", "process") for hang in (wait_for_ever, spin)),
    ("process", await_for_ever),
]


@pytest.mark.parametrize(("pool", "hang"), CASES, ids=lambda it: getattr(it, "name", it))
def test_an_activity_that_does_not_return_gives_up_its_place(
    pool: str, hang: Any, caplog: pytest.LogCaptureFixture
) -> None:
    of = Manager(MemoryBackend(), [Calls])
    with working(of, pool=pool, concurrency=1, lease=1.5, grace=60):
        for _ in range(2):
            hung = of.start_process(Process(Calls, input=[hang.name, None]))
            assert "timed out: start_to_close" in reason(of.wait_for_process(hung, 60))
            for name in ("add_one", "add_one_later"):
                sound = of.start_process(Process(Calls, input=[name, 1]))
                assert of.wait_for_process(sound, 60).result == ProcessCompleted(2)

    assert f"activity {hang.name} of {hung} has lost its lease" in caplog.text


@pytest.mark.parametrize("hang", [block_for_ever, spin_in_the_loop], ids=lambda hang: hang.name)
def test_a_blocked_event_loop_is_named_and_costs_other_coroutines_nothing_but_time(
    hang: Any, caplog: pytest.LogCaptureFixture
) -> None:
    of = Manager(MemoryBackend(), [Calls])
    with working(of, pool="asyncio", concurrency=10, lease=1.5):
        ids = [
            of.start_process(Process(Calls, input=[name, 1 if name != hang.name else None]))
            for name in ["add_one_later"] * 4 + [hang.name] + ["add_one_later"] * 4
        ]
        results = [of.wait_for_process(process_id, 60) for process_id in ids]

    assert "timed out: start_to_close" in reason(results.pop(4))
    assert [process.result for process in results] == [ProcessCompleted(2)] * 8
    blocked = f"activity {hang.name} of {ids[4]} blocks the event loop"
    [warning] = [r.getMessage() for r in caplog.records if blocked in r.getMessage()]
    assert f"in {hang.name}" in warning


def test_while_the_event_loop_is_blocked_other_workers_get_its_coroutines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.WARNING)
    began, release = threading.Event(), threading.Event()

    @activity
    async def block() -> str:
        began.set()
        release.wait(60)
        return "unblocked"

    class Blocks(Calls):
        activities = (block, add_one, add_one_later)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Blocks])
    with working(of, pool="asyncio", concurrency=4, lease=1.5) as blocked:
        blocking = of.start_process(Process(Blocks, input=["block", None]))
        assert began.wait(60)
        while "blocks the event loop" not in caplog.text:
            time.sleep(0.01)
        # What needs no event loop goes on here.
        sync = of.start_process(Process(Blocks, input=["add_one", 1]))
        assert of.wait_for_process(sync, 60).result == ProcessCompleted(2)
        with working(of, pool="asyncio", identity="other"):
            later = of.start_process(Process(Blocks, input=["add_one_later", 1]))
            assert of.wait_for_process(later, 60).result == ProcessCompleted(2)
        assert isinstance(blocked, Worker)
        release.set()

        assert of.wait_for_process(blocking, 60).result == ProcessCompleted("unblocked")
        last = of.start_process(Process(Blocks, input=["add_one_later", 2]))
        assert of.wait_for_process(last, 60).result == ProcessCompleted(3)


def test_what_a_blocked_event_loop_has_not_begun_counts_as_not_begun() -> None:
    attempts: list[int] = []
    began, release = threading.Event(), threading.Event()

    @activity
    async def block() -> None:
        began.set()
        release.wait(60)

    @activity(at_most_once=True)
    async def once() -> str:
        attempts.append(current_activity().task.attempt)
        return "done"

    class Blocks(Calls):
        activities = (block, once)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Blocks])
    ids = [of.start_process(Process(Blocks, input=["block", None]))]
    ids += [of.start_process(Process(Blocks, input=["once", None])) for _ in range(3)]
    while DecisionWorker(of).step():
        pass
    # All four are claimed together.
    with working(of, pool="asyncio", concurrency=4):
        assert began.wait(60)
        with working(of, pool="asyncio", identity="other"):
            results = [of.wait_for_process(process_id, 60).result for process_id in ids[1:]]
        release.set()

    assert results == [ProcessCompleted("done")] * 3
    assert len(attempts) == 3


BLOCKED = """
import sys, threading, time
from pyworkflow import watch

waits = threading.Thread(target=threading.Event().wait, daemon=True)
waits.start()
watch.drop(waits)
time.sleep(2 * watch.RECALL_SECONDS)
sys.setprofile(lambda *_: None)
(lambda: None)()
sys.setprofile(None)
print("goes on")
"""


def test_a_thread_that_cannot_be_reached_disturbs_no_other() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, timeout=60
    )

    assert done.stdout == "goes on\n", done.stderr
