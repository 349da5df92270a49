"""Blinker signals: sent after the commit, in order, and by the listener for others."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from blinker import Signal as BlinkerSignal

from pyworkflow.backend.base import FEED_START
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.listener import CursorFile, Listener
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import CompleteProcess, ScheduleActivity, StartChildProcess, Timer
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidDecisionError,
    InvalidRequestError,
    StaleTaskError,
)
from pyworkflow.process import Process
from pyworkflow.result import ActivityCanceled, ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock

Heard = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def backend(clock: FakeClock) -> BlinkerBackend:
    backend = BlinkerBackend(MemoryBackend(clock))
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

            signal.connect(receive, weak=False)
            receivers.append((signal, receive))
    yield told
    for signal, receive in receivers:
        signal.disconnect(receive)


def decision(backend: BlinkerBackend) -> DecisionTask:
    task = backend.poll_decision_task()
    assert task is not None
    return task


def activity(backend: BlinkerBackend) -> ActivityTask:
    task = backend.poll_activity_task()
    assert task is not None
    return task


def test_a_life_is_told_in_order(backend: BlinkerBackend, heard: Heard, clock: FakeClock) -> None:
    process_id = backend.start_process(Process("w", input=1))
    backend.signal_process(process_id, "hello", 0)
    child = StartChildProcess(Process("w", id="kid"))
    backend.complete_decision_task(
        decision(backend), [ScheduleActivity("a", id="1"), Timer(5, id="t"), child]
    )
    backend.complete_activity_task(activity(backend), ActivityCompleted(0))
    backend.terminate_process("kid", "stop")
    clock.advance(5)
    backend.complete_decision_task(decision(backend), CompleteProcess(2))

    assert [name for name, _ in heard] == [
        "on_process_started",
        "on_process_signaled",
        "on_complete_decision_task",
        "on_activity_scheduled",
        "on_timer_started",
        "on_child_process_started",
        "on_process_started",
        "on_activity_started",
        "on_complete_activity_task",
        "on_activity_completed",
        "on_process_terminated",
        "on_child_process_closed",
        "on_timer_fired",
        "on_complete_decision_task",
        "on_process_completed",
    ]
    assert all("process_id" in kwargs for _, kwargs in heard)
    told = dict(heard)
    assert told["on_process_signaled"]["data"] == 0
    assert told["on_process_started"]["parent_process_id"] == process_id
    assert told["on_process_completed"]["process"].id == process_id
    assert told["on_activity_completed"]["activity_execution"].id == "1"


def test_what_is_refused_is_not_told(backend: BlinkerBackend, heard: Heard) -> None:
    process_id = backend.start_process(Process("w", id="p"))
    backend.start_process(Process("w", id="p"))
    task = decision(backend)
    with pytest.raises(InvalidDecisionError):
        backend.complete_decision_task(task, [Timer(1), ScheduleActivity("unknown")])
    backend.terminate_process(process_id)
    with pytest.raises(StaleTaskError):
        backend.complete_decision_task(task, [])

    assert [name for name, _ in heard] == ["on_process_started", "on_process_terminated"]


def test_canceled_and_aborted_are_told_alike(backend: BlinkerBackend, heard: Heard) -> None:
    backend.start_process(Process("w"))
    backend.complete_decision_task(decision(backend), ScheduleActivity("a"))
    backend.complete_activity_task(activity(backend), ActivityCanceled("no"))

    assert dict(heard)["on_activity_canceled"] == dict(heard)["on_activity_aborted"]


def test_a_receiver_that_raises_disturbs_nobody(
    backend: BlinkerBackend, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(sender: Any, **kwargs: Any) -> None:
        raise RuntimeError("receiver")

    with BlinkerBackend.on_process_started.connected_to(broken), caplog.at_level(logging.ERROR):
        backend.start_process(Process("w"))

    assert [name for name, _ in heard] == ["on_process_started"]
    assert "broken" in caplog.text


def test_a_receiver_may_call_back(backend: BlinkerBackend) -> None:
    def stop(sender: BlinkerBackend, process_id: str, **kwargs: Any) -> None:
        sender.terminate_process(process_id)

    with BlinkerBackend.on_process_started.connected_to(stop):
        process_id = backend.start_process(Process("w"))

    assert not backend.process_by_id(process_id).is_open


def test_a_listener_hears_everything_across_its_restarts(
    clock: FakeClock, heard: Heard, tmp_path: Path
) -> None:
    others = MemoryBackend(clock)
    others.register_workflow("w")
    cursor = CursorFile(tmp_path / "cursor")
    tell = BlinkerBackend(MemoryBackend()).tell
    others.start_process(Process("w", id="1"))
    first = Listener(others, tell, cursor)
    assert first.step() == 1
    others.start_process(Process("w", id="2"))

    second = Listener(others, tell, cursor)

    assert second.step() == 1
    assert second.step() == 0
    assert [kwargs["process_id"] for _, kwargs in heard] == ["1", "2"]


def test_a_listener_that_dies_tells_again(clock: FakeClock, tmp_path: Path) -> None:
    others = MemoryBackend(clock)
    others.register_workflow("w")
    others.start_process(Process("w", id="1"))
    told: list[Any] = []

    def die(entries: list[Any]) -> None:
        told.extend(entries)
        raise SystemExit

    with pytest.raises(SystemExit):
        Listener(others, die, CursorFile(tmp_path / "c")).step()
    Listener(others, told.extend, CursorFile(tmp_path / "c")).step()

    assert [entry.process_id for entry in told] == ["1", "1"]


def test_a_cursor_file_with_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    path.write_text("x")

    with pytest.raises(InvalidRequestError, match="cursor"):
        CursorFile(path).load()


def test_an_empty_list_of_decisions_is_told_too(backend: BlinkerBackend, heard: Heard) -> None:
    backend.start_process(Process("w"))
    backend.complete_decision_task(decision(backend), [])

    assert [name for name, _ in heard][1:] == ["on_complete_decision_task"]
    assert heard[-1][1]["decisions"] == []


def test_a_purged_stretch_of_the_feed_does_not_hold_a_listener_up(clock: FakeClock) -> None:
    others = MemoryBackend(clock)
    others.register_workflow("w")
    for number in range(10):
        others.start_process(Process("w", id=str(number)))
        others.terminate_process(str(number))
    clock.advance(60)
    assert others.purge(others.history("9")[-1].datetime or pytest.fail("no time")) == 0
    closed = clock.datetime()
    others.start_process(Process("w", id="last"))
    assert others.purge(closed) == 10

    [entry] = others.feed(limit=5)

    assert entry.process_id == "last"
    assert others.feed_end() == entry.cursor


def test_a_listener_goes_on_when_the_feed_can_be_read_again(clock: FakeClock) -> None:
    class Flaky(MemoryBackend):
        refused = False

        def feed(self, *args: Any, **kwargs: Any) -> list[Any]:
            if not self.refused:
                self.refused = True
                raise BackendUnavailableError("the cable is out")
            return super().feed(*args, **kwargs)

    others = Flaky(clock)
    others.register_workflow("w")
    others.start_process(Process("w", id="1"))
    heard: list[Any] = []

    class Memory:
        def load(self) -> str:
            return FEED_START

        def save(self, cursor: str) -> None:
            listener.stop()

    listener = Listener(others, heard.extend, Memory())
    listener.run()

    assert others.refused
    assert [entry.process_id for entry in heard] == ["1"]


def test_a_listener_passes_on_again_what_was_not_taken(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    others = MemoryBackend(clock)
    others.register_workflow("w")
    others.start_process(Process("w", id="1"))
    heard: list[Any] = []

    class Memory:
        def load(self) -> str:
            return FEED_START

        def save(self, cursor: str) -> None:
            if len(heard) < 3:
                raise OSError("the disk is full")
            listener.stop()

    def take(entries: list[Any]) -> None:
        heard.extend(entries)
        if len(heard) == 1:
            raise RuntimeError("not now")

    listener = Listener(others, take, Memory())
    listener.run()

    assert [entry.process_id for entry in heard] == ["1", "1", "1"]
    assert "RuntimeError: not now" in caplog.text
    assert "OSError: the disk is full" in caplog.text
