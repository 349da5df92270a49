"""Handing tasks out, keeping them alive and taking them back."""

from msgspec import Struct

from pyworkflow.activity import ActivityExecution
from pyworkflow.clock import microseconds
from pyworkflow.codec import Json
from pyworkflow.errors import StaleActivityTaskError, StaleDecisionTaskError
from pyworkflow.event import (
    ActivityStartedEvent,
    DecisionFailedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
)
from pyworkflow.ledger.lifecycle import raw
from pyworkflow.ledger.rows import (
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    MAX_FAILURES,
    NEVER,
    PARKED,
    SCHEDULED,
    STARTED,
    ActivityRow,
    DecisionRow,
    ProcessRow,
)
from pyworkflow.ledger.unit import Names, Unit


class DecisionClaim(Struct, frozen=True, gc=False):
    """A decision that was handed out.

    Attributes:
        process: The process row as it was then.
        started_seq: Events that the decider is shown, its `DecisionStartedEvent` included.
        token: Secret of the lease.
        attempt: How many deciders in a row have been handed it.
    """

    process: ProcessRow
    started_seq: int
    token: str
    attempt: int


class ActivityClaim(Struct, frozen=True, gc=False):
    """An activity that was handed out; as `DecisionClaim`."""

    key: int
    process_id: str
    number: int
    id: str
    name: str
    input: bytes
    token: str
    attempt: int
    details: bytes | None
    deadline: int


def claim_decisions(
    unit: Unit,
    category: str,
    names: Names,
    limit: int,
    identity: str | None,
    lease: float | None,
) -> list[DecisionClaim]:
    """Hand out decisions of some workflows that wait in a queue."""
    claims: list[DecisionClaim] = []
    for row in unit.ready_decisions(category, names, limit):
        process = unit.process(row.key)
        if process is None:
            continue
        row.state = STARTED
        row.token = unit.token()
        row.identity = identity
        row.pending = False
        row.limit = unit.now + process.decision_timeout
        row.deadline = _within(row.limit, unit.now, lease)
        started = DecisionStartedEvent(identity=identity, datetime=unit.time_for(process))
        row.started_seq = unit.append(process, started)
        unit.changed(row)
        claims.append(DecisionClaim(process, row.started_seq, row.token, process.failures + 1))
    return claims


def claim_activities(
    unit: Unit,
    category: str,
    names: Names,
    limit: int,
    identity: str | None,
    lease: float | None,
) -> list[ActivityClaim]:
    """Hand out activities of some names that wait in a queue."""
    claims: list[ActivityClaim] = []
    for row in unit.ready_activities(category, names, limit):
        process = unit.process(row.key)
        if process is None:
            continue
        row.state = STARTED
        row.token = unit.token()
        row.identity = identity
        row.since = row.heartbeat = unit.now
        row.lease = None if lease is None else unit.now + microseconds(lease)
        row.set_deadline()
        execution = ActivityExecution(row.name, row.id, raw(row.input))
        time = unit.time_for(process)
        started = ActivityStartedEvent(execution, row.attempt, identity, datetime=time)
        unit.append(process, started)
        unit.changed(row)
        claims.append(
            ActivityClaim(
                row.key,
                process.id,
                row.number,
                row.id,
                row.name,
                row.input,
                row.token,
                row.attempt,
                row.details,
                row.since + row.execution_timeout,
            )
        )
    return claims


def _within(limit: int, now: int, lease: float | None) -> int:
    return limit if lease is None else min(limit, now + microseconds(lease))


def _holds(unit: Unit, row: DecisionRow | ActivityRow, token: str) -> bool:
    # A deadline that has come ends the lease, even where the sweep has not got to it yet.
    return row.state == STARTED and row.token == token and unit.now < row.deadline


def held_decision(unit: Unit, key: int, token: str) -> tuple[ProcessRow, DecisionRow]:
    """Return the decision that a lease is on.

    Raises:
        StaleDecisionTaskError: The lease has ended.
    """
    process = unit.process(key)
    row = unit.decision(key)
    if process is None or row is None or not _holds(unit, row, token):
        name = str(key) if process is None else process.id
        raise StaleDecisionTaskError(name, "its lease has ended, or it was completed before")
    return process, row


