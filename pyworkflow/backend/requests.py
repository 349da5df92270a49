"""From the port's values to the ledger's and back: everything that is checked before a transaction begins."""

from collections.abc import Sequence

from msgspec import Raw

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.base import Completion, FailedDecision, Poll
from pyworkflow.backend.unit import StoredUnit, Work
from pyworkflow.clock import microseconds, to_datetime
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import (
    InvalidRequestError,
    StaleActivityTaskError,
    StaleDecisionTaskError,
    UnknownProcessError,
    UnseenEventsError,
)
from pyworkflow.ledger import claims
from pyworkflow.ledger.activities import complete_activity
from pyworkflow.ledger.claims import ActivityClaim, DecisionClaim
from pyworkflow.ledger.decide import complete_decision
from pyworkflow.ledger.lifecycle import Start, plain
from pyworkflow.ledger.rows import ProcessRow
from pyworkflow.process import Process
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import (
    MAX_NAME,
    MAX_TEXT,
    check_name,
    check_payload,
    check_seconds,
    check_tags,
    check_text,
)


def duration(seconds: float, what: str) -> int:
    """Return a positive duration in microseconds.

    Raises:
        InvalidRequestError: It is out of its range.
    """
    return microseconds(check_seconds(seconds, what, positive=True))


def start(process: Process, new_id: str) -> Start:
    """Return a checked request to start a process.

    Raises:
        InvalidRequestError: A part of it is not acceptable.
    """
    return Start(
        workflow=check_name(process.workflow, "workflow"),
        id=new_id if process.id is None else check_name(process.id, "process id"),
        input=check_payload(process.input, "input"),
        tags=check_tags(process.tags),
        category=None if process.category is None else check_name(process.category, "category"),
        timeout=None if process.timeout is None else duration(process.timeout, "timeout"),
    )


def named(unit: StoredUnit, process_id: str) -> ProcessRow:
    """Return the run that an id, or ``id:run``, names.

    Raises:
        UnknownProcessError: There is none.
    """
    name, _, run = str(process_id).partition(":")
    row = unit.run_of(name, int(run)) if run.isascii() and run.isdigit() else unit.find(process_id)
    if row is None:
        raise UnknownProcessError(process_id)
    return row


def activity_lease(task: ActivityTask) -> tuple[int, str]:
    """Return the number and token that a task carries.

    Raises:
        StaleActivityTaskError: It carries none.
    """
    try:
        return int(task.context["number"]), str(task.context["token"])
    except (KeyError, TypeError, ValueError):
        raise StaleActivityTaskError(task.activity_execution.id, "it holds no lease") from None


def decision_lease(task: DecisionTask) -> tuple[int, str]:
    """Return the process key and token that a task carries.

    Raises:
        StaleDecisionTaskError: It carries none.
    """
    try:
        return int(task.context["key"]), str(task.context["token"])
    except (KeyError, TypeError, ValueError):
        raise StaleDecisionTaskError(task.process.id or "?", "it holds no lease") from None


def activity_task(claim: ActivityClaim) -> ActivityTask:
    """Return what a worker gets for a claim."""
    return ActivityTask(
        ActivityExecution(claim.name, claim.id, plain(claim.input)),
        claim.process_id,
        {"number": claim.number, "token": claim.token},
        claim.attempt,
        plain(claim.details),
        to_datetime(claim.deadline),
    )


def decision_task(claim: DecisionClaim, process: Process) -> DecisionTask:
    """Return what a decider gets for a claim."""
    context = {"key": claim.process.key, "token": claim.token}
    return DecisionTask(process, context, claim.attempt)


def expectation(completions: Sequence[Completion]) -> list[Work]:
    """Return the work that has a store read at once what several completions will ask for."""
    if len(completions) < 2:
        return []
    decisions: list[int] = []
    activities: list[int] = []
    for done in completions:
        context = done.task.context
        place = context.get("key" if isinstance(done.task, DecisionTask) else "number")
        if isinstance(place, int):
            (decisions if isinstance(done.task, DecisionTask) else activities).append(place)
    return [lambda unit: unit.expect(decisions, activities)]


def completion(done: Completion) -> Work:
    """Return the work that records what became of a task.

    Raises:
        PyworkflowError: The outcome is not acceptable, whatever the state of the task.
    """
    task, outcome = done.task, done.outcome
    if isinstance(task, ActivityTask):
        number, token = activity_lease(task)
        result = checked_result(outcome)
        activity_id = task.activity_execution.id
        return lambda unit: complete_activity(unit, number, token, activity_id, result)
    key, token = decision_lease(task)
    if isinstance(outcome, FailedDecision):
        reason = check_text(outcome.reason, "reason") or "the decider failed"
        details = _details(outcome.details)
        return lambda unit: claims.fail_decision(unit, key, token, reason, details)
    if isinstance(outcome, ActivityResult):
        raise InvalidRequestError("outcome of a decision task", f"cannot be {outcome!r}")
    return _decided(key, token, list(outcome))


def _decided(key: int, token: str, decisions: list[Decision]) -> Work:
    def work(unit: StoredUnit) -> UnseenEventsError | None:
        if complete_decision(unit, key, token, decisions):
            return None
        # Returned, not raised: refusing has changed the history.
        reason = "events came that its decider has not seen; it is decided again"
        return UnseenEventsError(decisions[-1].type, reason)

    return work


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
        return ActivityFailed(reason, _details(result.details), result.type_name)
    if isinstance(result, ActivityCanceled):
        return ActivityCanceled(_details(result.details))
    if isinstance(result, ActivityTimedOut):
        return ActivityTimedOut(_details(result.details))
    raise InvalidRequestError("activity result", f"{result!r} is none")


def _details(details: Json) -> Json:
    if isinstance(details, str):
        return check_text(details, "details") if len(details) <= MAX_TEXT else details[-MAX_TEXT:]
    check_payload(details, "details")
    return details


def poll(wanted: Poll) -> Work:
    """Return the work that hands out tasks.

    Raises:
        InvalidRequestError: A part of the wish is out of its range.
    """
    category = check_name(wanted.category, "category")
    lease = None
    if wanted.lease is not None:
        lease = check_seconds(wanted.lease, "lease", positive=True)
    limit, identity = wanted.limit, check_text(wanted.identity, "identity", MAX_NAME)
    if wanted.kind is DecisionTask:
        return lambda unit: claims.claim_decisions(unit, category, limit, identity, lease)
    return lambda unit: claims.claim_activities(unit, category, limit, identity, lease)


def extension(task: ActivityTask | DecisionTask, lease: float | None) -> Work:
    """Return the work that moves the end of a lease."""
    if isinstance(task, DecisionTask):
        key, token = decision_lease(task)
        return lambda unit: claims.extend_decision(unit, key, token, lease)
    number, token = activity_lease(task)
    return lambda unit: claims.extend_activity(unit, number, token, lease)
