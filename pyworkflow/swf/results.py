"""Events of ours that no decision made, as SWF records them: how things ended, and what came from outside."""

from collections.abc import Callable
from typing import Any

from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    ActivityStartedEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    Event,
    ProcessTerminatedEvent,
    ProcessTimedOutEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.ids import new_id
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
    ProcessCanceled,
    ProcessCompleted,
    ProcessFailed,
    ProcessTimedOut,
)
from pyworkflow.swf.payload import cut_reason
from pyworkflow.swf.record import Activity, Record
from pyworkflow.swf.words import CANCEL_SIGNAL, attempt_id, seconds

TIMEOUTS = ("START_TO_CLOSE", "SCHEDULE_TO_START", "SCHEDULE_TO_CLOSE", "HEARTBEAT")


def _started(r: Record, event: ActivityStartedEvent) -> None:
    activity = r.activities[event.activity_execution.id]
    kind = "LambdaFunctionStarted" if activity.is_lambda else "ActivityTaskStarted"
    activity.started = r.add(kind, scheduledEventId=activity.scheduled)


def _ended(r: Record, event: ActivityEvent) -> None:
    _attempt(r, r.activities.pop(event.activity_execution.id), event.result)


def _attempt(r: Record, activity: Activity, result: ActivityResult) -> None:
    kind = "LambdaFunction" if activity.is_lambda else "ActivityTask"
    pack = r.payloads.pack
    told: dict[str, Any] = {
        "scheduledEventId": activity.scheduled,
        "startedEventId": activity.started,
    }
    if isinstance(result, ActivityCompleted):
        r.add(f"{kind}Completed", result=pack(result.result, r.owner), **told)
    elif isinstance(result, ActivityCanceled):
        r.add("ActivityTaskCanceled", details=pack(result.details, r.owner), **told)
    elif isinstance(result, ActivityTimedOut):
        timeout = str(result.details).upper()
        if timeout in TIMEOUTS:
            r.add(f"{kind}TimedOut", timeoutType=timeout, **told)
        else:
            details = pack(result.details, r.owner, timedout=True)
            r.add(f"{kind}Failed", reason="timed out", details=details, **told)
    elif isinstance(result, ActivityFailed):
        if activity.is_lambda and not activity.started:
            r.add(
                "StartLambdaFunctionFailed",
                cause=result.reason,
                message=result.details,
                scheduledEventId=activity.scheduled,
            )
            return
        reason, whole = cut_reason(result.reason)
        details = pack(result.details, r.owner, reason=whole, type_name=result.type_name)
        r.add(f"{kind}Failed", reason=reason, details=details, **told)


def _tried(r: Record, event: ActivityAttemptEvent) -> None:
    activity_id = event.activity_execution.id
    activity = r.activities[activity_id]
    _attempt(r, activity, event.result)
    r.quiet_decision()
    if event.delay:
        timer = new_id()
        written = r.decided(
            "TimerStarted",
            timerId=timer,
            startToFireTimeout=seconds(event.delay),
            control=r.payloads.pack(None, r.owner, retry=activity_id),
        )
        r.add("TimerFired", timerId=timer, startedEventId=written)
        r.quiet_decision()
    attributes = activity.attributes | {"activityId": attempt_id(activity_id, event.attempt + 1)}
    activity.scheduled = r.decided("ActivityTaskScheduled", **attributes)
    activity.started = 0


def _signaled(r: Record, event: SignalEvent) -> None:
    signal = event.signal
    text = r.payloads.pack(signal.data, r.owner, "data", id=signal.id)
    r.add("WorkflowExecutionSignaled", signalName=signal.name, input=text or "null")


def _fired(r: Record, event: TimerEvent) -> None:
    started = r.timers.pop(event.timer.id, 0)
    r.add("TimerFired", timerId=event.timer.id, startedEventId=started)


def _child_ended(r: Record, event: ChildProcessEvent) -> None:
    initiated, asked = r.children.pop(event.process_id)
    told: dict[str, Any] = {
        "workflowExecution": {"workflowId": event.process_id, "runId": "run"},
        "workflowType": asked["workflowType"],
        "initiatedEventId": initiated,
    }
    told["startedEventId"] = r.add("ChildWorkflowExecutionStarted", **told)
    result, pack = event.result, r.payloads.pack
    if isinstance(result, ProcessCompleted):
        r.add("ChildWorkflowExecutionCompleted", result=pack(result.result, r.owner), **told)
    elif isinstance(result, ProcessFailed):
        reason, whole = cut_reason(result.reason)
        details = pack(result.details, r.owner, reason=whole)
        r.add("ChildWorkflowExecutionFailed", reason=reason, details=details, **told)
    elif isinstance(result, ProcessCanceled):
        r.add("ChildWorkflowExecutionCanceled", details=pack(result.details, r.owner), **told)
    elif isinstance(result, ProcessTimedOut):
        r.add("ChildWorkflowExecutionTimedOut", timeoutType="START_TO_CLOSE", **told)
    else:
        r.add("ChildWorkflowExecutionTerminated", **told)


def _cancel_requested(r: Record, event: CancelRequestedEvent) -> None:
    if event.details is not None:
        text = r.payloads.pack(event.details, r.owner, "details")
        r.add("WorkflowExecutionSignaled", signalName=CANCEL_SIGNAL, input=text)
    r.add("WorkflowExecutionCancelRequested")


def _timed_out(r: Record, event: ProcessTimedOutEvent) -> None:
    r.add("WorkflowExecutionTimedOut", timeoutType="START_TO_CLOSE", childPolicy="ABANDON")


def _terminated(r: Record, event: ProcessTerminatedEvent) -> None:
    reason, whole = cut_reason(event.reason)
    r.add(
        "WorkflowExecutionTerminated",
        reason=reason,
        details=r.payloads.pack(event.details, r.owner, reason=whole),
        childPolicy="ABANDON",
    )


WRITERS: dict[type[Event], Callable[[Record, Any], None]] = {
    ActivityStartedEvent: _started,
    ActivityAttemptEvent: _tried,
    ActivityEvent: _ended,
    SignalEvent: _signaled,
    TimerEvent: _fired,
    ChildProcessEvent: _child_ended,
    CancelRequestedEvent: _cancel_requested,
    ProcessTimedOutEvent: _timed_out,
    ProcessTerminatedEvent: _terminated,
}
