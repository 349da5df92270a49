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
from pyworkflow.backend.staged import Staged, fed
from pyworkflow.backend.unit import FeedBatch
from pyworkflow.ledger.rows import (
    NEVER,
    ActivityRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
    due_order,
)

R = TypeVar("R")


class SQLiteUnit(Looking):
    """The work area of a transaction, or of a snapshot that is only read."""

    def __init__(self, connection: apsw.Connection, now: int) -> None:
        super().__init__(connection, now)
        self._counters: dict[str, int] = {}

    def _one(self, name: str, values: Values, make: Callable[[Values], R]) -> R | None:
        found = self.rows(name, values)
        return make(found[0]) if found else None

    # -- what the rules read -------------------------------------------------------------------------------------------------------

    def _process(self, values: Values) -> ProcessRow | None:
        return self.staged_processes.loaded(values[0], process_from(values))

    def find(self, process_id: str) -> ProcessRow | None:
        if process_id not in self._latest:
            found = self.rows("process_by_id", (process_id,))
            row = self._process(found[0]) if found else None
            self._latest[process_id] = None if row is None else row.key
        key = self._latest[process_id]
        return None if key is None else self.staged_processes.rows[key]

    def process(self, key: int) -> ProcessRow | None:
        return self.staged_processes.get(
            key, lambda: self._one("process_by_key", (key,), process_from)
        )

    def run_of(self, process_id: str, run: int) -> ProcessRow | None:
        found = self.rows("process_by_run", (process_id, run))
        return self._process(found[0]) if found else None

    def input(self, key: int) -> bytes:
        if key in self._inputs:
            return self._inputs[key]
        return bytes(self.rows("get_input", (key,))[0][0])

    def decision(self, key: int) -> DecisionRow | None:
        return self.staged_decisions.get(
            key, lambda: self._one("get_decision", (key,), decision_from)
        )

    def activity(self, key: int, activity_id: str) -> ActivityRow | None:
        pair = (key, activity_id)
        if pair not in self._numbers:
            found = self.rows("activity_by_id", pair)
            row = self._activity(found[0]) if found else None
            self._numbers[pair] = None if row is None else row.number
        number = self._numbers[pair]
        return None if number is None else self.staged_activities.rows[number]

    def _activity(self, values: Values) -> ActivityRow | None:
        return self.staged_activities.loaded(values[0], activity_from(values))

    def activity_by_number(self, number: int) -> ActivityRow | None:
        return self.staged_activities.get(
            number, lambda: self._one("get_activity", (number,), activity_from)
        )

    def timer(self, key: int, timer_id: str) -> TimerRow | None:
        pair = (key, timer_id)
        return self.staged_timers.get(pair, lambda: self._one("get_timer", pair, timer_from))

    def child(self, key: int, child_id: str) -> ChildRow | None:
        pair = (key, child_id)
        return self.staged_children.get(pair, lambda: self._one("get_child", pair, child_from))

    def activities(self, key: int) -> list[ActivityRow]:
        for values in self.rows("activities_of", (key,)):
            self._activity(values)
        return [
            row
            for row in self.staged_activities.rows.values()
            if row is not None and row.key == key
        ]

    def timers(self, key: int) -> list[TimerRow]:
        for values in self.rows("timers_of", (key,)):
            self.staged_timers.loaded((key, values[1]), timer_from(values))
        return [
            row for row in self.staged_timers.rows.values() if row is not None and row.key == key
        ]

    def children(self, key: int) -> list[ChildRow]:
        for values in self.rows("children_of", (key,)):
            self.staged_children.loaded((key, values[1]), child_from(values))
        return [
            row for row in self.staged_children.rows.values() if row is not None and row.key == key
        ]

    def signaled(self, key: int, signal_id: str) -> bool:
        pair = (key, signal_id)
        return pair in self.staged_signals or bool(self.rows("get_signal", pair))

    def ready_decisions(self, category: str, limit: int) -> list[DecisionRow]:
        staged = self.staged_decisions
        wanted = limit + len(staged.changed) + len(staged.dropped)
        rows = [
            staged.loaded(values[0], decision_from(values))
            for values in self.rows("decisions_ready", (category, self.now, wanted))
        ]
        return self._ready(rows, staged, category, limit)

    def ready_activities(self, category: str, limit: int) -> list[ActivityRow]:
        staged = self.staged_activities
        wanted = limit + len(staged.changed) + len(staged.dropped)
        rows = [
            self._activity(values)
            for values in self.rows("activities_ready", (category, self.now, wanted))
        ]
        return self._ready(rows, staged, category, limit)

    def due(self, limit: int) -> list[ProcessRow | DecisionRow | ActivityRow | TimerRow]:
        # The sweep comes first in a transaction, so nothing is staged yet.
        values = (self.now, limit)
        rows: list[ProcessRow | DecisionRow | ActivityRow | TimerRow | None] = [
            *(self._process(v) for v in self.rows("process_due", values)),
            *(self.staged_decisions.loaded(v[0], decision_from(v)) for v in self.rows("decisions_due", values)),
            *(self._activity(v) for v in self.rows("activities_due", values)),
            *(self.staged_timers.loaded((v[0], v[1]), timer_from(v)) for v in self.rows("timers_due", values)),
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

    # -- writing it down -----------------------------------------------------------------------------------------------------------

    def flush(self) -> list[FeedBatch]:
        """Write all changes; return the new events as they are in the feed."""
        recorded = [fed(batch) for batch in self.sealed()]
        events = [(b.process.key, b.first_seq, b.body) for b in self.staged.values()]
        self.many("add_event", events)
        last_cursor = self.connection.last_insert_rowid()
        self._flush_processes()
        decisions, activities = self.staged_decisions, self.staged_activities
        self.many("drop_decision", [(key,) for key in decisions.dropped])
        self._put("put_decision", decisions, decision_values)
        self.many("drop_activity", [(number,) for number in activities.dropped])
        self.many("add_activity", [new_activity(r) for r in activities.written(activities.new)])
        changed = activities.written(activities.changed)
        self.many("set_activity", [changed_activity(r) for r in changed])
        self.many("drop_timer", list(self.staged_timers.dropped))
        self._put("put_timer", self.staged_timers, timer_values)
        self.many("drop_child", list(self.staged_children.dropped))
        self._put("put_child", self.staged_children, child_values)
        self.many("add_signal", list(self.staged_signals))
        self.many("set_meta", list(self._counters.items()))
        return _numbered(recorded, last_cursor)

    def _flush_processes(self) -> None:
        processes = self.staged_processes
        new = processes.written(processes.new)
        self.many("add_process", [new_process(row) for row in new])
        self.many("add_input", list(self._inputs.items()))
        self.many("add_tag", [(tag, row.key) for row in new for tag in row.tags])
        changed = processes.written(processes.changed)
        self.many("set_process", [changed_process(row) for row in changed])

    def _put(self, name: str, staged: Staged[Any, R], values: Callable[[R], Values]) -> None:
        self.many(name, [values(row) for row in staged.put()])

    def many(self, name: str, values: Sequence[Values]) -> None:
        """Run a statement for each set of values."""
        if values:
            self.connection.executemany(self.statements[name], values)


def _numbered(recorded: list[FeedBatch], last_cursor: int) -> list[FeedBatch]:
    """Return batches with the cursors that their rows were given, which follow each other."""
    first = last_cursor - len(recorded) + 1
    return [structs.replace(batch, cursor=first + i) for i, batch in enumerate(recorded)]
