"""Handing tasks out, keeping them alive and taking them back."""

from collections.abc import Sequence

from msgspec import Struct

from pyworkflow.activity import ActivityExecution
from pyworkflow.clock import microseconds
from pyworkflow.codec import Json, Payload
from pyworkflow.errors import PayloadError, StaleActivityTaskError, StaleDecisionTaskError
from pyworkflow.event import (
    ActivityStartedEvent,
    DecisionFailedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
)
from pyworkflow.ids import key_of
from pyworkflow.ledger.parking import set_aside, values_of
from pyworkflow.ledger.rows import (
    FIRST_BACKOFF,
    LONGEST_BACKOFF,
    MAX_FAILURES,
    MAX_LOST,
    MAX_UNANSWERED,
    NEVER,
    PARKED,
    PROBATION_SECONDS,
    PROMPT_WAITS,
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
        alone: Whether it is a suspect: its holder is handed nothing else with it.
    """

    process: ProcessRow
    started_seq: int
    token: str
    attempt: int
    alone: bool


class ActivityClaim(Struct, frozen=True, gc=False):
    """An activity that was handed out; as `DecisionClaim`."""

    key: int
    process_id: str
    number: int
    id: str
    name: str
    input: Payload
    token: str
    attempt: int
    details: Payload
    deadline: int
    alone: bool
    idempotency_key: str


class Wish(Struct, frozen=True, gc=False):
    """What a poll asks for.

    Attributes:
        decisions: Whether it asks for decisions; else for activities.
        names: Of the workflows or activities, see `Names`.
        idle: Whether the poller holds nothing that it could lose along with a suspect.
    """

    decisions: bool
    category: str
    names: Names
    limit: int
    identity: str | None
    lease: float | None
    idle: bool


class Claimed(Struct, frozen=True, gc=False):
    """What the polls of one exchange were handed.

    Attributes:
        claims: The tasks.
        suspects: Whether a suspect waits that a poll was not idle enough for.
    """

    claims: Sequence[DecisionClaim | ActivityClaim] = ()
    suspects: bool = False

    def __bool__(self) -> bool:
        return bool(self.claims) or self.suspects


def claim(unit: Unit, wishes: Sequence[Wish]) -> Claimed:
    """Hand out what waits in the queues of some polls: one suspect and nothing else, or what is no suspect."""
    for wish in wishes:
        if wish.idle and (alone := _claim(unit, wish, 1, suspect=True)):
            return Claimed(alone)
    claims = [claimed for wish in wishes for claimed in _claim(unit, wish, wish.limit)]
    suspects = any(not wish.idle and _ready(unit, wish, 1, suspect=True) for wish in wishes)
    return Claimed(claims, suspects)


def _ready(
    unit: Unit, wish: Wish, limit: int, *, suspect: bool
) -> Sequence[DecisionRow | ActivityRow]:
    if wish.decisions:
        return unit.ready_decisions(wish.category, wish.names, limit, suspect=suspect)
    return unit.ready_activities(wish.category, wish.names, limit, suspect=suspect)


def _claim(
    unit: Unit, wish: Wish, limit: int, *, suspect: bool = False
) -> list[DecisionClaim | ActivityClaim]:
    claims: list[DecisionClaim | ActivityClaim] = []
    for row in _ready(unit, wish, limit, suspect=suspect):
        process = unit.process(row.key)
        if process is None:
            # Damage, which `check` reports. It would be ready for ever.
            unit.drop(row)
        elif isinstance(row, DecisionRow):
            claims.append(_hand_decision(unit, process, row, wish))
        else:
            try:
                values = values_of(row)
            except PayloadError as error:
                set_aside(unit, process, row, error)
            else:
                claims.append(_hand_activity(unit, process, row, wish, values))
    return claims


def _hand_decision(unit: Unit, process: ProcessRow, row: DecisionRow, wish: Wish) -> DecisionClaim:
    row.state = STARTED
    row.token = unit.token()
    row.identity = wish.identity
    row.pending = False
    row.limit = unit.now + process.decision_timeout
    row.deadline = _within(row.limit, unit.now, wish.lease)
    started = DecisionStartedEvent(identity=wish.identity, datetime=unit.time_for(process))
    row.started_seq = unit.append(process, started)
    unit.changed(row)
    tries = attempt(process, row)
    return DecisionClaim(process, row.started_seq, row.token, tries, row.suspect)


def attempt(process: ProcessRow, row: DecisionRow) -> int:
    """Return the number of the try of a decision."""
    return process.failures + row.waits + row.lost + row.suspect + 1


def _hand_activity(
    unit: Unit, process: ProcessRow, row: ActivityRow, wish: Wish, values: tuple[Payload, Payload]
) -> ActivityClaim:
    row.state = STARTED
    row.token = unit.token()
    row.identity = wish.identity
    row.since = row.heartbeat = unit.now
    row.lease = None if wish.lease is None else unit.now + microseconds(wish.lease)
    row.set_deadline()
    execution = ActivityExecution(row.name, row.id, values[0])
    time = unit.time_for(process)
    started = ActivityStartedEvent(execution, row.attempt, wish.identity, datetime=time)
    unit.append(process, started)
    unit.changed(row)
    return ActivityClaim(
        row.key,
        process.id,
        row.number,
        row.id,
        row.name,
        values[0],
        row.token,
        row.attempt,
        values[1],
        row.since + row.execution_timeout,
        row.suspect,
        # The start tells this run from one of the same id in a store that was purged or made again.
        key_of(process.id, process.run, process.started, row.number),
    )


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
    survived = unit.now >= row.since + microseconds(PROBATION_SECONDS)
    if row.suspect and survived and row.attempt - row.failed < MAX_UNANSWERED:
        # Other suspects need not wait for its end. One that goes on losing its workers later than that runs alone to its end.
        row.suspect = False
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
    unit: Unit,
    key: int,
    token: str,
    reason: str,
    details: Json,
    *,
    park: bool = False,
    waits: bool = False,
) -> None:
    """Record that a decider failed; it is decided again later, or parked: after `MAX_FAILURES` in a row, or at once.

    Args:
        unit: The transaction.
        key: The process.
        token: Of the lease.
        reason: Why, in a line.
        details: More.
        park: Whether to park the process at once.
        waits: Whether it waits for a deployment, which counts towards nothing.

    Raises:
        StaleDecisionTaskError: The lease has ended.
    """
    process, row = held_decision(unit, key, token)
    event = DecisionFailedEvent(reason, details, datetime=unit.time_for(process))
    if waits:
        # Soon at first: while a deployment rolls, the next worker may be of the other release.
        row.waits += 1
        doublings = max(0, row.waits - PROMPT_WAITS)
    else:
        process.failures = MAX_FAILURES if park else process.failures + 1
        doublings = process.failures - 1
    # Its worker has lived to say so.
    row.suspect, row.lost = False, 0
    backoff = min(FIRST_BACKOFF * 2 ** min(doublings, 16), LONGEST_BACKOFF)
    _decide_again(unit, process, row, event, backoff, reason)


def release_decision(unit: Unit, key: int, token: str, *, unseen: bool = False) -> None:
    """Give a decision back, if the lease is still held.

    Args:
        unit: The transaction.
        key: The process.
        token: Of the lease.
        unseen: Whether no decider has been asked: else one that gave no answer makes it a suspect.
    """
    try:
        process, row = held_decision(unit, key, token)
    except StaleDecisionTaskError:
        return
    event = DecisionFailedEvent("released", datetime=unit.time_for(process))
    if unseen:
        _decide_again(unit, process, row, event, 0, None)
    else:
        _decide_alone(unit, process, row, event, "its workers gave it back without an answer")


def refuse_decision(unit: Unit, process: ProcessRow, row: DecisionRow) -> None:
    """End a decision that wanted to close the process over events it has not seen, and decide again at once."""
    event = DecisionFailedEvent("unseen events", datetime=unit.time_for(process))
    _decide_again(unit, process, row, event, 0, None)


def expire_decision(unit: Unit, row: DecisionRow) -> None:
    """End a lease that nobody has extended."""
    process = unit.process(row.key)
    if process is None:
        return
    event = DecisionTimedOutEvent(datetime=unit.time_for(process))
    _decide_alone(unit, process, row, event, "its workers were lost, or its decider hangs")


def _decide_alone(
    unit: Unit, process: ProcessRow, row: DecisionRow, event: Event, reason: str
) -> None:
    """Have a decision whose holder gave no answer decided again, by a worker that holds nothing else; only the loss of such a one counts."""
    row.lost += row.suspect
    row.suspect = True
    if row.lost:
        reason = f"{reason}, {row.lost} times in a row while they held nothing else"
    _decide_again(unit, process, row, event, FIRST_BACKOFF * row.lost, reason)


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
        if process.failures >= MAX_FAILURES or row.lost >= MAX_LOST:
            row.state = PARKED
    unit.changed(row)
