"""An SWF history in the making: numbers of events, and which event belongs to which."""

from datetime import datetime as DateTime
from typing import Any

from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.process import Process
from pyworkflow.swf.causes import cause_of
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.settings import Settings
from pyworkflow.swf.words import QUIET, attempt_id, attributes_key, lifetime

CLOSING: dict[type, str] = {
    CompleteProcess: "CompleteWorkflowExecutionFailed",
    FailProcess: "FailWorkflowExecutionFailed",
    CancelProcess: "CancelWorkflowExecutionFailed",
    ContinueProcess: "ContinueAsNewWorkflowExecutionFailed",
}
"""What tells that a closing decision was refused."""


class Activity:
    """An activity or function, while its history is written."""

    def __init__(self, decision: Decision, scheduled: int, attributes: dict[str, Any]) -> None:
        self.is_lambda = isinstance(decision, ScheduleLambda)
        self.scheduled = scheduled
        self.started = 0
        self.attributes = attributes


class Record:
    """Numbers events.

    Args:
        process: Whose history.
        payloads: How values become texts.
        settings: The types that are known.
    """

    def __init__(self, process: Process, payloads: Payloads, settings: Settings) -> None:
        self.process = process
        self.payloads = payloads
        self.settings = settings
        self.events: list[dict[str, Any]] = []
        self.at: DateTime | None = None
        self.failures = 0
        self.completed = 0
        self.activities: dict[str, Activity] = {}
        self.timers: dict[str, int] = {}
        self.children: dict[str, tuple[int, dict[str, Any]]] = {}
        self._asked: list[tuple[Decision, int]] = []

    @property
    def owner(self) -> str:
        """The id of the process."""
        return str(self.process.id)

    @property
    def queue(self) -> dict[str, str]:
        """The queue of the process's decisions."""
        return {"name": self.process.category or "default"}

    @property
    def last(self) -> int:
        """The number of the last event."""
        return len(self.events)

    def add(self, kind: str, **attributes: Any) -> int:
        """Record an event and return its number; attributes that are None are left out."""
        told = {key: value for key, value in attributes.items() if value is not None}
        event: dict[str, Any] = {
            "eventType": kind,
            "eventId": len(self.events) + 1,
            attributes_key(kind, "Event"): told,
        }
        if self.at is not None:
            event["eventTimestamp"] = self.at
        self.events.append(event)
        return len(self.events)

    def decided(self, kind: str, **attributes: Any) -> int:
        """Record what a completed decision did."""
        return self.add(kind, decisionTaskCompletedEventId=self.completed, **attributes)

    # -- decisions -----------------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Record the start of the process."""
        process = self.process
        parent = process.parent
        self.add(
            "WorkflowExecutionStarted",
            workflowType=self.settings.type_of(process.workflow),
            input=self.payloads.pack(
                process.input,
                self.owner,
                "input",
                run=None if process.run == 1 else process.run,
            ),
            tagList=list(process.tags) or None,
            taskList=self.queue,
            childPolicy="ABANDON",
            executionStartToCloseTimeout=None
            if process.timeout is None
            else lifetime(process.timeout),
            parentWorkflowExecution=None
            if parent is None
            else {"workflowId": parent, "runId": "run"},
        )

    def schedule_decision(self) -> int:
        """Record that a decision is due."""
        return self.add("DecisionTaskScheduled", taskList=self.queue)

    def complete_decision(self, started: int, context: str | None) -> None:
        """Record that a decision was completed."""
        self.completed = self.add(
            "DecisionTaskCompleted",
            scheduledEventId=started - 1,
            startedEventId=started,
            executionContext=context,
        )

    def quiet_decision(self) -> None:
        """Record a decision that no decider was asked for."""
        scheduled = self.schedule_decision()
        started = self.add("DecisionTaskStarted", scheduledEventId=scheduled)
        self.complete_decision(started, QUIET)

    def timed_out(self, started: int) -> None:
        """Record that a decider was not heard of."""
        self.add(
            "DecisionTaskTimedOut",
            timeoutType="START_TO_CLOSE",
            scheduledEventId=started - 1,
            startedEventId=started,
        )

    def applied(self, decision: Decision, kind: str, attributes: dict[str, Any]) -> int:
        """Record that a decision was applied."""
        if isinstance(decision, ScheduleActivity):
            attributes.setdefault("taskList", {"name": "default"})
        elif isinstance(decision, StartChildProcess):
            attributes.setdefault("taskList", self.queue)
        elif isinstance(decision, ContinueProcess):
            version = attributes.pop("workflowTypeVersion")
            attributes["workflowType"] = {"name": self.process.workflow, "version": version}
            attributes.setdefault("taskList", self.queue)
            attributes["newExecutionRunId"] = "next-run"
        written = self.decided(kind, **attributes)
        if isinstance(decision, ScheduleActivity | ScheduleLambda):
            self.activities[decision.id] = Activity(decision, written, attributes)
        elif isinstance(decision, Timer):
            self.timers[decision.id] = written
        elif isinstance(decision, CancelTimer):
            self.timers.pop(decision.id, None)
        elif isinstance(decision, StartChildProcess):
            self.children[decision.process.id] = (written, attributes)
        return written

    def asked(self, decision: Decision, written: int, *, answered: bool) -> None:
        """Record what became of a message to another process, or remember that it will be refused."""
        if not answered:
            self._asked.append((decision, written))
            return
        target = getattr(decision, "process_id", "").partition(":")
        told = {"workflowId": target[0], "runId": target[2] or "run"}
        kind = (
            "ExternalWorkflowExecutionSignaled"
            if isinstance(decision, SignalProcess)
            else "ExternalWorkflowExecutionCancelRequested"
        )
        self.add(kind, workflowExecution=told, initiatedEventId=written)

    def _initiated(self, decision: Decision) -> int:
        for place, (one, written) in enumerate(self._asked):
            if one == decision:
                del self._asked[place]
                return written
        return 0

    def rejected(self, decision: Decision, reason: str) -> None:
        """Record that a decision turned out to be impossible."""
        cause = cause_of(reason, decision)
        types = self.settings.type_of
        if type(decision) in CLOSING:
            self.decided(CLOSING[type(decision)], cause=cause)
        elif isinstance(decision, ScheduleActivity):
            self.decided(
                "ScheduleActivityTaskFailed",
                activityType=types(decision.activity),
                activityId=attempt_id(decision.id, 1),
                cause=cause,
            )
        elif isinstance(decision, ScheduleLambda):
            self.decided(
                "ScheduleLambdaFunctionFailed",
                id=decision.id,
                name=decision.function,
                cause=cause,
            )
        elif isinstance(decision, CancelActivity):
            self.decided(
                "RequestCancelActivityTaskFailed",
                activityId=attempt_id(decision.id, 1),
                cause=cause,
            )
        elif isinstance(decision, Timer):
            self.decided("StartTimerFailed", timerId=decision.id, cause=cause)
        elif isinstance(decision, CancelTimer):
            self.decided("CancelTimerFailed", timerId=decision.id, cause=cause)
        elif isinstance(decision, RecordMarker):
            self.decided("RecordMarkerFailed", markerName=decision.name, cause=cause)
        elif isinstance(decision, StartChildProcess):
            written, _ = self.children.pop(decision.process.id, (0, {}))
            self.decided(
                "StartChildWorkflowExecutionFailed",
                workflowType=types(decision.process.workflow),
                workflowId=decision.process.id,
                initiatedEventId=written,
                cause=cause,
            )
        elif isinstance(decision, SignalProcess | RequestCancelProcess):
            kind = "Signal" if isinstance(decision, SignalProcess) else "RequestCancel"
            self.decided(
                f"{kind}ExternalWorkflowExecutionFailed",
                workflowId=decision.process_id,
                initiatedEventId=self._initiated(decision),
                cause=cause,
            )
