"""Rows that a transaction has read or changed, until it writes them down."""

import logging
from collections.abc import Callable, Hashable, Iterable
from itertools import chain
from typing import Generic, TypeVar

from pyworkflow.backend.touches import Source
from pyworkflow.backend.unit import FeedBatch, StoredUnit
from pyworkflow.codec import decode
from pyworkflow.errors import PayloadError
from pyworkflow.ledger.checks.record import Violation
from pyworkflow.ledger.rows import (
    SCHEDULED,
    ActivityRow,
    ActivityTypeRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
    WorkflowRow,
)
from pyworkflow.ledger.unit import Batch
from pyworkflow.retry import Retry

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")
T = TypeVar("T", ActivityRow, DecisionRow)
Type = TypeVar("Type", ActivityTypeRow, WorkflowRow)

log = logging.getLogger("pyworkflow.backend")

Pair = tuple[int, str]
"""Key of a process, and the id of something that belongs to it."""


class Staged(Generic[K, R]):
    """An identity map of one table, with a record of what has to be written.

    What is added and dropped in the same transaction is never written.

    Args:
        rows: What is known already; None for a row that is known not to be there.
    """

    __slots__ = ("changed", "dropped", "new", "rows")

    def __init__(self, rows: dict[K, R | None] | None = None) -> None:
        self.rows: dict[K, R | None] = {} if rows is None else rows
        self.new: dict[K, None] = {}
        self.changed: dict[K, None] = {}
        self.dropped: dict[K, None] = {}

    def get(self, key: K, load: Callable[[], R | None]) -> R | None:
        """Return a row, loading it the first time."""
        if key in self.rows:
            return self.rows[key]
        row = self.rows[key] = load()
        return row

    def loaded(self, key: K, row: R | None) -> R | None:
        """Return the row of this transaction for one that was just read; None if it has been dropped."""
        return self.rows.setdefault(key, row)

    def add(self, key: K, row: R) -> None:
        """Keep a new row."""
        self.rows[key] = row
        if key in self.dropped:
            del self.dropped[key]
            self.changed[key] = None
        else:
            self.new[key] = None

    def change(self, key: K) -> None:
        """Have a row written down again."""
        if key not in self.new:
            self.changed[key] = None

    def drop(self, key: K) -> None:
        """Forget a row."""
        self.rows[key] = None
        if key in self.new:
            del self.new[key]
        else:
            self.changed.pop(key, None)
            self.dropped[key] = None

    def written(self, keys: dict[K, None]) -> list[R]:
        """Return the rows of some keys."""
        return [row for key in keys if (row := self.rows[key]) is not None]

    def put(self) -> list[R]:
        """Return the rows that are new or changed."""
        return [*self.written(self.new), *self.written(self.changed)]


class StagedUnit(StoredUnit):
    """A unit that keeps what it has read and changed in memory, until the store writes it down at the end."""

    def __init__(self, now: int) -> None:
        super().__init__(now)
        self.staged_processes: Staged[int, ProcessRow] = Staged()
        self._latest: dict[str, int | None] = {}
        self._inputs: dict[int, bytes] = {}
        self.staged_decisions: Staged[int, DecisionRow] = Staged()
        self.staged_activities: Staged[int, ActivityRow] = Staged()
        self._numbers: dict[Pair, int | None] = {}
        self.staged_timers: Staged[Pair, TimerRow] = Staged()
        self.staged_children: Staged[Pair, ChildRow] = Staged()
        self.staged_signals: dict[Pair, set[int]] = {}

    def add_process(self, row: ProcessRow, input: bytes) -> None:
        self.staged_processes.add(row.key, row)
        self._latest[row.id] = row.key
        self._inputs[row.key] = input

    def add(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        if isinstance(row, DecisionRow):
            self.staged_decisions.add(row.key, row)
        elif isinstance(row, ActivityRow):
            self.staged_activities.add(row.number, row)
            self._numbers[row.key, row.id] = row.number
        elif isinstance(row, TimerRow):
            self.staged_timers.add((row.key, row.id), row)
        else:
            self.staged_children.add((row.key, row.id), row)

    def changed(self, row: ProcessRow | DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        if isinstance(row, ProcessRow):
            self.staged_processes.change(row.key)
        elif isinstance(row, DecisionRow):
            self.staged_decisions.change(row.key)
        elif isinstance(row, ActivityRow):
            self.staged_activities.change(row.number)
        elif isinstance(row, TimerRow):
            self.staged_timers.change((row.key, row.id))
        else:
            self.staged_children.change((row.key, row.id))

    def drop(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        if isinstance(row, DecisionRow):
            self.staged_decisions.drop(row.key)
        elif isinstance(row, ActivityRow):
            self.staged_activities.drop(row.number)
            self._numbers[row.key, row.id] = None
        elif isinstance(row, TimerRow):
            self.staged_timers.drop((row.key, row.id))
        else:
            self.staged_children.drop((row.key, row.id))

    def add_signal(self, process: ProcessRow, signal_id: str) -> None:
        self.staged_signals.setdefault((process.first_key, signal_id), set()).add(process.key)

    def new_receipts(self) -> list[tuple[int, str, int]]:
        """Return the receipts of the signals that were recorded: run, id, first run."""
        staged = self.staged_signals.items()
        return sorted((key, name, first) for (first, name), keys in staged for key in keys)

    def _ready(
        self,
        read: list[T | None],
        staged: Staged[int, T],
        source: Source,
        limit: int,
        suspect: bool,
    ) -> list[T]:
        """Return rows that are still ready: those of the database first, then those that this transaction has made so."""
        category, names = source
        own = None if names is None else frozenset(names)
        ready: dict[int, T] = {}
        for row in chain(read, staged.written(staged.changed), staged.written(staged.new)):
            if (
                row is not None
                and row.state == SCHEDULED
                and row.category == category
                and row.suspect == suspect
                and row.ready <= self.now
                and (own is None or row.name in own)
            ):
                ready[id(row)] = row
                if len(ready) == limit:
                    break
        return list(ready.values())


def fed(batch: Batch, place: int = 0) -> FeedBatch:
    """Return events of a transaction as they are in the feed."""
    process = batch.process
    return FeedBatch(
        place,
        process.id,
        process.run,
        process.workflow,
        process.parent_id,
        batch.first_seq,
        batch.body,
    )


def retry_of(data: bytes | str | None) -> tuple[Retry | None, str | None]:
    """Return the retry policy in a column, and what is wrong with it if it cannot be read."""
    try:
        return None if data is None else decode(data, Retry), None
    except PayloadError as error:
        return None, f"its retry policy cannot be read: {error}"


def registration(body: bytes | str, kind: type[Type], name: str) -> Type | None:
    """Return a registered type; None, as if it were not registered, if it cannot be read. Registering it again repairs it."""
    try:
        return decode(body, kind)
    except PayloadError as error:
        log.error("the registration of %r cannot be read: %s", name, error)
        return None


def damaged_registrations(found: Iterable[tuple[str, str, bytes | str]]) -> list[Violation]:
    """Return the registrations, as (kind, name, body), that cannot be read."""
    violations: list[Violation] = []
    for kind, name, body in found:
        try:
            decode(body, WorkflowRow if kind == "workflow" else ActivityTypeRow)
        except PayloadError as error:
            message = f"the registration of {kind} {name!r} cannot be read: {error}"
            violations.append(Violation("I24", None, message))
    return violations
