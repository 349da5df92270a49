"""Rows that cannot be read: each parks its own process, until the row is repaired and the process is resumed."""

from pyworkflow.activity import ActivityExecution
from pyworkflow.clock import SECOND, microseconds
from pyworkflow.codec import Payload, payload
from pyworkflow.errors import PayloadError
from pyworkflow.ledger.lifecycle import opened
from pyworkflow.ledger.rows import (
    NEVER,
    PARKED,
    SCHEDULED,
    STARTED,
    ActivityRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
)
from pyworkflow.ledger.unit import Unit


def values_of(row: ActivityRow) -> tuple[Payload, Payload]:
    """Return the input and the last heartbeat of an activity.

    Raises:
        PayloadError: The row is damaged.
    """
    if row.damage is not None:
        raise PayloadError(f"activity {row.id!r}", row.damage)
    return (
        value_of(row.input, f"the input of activity {row.id!r}"),
        value_of(row.details, f"the heartbeat of activity {row.id!r}"),
    )


def value_of(data: bytes | None, what: str) -> Payload:
    """Return a stored value, for a field of a struct.

    Raises:
        PayloadError: It is not JSON.
    """
    try:
        return None if data is None else payload(data)
    except PayloadError as error:
        raise PayloadError(what, f"cannot be read: {error}") from error


def execution_of(row: ActivityRow) -> ActivityExecution:
    """Return what an activity is, for the event of its end; without an input that cannot be read."""
    try:
        return ActivityExecution(row.name, row.id, payload(row.input))
    except PayloadError:
        return ActivityExecution(row.name, row.id)


def set_aside(
    unit: Unit, process: ProcessRow, row: ActivityRow | TimerRow, error: PayloadError
) -> None:
    """Hand a damaged row out no more, nor let it come due, and park its process."""
    decision = unit.decision(process.key)
    # The end of a decision that is under way would hide the reason: the row is looked at again then.
    busy = decision is not None and decision.state == STARTED
    if isinstance(row, TimerRow):
        row.deadline = unit.now + SECOND if busy else NEVER
    else:
        row.token = row.identity = row.lease = None
        row.state = SCHEDULED if busy else PARKED
        row.ready = unit.now + SECOND
        row.set_deadline()
    unit.changed(row)
    if decision is None:
        unit.add(
            DecisionRow(
                key=process.key,
                name=process.workflow,
                category=process.category,
                ready=NEVER,
                state=PARKED,
                reason=str(error),
            )
        )
    elif decision.state == SCHEDULED:
        decision.state, decision.reason = PARKED, str(error)
        unit.changed(decision)


def resume(unit: Unit, process_id: str) -> bool:
    """Let a parked process go on; return whether it was parked. What is still damaged parks it again.

    Raises:
        UnknownProcessError: There is no such process.
        ProcessClosedError: It is closed.
    """
    process = opened(unit, process_id)
    decision = unit.decision(process.key)
    if decision is None or decision.state != PARKED:
        return False
    if decision.ready == NEVER:
        unit.drop(decision)
    else:
        decision.state = SCHEDULED
        decision.reason = None
        decision.lost = 0
        decision.ready = unit.now
        unit.changed(decision)
    process.failures = 0
    unit.changed(process)
    if process.opened:
        _take_up(unit, process)
    return True


def _take_up(unit: Unit, process: ProcessRow) -> None:
    """Take up again what was set aside."""
    for activity in unit.activities(process.key):
        if activity.state == PARKED:
            activity.state, activity.ready = SCHEDULED, unit.now
            activity.set_deadline()
            unit.changed(activity)
    for timer in unit.timers(process.key):
        if timer.deadline == NEVER:
            timer.deadline = timer.since + microseconds(timer.delay)
            unit.changed(timer)
