"""A transaction on the database: rows are loaded when the rules ask for them, and written together at the end."""

from collections.abc import Callable, Iterable, Sequence
from heapq import merge
from itertools import islice
from typing import Any, TypeVar

import apsw

from pyworkflow.backend.sqlite.kept import Kept
from pyworkflow.backend.sqlite.looking import Looking
from pyworkflow.backend.sqlite.rows import (
    ACTIVITY_READY,
    DECISION_READY,
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
    stepped_process,
    timer_from,
    timer_values,
)
from pyworkflow.backend.staged import Staged, fed
from pyworkflow.backend.touches import Planned, Source
from pyworkflow.backend.unit import FeedBatch, UncountedEventsError, Work
from pyworkflow.codec import encode
from pyworkflow.ledger.lifecycle import OPEN
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
from pyworkflow.ledger.unit import Names

R = TypeVar("R")


class SQLiteUnit(Looking):
    """The work area of a transaction, or of a snapshot that is only read.

    Args:
        connection: Where to read and write.
        now: The present instant.
        kept: What the last transaction has left, if it is still good.
    """

    def __init__(self, connection: apsw.Connection, now: int, kept: Kept | None = None) -> None:
        super().__init__(connection, now, kept)
        self.staged_processes = Staged(self.kept.processes)
        self.staged_decisions = Staged(self.kept.decisions)
        self.staged_activities = Staged(self.kept.activities)
        self._counters = self.kept.counters
        self._last_place = 0
        self._moved: dict[str, None] = {}

    def _one(self, name: str, values: Values, make: Callable[[Values], R]) -> R | None:
        found = self.rows(name, values)
        return make(found[0]) if found else None

    # -- reading ahead -------------------------------------------------------------------------------------------------------------

    def expect(self, works: Sequence[Work]) -> None:
        """Read at once what works say that they will ask for."""
        touched = [work.touches for work in works if isinstance(work, Planned)]
        numbers = [number for touches in touched for number in touches.numbers]
        read = self._fetch(self.staged_activities, "get_activity", numbers, activity_from)
        keys = [*(key for touches in touched for key in touches.keys), *(row.key for row in read)]
        self._fetch(self.staged_processes, "process_by_key", keys, process_from)
        self._fetch(self.staged_decisions, "get_decision", keys, decision_from)

    def _fetch(
        self, staged: Staged[int, R], name: str, keys: Iterable[int], make: Callable[[Values], R]
    ) -> list[R]:
        """Read rows that are not there yet, and return them."""
        wanted = [(key,) for key in dict.fromkeys(keys) if key not in staged.rows]
        # One call for all: each call of the driver lets another thread have the interpreter.
        found = {values[0]: make(values) for values in self.each(name, wanted)}
        for (key,) in wanted:
            staged.rows[key] = found.get(key)
        return list(found.values())

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
        read = [self._activity(values) for values in self.rows("activities_of", (key,))]
        new = (
            row
            for row in self.staged_activities.written(self.staged_activities.new)
            if row.key == key
        )
        return [row for row in (*read, *new) if row is not None]

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

    def signaled(self, process: ProcessRow, signal_id: str) -> bool:
        pair = (process.first_key, signal_id)
        return pair in self.staged_signals or bool(self.rows("get_signal", pair))

    def has_text(self, key: int, text: str) -> bool:
        return bool(self.rows("event_with_text", (key, text.encode())))

    def ready_decisions(
        self, category: str, names: Names, limit: int, *, suspect: bool = False
    ) -> list[DecisionRow]:
        source = (category, names)
        return self._ready_rows(
            "decisions", self.staged_decisions, decision_from, source, limit, suspect
        )

    def ready_activities(
        self, category: str, names: Names, limit: int, *, suspect: bool = False
    ) -> list[ActivityRow]:
        source = (category, names)
        return self._ready_rows(
            "activities", self.staged_activities, activity_from, source, limit, suspect
        )

    def _ready_rows(
        self,
        kind: str,
        staged: Staged[int, Any],
        make: Callable[[Values], Any],
        source: Source,
        limit: int,
        suspect: bool,
    ) -> list[Any]:
        """Return rows that are ready: those of the database first, then those that this transaction has made so."""
        category, names = source
        own = None if names is None else frozenset(names)
        ready: dict[int, Any] = {}

        def look(row: Any) -> bool:
            if (
                row is not None
                and row.state == SCHEDULED
                and row.category == category
                and row.suspect == suspect
                and row.ready <= self.now
                and (own is None or row.name in own)
            ):
                ready[id(row)] = row
            return len(ready) == limit

        full = False
        for values in self._scheduled(_queue(kind, suspect), staged, source, limit):
            key = values[0]
            row = staged.rows[key] if key in staged.rows else staged.loaded(key, make(values))
            if full := look(row):
                break
        if not full:
            for row in staged.written(staged.changed | staged.new):
                if look(row):
                    break
        rows = list(ready.values())
        self._fetch(
            self.staged_processes, "process_by_key", [row.key for row in rows], process_from
        )
        return rows

    def _scheduled(
        self, kind: str, staged: Staged[int, Any], source: Source, limit: int
    ) -> list[Values]:
        """Return rows of the database that were ready when the transaction began, the longest waiting first."""
        category, _ = source
        # Rows that this transaction has changed or dropped may come first.
        most = limit + len(staged.changed) + len(staged.dropped)
        scans = [
            self.connection.execute(
                self.statements[f"{kind}_ready"], (category, name, self.now, most)
            )
            for name in self._ready_names(kind, source)
        ]
        # Each scan is in order and reads on only when its next row is wanted.
        place = DECISION_READY if kind.endswith("decisions") else ACTIVITY_READY
        try:
            merged = merge(*scans, key=lambda values: (values[place], values[0]))
            return list(islice(merged, most))
        finally:
            for scan in scans:
                scan.close(force=True)

    def _ready_names(self, kind: str, source: Source) -> list[str]:
        """Return those names of which the database may have tasks that are ready."""
        category, names = source
        if names is None:
            names = tuple(name for (name,) in self.rows(f"{kind}_names", {"category": category}))
        empty = self.kept.empty
        unsure = [name for name in names if empty.get((kind, category, name), 0) <= self.now]
        if not unsure:
            return []
        asked = {"category": category, "names": encode(unsure).decode()}
        ready: list[str] = []
        for name, since in self.rows(f"{kind}_ready_since", asked):
            if since is not None and since <= self.now:
                ready.append(name)
            else:
                empty[kind, category, name] = NEVER if since is None else since
        return ready

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
        if not self._counters:
            # A counter that runs behind is damage: its numbers would be refused for ever.
            found = self.rows("counters")
            self._counters.update((name, max(int(last or 0), most)) for name, last, most in found)
        self._counters[counter] += 1
        self._moved[counter] = None
        return self._counters[counter]

    def next_key(self) -> int:
        return self._next("last_key")

    def next_number(self) -> int:
        return self._next("last_number")

    # -- writing it down -----------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write all changes."""
        events = [(batch.process.key, batch.first_seq, batch.body) for batch in self.sealed()]
        try:
            self.many("add_event", events)
        except apsw.ConstraintError as error:
            raise UncountedEventsError([key for key, *_ in events]) from error
        self._last_place = self.connection.last_insert_rowid()
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
        self.many("add_signal", self.new_receipts())
        self.many("set_meta", [(counter, self._counters[counter]) for counter in self._moved])

    def recorded(self) -> list[FeedBatch]:
        """Return the new events as they are in the feed, with the places that `flush` has given them."""
        first = self._last_place - len(self.staged) + 1
        return [fed(batch, first + place) for place, batch in enumerate(self.staged.values())]

    def _flush_processes(self) -> None:
        processes = self.staged_processes
        new = processes.written(processes.new)
        self.many("add_process", [new_process(row) for row in new])
        self.many("add_input", list(self._inputs.items()))
        self.many("add_tag", [(tag, row.key) for row in new for tag in row.tags])
        changed = processes.written(processes.changed)
        # The status is in many indexes, which a statement that names it has to write.
        steps = [row for row in changed if row.status == OPEN and row.parent_key is None]
        self.many("step_process", [stepped_process(row) for row in steps])
        if len(steps) < len(changed):
            rest = [row for row in changed if row.status != OPEN or row.parent_key is not None]
            self.many("set_process", [changed_process(row) for row in rest])

    def left(self) -> Kept:
        """Return what the next transaction may begin with, once this one is committed."""
        kept = self.kept
        for staged in (self.staged_processes, self.staged_decisions, self.staged_activities):
            kept.grow(staged.put())
        if kept.full:
            return Kept()
        for decision in self.staged_decisions.put():
            if decision.state == SCHEDULED:
                kind = _queue("decisions", decision.suspect)
                kept.empty.pop((kind, decision.category, decision.name), None)
        for activity in self.staged_activities.put():
            if activity.state == SCHEDULED:
                kind = _queue("activities", activity.suspect)
                kept.empty.pop((kind, activity.category, activity.name), None)
        for number in self.staged_activities.dropped:
            kept.activities.pop(number, None)
        for key in self.staged_processes.changed:
            row = kept.processes.get(key)
            if row is not None and row.status != OPEN:
                del kept.processes[key]
                kept.decisions.pop(key, None)
        return kept

    def _put(self, name: str, staged: Staged[Any, R], values: Callable[[R], Values]) -> None:
        self.many(name, [values(row) for row in staged.put()])

    def many(self, name: str, values: Sequence[Values]) -> None:
        """Run a statement for each set of values."""
        if values:
            self.connection.executemany(self.statements[name], values)


def _queue(kind: str, suspect: bool) -> str:
    """Return what the names of a queue's statements begin with."""
    return f"suspect_{kind}" if suspect else kind
