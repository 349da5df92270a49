"""What the passing of time does: timers fire and timeouts come, whoever happens to look."""

from pyworkflow.codec import payload
from pyworkflow.decision import Timer
from pyworkflow.errors import PayloadError
from pyworkflow.event import ProcessTimedOutEvent, TimerEvent
from pyworkflow.ledger.activities import expire_activity
from pyworkflow.ledger.claims import expire_decision
from pyworkflow.ledger.grace import granted
from pyworkflow.ledger.lifecycle import OPEN, close, tell
from pyworkflow.ledger.parking import set_aside, value_of, values_of
from pyworkflow.ledger.rows import STARTED, ActivityRow, DecisionRow, ProcessRow, TimerRow
from pyworkflow.ledger.unit import Unit
from pyworkflow.result import ProcessTimedOut

BATCH = 1000
"""Rows that one transaction deals with at most."""


def sweep(unit: Unit) -> int:
    """Do all that is due, up to a batch; return how many rows were due."""
    rows = unit.due(BATCH)
    for row in rows:
        _expire(unit, row)
    return len(rows)


def _expire(unit: Unit, row: ProcessRow | DecisionRow | ActivityRow | TimerRow) -> None:
    # An earlier row of the batch may have closed the process of a later one.
    if isinstance(row, ProcessRow):
        if row.status == OPEN:
            event = ProcessTimedOutEvent(datetime=unit.time_for(row))
            close(unit, row, event, ProcessTimedOut("start_to_close"))
    elif unit.process(row.key) is None:
        # Damage, which `check` tells of; left here it would be due for ever.
        unit.drop(row)
    elif isinstance(row, DecisionRow):
        if unit.decision(row.key) is row and row.state == STARTED and not granted(unit, row):
            expire_decision(unit, row)
    elif isinstance(row, ActivityRow):
        if unit.activity_by_number(row.number) is row and not granted(unit, row):
            _time_out(unit, row)
    elif unit.timer(row.key, row.id) is row:
        _fire(unit, row)


def _time_out(unit: Unit, row: ActivityRow) -> None:
    process = unit.process(row.key)
    if process is None:
        return
    try:
        values_of(row)
    except PayloadError as error:
        set_aside(unit, process, row, error)
    else:
        expire_activity(unit, row)


def _fire(unit: Unit, row: TimerRow) -> None:
    process = unit.process(row.key)
    if process is None:
        return
    try:
        value_of(row.data, f"the data of timer {row.id!r}")
    except PayloadError as error:
        set_aside(unit, process, row, error)
        return
    unit.drop(row)
    process.opened -= 1
    timer = Timer(row.delay, payload(row.data), row.id)
    tell(unit, process, TimerEvent(timer, datetime=unit.time_for(process)))
