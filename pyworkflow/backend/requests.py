"""From the port's values to the ledger's and back: everything that is checked before a transaction begins."""

from collections.abc import Sequence
from typing import Any

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.base import Poll, Reuse
from pyworkflow.backend.gate import check_type
from pyworkflow.backend.touches import Planned, Touches
from pyworkflow.backend.unit import StoredUnit, Work
from pyworkflow.clock import microseconds, to_datetime
from pyworkflow.codec import Json
from pyworkflow.errors import (
    StaleActivityTaskError,
    StaleDecisionTaskError,
    UnknownProcessError,
)
from pyworkflow.ledger import claims, lifecycle
from pyworkflow.ledger.activities import release_activity
from pyworkflow.ledger.claims import ActivityClaim, DecisionClaim
from pyworkflow.ledger.lifecycle import Start
from pyworkflow.ledger.rows import ProcessRow
from pyworkflow.ledger.unit import Names
from pyworkflow.process import Process
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import (
    MAX_NAME,
    check_name,
    check_payload,
    check_seconds,
    check_storable,
    check_tags,
    check_text,
)


def duration(seconds: float, what: str) -> int:
    """Return a positive duration in microseconds.

    Raises:
        InvalidRequestError: It is out of its range.
    """
    return microseconds(check_seconds(seconds, what, positive=True))


def start(process: Process) -> Start:
    """Return a checked request to start a process, which has an id from then on.

    Raises:
        InvalidRequestError: A part of it is not acceptable.
    """
    check_type(process, Process, "process")
    return Start(
        workflow=check_name(process.workflow, "workflow"),
        id=check_name(process.assign_id(), "process id"),
        input=check_payload(process.input, "input"),
        tags=check_tags(process.tags),
        category=None if process.category is None else check_name(process.category, "category"),
        timeout=None if process.timeout is None else duration(process.timeout, "timeout"),
    )


def starting(request: Start, reuse: Reuse) -> Planned:
    """Return the work that starts a process; it returns the row."""
    allow, failed = reuse == Reuse.ALLOW, reuse == Reuse.ALLOW_FAILED
    return Planned(
        lambda unit: lifecycle.start(unit, request, allow=allow, allow_failed=failed),
        Touches(ids=(request.id,), starts=1),
    )


def signaling(process_id: str, name: str, data: Json, signal_id: str | None) -> Work:
    """Return the work that signals a process.

    Raises:
        InvalidRequestError: The name, the id or the data is not acceptable.
    """
    check_name(name, "signal name")
    if signal_id is not None:
        check_name(signal_id, "signal id")
    check_payload(data, f"data of signal {name!r}")
    told = Signal(name, data, signal_id)
    known = () if signal_id is None else ((process_id, signal_id),)
    return Planned(
        lambda unit: lifecycle.signal(unit, process_id, told).id,
        Touches(ids=(process_id,), signals=known),
    )


def named(unit: StoredUnit, process_id: str) -> ProcessRow:
    """Return the run that an id, or ``id:run``, names.

    Raises:
        UnknownProcessError: There is none.
    """
    name, _, run = str(process_id).partition(":")
    row = (
        unit.run_of(name, int(run))
        if run.isascii() and run.isdigit() and len(run) < 19
        else unit.find(process_id)
    )
    if row is None:
        raise UnknownProcessError(process_id)
    return row


def activity_lease(task: ActivityTask) -> tuple[int, str]:
    """Return the number and token that a task carries.

    Raises:
        StaleActivityTaskError: It carries none.
    """
    try:
        return _lease(task.context, "number")
    except (KeyError, TypeError, ValueError, OverflowError):
        raise StaleActivityTaskError(task.activity_execution.id, "it holds no lease") from None


def decision_lease(task: DecisionTask) -> tuple[int, str]:
    """Return the process key and token that a task carries.

    Raises:
        StaleDecisionTaskError: It carries none.
    """
    try:
        return _lease(task.context, "key")
    except (KeyError, TypeError, ValueError, OverflowError):
        raise StaleDecisionTaskError(task.process.id or "?", "it holds no lease") from None


def _lease(context: dict[str, Any], key: str) -> tuple[int, str]:
    number = int(context[key])
    if not 0 <= number < 2**63:
        raise ValueError(number)
    token: object = context["token"]
    if not isinstance(token, str):
        raise TypeError(type(token))
    check_storable(token, "token")
    return number, token


