"""A program whose workers the tests start as OS processes of their own."""

import ctypes
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

from pyworkflow.activity import Activity, activity, current_activity
from pyworkflow.backend import connect
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import CompleteProcess, Decision, FailProcess, ScheduleActivity
from pyworkflow.errors import BackendUnavailableError
from pyworkflow.event import ActivityEvent, ProcessStartedEvent
from pyworkflow.ledger import claims
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.worker import Worker
from pyworkflow.workflow import Decidable, Workflow
from tests.integration.attempts import ANSWERS, BEGINS, note

STEPS = 3


# A busy machine may leave it waiting for long; that is not what the tests are about.
@activity(scheduled_timeout=3600)
def step(order: dict[str, Any]) -> dict[str, Any]:
    return {"step": order.get("step", 0) + 1}


@activity
def crash(how: str) -> str:
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        ctypes.string_at(0)
    return "survived"


@activity
def slow(path: str) -> str:
    """Tell that it has begun, then wait for the word to end."""
    Path(path).write_text(str(os.getpid()))
    while not Path(f"{path}.end").exists():
        if current_activity().heartbeat({"pid": os.getpid()}):
            return "canceled"
        time.sleep(0.01)
    return "done"


class DoubleActivity(Activity):
    async def execute(self) -> int:
        return int(self.input) * 2


class OneWorkflow(Workflow):
    """Does the one activity that its input names."""

    activities = (crash, slow, DoubleActivity)

    def decide(self, process: Process) -> Decidable:
        ended = process.history.find(ActivityEvent)
        if not ended:
            name, given = process.input
            return ScheduleActivity(name, input=given)
        result = ended[0].result  # type: ignore[attr-defined]
        if isinstance(result, ActivityCompleted):
            return CompleteProcess(result.result)
        return FailProcess(str(result))


class StepsWorkflow(Workflow):
    """Does three steps, one after the other."""

    activities = (step,)
    decision_timeout = 10
    step = step

    def decide(self, process: Process) -> Decidable:
        decisions: list[Any] = []
        for event in process.unseen_events():
            if isinstance(event, ProcessStartedEvent):
                decisions.append(ScheduleActivity(self.step, input={}))
            elif isinstance(event, ActivityEvent):
                decisions.append(self._after(event))
        return decisions

    def _after(self, event: ActivityEvent) -> Decision:
        if not isinstance(event.result, ActivityCompleted):
            # It has lost ten workers in a row, which under fire says nothing about the step.
            return ScheduleActivity(self.step, input=event.activity_execution.input)
        done = event.result.result
        if done["step"] < STEPS:
            return ScheduleActivity(self.step, input=done)
        return CompleteProcess({"step": done["step"]})


@activity(scheduled_timeout=3600)
def slow_step(order: dict[str, Any]) -> dict[str, Any]:
    task = current_activity().task
    note(BEGINS, task)
    # Who comes late is to find a later attempt at work.
    time.sleep(random.uniform(0, 0.1) if task.attempt == 1 else 0.5)
    answer = {"step": order.get("step", 0) + 1, "attempt": task.attempt}
    note(ANSWERS, task, answer)
    return answer


class SlowStepsWorkflow(StepsWorkflow):
    """The same, slowly, so that whoever kills a worker finds it at work."""

    activities = (slow_step,)
    step = slow_step

    def decide(self, process: Process) -> Decidable:
        time.sleep(random.uniform(0, 0.05))
        return super().decide(process)


class HesitantWorkflow(Workflow):
    """Writes what it is shown into the file that its input names, and waits for the word to decide."""

    def decide(self, process: Process) -> Decidable:
        shown = [event.type for event in process.unseen_events() if event.wakes]
        path = Path(process.input)
        path.write_text(f"{os.getpid()} {' '.join(shown)}")
        while not Path(f"{path}.end").exists():
            time.sleep(0.01)
        return CompleteProcess(shown)


def manager(place: str) -> Manager:
    """Return a manager for a file of SQLite, or for a backend's URL."""
    backend = connect(place) if "://" in place else SQLiteBackend(place)
    return Manager(backend, [OneWorkflow, StepsWorkflow, SlowStepsWorkflow, HesitantWorkflow])


def _opened(place: str) -> Manager:
    """Return a manager as soon as the backend can be reached."""
    while True:
        try:
            return manager(place)
        except BackendUnavailableError:
            time.sleep(0.1)


def main() -> None:
    path, lease, kinds, pool = sys.argv[1:5]
    if kinds == "reckless":
        # The control of the crash loop: whoever comes late is believed.
        claims._holds = lambda unit, row, token: True
        kinds = "all"
    works = Worker(_opened(path), lease=float(lease), grace=5, decisions=kinds == "all", pool=pool)
    works.run()


if __name__ == "__main__":
    main()
