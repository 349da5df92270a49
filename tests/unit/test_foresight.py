"""What is decided before it is recorded, and claimed by another's commit."""

import errno
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyworkflow.backend.base import Completion, FeedEntry, Poll
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.backend.stored import StoredBackend
from pyworkflow.decision import CompleteProcess, Decision, RecordMarker, ScheduleActivity, Timer
from pyworkflow.errors import BackendUnavailableError
from pyworkflow.event import DecisionEvent
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock

RESULT = ActivityCompleted({"paid": True})


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[StoredBackend]:
    kept = request.param == "memory"
    with closing(MemoryBackend(clock) if kept else SQLiteBackend(":memory:", clock=clock)) as made:
        made.register_workflow("order")
        made.register_activity("charge")
        yield made


def decided(backend: StoredBackend, *decisions: Decision) -> None:
    """Start the process ``p`` and decide it for the first time."""
    backend.start_process(Process("order", "p", 7))
    task = backend.poll_decision_task()
    assert task is not None
    backend.complete_decision_task(task, decisions)


def claimed(backend: StoredBackend) -> ActivityTask:
    task = backend.poll_activity_task()
    assert task is not None
    return task


def told(backend: StoredBackend) -> list[str]:
    return [event.type for event in backend.history("p")]


def test_a_result_and_the_decision_on_it_are_one_commit(
    backend: StoredBackend, clock: FakeClock
) -> None:
    decided(backend, ScheduleActivity("charge", "a"))
    task = claimed(backend)
    clock.advance(1)
    foreseen = backend.foresee(task, RESULT, "me")
    assert foreseen is not None
    shown = list(foreseen.process.history)
    commits: list[list[FeedEntry]] = []
    backend.observe(commits.append)

    then = Completion(foreseen, [CompleteProcess("done")])
    turn = backend.turn([Completion(task, RESULT, then)], [Poll(DecisionTask)])

    assert (turn.errors, turn.tasks) == ([None], [])
    assert [[e.event.type for e in entries] for entries in commits] == [
        ["activity", "decision_started", "decision"]
    ]
    recorded = backend.history("p")
    assert recorded[:-1] == shown
    assert [e.datetime for e in recorded[:-1]] == [e.datetime for e in shown]
    assert backend.process_by_id("p").result is not None
    assert backend.check() == []


def test_nothing_may_be_decided_on_a_foreseen_result(
    backend: StoredBackend, clock: FakeClock
) -> None:
    decided(backend, ScheduleActivity("charge", "a"), Timer(3600))
    task = claimed(backend)
    foreseen = backend.foresee(task, RESULT)
    assert foreseen is not None
    clock.advance(1)

    assert backend.turn([Completion(task, RESULT, Completion(foreseen, []))]).errors == [None]

    assert backend.check() == []
    backend.signal_process("p", "hurry")
    again = backend.poll_decision_task()
    assert again is not None
    assert [e.type for e in again.process.unseen_events()] == ["signal"]


def test_each_decider_is_given_the_input_as_it_was(backend: StoredBackend) -> None:
    backend.start_process(Process("order", "p", {"items": [1]}))
    first = backend.poll_decision_task()
    assert first is not None
    first.process.input["items"].append(2)
    backend.complete_decision_task(first, ScheduleActivity("charge", "a"))

    foreseen = backend.foresee(claimed(backend), RESULT)

    assert foreseen is not None
    assert foreseen.process.input == {"items": [1]}


def test_what_was_decided_is_dropped_while_a_decider_holds_the_process(
    backend: StoredBackend,
) -> None:
    decided(backend, ScheduleActivity("charge", "a"))
    task = claimed(backend)
    backend.signal_process("p", "hurry")
    held = backend.poll_decision_task()
    assert held is not None
    foreseen = backend.foresee(task, RESULT)
    assert foreseen is not None

    then = Completion(foreseen, [RecordMarker("by foresight")])
    assert backend.turn([Completion(task, RESULT, then)]).errors == [None]
    backend.complete_decision_task(held, RecordMarker("by the decider"))

    markers = [e.decision for e in backend.history("p") if isinstance(e, DecisionEvent)]
    assert RecordMarker("by the decider") in markers
    assert RecordMarker("by foresight") not in markers
    assert backend.check() == []


