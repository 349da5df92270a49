"""The judge of the crash loop and of the fire, on a clock that stands still: it finds each stale result that counts, and nothing else."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pyworkflow.backend.base import Completion, Poll
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.backend.stored import StoredBackend
from pyworkflow.decision import ScheduleActivity
from pyworkflow.ledger import claims
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask
from pyworkflow.testing.clock import FakeClock
from tests.integration.attempts import ANSWERS, BEGINS, STALE, VARIABLE, Attempts, LateAnswers, note

LEASE = 5.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, clock: FakeClock) -> Iterator[StoredBackend]:
    memory = request.param == "memory"
    store = MemoryBackend(clock) if memory else SQLiteBackend(":memory:", clock=clock)
    with closing(store):
        store.register_workflow("order")
        store.register_activity("charge")
        store.start_process(Process("order", "p"))
        task = store.poll_decision_task()
        assert task is not None
        store.complete_decision_task(task, ScheduleActivity("charge", "a"))
        yield store


@pytest.fixture
def attempts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Attempts:
    path = tmp_path / "attempts"
    monkeypatch.setenv(VARIABLE, str(path))
    return Attempts(path)


@pytest.fixture(params=["tokens are checked", "tokens are not checked"])
def checked(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the store checks tokens, or believes whoever answers."""
    if request.param == "tokens are not checked":
        monkeypatch.setattr(claims, "_holds", lambda unit, row, token: True)
        return False
    return True


def claim(backend: StoredBackend) -> ActivityTask:
    [task] = backend.turn(polls=[Poll(ActivityTask, lease=LEASE)]).tasks
    assert isinstance(task, ActivityTask)
    return task


def answer(backend: StoredBackend, task: ActivityTask) -> bool:
    """Answer as an attempt does; return whether the answer counts."""
    value = {"attempt": task.attempt}
    note(ANSWERS, task, value)
    return backend.turn([Completion(task, ActivityCompleted(value))]).errors == [None]


def wrong(backend: StoredBackend, attempts: Attempts) -> list[str]:
    return attempts.wrong([backend.process_by_id("p")])


def test_an_answer_that_another_attempt_contests_is_wrong_where_it_counts(
    backend: StoredBackend, clock: FakeClock, attempts: Attempts, checked: bool
) -> None:
    first = claim(backend)
    note(BEGINS, first)
    clock.advance(LEASE)
    second = claim(backend)
    note(BEGINS, second)

    assert answer(backend, first) is not checked
    assert answer(backend, second) is checked

    assert attempts.late() == LateAnswers(1, 1)
    stale = [f"p: activity a {STALE} 1; 2 was handed out before"]
    assert wrong(backend, attempts) == ([] if checked else stale)


def test_an_answer_counts_no_more_once_a_later_attempt_was_handed_out_though_it_did_not_begin(
    backend: StoredBackend, clock: FakeClock, attempts: Attempts, checked: bool
) -> None:
    first = claim(backend)
    note(BEGINS, first)
    clock.advance(LEASE)
    claim(backend)

    assert answer(backend, first) is not checked

    assert attempts.late() == LateAnswers(0, 0)
    assert bool(wrong(backend, attempts)) is not checked


def test_an_answer_after_the_end_of_the_activity_is_late_and_contested_by_nobody(
    backend: StoredBackend, clock: FakeClock, attempts: Attempts
) -> None:
    first = claim(backend)
    note(BEGINS, first)
    clock.advance(LEASE)
    second = claim(backend)
    note(BEGINS, second)

    assert answer(backend, second)
    assert not answer(backend, first)

    assert attempts.late() == LateAnswers(1, 0)
    assert wrong(backend, attempts) == []


def test_a_result_that_no_attempt_has_answered_is_wrong(
    backend: StoredBackend, attempts: Attempts
) -> None:
    task = claim(backend)
    note(BEGINS, task)
    note(ANSWERS, task, {"attempt": 1, "of": "another"})
    backend.complete_activity_task(task, ActivityCompleted({"attempt": 1}))

    assert wrong(backend, attempts) == ["p: activity a has a result that attempt 1 did not answer"]
