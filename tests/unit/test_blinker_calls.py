"""Blinker signals of a backend without a feed: made from its calls and its answers to polls."""

from collections.abc import Iterator
from typing import Any

import pytest
from blinker import Signal as BlinkerSignal

from pyworkflow.backend.base import Capability
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import CompleteProcess, ScheduleActivity, StartChildProcess, Timer
from pyworkflow.errors import StaleTaskError
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock

Heard = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> BlinkerBackend:
    memory = MemoryBackend(clock)
    memory.capabilities -= {Capability.FEED}
    backend = BlinkerBackend(memory)
    backend.register_workflow("w")
    backend.register_activity("a")
    return backend


@pytest.fixture
def heard(backend: BlinkerBackend) -> Iterator[Heard]:
    told: Heard = []
    receivers = []
    for name, signal in vars(BlinkerBackend).items():
        if isinstance(signal, BlinkerSignal):

            def receive(sender: Any, name: str = name, **kwargs: Any) -> None:
                told.append((name, kwargs))

            signal.connect(receive, sender=backend, weak=False)
            receivers.append((signal, receive))
    yield told
    for signal, receive in receivers:
        signal.disconnect(receive)


def names(heard: Heard) -> list[str]:
    told = [name for name, _ in heard]
    heard.clear()
    return told


def decision(backend: BlinkerBackend) -> DecisionTask:
    task = backend.poll_decision_task()
    assert task is not None
    return task


def activity(backend: BlinkerBackend) -> ActivityTask:
    task = backend.poll_activity_task()
    assert task is not None
    return task


def test_calls_and_polls_tell_a_life_in_order(
    backend: BlinkerBackend, heard: Heard, clock: FakeClock
) -> None:
    process_id = backend.start_process(Process("w", "p", 1))
    backend.signal_process(process_id, "hello", 0)
    assert heard[0][1]["process"].id == heard[0][1]["process_id"] == "p"
    assert names(heard) == ["on_process_started", "on_process_signaled"]

    kid = StartChildProcess(Process("w", id="kid"))
    made = [ScheduleActivity("a", "1"), Timer(5, id="t"), kid]
    backend.complete_decision_task(decision(backend), made)
    assert names(heard) == [
        "on_complete_decision_task",
        "on_activity_scheduled",
        "on_timer_started",
        "on_child_process_started",
    ]

    backend.complete_activity_task(activity(backend), ActivityCompleted(0))
    assert names(heard) == [
        "on_activity_started",
        "on_complete_activity_task",
        "on_activity_completed",
    ]

    child = next(t for t in (decision(backend), decision(backend)) if t.process.id == "kid")
    assert ("on_process_started", "p") in [
        (name, told.get("parent_process_id")) for name, told in heard
    ]
    heard.clear()
    backend.complete_decision_task(child, CompleteProcess(7))
    assert names(heard) == ["on_complete_decision_task", "on_process_completed"]


def test_what_comes_by_itself_is_told_once_to_whoever_polls(
    backend: BlinkerBackend, heard: Heard, clock: FakeClock
) -> None:
    backend.start_process(Process("w", "p"))
    schedule = ScheduleActivity("a", "1", retry=Retry(2, initial=1))
    backend.complete_decision_task(decision(backend), [schedule, Timer(90, id="t")])
    for _ in range(2):
        backend.complete_activity_task(activity(backend), ActivityFailed("no"))
        clock.advance(1)
    clock.advance(100)
    heard.clear()

    lost = decision(backend)

    wanted = ["on_activity_attempt_failed", "on_activity_failed", "on_timer_fired"]
    assert names(heard) == wanted
    backend.fail_decision_task(lost, "broken")
    clock.advance(60)
    backend.complete_decision_task(decision(backend), CompleteProcess())
    assert names(heard) == ["on_complete_decision_task", "on_process_completed"]


def test_what_is_refused_is_not_told(backend: BlinkerBackend, heard: Heard) -> None:
    backend.start_process(Process("w", "p"))
    task = decision(backend)
    backend.terminate_process("p", "stuck")
    with pytest.raises(StaleTaskError):
        backend.complete_decision_task(task, CompleteProcess())

    assert names(heard) == ["on_process_started", "on_process_terminated"]


def test_a_request_to_cancel_is_told(backend: BlinkerBackend, heard: Heard) -> None:
    backend.start_process(Process("w", "p"))
    backend.cancel_process("p", "enough")

    assert heard[-1] == (
        "on_process_cancel_requested",
        {"process_id": "p", "details": "enough"},
    )