def test_what_was_decided_is_dropped_if_something_else_has_happened(
    backend: StoredBackend,
) -> None:
    decided(backend, ScheduleActivity("charge", "a"))
    task = claimed(backend)
    foreseen = backend.foresee(task, RESULT)
    assert foreseen is not None
    backend.signal_process("p", "hurry")

    then = Completion(foreseen, [CompleteProcess("done")])
    turn = backend.turn([Completion(task, RESULT, then)], [Poll(DecisionTask)])

    assert turn.errors == [None]
    assert told(backend)[-3:] == ["signal", "activity", "decision_started"]
    (again,) = turn.tasks
    assert isinstance(again, DecisionTask)
    assert [e.type for e in again.process.unseen_events()][-2:] == ["signal", "activity"]
    assert backend.check() == []


def test_what_was_decided_by_a_clock_that_is_ahead_is_dropped(
    tmp_path: Path, clock: FakeClock
) -> None:
    ahead, path = FakeClock(), tmp_path / "orders.db"
    with (
        closing(SQLiteBackend(path, clock=clock)) as store,
        closing(SQLiteBackend(path, clock=ahead)) as wrong,
    ):
        wrong.register_workflow("order")
        wrong.register_activity("charge")
        decided(wrong, ScheduleActivity("charge", "a"))
        task = claimed(wrong)
        ahead.advance(60)
        foreseen = wrong.foresee(task, RESULT)
        assert foreseen is not None

        then = Completion(foreseen, [CompleteProcess("done")])
        assert store.turn([Completion(task, RESULT, then)]).errors == [None]

        assert told(store)[-1] == "activity"
        assert store.check() == []


def test_a_decision_that_cannot_apply_is_asked_for_again(backend: StoredBackend) -> None:
    decided(backend, ScheduleActivity("charge", "a"))
    task = claimed(backend)
    foreseen = backend.foresee(task, RESULT)
    assert foreseen is not None

    then = Completion(foreseen, [ScheduleActivity("unheard of")])
    turn = backend.turn([Completion(task, RESULT, then)], [Poll(DecisionTask)])

    assert turn.errors == [None]
    assert told(backend)[-2:] == ["activity", "decision_started"]
    assert len(turn.tasks) == 1


@pytest.mark.parametrize("result", [ActivityFailed("no"), ActivityCompleted(object())])
def test_only_what_is_certain_to_be_recorded_is_foreseen(
    backend: StoredBackend, result: ActivityCompleted
) -> None:
    decided(backend, ScheduleActivity("charge", "a"))

    assert backend.foresee(claimed(backend), result) is None


def test_nothing_is_foreseen_where_another_activity_is_open(backend: StoredBackend) -> None:
    decided(backend, ScheduleActivity("charge", "a"), ScheduleActivity("charge", "b"))

    assert backend.foresee(claimed(backend), RESULT) is None


def test_a_chain_of_foreseen_decisions_costs_no_reading(backend: StoredBackend) -> None:
    decided(backend, ScheduleActivity("charge", "a"), Timer(3600))
    for _ in range(20):
        task = claimed(backend)
        foreseen = backend.foresee(task, RESULT)
        assert foreseen is not None
        then = Completion(foreseen, [ScheduleActivity("charge", "a")])
        assert backend.turn([Completion(task, RESULT, then)]).errors == [None]

    assert told(backend) == [
        *("process_started", "decision_started", "decision", "decision"),
        *(["activity_started", "activity", "decision_started", "decision"] * 20),
    ]
    assert len(backend.process_by_id("p").unfinished_activities()) == 1
    assert backend.check() == []


