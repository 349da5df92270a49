"""What is granted to the holders of tasks when the store was away: they could not extend their leases."""

from pyworkflow.clock import SECOND
from pyworkflow.ledger.rows import STARTED, ActivityRow, DecisionRow
from pyworkflow.ledger.unit import Unit

GRACE = 5 * SECOND
"""Microseconds that holders have after an absence; workers try again at least every two seconds."""


def granted(unit: Unit, row: DecisionRow | ActivityRow) -> bool:
    """Give the holder of a task more time if its lease or heartbeat ran out while the store was away; return whether it has some."""
    since = unit.absent_since
    if since is None or row.state != STARTED or row.deadline < since:
        return False
    end = unit.now + GRACE
    if isinstance(row, DecisionRow):
        row.limit = max(row.limit, end)
        row.deadline = max(row.deadline, end)
    else:
        if row.lease is not None:
            row.lease = max(row.lease, end)
        row.heartbeat = max(row.heartbeat, min(unit.now, end - row.heartbeat_timeout))
        row.set_deadline()
    unit.changed(row)
    return row.deadline > unit.now
