"""What becomes of tasks: from the port's values to works, with everything checked that can be before a transaction begins."""

from collections.abc import Sequence
from typing import Any

from msgspec import Raw

from pyworkflow.backend.base import Completion, FailedDecision
from pyworkflow.backend.gate import check_type
from pyworkflow.backend.requests import activity_lease, decision_lease
from pyworkflow.backend.touches import Planned, Touches
from pyworkflow.backend.unit import StoredUnit, Work
from pyworkflow.codec import Json
from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    Decision,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import InvalidRequestError, UnseenEventsError
from pyworkflow.event import ActivityEvent, DecisionStartedEvent
from pyworkflow.failure import repr_of, text_of
from pyworkflow.ledger import claims
from pyworkflow.ledger.activities import complete_activity
from pyworkflow.ledger.decide import Foreseen, complete_and_decide, complete_decision
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import check_payload, check_text


def completion(done: Completion) -> Work:
    """Return the work that records what became of a task.

    Raises:
        PyworkflowError: The outcome is not acceptable, whatever the state of the task.
    """
    check_type(done, Completion, "completion")
    task, outcome = done.task, done.outcome
    if isinstance(task, ActivityTask):
        number, token = activity_lease(task)
        result = checked_result(outcome)
        activity_id = task.activity_execution.id
        if done.then is not None:
            return _decided_on(done.then, number, token, activity_id, result)
        return Planned(
            lambda unit: complete_activity(unit, number, token, activity_id, result),
            Touches(numbers=(number,)),
        )
    check_type(task, DecisionTask, "task")
    key, token = decision_lease(task)
    if isinstance(outcome, FailedDecision):
        reason = check_text(outcome.reason, "reason") or "the decider failed"
        details = _details(outcome.details)
        return Planned(
            lambda unit: claims.fail_decision(
                unit, key, token, reason, details, park=outcome.park, waits=outcome.waits
            ),
            Touches(keys=(key,)),
        )
    if isinstance(outcome, ActivityResult):
        raise InvalidRequestError("outcome of a decision task", f"cannot be {repr_of(outcome, 80)}")
    return _decided(key, token, _decisions(outcome))


def _decided(key: int, token: str, decisions: list[Decision]) -> Work:
    def work(unit: StoredUnit) -> UnseenEventsError | None:
        if complete_decision(unit, key, token, decisions):
            return None
        # Returned, not raised: refusing has changed the history.
        reason = "events came that its decider has not seen; it is decided again"
        return UnseenEventsError(decisions[-1].type, reason)

    return Planned(work, _touched(key, decisions))


def _decided_on(
    then: Completion, number: int, token: str, activity_id: str, result: ActivityResult
) -> Work:
    """Return the work that records a result together with the decision that was foreseen."""
    check_type(then, Completion, "then")
    task = then.task
    check_type(task, DecisionTask, "then")
    assert isinstance(task, DecisionTask)  # noqa: S101 - for type checkers
    history = task.process.history
    ended, started = ([*history[-2:], None, None])[:2]
    if (
        not isinstance(ended, ActivityEvent)
        or not isinstance(started, DecisionStartedEvent)
        or started.datetime is None
    ):
        raise InvalidRequestError("then", "must be for the task that `foresee` has returned")
    decisions = _decisions(then.outcome)
    foreseen = Foreseen(ended, started, started.datetime, len(history), decisions)
    return Planned(
        lambda unit: complete_and_decide(unit, number, token, activity_id, result, foreseen),
        _touched(int(task.context["key"]), decisions, (number,)),
    )


def _decisions(outcome: object) -> list[Decision]:
    if not isinstance(outcome, Sequence) or isinstance(outcome, str | bytes):
        raise InvalidRequestError(
            "outcome", f"must be a list of decisions, not {repr_of(outcome, 80)}"
        )
    return list(outcome)


def _touched(key: int, decisions: list[Decision], numbers: tuple[int, ...] = ()) -> Touches:
    # Nothing has been checked yet: the list may hold anything.
    ids: list[Any] = []
    activities: list[tuple[int, Any]] = []
    timers: list[tuple[int, Any]] = []
    for decision in decisions:
        if isinstance(decision, ScheduleActivity | CancelActivity | ScheduleLambda):
            activities.append((key, decision.id))
        elif isinstance(decision, Timer | CancelTimer):
            timers.append((key, decision.id))
        elif isinstance(decision, SignalProcess | RequestCancelProcess):
            ids.append(decision.process_id)
        elif isinstance(decision, StartChildProcess):
            ids.append(getattr(decision.process, "id", None))
    closing = bool(decisions) and getattr(decisions[-1], "closing", False)
    return Touches(
        ids=tuple(i for i in ids if isinstance(i, str)),
        keys=(key,),
        closing=(key,) if closing else (),
        numbers=numbers,
        activities=tuple(pair for pair in activities if isinstance(pair[1], str)),
        timers=tuple(pair for pair in timers if isinstance(pair[1], str)),
    )


def checked_result(result: object) -> ActivityResult:
    """Return a result as it is recorded.

    Raises:
        PayloadError: Its value is not acceptable.
        InvalidRequestError: It is no result.
    """
    if isinstance(result, ActivityCompleted):
        return ActivityCompleted(Raw(check_payload(result.result, "result")))
    if isinstance(result, ActivityFailed):
        reason = check_text(result.reason, "reason")
        kind = check_text(result.type_name, "type name")
        return ActivityFailed(reason, _details(result.details), kind)
    if isinstance(result, ActivityCanceled):
        return ActivityCanceled(_details(result.details))
    if isinstance(result, ActivityTimedOut):
        return ActivityTimedOut(_details(result.details))
    raise InvalidRequestError("activity result", f"{repr_of(result, 80)} is none")


def _details(details: Json) -> Json:
    if isinstance(details, str):
        return text_of(details)
    check_payload(details, "details")
    return details