def test_what_others_have_done_is_read_past_what_was_foreseen(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with closing(SQLiteBackend(path)) as backend, closing(SQLiteBackend(path)) as other:
        backend.register_workflow("order")
        backend.register_activity("charge")
        decided(backend, ScheduleActivity("charge", "a"))
        task = claimed(backend)
        foreseen = backend.foresee(task, RESULT)
        assert foreseen is not None
        for _ in range(3):
            other.signal_process("p", "hurry")
        assert len(told(backend)) == 7

        then = Completion(foreseen, [CompleteProcess("done")])
        assert backend.turn([Completion(task, RESULT, then)]).errors == [None]

        assert told(backend) == told(other)
        assert told(backend)[-4:] == ["signal", "signal", "signal", "activity"]


def test_an_idle_poll_claims_with_the_commit_that_makes_something_ready(
    backend: StoredBackend,
) -> None:
    commits: list[list[FeedEntry]] = []
    backend.observe(commits.append)
    tasks: list[object] = []
    poll = Poll(DecisionTask)
    idle = threading.Thread(target=lambda: tasks.extend(backend.turn([], [poll], 60).tasks))
    idle.start()
    while not backend._group._riders:
        idle.join(0.001)

    backend.start_process(Process("order", "p", 7))
    idle.join(60)

    assert [type(task) for task in tasks] == [DecisionTask]
    assert [[e.event.type for e in entries] for entries in commits if entries] == [
        ["process_started", "decision_started"]
    ]


def test_what_was_foreseen_is_forgotten_where_others_have_gone_further(
    tmp_path: Path, clock: FakeClock
) -> None:
    path = tmp_path / "w.db"
    with SQLiteBackend(path, clock=clock) as one, SQLiteBackend(path, clock=clock) as other:
        one.register_workflow("order")
        one.register_activity("charge")
        decided(one, ScheduleActivity("charge", "a"))
        assert one.foresee(claimed(one), RESULT) is not None
        for name in ("first", "second", "third"):
            other.signal_process("p", name)
        read = one.history("p")

        one.signal_process("p", "fourth")

        assert [e.type for e in one.history("p")[len(read) :]] == ["signal"]


def test_what_was_claimed_for_somebody_who_is_interrupted_is_given_back(
    backend: StoredBackend,
) -> None:
    def interrupted() -> bool:
        if backend._group._riders:
            backend.start_process(Process("order", "p", 7))
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        backend.turn([], [Poll(DecisionTask)], 60, interrupted)

    task = backend.poll_decision_task()
    assert task is not None
    assert told(backend)[1:3] == ["decision_started", "decision_failed"]


def test_what_cannot_be_read_after_it_was_claimed_is_given_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise BackendUnavailableError("no")

    path = tmp_path / "w.db"
    with SQLiteBackend(path) as one, SQLiteBackend(path) as other:
        one.register_workflow("order")
        one.start_process(Process("order", "p", 7))
        with monkeypatch.context() as patch:
            patch.setattr(other, "_decision_tasks", unreadable)
            with pytest.raises(BackendUnavailableError):
                other.turn([], [Poll(DecisionTask)])

        task = one.poll_decision_task()
        assert task is not None
        assert task.attempt == 1


def test_a_forked_child_does_not_wait_for_threads_that_it_does_not_have(tmp_path: Path) -> None:
    with SQLiteBackend(tmp_path / "w.db") as backend:
        backend.register_workflow("order")
        backend.start_process(Process("order", "p", 7))
        # As if another thread had them at that moment.
        with backend._histories._lock, backend._telling, backend._wakeups._any:
            child = os.fork()
            if child == 0:
                signal.alarm(30)
                backend.signal_process("p", "hurry")
                os._exit(0 if len(backend.history("p")) == 2 else 1)

            assert os.waitpid(child, 0)[1] == 0


def test_where_there_is_no_more_inotify_commits_of_others_are_heard_of_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def too_many() -> None:
        raise OSError(errno.EMFILE, "too many")

    monkeypatch.setattr("inotify_simple.INotify", too_many)
    with SQLiteBackend(tmp_path / "w.db") as one, SQLiteBackend(tmp_path / "w.db") as other:
        one.register_workflow("order")
        threading.Thread(target=one.start_process, args=(Process("order", "p"),)).start()

        turn = other.turn([], [Poll(DecisionTask)], 60)

        assert len(turn.tasks) == 1
