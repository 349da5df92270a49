"""What the package itself decides on SWF, beside or without a decider: attempts, long lists, deciders that failed."""

import logging
from collections.abc import Sequence
from typing import Any

from pyworkflow.codec import Json, encode, to_plain
from pyworkflow.decision import CancelActivity, Decision, RequestCancelProcess, SignalProcess
from pyworkflow.errors import InvalidRequestError, PayloadError
from pyworkflow.ids import new_id
from pyworkflow.process import Process
from pyworkflow.signal import Signal
from pyworkflow.swf.decisions import Context, decision, to_swf
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.settings import Settings
from pyworkflow.swf.state import OpenActivity, State
from pyworkflow.swf.words import (
    CANCEL_SIGNAL,
    CANCELED_MARKER,
    FAILED_MARKER,
    MAX_DECISIONS,
    MAX_REQUEST,
    REST_MARKER,
    attempt_id,
    cut,
    seconds,
)

log = logging.getLogger("pyworkflow.amazonswf")

Swf = dict[str, Any]

FIRST_BACKOFF = 1.0
LONGEST_BACKOFF = 60.0
MAX_FAILURES = 10
"""Failures of a decider in a row after which its process is parked."""

SAME = (
    "activityType",
    "control",
    "taskList",
    "taskPriority",
    "scheduleToStartTimeout",
    "scheduleToCloseTimeout",
    "startToCloseTimeout",
    "heartbeatTimeout",
)
"""What all attempts of an activity have in common."""


def _timer(delay: float, payloads: Payloads, owner: str, **meta: Json) -> Swf:
    return decision(
        "StartTimer",
        {
            "timerId": new_id(),
            "startToFireTimeout": seconds(delay),
            "control": payloads.pack(None, owner, **meta),
        },
    )


def wake(payloads: Payloads, owner: str, delay: float = 0) -> Swf:
    """Return the decision to be asked again, at once or later."""
    return _timer(delay, payloads, owner, wake=True)


def attempts(state: State, payloads: Payloads, owner: str) -> list[tuple[str, Swf]]:
    """Return the timers and schedules of activities that are to be tried again, with their ids."""
    due: list[tuple[str, Swf]] = []
    for activity_id, activity in state.activities.items():
        if not activity.waiting or activity.timer is not None:
            continue
        if activity.delay > 0:
            chore = _timer(activity.delay, payloads, owner, retry=activity_id)
        else:
            chore = _next_attempt(activity_id, activity, payloads, owner)
        due.append((activity_id, chore))
    return due


def _next_attempt(activity_id: str, activity: OpenActivity, payloads: Payloads, owner: str) -> Swf:
    told = {name: activity.attributes.get(name) for name in SAME}
    told["input"] = activity.attributes.get("input")
    if activity.heartbeat is not None:
        try:
            use = payloads.unpack(activity.attributes.get("input")).meta.get("use")
            told["input"] = payloads.pack(
                activity.execution.input, owner, "input", heartbeat=activity.heartbeat, use=use
            )
        except PayloadError:
            log.warning("the next attempt of %s has no room for the last heartbeat", activity_id)
    told["activityId"] = _next_id(activity_id, activity)
    return decision("ScheduleActivityTask", told)


def _next_id(activity_id: str, activity: OpenActivity) -> str:
    try:
        if activity.misrouted:
            return attempt_id(activity_id, activity.attempt, activity.misrouted)
        return attempt_id(activity_id, activity.attempt + 1)
    except InvalidRequestError:
        # No room for a number: SWF lets the id of an activity that has ended be used again.
        return activity.swf_id


def waiting(state: State) -> dict[str, str | None]:
    """Return the activities that wait to be tried again, with their timers."""
    return {key: a.timer for key, a in state.activities.items() if a.waiting}


def context_of(state: State, process: Process, payloads: Payloads, settings: Settings) -> Context:
    """Return what decisions on a process are written with."""
    return Context(
        payloads,
        settings,
        process,
        {key: a.swf_id for key, a in state.activities.items() if a.attempt > 1 or a.misrouted},
        tuple(child.decision.process.id for child in state.children.values()),
        state.policy,
        state.options,
        heard=tuple(state.signal_ids),
    )


def cancel_waiting(activity_id: str, timer: str | None, context: Context) -> list[Swf]:
    """Return the decisions that cancel an activity that waits to be tried again."""
    details = context.payloads.pack(activity_id, context.owner)
    marker = decision("RecordMarker", {"markerName": CANCELED_MARKER, "details": details})
    canceled = [] if timer is None else [decision("CancelTimer", {"timerId": timer})]
    return [*canceled, marker, wake(context.payloads, context.owner)]


def translated(
    wanted: Sequence[Decision], waits: dict[str, str | None], context: Context
) -> list[list[Swf]]:
    """Return each decision as the decisions of SWF that it takes."""
    return [_translated(one, waits, context) for one in wanted]


def _translated(one: Decision, waits: dict[str, str | None], context: Context) -> list[Swf]:
    if isinstance(one, CancelActivity) and one.id in waits:
        return cancel_waiting(one.id, waits[one.id], context)
    if isinstance(one, RequestCancelProcess) and one.details is not None:
        # SWF's request carries no details: a signal before it does.
        details = SignalProcess(one.process_id, Signal(CANCEL_SIGNAL, one.details))
        return [to_swf(details, context), to_swf(one, context)]
    return [to_swf(one, context)]


def fitting(
    own: list[Swf], wanted: Sequence[Decision], groups: list[list[Swf]], context: Context
) -> list[Swf]:
    """Return the decisions of one completion: all, or as many as fit, and a marker that keeps the others.

    Raises:
        PayloadError: The others do not fit into a marker, and there is no blob store.
    """
    flat = [one for group in groups for one in group]
    if len(own) + len(flat) <= MAX_DECISIONS and _size([*own, *flat]) <= MAX_REQUEST:
        return [*own, *flat]
    sent, taken, size = list(own), 0, _size(own)
    for group in groups:
        size += _size(group)
        if taken and (len(sent) + len(group) > MAX_DECISIONS - 2 or size > MAX_REQUEST):
            break
        sent.extend(group)
        taken += 1
    rest = [to_plain(one) for one in wanted[taken:]]
    details = context.payloads.pack(rest, context.owner, "decisions that do not fit at once")
    sent.append(decision("RecordMarker", {"markerName": REST_MARKER, "details": details}))
    return [*sent, wake(context.payloads, context.owner)]


def _size(decisions: Sequence[Swf]) -> int:
    return len(encode(list(decisions)))


def failed(
    reason: str,
    details: Json,
    failures: int,
    payloads: Payloads,
    owner: str,
    *,
    park: bool = False,
    delay: float | None = None,
) -> list[Swf]:
    """Return what records that a decider failed, and asks again after a while, unless it has failed too often.

    Args:
        reason: One line.
        details: More.
        failures: How many deciders in a row failed before this one.
        payloads: How values become texts.
        owner: The id of the process.
        park: Whether this failure is enough to park the process.
        delay: Seconds until it is asked again; None for ever more seconds.
    """
    parked = park or failures + 1 >= MAX_FAILURES
    told = payloads.pack_failure(details, owner, reason=cut(reason), parked=parked or None)
    marker = decision("RecordMarker", {"markerName": FAILED_MARKER, "details": told})
    if parked:
        return [marker]
    if delay is None:
        delay = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2**failures)
    return [marker, _timer(delay, payloads, owner, again=True)]
