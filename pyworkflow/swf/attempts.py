"""Activities and functions in an SWF history, and the attempts that a decider does not see."""

from datetime import datetime as DateTime
from typing import Any

from pyworkflow.activity import ActivityExecution
from pyworkflow.codec import Json, convert
from pyworkflow.decision import CancelActivity, ScheduleActivity
from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    ActivityStartedEvent,
    DecisionEvent,
    DecisionRejectedEvent,
    Event,
)
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)
from pyworkflow.retry import Retry
from pyworkflow.swf import asked
from pyworkflow.swf.causes import reason_of
from pyworkflow.swf.misrouted import pause
from pyworkflow.swf.payload import Packed, Payloads
from pyworkflow.swf.state import OpenActivity, State
from pyworkflow.swf.words import parse_attempt, to_seconds

Attributes = dict[str, Any]

MISROUTED = "misrouted"
"""Why an attempt ended that its worker does not have the activity for: it is none, and is scheduled again."""

WAITED = ActivityTimedOut("schedule_to_start")
"""How an attempt ends that no worker took in time."""

UNHARMED = {"delay", "timedout"}
"""What is told of an attempt that had not begun, or whose own code says that it timed out."""

RELEASED = "released"
"""Why an attempt ended that its worker gave back: the next one follows at once and uses up no retry."""


