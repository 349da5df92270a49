"""Completing a decision task: its decisions are checked as a whole first, then applied as a whole."""

from collections.abc import Sequence

from pyworkflow.decision import (
    Decision,
)
from pyworkflow.ledger import claims
from pyworkflow.ledger.decision_checks import check_decisions
from pyworkflow.ledger.decision_effects import apply_decision
from pyworkflow.ledger.lifecycle import (
    OPEN,
)
from pyworkflow.ledger.rows import (
    DecisionRow,
)
from pyworkflow.ledger.unit import Unit


def complete_decision(unit: Unit, key: int, token: str, decisions: Sequence[Decision]) -> bool:
    """Apply the decisions of a task, all or none; return False if they were refused because of events they have not seen.

    Raises:
        StaleDecisionTaskError: The lease has ended.
        InvalidDecisionError: One of them cannot apply.
    """
    process, row = claims.held_decision(unit, key, token)
    checked = check_decisions(unit, process, row, decisions)
    closing = bool(checked) and checked[-1].decision.closing
    if closing and row.pending:
        claims.refuse_decision(unit, process, row)
        return False
    process.seen_seq = row.started_seq
    process.failures = 0
    unit.changed(process)
    for item in checked:
        apply_decision(unit, process, item)
        if process.status != OPEN:
            # By its last decision; or the end of its parent, which it asked for, has ended it too.
            return True
    _settle(unit, row)
    return True


def _settle(unit: Unit, row: DecisionRow) -> None:
    """End a decision that left its process open; if something came meanwhile, schedule the next."""
    if row.pending:
        unit.drop(row)
        unit.add(DecisionRow(key=row.key, category=row.category, ready=unit.now))
    else:
        unit.drop(row)
