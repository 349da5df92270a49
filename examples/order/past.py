"""What has become of an order, read from its history: the deciders of two styles look at it."""

from examples.order.activities import STEPS, UNDO
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    Decision,
    FailProcess,
    ScheduleActivity,
)
from pyworkflow.event import ActivityEvent, CancelRequestedEvent
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityResult


class Past:
    """The past of an order. Each activity is executed once, and its id is its name.

    Attributes:
        results: How activities ended, by name.
        ending: How the process has to end, if not well: by the first that said so.
    """

    def __init__(self, process: Process) -> None:
        self.results: dict[str, ActivityResult] = {}
        self.ending: Decision | None = None
        steps = {step.name for step in STEPS}
        for event in process.history:
            if isinstance(event, ActivityEvent):
                name, result = event.activity_execution.activity, event.result
                failed = name in steps and not isinstance(result, ActivityCompleted)
                if self.ending is None or name not in steps:
                    self.results[name] = result
                if failed and self.ending is None:
                    self.ending = FailProcess(f"{name}: {getattr(result, 'reason', result.type)}")
            elif isinstance(event, CancelRequestedEvent) and self.ending is None:
                self.ending = CancelProcess(event.details)
        self._open = [execution.id for execution in process.unfinished_activities()]

    def undo(self) -> list[Decision]:
        """Return what ends the step that is under way and undoes the last one that was done; or, if there is none, ends the process."""
        assert self.ending is not None  # noqa: S101 - nothing is undone without a reason
        for step in reversed(STEPS):
            undo, done = UNDO.get(step.name), self.results.get(step.name)
            if undo is None or not isinstance(done, ActivityCompleted) or undo.name in self.results:
                continue
            if undo.name in self._open:
                return []
            under_way = [CancelActivity(name) for name in self._open]
            return [*under_way, ScheduleActivity(undo, undo.name, input=done.result)]
        return [self.ending]
