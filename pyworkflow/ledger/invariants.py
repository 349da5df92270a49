"""The invariants of histories and of the state beside them, checked over plain data so that every store can be checked alike.

The numbers are those of ``docs/architecture/invariants.md``.
"""

from collections.abc import Callable, Collection, Iterable

from pyworkflow.clock import SECOND
from pyworkflow.ledger.checks.history import Told
from pyworkflow.ledger.checks.items import Children
from pyworkflow.ledger.checks.links import Links
from pyworkflow.ledger.checks.record import ProcessRecord, Violation
from pyworkflow.ledger.checks.rows import RowCheck
from pyworkflow.ledger.lifecycle import OPEN

HOUR = 3600 * SECOND
"""Servers that take over from one another may differ by less in their clocks."""

__all__ = ["ProcessRecord", "Violation", "check_all", "check_process"]


def check_process(record: ProcessRecord) -> list[Violation]:
    """Return every violation within one run."""
    return _check(record, {} if record.row.run == 1 else None)[0]


def check_all(
    records: Iterable[ProcessRecord],
    total: int,
    progress: Callable[[int, int], None] | None = None,
    *,
    registered: Collection[str],
    now: int,
) -> list[Violation]:
    """Return every violation in a store's records.

    Args:
        records: Every run, in the order of their keys.
        total: How many there are.
        progress: Called now and then with the number of records done, and the total.
        registered: The workflows whose registrations can be read.
        now: The store's time.
    """
    violations: list[Violation] = []
    links = Links()
    for done, record in enumerate(records, 1):
        found, told = _check(record, links.inherited(record.row))
        violations.extend(found)
        row = record.row
        if row.status == OPEN and row.workflow not in registered:
            message = f"its workflow {row.workflow!r} is not registered"
            violations.append(Violation("I24", row.id, message))
        if row.time > now + HOUR:
            violations.append(Violation("I4", row.id, "its last event is of the future"))
        links.add(record, told)
        if progress is not None and (done % 100 == 0 or done == total):
            progress(done, total)
    return violations + links.check()


def _check(record: ProcessRecord, inherited: Children | None) -> tuple[list[Violation], Told]:
    found: list[Violation] = []

    def violated(invariant: str, message: str) -> None:
        found.append(Violation(invariant, record.row.id, message))

    told = Told(record, inherited, violated)
    RowCheck(record, told, violated).check()
    return found, told
