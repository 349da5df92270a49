"""What is checked, and what is found."""

from collections.abc import Callable

from msgspec import Struct

from pyworkflow.ledger.rows import ActivityRow, ChildRow, DecisionRow, ProcessRow, TimerRow

Violated = Callable[[str, str], None]
"""Called with an invariant's number and what is wrong."""


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
        set_back: The latest time that the store showed before its clock was set back; 0 if it never was.
    """

    row: ProcessRow
    input: bytes | None
    batches: list[tuple[int, bytes]]
    decision: DecisionRow | None
    activities: list[ActivityRow]
    timers: list[TimerRow]
    children: list[ChildRow]
    signals: list[str]
    set_back: int = 0
