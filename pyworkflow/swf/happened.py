"""Single events of SWF as ours, whatever their place: one function for each type that means something to us."""

from collections.abc import Callable
from datetime import datetime as DateTime
from typing import Any

from msgspec import UNSET, Struct

from pyworkflow.codec import convert
from pyworkflow.decision import (
    AnyDecision,
    CancelActivity,
    CancelProcess,
    ChildPolicy,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    NewProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    Event,
    ProcessStartedEvent,
    ProcessTerminatedEvent,
    ProcessTimedOutEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.process import Status
from pyworkflow.result import (
    AnyProcessResult,
    ProcessCanceled,
    ProcessCompleted,
    ProcessContinued,
    ProcessFailed,
    ProcessTerminated,
    ProcessTimedOut,
)
from pyworkflow.signal import Signal
from pyworkflow.swf import asked, attempts
from pyworkflow.swf.causes import reason_of
from pyworkflow.swf.payload import Payloads, recorded
from pyworkflow.swf.state import OpenChild, OpenTimer, State
from pyworkflow.swf.words import (
    CANCEL_SIGNAL,
    CANCELED_MARKER,
    FAILED_MARKER,
    REST_MARKER,
    RETRY_SIGNAL,
    START_OPTIONS,
    later,
    to_seconds,
)

UNHANDLED = "UNHANDLED_DECISION"
"""Why SWF refuses a closing decision over events that its decider has not seen."""


class Told(Struct, frozen=True):
    """One event of SWF.

    Attributes:
        id: Its number.
        at: When it was recorded.
        a: Its attributes.
        state: What is known after the events before it.
        payloads: How texts become values.
    """

    id: int
    at: DateTime | None
    a: dict[str, Any]
    state: State
    payloads: Payloads

    def decided(self, decision: Any) -> list[Event]:
        """Return the event that a decision was applied."""
        return [DecisionEvent(decision, datetime=self.at)]

    def rejected(self, decision: Any) -> list[Event]:
        """Return the event that a decision turned out to be impossible."""
        reason = reason_of(str(self.a.get("cause", "")), decision)
        return [DecisionRejectedEvent(decision, reason, datetime=self.at)]


# -- the process ---------------------------------------------------------------------------------------------------------------------


def _started(t: Told) -> list[Event]:
    s, a = t.state, t.a
    packed = t.payloads.unpack(a.get("input"))
    s.workflow, s.version = a["workflowType"]["name"], a["workflowType"]["version"]
    s.input, s.run = packed.value, int(packed.meta.get("run", 1))
    s.tags = tuple(a.get("tagList", ()))
    parent = a.get("parentWorkflowExecution", {})
    s.parent, s.parent_run = parent.get("workflowId"), parent.get("runId")
    s.policy = packed.meta.get("policy", ChildPolicy.ABANDON)
    s.options = {key: a[key] for key in START_OPTIONS if key in a}
    s.category = a.get("taskList", {}).get("name")
    s.timeout = to_seconds(a.get("executionStartToCloseTimeout"))
    s.started = t.at
    return [ProcessStartedEvent(datetime=t.at), *_unconsumed(t, packed.meta)]


def _unconsumed(t: Told, meta: dict[str, Any]) -> list[Event]:
    """Return what the run before has not consumed."""
    begun = asked.unconsumed(meta)
    t.state.signal_ids.update(dict.fromkeys(meta.get("heard", ())))
    t.state.signal_ids.update((s.id, None) for s in begun.signals if s.id is not None)
    events: list[Event] = [SignalEvent(signal, datetime=t.at) for signal in begun.signals]
    if begun.cancel_details is not UNSET:
        t.state.cancel_requested = True
        events.append(CancelRequestedEvent(begun.cancel_details, datetime=t.at))
    return events


def _close(t: Told, status: Status, result: AnyProcessResult) -> None:
    t.state.status, t.state.result, t.state.closed = (
        status,
        recorded(result, AnyProcessResult),
        t.at,
    )


def _completed(t: Told) -> list[Event]:
    decision = asked.complete(t.a, t.payloads)
    _close(t, Status.COMPLETED, ProcessCompleted(decision.result))
    return t.decided(decision)


def _failed(t: Told) -> list[Event]:
    decision = asked.fail(t.a, t.payloads)
    _close(t, Status.FAILED, ProcessFailed(decision.reason, decision.details))
    return t.decided(decision)


def _canceled(t: Told) -> list[Event]:
    decision = asked.cancel(t.a, t.payloads)
    _close(t, Status.CANCELED, ProcessCanceled(decision.details))
    return t.decided(decision)


def _continued(t: Told) -> list[Event]:
    _close(t, Status.CONTINUED, ProcessContinued(t.state.run + 1))
    return t.decided(asked.continue_as_new(t.a, t.payloads))


def _timed_out(t: Told) -> list[Event]:
    _close(t, Status.TIMED_OUT, ProcessTimedOut(str(t.a["timeoutType"]).lower()))
    return [ProcessTimedOutEvent(datetime=t.at)]


def _terminated(t: Told) -> list[Event]:
    packed = t.payloads.unpack(t.a.get("details"))
    reason = packed.meta.get("reason") or t.a.get("reason")
    if reason is None and t.a.get("cause") not in (None, "OPERATOR_INITIATED"):
        reason = t.a["cause"]
    _close(t, Status.TERMINATED, ProcessTerminated(reason, packed.value))
    return [ProcessTerminatedEvent(reason, packed.value, datetime=t.at)]


def _not_closed(decision: Decision) -> Callable[[Told], list[Event]]:
    def read(t: Told) -> list[Event]:
        if t.a.get("cause") != UNHANDLED:
            return t.rejected(decision)
        # As if its decider had not decided: it is shown everything again.
        return [DecisionFailedEvent("unseen events", datetime=t.at)]

    return read


def _cancel_requested(t: Told) -> list[Event]:
    details, t.state.cancel_details = t.state.cancel_details, None
    if details is None and t.a.get("cause"):
        details = t.a["cause"]
    t.state.cancel_requested = True
    return [CancelRequestedEvent(details, datetime=t.at)]


def _signaled(t: Told) -> list[Event]:
    signal = asked.signal(t.a, t.payloads)
    if signal.name == RETRY_SIGNAL:
        t.state.parked = t.state.delayed_by = None
        t.state.failures = 0
        return []
    if signal.name == CANCEL_SIGNAL:
        t.state.cancel_details = signal.data
        return []
    if signal.id is not None:
        if signal.id in t.state.signal_ids:
            return []
        t.state.signal_ids[signal.id] = None
    return [SignalEvent(signal, datetime=t.at)]


# -- markers and timers --------------------------------------------------------------------------------------------------------------


def _marker(t: Told) -> list[Event]:
    name = t.a["markerName"]
    if name == FAILED_MARKER:
        packed = t.payloads.unpack(t.a.get("details"))
        t.state.failures += 1
        reason = packed.meta.get("reason")
        if packed.meta.get("parked"):
            t.state.parked = reason or "the decider failed"
        return [DecisionFailedEvent(reason, packed.value, datetime=t.at)]
    if name == REST_MARKER:
        t.state.rest = convert(t.payloads.value(t.a.get("details")), list[AnyDecision])
        return []
    if name == CANCELED_MARKER:
        return attempts.canceled_while_waiting(
            t.state, str(t.payloads.value(t.a.get("details"))), t.at
        )
    return t.decided(asked.marker(t.a, t.payloads))


def _timer_started(t: Told) -> list[Event]:
    meta = t.payloads.unpack(t.a.get("control")).meta
    own: dict[str, Any] = {key: meta[key] for key in ("retry", "again", "wake") if key in meta}
    timer = None if own else asked.timer(t.a, t.payloads)
    until = later(t.at, to_seconds(t.a.get("startToFireTimeout")))
    t.state.timers[t.a["timerId"]] = OpenTimer(timer, own, t.at, until)
    if "retry" in own:
        attempts.timer_started(t.state, own["retry"], t.a["timerId"])
    if "again" in own:
        t.state.delayed_by = t.a["timerId"]
    return [] if timer is None else t.decided(timer)


def _timer_fired(t: Told) -> list[Event]:
    ended = t.state.timers.pop(t.a["timerId"], None)
    if ended is None:
        return []
    if "retry" in ended.meta:
        attempts.timer_fired(t.state, ended.meta["retry"])
    if t.state.delayed_by == t.a["timerId"]:
        t.state.delayed_by = None
    return [] if ended.timer is None else [TimerEvent(ended.timer, datetime=t.at)]


def _timer_canceled(t: Told) -> list[Event]:
    ended = t.state.timers.pop(t.a["timerId"], None)
    if ended is not None and ended.timer is None:
        return []
    return t.decided(asked.cancel_timer(t.a, t.payloads))


# -- children and other processes ----------------------------------------------------------------------------------------------------


def _child_initiated(t: Told) -> list[Event]:
    decision = asked.start_child(t.a, t.payloads)
    t.state.children[t.id] = OpenChild(decision, t.at)
    return t.decided(decision)


def _child_started(t: Told) -> list[Event]:
    child = t.state.children.get(t.a.get("initiatedEventId") or 0)
    if child is not None:
        child.run = t.a["workflowExecution"]["runId"]
    return []


def _child_not_started(t: Told) -> list[Event]:
    child = t.state.children.pop(t.a.get("initiatedEventId") or 0, None)
    if child is not None:
        return t.rejected(child.decision)
    new = NewProcess(t.a["workflowType"]["name"], t.a["workflowId"])
    return t.rejected(StartChildProcess(new))


def _child_ended(result: Callable[[Told], AnyProcessResult]) -> Callable[[Told], list[Event]]:
    def read(t: Told) -> list[Event]:
        child_id = t.a["workflowExecution"]["workflowId"]
        child = t.state.children.pop(t.a.get("initiatedEventId") or 0, None)
        tags = () if child is None else child.decision.process.tags
        workflow = t.a["workflowType"]["name"]
        return [ChildProcessEvent(child_id, result(t), workflow, tags, datetime=t.at)]

    return read


def _child_failed(t: Told) -> ProcessFailed:
    failed = asked.fail(t.a, t.payloads)
    return ProcessFailed(failed.reason, failed.details)


def _asked(
    read: Callable[[dict[str, Any], Payloads], Decision],
) -> Callable[[Told], list[Event]]:
    def kept(t: Told) -> list[Event]:
        if t.a.get("signalName") == CANCEL_SIGNAL:
            # The details of the request to cancel that follows: no decision of its own.
            t.state.asked[t.id] = None
            return []
        decision = t.state.asked[t.id] = read(t.a, t.payloads)
        return t.decided(decision)

    return kept


def _answered(t: Told) -> list[Event]:
    t.state.asked.pop(t.a.get("initiatedEventId") or 0, None)
    return []


def _not_told(
    read: Callable[[dict[str, Any]], Decision],
) -> Callable[[Told], list[Event]]:
    def rejected(t: Told) -> list[Event]:
        decision = t.state.asked.pop(t.a.get("initiatedEventId") or 0, read(t.a))
        return [] if decision is None else t.rejected(decision)

    return rejected


def _activity(read: Callable[..., list[Event]]) -> Callable[[Told], list[Event]]:
    return lambda t: read(t.state, t.a, t.payloads, t.id, t.at)


READERS: dict[str, Callable[[Told], list[Event]]] = {
    "WorkflowExecutionStarted": _started,
    "WorkflowExecutionCompleted": _completed,
    "CompleteWorkflowExecutionFailed": _not_closed(CompleteProcess()),
    "WorkflowExecutionFailed": _failed,
    "FailWorkflowExecutionFailed": _not_closed(FailProcess()),
    "WorkflowExecutionCanceled": _canceled,
    "CancelWorkflowExecutionFailed": _not_closed(CancelProcess()),
    "WorkflowExecutionContinuedAsNew": _continued,
    "ContinueAsNewWorkflowExecutionFailed": _not_closed(ContinueProcess()),
    "WorkflowExecutionTimedOut": _timed_out,
    "WorkflowExecutionTerminated": _terminated,
    "WorkflowExecutionCancelRequested": _cancel_requested,
    "WorkflowExecutionSignaled": _signaled,
    "MarkerRecorded": _marker,
    "RecordMarkerFailed": lambda t: t.rejected(RecordMarker(t.a["markerName"])),
    "TimerStarted": _timer_started,
    "StartTimerFailed": lambda t: t.rejected(Timer(0, None, t.a["timerId"])),
    "TimerFired": _timer_fired,
    "TimerCanceled": _timer_canceled,
    "CancelTimerFailed": lambda t: t.rejected(asked.cancel_timer(t.a, t.payloads)),
    "StartChildWorkflowExecutionInitiated": _child_initiated,
    "StartChildWorkflowExecutionFailed": _child_not_started,
    "ChildWorkflowExecutionStarted": _child_started,
    "ChildWorkflowExecutionCompleted": _child_ended(
        lambda t: ProcessCompleted(t.payloads.value(t.a.get("result")))
    ),
    "ChildWorkflowExecutionFailed": _child_ended(_child_failed),
    "ChildWorkflowExecutionCanceled": _child_ended(
        lambda t: ProcessCanceled(t.payloads.value(t.a.get("details")))
    ),
    "ChildWorkflowExecutionTimedOut": _child_ended(
        lambda t: ProcessTimedOut(str(t.a["timeoutType"]).lower())
    ),
    # SWF does not tell the parent why.
    "ChildWorkflowExecutionTerminated": _child_ended(lambda t: ProcessTerminated()),
    "SignalExternalWorkflowExecutionInitiated": _asked(asked.signal_process),
    "ExternalWorkflowExecutionSignaled": _answered,
    "SignalExternalWorkflowExecutionFailed": _not_told(
        lambda a: SignalProcess(a["workflowId"], Signal("", None))
    ),
    "RequestCancelExternalWorkflowExecutionInitiated": _asked(asked.request_cancel),
    "ExternalWorkflowExecutionCancelRequested": _answered,
    "RequestCancelExternalWorkflowExecutionFailed": _not_told(
        lambda a: RequestCancelProcess(a["workflowId"])
    ),
    "ActivityTaskScheduled": _activity(attempts.scheduled),
    "ScheduleActivityTaskFailed": _activity(attempts.not_scheduled),
    "ActivityTaskStarted": _activity(attempts.started),
    "ActivityTaskCompleted": _activity(attempts.completed),
    "ActivityTaskFailed": _activity(attempts.failed),
    "ActivityTaskTimedOut": _activity(attempts.timed_out),
    "ActivityTaskCanceled": _activity(attempts.canceled),
    "ActivityTaskCancelRequested": _activity(attempts.cancel_requested),
    "RequestCancelActivityTaskFailed": lambda t: t.rejected(
        CancelActivity(asked.cancel_activity(t.a, t.payloads).id)
    ),
    "LambdaFunctionScheduled": _activity(attempts.lambda_scheduled),
    "ScheduleLambdaFunctionFailed": lambda t: t.rejected(ScheduleLambda(t.a["name"], t.a["id"])),
    "LambdaFunctionStarted": _activity(attempts.started),
    "LambdaFunctionCompleted": _activity(attempts.completed),
    "LambdaFunctionFailed": _activity(attempts.failed),
    "LambdaFunctionTimedOut": _activity(attempts.timed_out),
    "StartLambdaFunctionFailed": _activity(attempts.lambda_not_started),
}