def activity_task(claim: ActivityClaim) -> ActivityTask:
    """Return what a worker gets for a claim."""
    return ActivityTask(
        ActivityExecution(claim.name, claim.id, claim.input),
        claim.process_id,
        {"number": claim.number, "token": claim.token, "key": claim.key} | _alone(claim),
        claim.attempt,
        claim.details,
        to_datetime(claim.deadline),
        claim.idempotency_key,
    )


def decision_task(claim: DecisionClaim, process: Process) -> DecisionTask:
    """Return what a decider gets for a claim."""
    context = {"key": claim.process.key, "token": claim.token} | _alone(claim)
    return DecisionTask(process, context, claim.attempt)


def _alone(claim: ActivityClaim | DecisionClaim) -> dict[str, bool]:
    return {"alone": True} if claim.alone else {}


def claiming(polls: Sequence[Poll]) -> Work:
    """Return the work that hands out tasks; it returns `claims.Claimed`.

    Raises:
        InvalidRequestError: A part of a poll is out of its range.
    """
    wishes = [_wish(poll) for poll in polls]
    return Planned(
        lambda unit: claims.claim(unit, wishes),
        Touches(
            decisions=tuple(
                ((wish.category, wish.names), wish.limit) for wish in wishes if wish.decisions
            ),
            tasks=tuple(
                ((wish.category, wish.names), wish.limit) for wish in wishes if not wish.decisions
            ),
        ),
    )


def _wish(wanted: Poll) -> claims.Wish:
    category = check_name(wanted.category, "category")
    lease = None
    if wanted.lease is not None:
        lease = check_seconds(wanted.lease, "lease", positive=True)
    return claims.Wish(
        wanted.kind is DecisionTask,
        category,
        poll_names(wanted),
        wanted.limit,
        check_text(wanted.identity, "identity", MAX_NAME),
        lease,
        wanted.idle,
    )


def poll_names(wanted: Poll) -> Names:
    """Return the names that a poll carries, each once and in order: two polls for the same names are equal.

    Raises:
        InvalidRequestError: One of them cannot be a name.
    """
    if wanted.names is None:
        return None
    what = "workflow" if wanted.kind is DecisionTask else "activity"
    return tuple(sorted({check_name(name, what) for name in wanted.names}))


def extension(task: ActivityTask | DecisionTask, lease: float | None) -> Work:
    """Return the work that moves the end of a lease."""
    if isinstance(task, DecisionTask):
        key, token = decision_lease(task)
        return Planned(
            lambda unit: claims.extend_decision(unit, key, token, lease), Touches(keys=(key,))
        )
    number, token = activity_lease(task)
    return Planned(
        lambda unit: claims.extend_activity(unit, number, token, lease), Touches(numbers=(number,))
    )


def release(task: ActivityTask | DecisionTask, *, unseen: bool) -> Work:
    """Return the work that gives a task back."""
    if isinstance(task, DecisionTask):
        return _release_decision(*decision_lease(task), unseen=unseen)
    return _release_activity(*activity_lease(task), unseen=unseen)


def give_back(claim: ActivityClaim | DecisionClaim) -> Work:
    """Return the work that gives back what nobody was told of."""
    if isinstance(claim, DecisionClaim):
        return _release_decision(claim.process.key, claim.token, unseen=True)
    return _release_activity(claim.number, claim.token, unseen=True)


def park(claim: DecisionClaim, reason: str) -> Work:
    """Return the work that parks the process of a decision that cannot be handed out."""
    key, token = claim.process.key, claim.token
    return Planned(
        lambda unit: claims.fail_decision(unit, key, token, reason, None, park=True),
        Touches(keys=(key,)),
    )


def _release_decision(key: int, token: str, *, unseen: bool = False) -> Work:
    return Planned(
        lambda unit: claims.release_decision(unit, key, token, unseen=unseen),
        Touches(keys=(key,)),
    )


def _release_activity(number: int, token: str, *, unseen: bool = False) -> Work:
    return Planned(
        lambda unit: release_activity(unit, number, token, unseen=unseen),
        Touches(numbers=(number,)),
    )
