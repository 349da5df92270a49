"""How an open activity ends, or is tried again."""

from pyworkflow.activity import ActivityExecution
from pyworkflow.clock import microseconds
from pyworkflow.codec import payload
from pyworkflow.errors import PayloadError
from pyworkflow.event import ActivityAttemptEvent, ActivityEvent
from pyworkflow.ledger.claims import held_activity
from pyworkflow.ledger.lifecycle import tell
from pyworkflow.ledger.parking import set_aside
from pyworkflow.ledger.rows import (
    FIRST_BACKOFF,
    MAX_LOST,
    MAX_UNANSWERED,
    SCHEDULED,
    STARTED,
    ActivityRow,
)
from pyworkflow.ledger.unit import Unit
from pyworkflow.result import ActivityCompleted, ActivityFailed, ActivityResult, ActivityTimedOut

HEARTBEAT = "heartbeat"
LOST = "lease"
RELEASED = "released"


def complete_activity(
    unit: Unit, number: int, token: str, activity_id: str, result: ActivityResult
) -> None:
    """Record how an attempt ended: the activity ends so, or is tried again.

    Raises:
        StaleActivityTaskError: The lease has ended.
    """
    row = held_activity(unit, number, token, activity_id)
    # Its worker has lived to say so.
    row.suspect, row.lost = False, 0
    end_attempt(unit, row, result)


def release_activity(unit: Unit, number: int, token: str, *, unseen: bool = False) -> None:
    """Give an activity back, if the lease is still held.

    Args:
        unit: The transaction.
        number: The activity.
        token: Of the lease.
        unseen: Whether no worker has been told of it.
    """
    row = unit.activity_by_number(number)
    if row is None or row.state != STARTED or row.token != token:
        return
    if not unseen:
        _count_release(row)
    result = ActivityTimedOut(RELEASED)
    if (row.at_most_once and not unseen) or row.lost >= MAX_LOST:
        end_activity(unit, row, result)
    else:
        _try_again(unit, row, result, 0)


def _count_release(row: ActivityRow) -> None:
    """Workers that stop give back what takes long, and that is nobody's failure; but one that makes them stop must not go on for ever."""
    row.lost += row.suspect
    row.suspect = row.suspect or row.attempt - row.failed >= MAX_UNANSWERED


def expire_activity(unit: Unit, row: ActivityRow) -> None:
    """Record the timeout that has come."""
    kind = row.timeout_kind()
    if kind == LOST:
        row.lost += row.suspect
    # A worker that was lost does not send heartbeats, either.
    row.suspect = row.suspect or kind in (LOST, HEARTBEAT)
    end_attempt(unit, row, ActivityTimedOut(kind))


def end_attempt(unit: Unit, row: ActivityRow, result: ActivityResult) -> None:
    """End an attempt with a result: for good, or to try again."""
    process = unit.process(row.key)
    if row.damage is not None and process is not None and not isinstance(result, ActivityCompleted):
        # Whether it is tried again cannot be told.
        if row.state == STARTED:
            _try_again(unit, row, result, 0)
        set_aside(unit, process, row, PayloadError(f"activity {row.id!r}", row.damage))
        return
    delay = _delay(row, result, "" if process is None else f"{process.id} {process.run} {row.id}")
    if delay is None:
        end_activity(unit, row, result)
    else:
        _try_again(unit, row, result, delay)


def _delay(row: ActivityRow, result: ActivityResult, key: str) -> int | None:
    """Return the microseconds until the next attempt, None if there is none; the key is that of the jitter."""
    if row.cancel_requested:
        return None
    if isinstance(result, ActivityTimedOut):
        if row.timeout_kind() == LOST and result.details == LOST:
            return _delay_after_loss(row)
        reason, type_name = str(result.details), "ActivityTimedOut"
    elif isinstance(result, ActivityFailed):
        reason, type_name = result.reason or "", result.type_name or ""
    else:
        return None
    # An attempt that lost its worker is not one that failed.
    row.failed += 1
    if row.retry is None or not row.retry.allows(row.failed, reason, type_name):
        return None
    return microseconds(row.retry.delay(row.failed, key))


def _delay_after_loss(row: ActivityRow) -> int | None:
    """A lost worker says nothing about the activity, unless it held nothing else."""
    if row.at_most_once or row.lost >= MAX_LOST:
        return None
    return FIRST_BACKOFF * row.lost


def _execution(row: ActivityRow) -> ActivityExecution:
    return ActivityExecution(row.name, row.id, payload(row.input))


def _try_again(unit: Unit, row: ActivityRow, result: ActivityResult, delay: int) -> None:
    process = unit.process(row.key)
    if process is None:
        return
    event = ActivityAttemptEvent(
        _execution(row),
        result,
        row.attempt,
        delay / microseconds(1),
        datetime=unit.time_for(process),
    )
    unit.append(process, event)
    row.state = SCHEDULED
    row.attempt += 1
    row.token = row.identity = row.lease = None
    row.ready = unit.now + delay
    row.since = unit.now
    row.set_deadline()
    unit.changed(row)


def end_activity(unit: Unit, row: ActivityRow, result: ActivityResult) -> None:
    """End an activity for good and tell its process."""
    process = unit.process(row.key)
    if process is None:
        return
    unit.drop(row)
    process.opened -= 1
    tell(unit, process, ActivityEvent(_execution(row), result, datetime=unit.time_for(process)))
