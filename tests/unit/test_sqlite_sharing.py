"""Several backend objects on one file: what one of them keeps or sleeps through must not hide what the others do."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyworkflow.backend.base import Poll
from pyworkflow.backend.group import Rider
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.backend.wakeups import Wakeups
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.errors import StaleTaskError
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask

Pair = tuple[SQLiteBackend, SQLiteBackend]


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with SQLiteBackend(tmp_path / "x.db") as one, SQLiteBackend(tmp_path / "x.db") as other:
        one.register_workflow("w")
        one.register_activity("a")
        yield one, other


def claimed(backend: SQLiteBackend, kind: type[ActivityTask | DecisionTask]) -> ActivityTask:
    (task,) = backend.turn(polls=[Poll(kind)]).tasks
    return task  # type: ignore[return-value]


def test_rows_are_read_again_after_a_commit_of_another(pair: Pair) -> None:
    one, other = pair
    process_id = one.start_process(Process("w"))
    decision = claimed(one, DecisionTask)
    one.complete_decision_task(decision, [ScheduleActivity("a")])  # type: ignore[arg-type]
    lost = claimed(one, ActivityTask)
    other.release_tasks([lost])
    again = claimed(other, ActivityTask)

    with pytest.raises(StaleTaskError):
        one.complete_activity_task(lost, ActivityCompleted("late"))
    one.complete_activity_task(again, ActivityCompleted("in time"))
    last = claimed(other, DecisionTask)
    other.complete_decision_task(last, [CompleteProcess("done")])  # type: ignore[arg-type]

    assert one.process_by_id(process_id).status is Status.COMPLETED
    assert one.history(process_id) == other.history(process_id)
    assert one.check() == []


@pytest.mark.parametrize("what", ["a decision", "an end"])
def test_a_sleeper_hears_of_the_commits_of_another(
    pair: Pair, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = pair
    process_id = one.start_process(Process("w"))
    # Nobody looks without having been woken.
    monkeypatch.setattr(Wakeups, "FLOOR", 600.0)
    asleep = threading.Event()
    slept, ridden = Wakeups.sleep, Rider.sleep

    def sleep(self: Wakeups, commits: int, seconds: float, *, ends: bool = False) -> None:
        asleep.set()
        slept(self, commits, seconds, ends=ends)

    def ride(self: Rider, seconds: float) -> None:
        asleep.set()
        ridden(self, seconds)

    if what == "an end":
        sleeper = threading.Thread(target=other.wait_for_process, args=(process_id, 60))
    else:
        claimed(one, DecisionTask)
        polls = [Poll(DecisionTask)]
        sleeper = threading.Thread(target=lambda: other.turn(polls=polls, wait=60))
    monkeypatch.setattr(Wakeups, "sleep", sleep)
    monkeypatch.setattr(Rider, "sleep", ride)
    sleeper.start()
    assert asleep.wait(10)
    one.terminate_process(process_id)
    one.start_process(Process("w"))
    sleeper.join(20)

    assert not sleeper.is_alive()
