"""Completing a decision task: its decisions are checked as a whole first, then applied as a whole."""

from collections.abc import Sequence
from datetime import datetime as DateTime

from msgspec import Struct

from pyworkflow.clock import to_datetime, to_instant
from pyworkflow.decision import Decision
from pyworkflow.errors import InvalidDecisionError
from pyworkflow.event import ActivityEvent, DecisionStartedEvent
from pyworkflow.ledger import claims
from pyworkflow.ledger.activities import end_attempt
from pyworkflow.ledger.decision_checks import Checked, check_decisions
from pyworkflow.ledger.decision_effects import apply_decision
from pyworkflow.ledger.lifecycle import OPEN, new_decision
from pyworkflow.ledger.rows import DecisionRow, ProcessRow
from pyworkflow.ledger.unit import Unit
from pyworkflow.result import ActivityResult


def complete_decision(unit: Unit, key: int, token: str, decisions: Sequence[Decision]) -> bool:
    """Apply the decisions of a task, all or none; return False if they were refused because of events they have not seen.

    Raises:
        StaleDecisionTaskError: The lease has ended.
        InvalidDecisionError: One of them cannot apply.
    """
    process, row = claims.held_decision(unit, key, token)
    checked = check_decisions(unit, process, decisions, pending=row.pending)
    closing = bool(checked) and checked[-1].decision.closing
    if closing and row.pending:
        claims.refuse_decision(unit, process, row)
        return False
    unit.changed(process)
    if _apply(unit, process, row.started_seq, checked):
        _settle(unit, process, row)
    return True


def _apply(unit: Unit, process: ProcessRow, seen: int, checked: Sequence[Checked]) -> bool:
    """Apply decisions of a decider who has seen so many events; return whether the process is open still."""
    process.seen_seq = seen
    process.failures = 0
    for item in checked:
        apply_decision(unit, process, item)
        if process.status != OPEN:
            # By its last decision; or the end of its parent, which it asked for, has ended it too.
            return False
    return True


def _settle(unit: Unit, process: ProcessRow, row: DecisionRow) -> None:
    """End a decision that left its process open; if something came meanwhile, schedule the next."""
    if row.pending:
        unit.drop(row)
        unit.add(new_decision(unit, process))
    else:
        unit.drop(row)


class Foreseen(Struct, frozen=True, gc=False):
    """What was decided on the result of an activity before it was recorded.

    Attributes:
        ended: The end of the activity.
        started: The start of the decision, right after it.
        time: When both happen.
        seen: Events that the decider was shown, those two included.
        decisions: What it decided.
    """

    ended: ActivityEvent
    started: DecisionStartedEvent
    time: DateTime
    seen: int
    decisions: Sequence[Decision]


def complete_and_decide(
    unit: Unit,
    number: int,
    token: str,
    activity_id: str,
    result: ActivityResult,
    foreseen: Foreseen,
) -> None:
    """Record how an attempt ended, and what was decided on that: unless it has come otherwise, or a decision cannot apply.

    Raises:
        StaleActivityTaskError: The lease has ended.
    """
    row = claims.held_activity(unit, number, token, activity_id)
    process = unit.process(row.key)
    checked = None if process is None else _came_true(unit, process, foreseen)
    if process is None or checked is None:
        end_attempt(unit, row, result)
        return
    unit.drop(row)
    process.opened -= 1
    # The decider has read their time; what it decided is of the present.
    time = to_instant(foreseen.time)
    unit.append(process, foreseen.ended, time)
    unit.append(process, foreseen.started, time)
    _apply(unit, process, foreseen.seen, checked)


def _came_true(unit: Unit, process: ProcessRow, foreseen: Foreseen) -> list[Checked] | None:
    """Return the checked decisions if the process is as its decider was shown it, and they can apply."""
    if (
        process.last_seq + 2 != foreseen.seen
        or unit.decision(process.key) is not None
        or not to_datetime(process.time) <= foreseen.time <= unit.time_for(process)
    ):
        return None
    try:
        ended = foreseen.ended.activity_execution.id
        return check_decisions(unit, process, foreseen.decisions, ended=ended)
    except InvalidDecisionError:
        # Its decider hears of that when it is asked in the usual way.
        return None