def scheduled(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``ActivityTaskScheduled``: a decision, or the next attempt of what was decided before."""
    activity_id, attempt = parse_attempt(a["activityId"])
    s.scheduled[event_id] = activity_id
    waiting = s.activities.get(activity_id)
    if waiting is not None and waiting.waiting:
        if waiting.attempt != attempt:
            waiting.queued, waiting.misrouted = at, 0
        waiting.attempt, waiting.attributes, waiting.since = attempt, a, at
        waiting.swf_id = a["activityId"]
        waiting.waiting = waiting.started = False
        waiting.timer = waiting.identity = None
        return []
    decision = asked.schedule_activity(a, p)
    execution = ActivityExecution(decision.activity, decision.id, decision.input)
    meta = p.unpack(a.get("control")).meta
    retry = meta.get("retry")
    s.activities[activity_id] = OpenActivity(
        execution,
        a,
        a["activityId"],
        attempt,
        retry=None if retry is None else convert(retry, Retry, "retry"),
        once=bool(meta.get("once")),
        since=at,
        queued=at,
    )
    return [DecisionEvent(decision, datetime=at)]


def lambda_scheduled(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``LambdaFunctionScheduled``."""
    decision = asked.schedule_lambda(a, p)
    execution = ActivityExecution(decision.function, decision.id, decision.input)
    s.scheduled[event_id] = decision.id
    s.activities[decision.id] = OpenActivity(execution, a, decision.id, since=at)
    return [DecisionEvent(decision, datetime=at)]


def not_scheduled(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``ScheduleActivityTaskFailed``: also the end of an activity that could not be tried again."""
    activity_id, attempt = parse_attempt(a["activityId"])
    waiting = s.activities.get(activity_id)
    if waiting is not None and waiting.waiting:
        del s.activities[activity_id]
        failed = ActivityFailed(f"attempt {attempt} could not be scheduled: {a['cause']}")
        return [ActivityEvent(waiting.execution, failed, datetime=at)]
    decision = ScheduleActivity(a["activityType"]["name"], activity_id)
    return [DecisionRejectedEvent(decision, reason_of(str(a["cause"]), decision), datetime=at)]


def _of(s: State, a: Attributes) -> OpenActivity | None:
    return s.activities.get(s.scheduled.get(a.get("scheduledEventId") or 0, ""))


def started(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``ActivityTaskStarted`` or ``LambdaFunctionStarted``."""
    activity = _of(s, a)
    if activity is None:
        return []
    activity.started, activity.identity, activity.since = True, a.get("identity"), at
    started = ActivityStartedEvent(
        activity.execution, activity.attempt, activity.identity, datetime=at
    )
    return [started]


def completed(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``ActivityTaskCompleted`` or ``LambdaFunctionCompleted``."""
    return _ended(s, a, ActivityCompleted(p.value(a.get("result"))), at)


def canceled(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``ActivityTaskCanceled``."""
    return _ended(s, a, ActivityCanceled(p.value(a.get("details"))), at)


def failed(s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None) -> list[Event]:
    """Read ``ActivityTaskFailed`` or ``LambdaFunctionFailed``: the end, or a failed attempt."""
    packed = p.unpack(a.get("details"))
    if packed.meta.get(MISROUTED):
        return _given_back(s, a, event_id, at)
    result: ActivityResult
    if packed.meta.get(RELEASED):
        result = ActivityTimedOut(RELEASED)
    elif packed.meta.get("timedout"):
        result = ActivityTimedOut(packed.value)
    else:
        reason = packed.meta.get("reason") or a.get("reason")
        result = ActivityFailed(reason, packed.value, packed.meta.get("type_name"))
    return _attempted(s, a, result, packed, at)


def timed_out(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``ActivityTaskTimedOut`` or ``LambdaFunctionTimedOut``: the end, or a failed attempt."""
    packed = p.unpack(a.get("details"))
    beat = Packed(None, {"heartbeat": packed.value} if packed.value is not None else {})
    return _attempted(s, a, ActivityTimedOut(str(a["timeoutType"]).lower()), beat, at)


def lambda_not_started(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``StartLambdaFunctionFailed``."""
    return _ended(s, a, ActivityFailed(str(a.get("cause")), a.get("message")), at)


def cancel_requested(
    s: State, a: Attributes, p: Payloads, event_id: int, at: DateTime | None
) -> list[Event]:
    """Read ``ActivityTaskCancelRequested``."""
    decision = asked.cancel_activity(a, p)
    if (activity := s.activities.get(decision.id)) is not None:
        activity.cancel_requested = True
    return [DecisionEvent(decision, datetime=at)]


def _ended(s: State, a: Attributes, result: ActivityResult, at: DateTime | None) -> list[Event]:
    activity = _of(s, a)
    if activity is None:
        return []
    del s.activities[activity.execution.id]
    del s.scheduled[a["scheduledEventId"]]
    return [ActivityEvent(activity.execution, result, datetime=at)]


def _attempted(
    s: State, a: Attributes, result: ActivityResult, packed: Packed, at: DateTime | None
) -> list[Event]:
    activity = _of(s, a)
    if activity is None:
        return []
    delay = _delay(activity, result, packed.meta, f"{s.started} {at} {activity.swf_id}")
    if delay is None:
        return _ended(s, a, result, at)
    del s.scheduled[a["scheduledEventId"]]
    activity.waiting, activity.delay, activity.since = True, delay, at
    activity.misrouted = 0
    activity.heartbeat = packed.meta.get("heartbeat", activity.heartbeat)
    return [ActivityAttemptEvent(activity.execution, result, activity.attempt, delay, datetime=at)]


def _given_back(s: State, a: Attributes, event_id: int, at: DateTime | None) -> list[Event]:
    """Let another worker have an attempt that reached one without the activity: nothing has been done."""
    activity = _of(s, a)
    if activity is None:
        return []
    if activity.cancel_requested:
        return _ended(s, a, ActivityCanceled(), at)
    delay = pause(activity.misrouted, event_id)
    limit = to_seconds(activity.attributes.get("scheduleToStartTimeout"))
    if limit is not None and at is not None and activity.queued is not None:
        left = limit - (at - activity.queued).total_seconds()
        if left <= 0:
            return _attempted(s, a, WAITED, Packed(None, {}), at)
        delay = min(delay, left)
    del s.scheduled[a["scheduledEventId"]]
    activity.misrouted += 1
    activity.started = False
    activity.waiting, activity.delay, activity.since = True, delay, at
    return []


def _delay(
    activity: OpenActivity, result: ActivityResult, meta: dict[str, Json], key: str
) -> float | None:
    """Return the seconds until the next attempt, None if there is none; the key is that of the jitter."""
    if activity.cancel_requested or not (activity.started or result == WAITED):
        return None
    if activity.once and isinstance(result, ActivityTimedOut) and not meta.keys() & UNHARMED:
        # Its worker may have been lost: SWF tells that by no more than a timeout.
        return None
    if meta.get(RELEASED):
        return float(meta.get("delay", 0))
    retry = activity.retry
    if isinstance(result, ActivityFailed):
        reason, type_name = result.reason, result.type_name
    else:
        reason, type_name = str(getattr(result, "details", "")), "ActivityTimedOut"
    activity.failed += 1
    if retry is None or not retry.allows(activity.failed, reason, type_name):
        return None
    return retry.delay(activity.failed, key)


def timer_started(s: State, activity_id: str, timer_id: str) -> None:
    """Take note of the timer that an activity waits for."""
    if (activity := s.activities.get(activity_id)) is not None and activity.waiting:
        activity.timer = timer_id


def timer_fired(s: State, activity_id: str) -> None:
    """Let an activity be tried again."""
    if (activity := s.activities.get(activity_id)) is not None and activity.waiting:
        activity.timer, activity.delay = None, 0.0


def canceled_while_waiting(s: State, activity_id: str, at: DateTime | None) -> list[Event]:
    """End an activity that was canceled while it waited to be tried again."""
    events: list[Event] = [DecisionEvent(CancelActivity(activity_id), datetime=at)]
    if (activity := s.activities.pop(activity_id, None)) is not None:
        events.append(ActivityEvent(activity.execution, ActivityCanceled(), datetime=at))
    return events
