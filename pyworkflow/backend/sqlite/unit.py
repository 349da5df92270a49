"""A transaction on the database: rows are loaded when the rules ask for them, and written together at the end."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw
from msgspec import structs

from pyworkflow.backend.sqlite.looking import Looking
from pyworkflow.backend.sqlite.rows import (
    Values,
    activity_from,
    changed_activity,
    changed_process,
    child_from,
    child_values,
    decision_from,
    decision_values,
    new_activity,
    new_process,
    process_from,
    timer_from,
    timer_values,
)
from pyworkflow.backend.sqlite.staged import Staged
from pyworkflow.backend.unit import FeedBatch
from pyworkflow.ledger.rows import (
    NEVER,
    SCHEDULED,
    ActivityRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
    due_order,
)

R = TypeVar("R")
Pair = tuple[int, str]


class SQLiteUnit(Looking):
    """The work area of a transaction, or of a snapshot that is only read."""

    def __init__(self, connection: apsw.Connection, now: int) -> None:
        super().__init__(connection, now)
        self._processes: Staged[int, ProcessRow] = Staged()
        self._latest: dict[str, int | None] = {}
        self._inputs: dict[int, bytes] = {}
        self._decisions: Staged[int, DecisionRow] = Staged()
        self._activities: Staged[int, ActivityRow] = Staged()
        self._numbers: dict[Pair, int | None] = {}
        self._timers: Staged[Pair, TimerRow] = Staged()
        self._children: Staged[Pair, ChildRow] = Staged()
        self._signals: set[Pair] = set()
        self._counters: dict[str, int] = {}

    def _one(self, name: str, values: Values, make: Callable[[Values], R]) -> R | None:
        found = self.rows(name, values)
        return make(found[0]) if found else None

    # -- what the rules read -------------------------------------------------------------------------------------------------------

    def _process(self, values: Values) -> ProcessRow | None:
        return self._processes.loaded(values[0], process_from(values))

    def find(self, process_id: str) -> ProcessRow | None:
        if process_id not in self._latest:
            found = self.rows("process_by_id", (process_id,))
            row = self._process(found[0]) if found else None
            self._latest[process_id] = None if row is None else row.key
        key = self._latest[process_id]
        return None if key is None else self._processes.rows[key]

    def process(self, key: int) -> ProcessRow | None:
        return self._processes.get(key, lambda: self._one("process_by_key", (key,), process_from))

    def run_of(self, process_id: str, run: int) -> ProcessRow | None:
        found = self.rows("process_by_run", (process_id, run))
        return self._process(found[0]) if found else None

    def input(self, key: int) -> bytes:
        if key in self._inputs:
            return self._inputs[key]
        return bytes(self.rows("get_input", (key,))[0][0])

    def decision(self, key: int) -> DecisionRow | None:
        return self._decisions.get(key, lambda: self._one("get_decision", (key,), decision_from))

    def activity(self, key: int, activity_id: str) -> ActivityRow | None:
        pair = (key, activity_id)
        if pair not in self._numbers:
            found = self.rows("activity_by_id", pair)
            row = self._activity(found[0]) if found else None
            self._numbers[pair] = None if row is None else row.number
        number = self._numbers[pair]
        return None if number is None else self._activities.rows[number]

    def _activity(self, values: Values) -> ActivityRow | None:
        return self._activities.loaded(values[0], activity_from(values))

    def activity_by_number(self, number: int) -> ActivityRow | None:
        return self._activities.get(
            number, lambda: self._one("get_activity", (number,), activity_from)
        )

    def timer(self, key: int, timer_id: str) -> TimerRow | None:
        pair = (key, timer_id)
        return self._timers.get(pair, lambda: self._one("get_timer", pair, timer_from))

    def child(self, key: int, child_id: str) -> ChildRow | None:
        pair = (key, child_id)
        return self._children.get(pair, lambda: self._one("get_child", pair, child_from))

    def activities(self, key: int) -> list[ActivityRow]:
        for values in self.rows("activities_of", (key,)):
            self._activity(values)
        return [row for row in self._activities.rows.values() if row is not None and row.key == key]

    def timers(self, key: int) -> list[TimerRow]:
        for values in self.rows("timers_of", (key,)):
            self._timers.loaded((key, values[1]), timer_from(values))
        return [row for row in self._timers.rows.values() if row is not None and row.key == key]

    def children(self, key: int) -> list[ChildRow]:
        for values in self.rows("children_of", (key,)):
            self._children.loaded((key, values[1]), child_from(values))
        return [row for row in self._children.rows.values() if row is not None and row.key == key]

    def signaled(self, key: int, signal_id: str) -> bool:
        pair = (key, signal_id)
        return pair in self._signals or bool(self.rows("get_signal", pair))

    def ready_decisions(self, category: str, limit: int) -> list[DecisionRow]:
        staged = self._decisions
        wanted = limit + len(staged.changed) + len(staged.dropped)
        rows = [
            staged.loaded(values[0], decision_from(values))
            for values in self.rows("decisions_ready", (category, self.now, wanted))
        ]
        return self._ready(rows, staged, category, limit)

    def ready_activities(self, category: str, limit: int) -> list[ActivityRow]:
        staged = self._activities
        wanted = limit + len(staged.changed) + len(staged.dropped)
        rows = [
            self._activity(values)
            for values in self.rows("activities_ready", (category, self.now, wanted))
        ]
        return self._ready(rows, staged, category, limit)

    def _ready(
        self, read: list[Any], staged: Staged[int, Any], category: str, limit: int
    ) -> list[Any]:
        """Return rows that are still ready: those of the database first, then those that this transaction has made so."""
        fresh = [*staged.written(staged.changed), *staged.written(staged.new)]
        ready: dict[int, Any] = {}
        for row in [*read, *fresh]:
            if (
                row is not None
                and row.state == SCHEDULED
                and row.category == category
                and row.ready <= self.now
            ):
                ready[id(row)] = row
                if len(ready) == limit:
                    break
        return list(ready.values())

    def due(self, limit: int) -> list[ProcessRow | DecisionRow | ActivityRow | TimerRow]:
        # The sweep comes first in a transaction, so nothing is staged yet.
        values = (self.now, limit)
        rows: list[ProcessRow | DecisionRow | ActivityRow | TimerRow | None] = [
            *(self._process(v) for v in self.rows("process_due", values)),
            *(self._decisions.loaded(v[0], decision_from(v)) for v in self.rows("decisions_due", values)),
            *(self._activity(v) for v in self.rows("activities_due", values)),
            *(self._timers.loaded((v[0], v[1]), timer_from(v)) for v in self.rows("timers_due", values)),
        ]  # fmt: skip
        found = [row for row in rows if row is not None and row.deadline < NEVER]
        return sorted(found, key=due_order)[:limit]

    # -- what the rules change -----------------------------------------------------------------------------------------------------

    def _next(self, counter: str) -> int:
        if counter not in self._counters:
            found = self.rows("get_meta", (counter,))
            self._counters[counter] = int(found[0][0]) if found else 0
        self._counters[counter] += 1
        return self._counters[counter]

    def next_key(self) -> int:
        return self._next("last_key")

    def next_number(self) -> int:
        return self._next("last_number")

    def add_process(self, row: ProcessRow, input: bytes) -> None:
        self._processes.add(row.key, row)
        self._latest[row.id] = row.key
        self._inputs[row.key] = input

    def add(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        if isinstance(row, DecisionRow):
            self._decisions.add(row.key, row)
        elif isinstance(row, ActivityRow):
            self._activities.add(row.number, row)
            self._numbers[row.key, row.id] = row.number
        elif isinstance(row, TimerRow):
            self._timers.add((row.key, row.id), row)
        else:
            self._children.add((row.key, row.id), row)

    def changed(self, row: ProcessRow | DecisionRow | ActivityRow | ChildRow) -> None:
        if isinstance(row, ProcessRow):
            self._processes.change(row.key)
        elif isinstance(row, DecisionRow):
            self._decisions.change(row.key)
        elif isinstance(row, ActivityRow):
            self._activities.change(row.number)
        else:
            self._children.change((row.key, row.id))

    def drop(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        if isinstance(row, DecisionRow):
            self._decisions.drop(row.key)
        elif isinstance(row, ActivityRow):
            self._activities.drop(row.number)
            self._numbers[row.key, row.id] = None
        elif isinstance(row, TimerRow):
            self._timers.drop((row.key, row.id))
        else:
            self._children.drop((row.key, row.id))

    def add_signal(self, key: int, signal_id: str) -> None:
        self._signals.add((key, signal_id))

    # -- writing it down -----------------------------------------------------------------------------------------------------------

    def flush(self) -> list[FeedBatch]:
        """Write all changes; return the new events as they are in the feed."""
        recorded = [
            FeedBatch(
                0,
                batch.process.id,
                batch.process.run,
                batch.process.workflow,
                batch.process.parent_id,
                batch.first_seq,
                batch.body,
            )
            for batch in self.sealed()
        ]
        events = [(b.process.key, b.first_seq, b.body) for b in self.staged.values()]
        self.many("add_event", events)
        last_cursor = self.connection.last_insert_rowid()
        self._flush_processes()
        decisions, activities = self._decisions, self._activities
        self.many("drop_decision", [(key,) for key in decisions.dropped])
        self._put("put_decision", decisions, decision_values)
        self.many("drop_activity", [(number,) for number in activities.dropped])
        self.many("add_activity", [new_activity(r) for r in activities.written(activities.new)])
        changed = activities.written(activities.changed)
        self.many("set_activity", [changed_activity(r) for r in changed])
        self.many("drop_timer", list(self._timers.dropped))
        self._put("put_timer", self._timers, timer_values)
        self.many("drop_child", list(self._children.dropped))
        self._put("put_child", self._children, child_values)
        self.many("add_signal", list(self._signals))
        self.many("set_meta", list(self._counters.items()))
        return _numbered(recorded, last_cursor)

    def _flush_processes(self) -> None:
        processes = self._processes
        new = processes.written(processes.new)
        self.many("add_process", [new_process(row) for row in new])
        self.many("add_input", list(self._inputs.items()))
        self.many("add_tag", [(tag, row.key) for row in new for tag in row.tags])
        changed = processes.written(processes.changed)
        self.many("set_process", [changed_process(row) for row in changed])

    def _put(self, name: str, staged: Staged[Any, R], values: Callable[[R], Values]) -> None:
        rows = [*staged.written(staged.new), *staged.written(staged.changed)]
        self.many(name, [values(row) for row in rows])

    def many(self, name: str, values: Sequence[Values]) -> None:
        """Run a statement for each set of values."""
        if values:
            self.connection.executemany(self.statements[name], values)


def _numbered(recorded: list[FeedBatch], last_cursor: int) -> list[FeedBatch]:
    """Return batches with the cursors that their rows were given, which follow each other."""
    first = last_cursor - len(recorded) + 1
    return [structs.replace(batch, cursor=first + i) for i, batch in enumerate(recorded)]