def held_activity(unit: Unit, number: int, token: str, activity_id: str) -> ActivityRow:
    """Return the activity that a lease is on.

    Raises:
        StaleActivityTaskError: The lease has ended.
    """
    row = unit.activity_by_number(number)
    if row is None or not _holds(unit, row, token):
        raise StaleActivityTaskError(
            activity_id, "its lease has ended, or it was completed or canceled before"
        )
    return row


def heartbeat(unit: Unit, number: int, token: str, activity_id: str, details: bytes | None) -> bool:
    """Record a sign of life; return whether the activity has been asked to cancel itself.

    Raises:
        StaleActivityTaskError: The lease has ended.
    """
    row = held_activity(unit, number, token, activity_id)
    row.heartbeat = unit.now
    if details is not None:
        row.details = details
    row.set_deadline()
    unit.changed(row)
    return row.cancel_requested


def extend_activity(unit: Unit, number: int, token: str, lease: float | None) -> bool:
    """Move the end of a lease, or take it away; return whether the lease was still held."""
    row = unit.activity_by_number(number)
    if row is None or not _holds(unit, row, token):
        return False
    row.lease = None if lease is None else unit.now + microseconds(lease)
    row.set_deadline()
    unit.changed(row)
    return True


def extend_decision(unit: Unit, key: int, token: str, lease: float | None) -> bool:
    """Move the end of a lease, up to the decision timeout; return whether the lease was still held."""
    row = unit.decision(key)
    if row is None or not _holds(unit, row, token):
        return False
    row.deadline = _within(row.limit, unit.now, lease)
    unit.changed(row)
    return True


def fail_decision(
    unit: Unit, key: int, token: str, reason: str, details: Json, *, park: bool = False
) -> None:
    """Record that a decider failed; it is decided again later, or parked: after `MAX_FAILURES` in a row, or at once.

    Raises:
        StaleDecisionTaskError: The lease has ended.
    """
    process, row = held_decision(unit, key, token)
    event = DecisionFailedEvent(reason, details, datetime=unit.time_for(process))
    process.failures = MAX_FAILURES if park else process.failures + 1
    backoff = FIRST_BACKOFF * 2 ** min(process.failures - 1, 16)
    _decide_again(unit, process, row, event, min(backoff, LONGEST_BACKOFF), reason)


def release_decision(unit: Unit, key: int, token: str) -> None:
    """Give a decision back unharmed, if the lease is still held."""
    try:
        process, row = held_decision(unit, key, token)
    except StaleDecisionTaskError:
        return
    event = DecisionFailedEvent("released", datetime=unit.time_for(process))
    _decide_again(unit, process, row, event, 0, None)


def refuse_decision(unit: Unit, process: ProcessRow, row: DecisionRow) -> None:
    """End a decision that wanted to close the process over events it has not seen, and decide again at once."""
    event = DecisionFailedEvent("unseen events", datetime=unit.time_for(process))
    _decide_again(unit, process, row, event, 0, None)


def expire_decision(unit: Unit, row: DecisionRow) -> None:
    """End a lease that nobody has extended. The first time it is decided again at once: most likely its worker was stopped."""
    process = unit.process(row.key)
    if process is None:
        return
    process.failures += 1
    event = DecisionTimedOutEvent(datetime=unit.time_for(process))
    backoff = 0 if process.failures == 1 else FIRST_BACKOFF
    _decide_again(unit, process, row, event, backoff, "the decider timed out")


def _decide_again(
    unit: Unit,
    process: ProcessRow,
    row: DecisionRow,
    event: Event,
    backoff: int,
    reason: str | None,
) -> None:
    unit.append(process, event)
    row.state = SCHEDULED
    row.token = row.identity = None
    row.deadline = row.limit = NEVER
    row.pending = False
    row.ready = unit.now + backoff
    if reason is not None:
        row.reason = reason
        if process.failures >= MAX_FAILURES:
            row.state = PARKED
    unit.changed(row)
