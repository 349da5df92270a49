"""What the worker's loop does with what is finished, where a decider keeps it waiting."""

import threading
from collections.abc import Callable

import pytest

from pyworkflow.activity import activity
from pyworkflow.backend.base import FeedEntry, Poll
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import (
    CompleteProcess,
    Decision,
    FailProcess,
    ScheduleActivity,
    SignalProcess,
)
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.task import ActivityTask
from pyworkflow.worker import Worker
from pyworkflow.worker import worker as loop
from pyworkflow.workflow import Workflow


@activity
def charge() -> str:
    return "charged"


def deciding(decide: Callable[[Process], Decision], timeout: float = 60) -> Manager:
    class Order(Workflow):
        name = "order"
        activities = (charge,)
        decision_timeout = timeout

        def decide(self, process: Process) -> Decision:
            return decide(process)

    return Manager(MemoryBackend(), workflows=[Order])


def events(of: Manager, process_id: str) -> list[str]:
    return [event.type for event in of.history(process_id)]


def test_what_is_finished_is_sent_even_if_its_decider_is_interrupted() -> None:
    def decide(process: Process) -> Decision:
        if len(process.history) == 2:
            return ScheduleActivity(charge)
        # As two signals do.
        worker.stop()
        raise KeyboardInterrupt

    of = deciding(decide)
    process_id = of.start_process(Process("order"))
    worker = Worker(of)

    worker.run()

    assert "activity" in events(of, process_id)


@pytest.mark.parametrize(("patience", "together"), [(60.0, 1), (-1.0, 0)])
def test_a_decider_that_has_been_slow_is_asked_after_the_result_is_recorded(
    patience: float, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide(process: Process) -> Decision:
        if len(process.history) == 2:
            return ScheduleActivity(charge)
        return CompleteProcess()

    monkeypatch.setattr(loop, "FORESIGHT_SECONDS", patience)
    of = deciding(decide)
    commits: list[list[str]] = []

    def note(entries: list[FeedEntry]) -> None:
        commits.append([entry.event.type for entry in entries])

    of.backend.observe(note)
    worker = Worker(of)
    thread = threading.Thread(target=worker.run)
    thread.start()
    of.wait_for_process(of.start_process(Process("order")), 60)
    worker.stop()
    thread.join(60)

    assert commits.count(["activity", "decision_started", "decision"]) == together


def test_a_decider_that_does_not_return_keeps_nothing_from_other_workers() -> None:
    hanging, go = threading.Event(), threading.Event()

    def decide(process: Process) -> Decision:
        if process.id == "first":
            return ScheduleActivity(wait.name)
        hanging.set()
        assert go.wait(60)
        return CompleteProcess()

    @activity(name="wait")
    def wait() -> None:
        assert go.wait(60)

    of = deciding(decide, timeout=0.1)
    of.register_activity(wait)
    of.start_process(Process("order", "first"))
    worker = Worker(of, lease=0.3)
    thread = threading.Thread(target=worker.run)
    thread.start()
    while "activity_started" not in events(of, "first"):
        hanging.wait(0.001)
    of.start_process(Process("order", "second"))
    assert hanging.wait(60)

    turn = of.backend.turn([], [Poll(ActivityTask)], 60)

    go.set()
    worker.stop()
    thread.join(60)
    [task] = turn.tasks
    assert isinstance(task, ActivityTask)
    assert task.attempt > 1


@pytest.mark.parametrize(
    "mistaken",
    [
        SignalProcess("other", "hurry"),  # type: ignore[arg-type]
        FailProcess(5),  # type: ignore[arg-type]
    ],
    ids=lambda decision: decision.type,
)
def test_a_decision_with_a_value_of_a_wrong_type_is_a_failure_of_its_decider(
    mistaken: Decision,
) -> None:
    of = deciding(lambda process: mistaken)
    process_id = of.start_process(Process("order"))
    worker = Worker(of)
    thread = threading.Thread(target=worker.run)
    thread.start()
    while "decision_failed" not in events(of, process_id):
        assert thread.is_alive()
        thread.join(0.001)
    worker.stop()
    thread.join(60)

    assert of.backend.check() == []
