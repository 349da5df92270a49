"""The program that every workload runs, as a user would write it: one workflow, one activity, both classes."""

from typing import Any

from pyworkflow.activity import Activity
from pyworkflow.decision import CompleteProcess, Decision, ScheduleActivity
from pyworkflow.event import ActivityEvent, ProcessStartedEvent, SignalEvent
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.workflow import Workflow


class StepActivity(Activity):
    """Does nothing but count."""

    scheduled_timeout = 86_400

    def execute(self) -> dict[str, Any]:
        """Return the number of the step."""
        return {"order": self.input["order"], "step": self.input.get("step", 0) + 1, "ok": True}


class BenchWorkflow(Workflow):
    """Runs ``steps`` activities one after the other, or ``fan`` of them at once, or waits for a signal."""

    activities = (StepActivity,)

    def decide(self, process: Process) -> list[Decision]:
        """React to what is new."""
        decisions: list[Decision] = []
        finished = 0
        for event in process.unseen_events():
            if isinstance(event, ProcessStartedEvent):
                decisions.extend(self._begin(process.input))
            elif isinstance(event, ActivityEvent) and isinstance(event.result, ActivityCompleted):
                finished += 1
                if not process.input.get("fan"):
                    decisions.append(self._next(process.input, event.result.result))
            elif isinstance(event, SignalEvent):
                decisions.append(CompleteProcess(event.signal.data))
        if finished and process.input.get("fan") and not process.unfinished_activities():
            decisions.append(CompleteProcess({"ok": True}))
        return decisions

    def _begin(self, order: dict[str, Any]) -> list[Decision]:
        if order.get("wait"):
            return []
        return [ScheduleActivity(StepActivity, input=order) for _ in range(order.get("fan", 1))]

    def _next(self, order: dict[str, Any], result: dict[str, Any]) -> Decision:
        if result["step"] < order.get("steps", 3):
            return ScheduleActivity(StepActivity, input=result)
        return CompleteProcess(result)


def order(number: int, **extra: Any) -> dict[str, Any]:
    """Return the input of a process."""
    return {"order": number, "sku": "A-1001", "qty": 2, **extra}
