"""Decisions as SWF takes them."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from msgspec import UNSET, Struct, field

from pyworkflow.codec import to_plain
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    ChildPolicy,
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
from pyworkflow.errors import InvalidRequestError
from pyworkflow.event import DecisionEvent
from pyworkflow.process import Process
from pyworkflow.swf.payload import Payloads, cut_reason
from pyworkflow.swf.settings import Settings
from pyworkflow.swf.words import (
    MAX_TEXT,
    MAX_TIMER,
    attempt_id,
    attributes_key,
    lifetime,
    seconds,
    timeout,
    whole_time,
)

Attributes = dict[str, Any]

GIVEN = ("category", "scheduled_timeout", "execution_timeout", "heartbeat_timeout")
"""What a `ScheduleActivity` may say in place of its type."""


MAX_HEARD = 100
"""Ids of signals that a run hands on to the next one, so that a repeat is known: more would not fit beside the input."""


class Context(Struct):
    """What decisions are written with.

    Attributes:
        payloads: How values become texts.
        settings: The types that this program knows.
        process: The process that decides.
        attempts: The ids on SWF of open activities that have been scheduled more than once.
        children: The ids of open children.
        policy: What becomes of the process when its parent ends.
        options: What the start of the process said of role, priority and decision timeout.
        uses: How often each id of an activity was scheduled, once that has been counted.
        heard: Ids of the signals of this run and of runs before, the newest last.
    """

    payloads: Payloads
    settings: Settings
    process: Process
    attempts: dict[str, str] = field(default_factory=dict[str, str])
    children: tuple[str, ...] = ()
    policy: str = ChildPolicy.ABANDON
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    uses: Counter[str] | None = None
    heard: tuple[str, ...] = ()

    def uses_of(self, activity_id: str) -> int:
        """Return how often the run has scheduled an activity of an id before, and count this time."""
        if self.uses is None:
            decided = (e.decision for e in self.process.history if isinstance(e, DecisionEvent))
            self.uses = Counter(d.id for d in decided if isinstance(d, ScheduleActivity))
        before = self.uses[activity_id]
        self.uses[activity_id] += 1
        return before

    @property
    def owner(self) -> str:
        """The id of the process that decides."""
        return str(self.process.id)


def decision(name: str, attributes: Attributes) -> dict[str, Any]:
    """Return a decision of SWF; attributes that are None are left out."""
    told = {key: value for key, value in attributes.items() if value is not None}
    return {"decisionType": name, attributes_key(name, "Decision"): told}


def to_swf(wanted: Decision, context: Context) -> dict[str, Any]:
    """Return a decision as SWF takes it.

    Raises:
        InvalidRequestError: SWF cannot carry it.
    """
    write = _WRITERS.get(type(wanted))
    if write is None:
        raise InvalidRequestError("decision", f"{wanted!r} is no decision")
    name, attributes = write(wanted, context)
    return decision(name, attributes)


def _schedule(d: ScheduleActivity, c: Context) -> tuple[str, Attributes]:
    known = c.settings.activities.get(d.activity)
    retry = d.retry or (known.retry if known else None)
    given = {name: value for name in GIVEN if (value := getattr(d, name)) is not None}
    if d.retry is not None:
        given["retry"] = to_plain(d.retry)
    if retry is not None and retry.max_attempts > 1:
        # Fails here and now, not when the attempt is due.
        attempt_id(d.id, retry.max_attempts)
    control = c.payloads.pack(
        None,
        c.owner,
        "control",
        given=given,
        retry=None if retry is None else to_plain(retry),
        once=True if known is not None and known.at_most_once else None,
    )
    attributes: Attributes = {
        "activityType": c.settings.type_of(d.activity),
        "activityId": attempt_id(d.id, 1),
        "input": c.payloads.pack(d.input, c.owner, "input", use=c.uses_of(d.id) or None),
        "control": control,
    }
    category = d.category or (known.category if known else None)
    if category is not None:
        attributes["taskList"] = {"name": category}
    times = {
        name: getattr(d, name) if getattr(d, name) is not None else getattr(known, name, None)
        for name in GIVEN[1:]
    }
    names = ("scheduleToStartTimeout", "startToCloseTimeout", "heartbeatTimeout")
    for key, value in zip(names, times.values(), strict=True):
        # None of a type that this program knows is "none"; of another it is what SWF has registered.
        if value is not None or known is not None:
            attributes[key] = timeout(value)
    scheduled, execution, _ = times.values()
    if execution is not None and (scheduled is not None or known is not None):
        attributes["scheduleToCloseTimeout"] = timeout(whole_time(scheduled, execution))
    return "ScheduleActivityTask", attributes


def _cancel_activity(d: CancelActivity, c: Context) -> tuple[str, Attributes]:
    swf_id = c.attempts.get(d.id) or attempt_id(d.id, 1)
    return "RequestCancelActivityTask", {"activityId": swf_id}


def _schedule_lambda(d: ScheduleLambda, c: Context) -> tuple[str, Attributes]:
    # The function gets this text as its event: nothing may stand for something longer.
    return "ScheduleLambdaFunction", {
        "id": d.id,
        "name": d.function,
        "input": None if d.input is None else Payloads().pack(d.input, c.owner, "input", MAX_TEXT),
        "startToCloseTimeout": timeout(d.timeout),
        "control": None
        if float(d.timeout).is_integer()
        else c.payloads.pack(None, c.owner, timeout=d.timeout),
    }


def _timer(d: Timer, c: Context) -> tuple[str, Attributes]:
    if d.delay > MAX_TIMER:
        raise InvalidRequestError("delay", f"is {d.delay:g} s, {MAX_TIMER} at most on Amazon SWF")
    exact = None if float(d.delay).is_integer() else d.delay
    return "StartTimer", {
        "timerId": d.id,
        "startToFireTimeout": seconds(d.delay),
        "control": c.payloads.pack(d.data, c.owner, "data", delay=exact),
    }


def _cancel_timer(d: CancelTimer, c: Context) -> tuple[str, Attributes]:
    return "CancelTimer", {"timerId": d.id}


def _start_child(d: StartChildProcess, c: Context) -> tuple[str, Attributes]:
    child = d.process
    return "StartChildWorkflowExecution", {
        "workflowType": c.settings.type_of(child.workflow),
        "workflowId": child.id,
        "input": c.payloads.pack(child.input, child.id, "input", policy=_policy(d.child_policy)),
        "tagList": list(child.tags) or None,
        # SWF would apply it to the children of the child, and not when a process completes.
        "childPolicy": ChildPolicy.ABANDON,
        "lambdaRole": c.options.get("lambdaRole"),
        **c.settings.start_options(child.workflow),
    }


def _policy(policy: str) -> str | None:
    """Return what travels with a child: nothing for the policy that does nothing."""
    return None if policy == ChildPolicy.ABANDON else policy


def _signal(d: SignalProcess, c: Context) -> tuple[str, Attributes]:
    name, _, run = d.process_id.partition(":")
    signal = d.signal
    return "SignalExternalWorkflowExecution", {
        "workflowId": name,
        "runId": run or None,
        "signalName": signal.name,
        "input": c.payloads.pack(signal.data, name, "data", id=signal.id) or "null",
    }


def _request_cancel(d: RequestCancelProcess, c: Context) -> tuple[str, Attributes]:
    name, _, run = d.process_id.partition(":")
    return "RequestCancelExternalWorkflowExecution", {
        "workflowId": name,
        "runId": run or None,
        "control": c.payloads.pack(d.details, c.owner, "details"),
    }


def _marker(d: RecordMarker, c: Context) -> tuple[str, Attributes]:
    details = c.payloads.pack(d.details, c.owner, "details")
    return "RecordMarker", {"markerName": d.name, "details": details}


def _complete(d: CompleteProcess, c: Context) -> tuple[str, Attributes]:
    return "CompleteWorkflowExecution", {"result": c.payloads.pack(d.result, c.owner, "result")}


def _cancel(d: CancelProcess, c: Context) -> tuple[str, Attributes]:
    return "CancelWorkflowExecution", {"details": c.payloads.pack(d.details, c.owner, "details")}


def _fail(d: FailProcess, c: Context) -> tuple[str, Attributes]:
    reason, whole = cut_reason(d.reason)
    details = c.payloads.pack(d.details, c.owner, "details", reason=whole)
    return "FailWorkflowExecution", {"reason": reason, "details": details}


def _continue(d: ContinueProcess, c: Context) -> tuple[str, Attributes]:
    process = c.process
    if c.children:
        named = ", ".join(repr(child) for child in c.children[:3])
        more = f" and {len(c.children) - 3} more" if len(c.children) > 3 else ""
        raise InvalidRequestError(
            f"open children {named}{more}",
            "would not be heard of by a new run on Amazon SWF: continue when they have ended",
        )
    if d.workflow is not None and d.workflow != process.workflow:
        raise InvalidRequestError(
            f"workflow {d.workflow!r}", "a new run cannot be of another workflow on Amazon SWF"
        )
    given = process.input if d.input is UNSET else d.input
    told = {"input": d.input is not UNSET, "tags": d.tags is not None, "workflow": d.workflow}
    known = c.settings.workflows.get(process.workflow)
    options: Attributes = {
        **c.options,
        "workflowTypeVersion": c.settings.type_of(process.workflow)["version"],
    }
    if c.settings.lambda_role is not None:
        options["lambdaRole"] = c.settings.lambda_role
    if process.category is not None:
        options["taskList"] = {"name": process.category}
    if process.timeout is not None:
        options["executionStartToCloseTimeout"] = lifetime(process.timeout)
    if known is not None:
        options["taskStartToCloseTimeout"] = timeout(known.decision_timeout)
    return "ContinueAsNewWorkflowExecution", {
        "input": c.payloads.pack(
            given,
            c.owner,
            "input",
            run=process.run + 1,
            told=told,
            policy=_policy(c.policy),
            signals=to_plain(d.signals) or None,
            canceled=None if d.cancel_details is UNSET else [d.cancel_details],
            heard=list(c.heard[-MAX_HEARD:]) or None,
        ),
        "tagList": list(process.tags if d.tags is None else d.tags) or None,
        "childPolicy": ChildPolicy.ABANDON,
        **options,
    }


_WRITERS: dict[type, Callable[[Any, Context], tuple[str, Attributes]]] = {
    ScheduleActivity: _schedule,
    CancelActivity: _cancel_activity,
    ScheduleLambda: _schedule_lambda,
    Timer: _timer,
    CancelTimer: _cancel_timer,
    StartChildProcess: _start_child,
    SignalProcess: _signal,
    RequestCancelProcess: _request_cancel,
    RecordMarker: _marker,
    CompleteProcess: _complete,
    CancelProcess: _cancel,
    FailProcess: _fail,
    ContinueProcess: _continue,
}
