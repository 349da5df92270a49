"""Decisions as SWF tells them: from the attributes of a decision, or of the event that it became."""

from collections.abc import Callable
from typing import Any

from msgspec import UNSET, structs

from pyworkflow.codec import convert
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    ChildPolicy,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    NewProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import InvalidRequestError
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.words import attributes_key, parse_attempt, to_seconds

Attributes = dict[str, Any]


def from_swf(told: dict[str, Any], payloads: Payloads) -> Decision:
    """Return a decision of SWF as ours.

    Raises:
        InvalidRequestError: It is of no type that SWF has.
    """
    name = told["decisionType"]
    read = READERS.get(name)
    if read is None:
        raise InvalidRequestError(f"decision type {name!r}", "is unknown")
    return read(told.get(attributes_key(name, "Decision"), {}), payloads)


def schedule_activity(a: Attributes, p: Payloads) -> ScheduleActivity:
    """Read `ScheduleActivityTask`, and what it became."""
    meta = p.unpack(a.get("control")).meta
    given: dict[str, Any] | None = meta.get("given")
    if given is None:
        # Another client's: what SWF tells is all there is.
        given = {
            "category": a.get("taskList", {}).get("name"),
            "scheduled_timeout": to_seconds(a.get("scheduleToStartTimeout")),
            "execution_timeout": to_seconds(a.get("startToCloseTimeout")),
            "heartbeat_timeout": to_seconds(a.get("heartbeatTimeout")),
        }
    if "retry" in given:
        given = given | {"retry": convert(given["retry"], Retry, "retry")}
    activity_id, _ = parse_attempt(a["activityId"])
    return ScheduleActivity(
        a["activityType"]["name"], activity_id, input=p.value(a.get("input")), **given
    )


def cancel_activity(a: Attributes, p: Payloads) -> CancelActivity:
    """Read `RequestCancelActivityTask`, and what it became."""
    return CancelActivity(parse_attempt(a["activityId"])[0])


def schedule_lambda(a: Attributes, p: Payloads) -> ScheduleLambda:
    """Read `ScheduleLambdaFunction`, and what it became."""
    exact = p.unpack(a.get("control")).meta.get("timeout")
    told = exact or to_seconds(a.get("startToCloseTimeout")) or 300.0
    return ScheduleLambda(a["name"], a["id"], p.value(a.get("input")), told)


def timer(a: Attributes, p: Payloads) -> Timer:
    """Read `StartTimer`, and what it became."""
    control = p.unpack(a.get("control"))
    delay = control.meta.get("delay")
    exact = float(a.get("startToFireTimeout", 0)) if delay is None else float(delay)
    return Timer(exact, control.value, a["timerId"])


def cancel_timer(a: Attributes, p: Payloads) -> CancelTimer:
    """Read `CancelTimer`, and what it became."""
    return CancelTimer(a["timerId"])


def start_child(a: Attributes, p: Payloads) -> StartChildProcess:
    """Read `StartChildWorkflowExecution`, and what it became."""
    packed = p.unpack(a.get("input"))
    child = NewProcess(
        a["workflowType"]["name"], a["workflowId"], packed.value, tuple(a.get("tagList", ()))
    )
    # SWF's own `childPolicy` is about the children of this child.
    return StartChildProcess(child, packed.meta.get("policy", ChildPolicy.ABANDON))


def signal_process(a: Attributes, p: Payloads) -> SignalProcess:
    """Read `SignalExternalWorkflowExecution`, and what it became."""
    return SignalProcess(_target(a), signal(a, p))


def signal(a: Attributes, p: Payloads) -> Signal:
    """Read a signal."""
    packed = p.unpack(a.get("input"))
    return Signal(a["signalName"], packed.value, packed.meta.get("id"))


def request_cancel(a: Attributes, p: Payloads) -> RequestCancelProcess:
    """Read `RequestCancelExternalWorkflowExecution`, and what it became."""
    return RequestCancelProcess(_target(a), p.value(a.get("control")))


def _target(a: Attributes) -> str:
    run = a.get("runId")
    return f"{a['workflowId']}:{run}" if run else str(a["workflowId"])


def marker(a: Attributes, p: Payloads) -> RecordMarker:
    """Read `RecordMarker`, and what it became."""
    return RecordMarker(a["markerName"], p.value(a.get("details")))


def complete(a: Attributes, p: Payloads) -> CompleteProcess:
    """Read `CompleteWorkflowExecution`, and what it became."""
    return CompleteProcess(p.value(a.get("result")))


def cancel(a: Attributes, p: Payloads) -> CancelProcess:
    """Read `CancelWorkflowExecution`, and what it became."""
    return CancelProcess(p.value(a.get("details")))


def fail(a: Attributes, p: Payloads) -> FailProcess:
    """Read `FailWorkflowExecution`, and what it became."""
    packed = p.unpack(a.get("details"))
    return FailProcess(packed.meta.get("reason") or a.get("reason"), packed.value)


def continue_as_new(a: Attributes, p: Payloads) -> ContinueProcess:
    """Read `ContinueAsNewWorkflowExecution`, and what it became."""
    packed = p.unpack(a.get("input"))
    told = packed.meta.get("told", {"input": True, "tags": True})
    return structs.replace(
        unconsumed(packed.meta),
        input=packed.value if told.get("input") else UNSET,
        workflow=told.get("workflow"),
        tags=tuple(a.get("tagList", ())) if told.get("tags") else None,
    )


def unconsumed(meta: dict[str, Any]) -> ContinueProcess:
    """Return what a run hands on to the next one."""
    canceled: list[Any] = meta.get("canceled", [])
    return ContinueProcess(
        signals=convert(meta.get("signals", []), tuple[Signal, ...]),
        cancel_details=canceled[0] if canceled else UNSET,
    )


READERS: dict[str, Callable[[Attributes, Payloads], Decision]] = {
    "ScheduleActivityTask": schedule_activity,
    "RequestCancelActivityTask": cancel_activity,
    "ScheduleLambdaFunction": schedule_lambda,
    "StartTimer": timer,
    "CancelTimer": cancel_timer,
    "StartChildWorkflowExecution": start_child,
    "SignalExternalWorkflowExecution": signal_process,
    "RequestCancelExternalWorkflowExecution": request_cancel,
    "RecordMarker": marker,
    "CompleteWorkflowExecution": complete,
    "CancelWorkflowExecution": cancel,
    "FailWorkflowExecution": fail,
    "ContinueAsNewWorkflowExecution": continue_as_new,
}
