"""The work area of a transaction: what the rules read, locked before it is read."""

from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Any, TypeVar

from psycopg.errors import LockNotAvailable

from pyworkflow.backend.postgresql.looking import Looking
from pyworkflow.backend.postgresql.numbers import Numbers
from pyworkflow.backend.postgresql.registered import Types
from pyworkflow.backend.postgresql.rows import (
    PROCESS,
    Values,
    activity_from,
    child_from,
    decision_from,
    pairs,
    process_from,
    storable,
    timer_from,
)
from pyworkflow.backend.postgresql.session import Call, Session
from pyworkflow.backend.staged import Pair, Staged
from pyworkflow.backend.touches import Plan, Ready, Source
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

R = TypeVar("R", ActivityRow, DecisionRow, TimerRow)

OPEN = "open"


SPARE_CANDIDATES = 256
"""Tasks that others may hold under their locks before a claim finds nothing behind them."""


def claim_call(tasks: str, source: Source, limit: int, now: int | None) -> Call:
    """Return the statement that claims ``decisions`` or ``activities`` from a source."""
    category, names = source
    spare = (3 * limit + SPARE_CANDIDATES) // max(1, len(names or ()))
    values = {
        "category": category,
        "names": None if names is None else list(names),
        "now": now,
        "limit": limit,
        "candidates": limit + spare,
    }
    return f"claim_{tasks}", values


class Locks(StrEnum):
    """How rows of processes are locked as they are read; the values end the names of statements."""

    NONE = ""
    """Not at all: the unit only reads."""
    NOWAIT = "_nowait"
    """At once or not at all."""
    WAIT = "_wait"
    """After those who hold them."""


class ContendedError(Exception):
    """Another transaction holds a lock that was not asked for at the beginning; the works must run again, and ask for it then."""

    def __init__(self, ids: Iterable[str], keys: Iterable[int]) -> None:
        super().__init__()
        self.ids = set(ids)
        self.keys = set(keys)


class PostgreSQLUnit(Looking):
    """The work area of a transaction, or of a snapshot that is only read.

    Whatever belongs to a process is read under the lock of the process, so nothing that was read changes before the commit.

    Args:
        session: The connection, in a transaction.
        now: The time of the transaction.
        types: The workflows and activities that are known.
        locks: How processes are locked.
        numbers: Where new numbers come from.
    """

    def __init__(
        self, session: Session, now: int, types: Types, locks: Locks, numbers: Numbers
    ) -> None:
        super().__init__(session, now, types)
        self.locks = locks
        self.numbers = numbers
        self.claimable_decisions: dict[Source, list[int]] = {}
        self.claimable_activities: dict[Source, list[int]] = {}
        self.suspect_queues: set[tuple[str, str]] | None = None
        self.deadline: int | None = None
        self.swept = 0
        self._empty: set[int] = set()
        self._unsigned: set[Pair] = set()

    # -- processes -----------------------------------------------------------------------------------------------------------------

    def loaded(self, values: Values) -> ProcessRow | None:
        """Keep a process that was just read, under its lock."""
        key = values[0]
        if key not in self.staged_processes.rows:
            row = process_from(values)
            if row.opened == 0:
                self._empty.add(key)
            return self.staged_processes.loaded(key, row)
        return self.staged_processes.rows[key]

    def _select(self, name: str, **values: Any) -> ProcessRow | None:
        try:
            found = self.session.rows(name + self.locks, **values)
        except LockNotAvailable as error:
            if self.locks is not Locks.NOWAIT:
                raise
            keys = [key for key in (values.get("key"),) if key is not None]
            raise ContendedError(
                [i for i in (values.get("id"),) if i is not None],
                [*self.staged_processes.rows, *keys],
            ) from error
        return self.loaded(found[0]) if found else None

    def find(self, process_id: str) -> ProcessRow | None:
        if process_id not in self._latest:
            self._latest[process_id] = self._find(process_id)
        key = self._latest[process_id]
        return None if key is None else self.staged_processes.rows[key]

    def _find(self, process_id: str) -> int | None:
        if not storable(process_id):
            return None
        row = self._select("process_by_id", id=process_id)
        # The run that was the latest may have been succeeded by another before it was locked. Once it is locked, it cannot be.
        while row is not None and row.status != OPEN and self.locks is not Locks.NONE:
            again = self._select("process_by_id", id=process_id)
            if again is row:
                break
            row = again
        return None if row is None else row.key

    def is_locked(self, key: int) -> bool:
        """Tell whether a process is there, and was locked."""
        return self.staged_processes.rows.get(key) is not None

    def is_open(self, key: int) -> bool:
        """Tell whether a process was locked, and is open."""
        row = self.staged_processes.rows.get(key)
        return row is not None and row.status == OPEN

    def know(self, process_id: str, run: ProcessRow | None) -> None:
        """Take note of the latest run of an id, unless that has closed: then another may have followed."""
        if run is None:
            self._latest.setdefault(process_id, None)
        elif run.status == OPEN:
            self._latest.setdefault(process_id, run.key)

    def process(self, key: int) -> ProcessRow | None:
        return self.staged_processes.get(key, lambda: self._select("process_by_key", key=key))

    def run_of(self, process_id: str, run: int) -> ProcessRow | None:
        if not storable(process_id) or run >= 2**31:
            return None
        return self._select("process_by_run", id=process_id, run=run)

    # -- what belongs to a process -------------------------------------------------------------------------------------------------

    def _is_bare(self, key: int) -> bool:
        """Lock a process; tell whether the database has nothing open of it."""
        return self.process(key) is None or key in self.staged_processes.new or key in self._empty

    def decision(self, key: int) -> DecisionRow | None:
        def load() -> DecisionRow | None:
            if self.process(key) is None or key in self.staged_processes.new:
                return None
            found = self.session.rows("get_decision", key=key)
            return decision_from(found[0]) if found else None

        return self.staged_decisions.get(key, load)

    def loaded_decisions(self, keys: Iterable[int], found: Iterable[Values]) -> None:
        """Keep the decisions of locked processes, and that the others have none."""
        for values in found:
            self.staged_decisions.loaded(values[0], decision_from(values))
        for key in keys:
            self.staged_decisions.loaded(key, None)

    def activity(self, key: int, activity_id: str) -> ActivityRow | None:
        pair = (key, activity_id)
        if pair not in self._numbers:
            bare = self._is_bare(key)
            found = [] if bare else self.session.rows("activity_by_id", key=key, id=activity_id)
            self.loaded_activities([pair], found)
        number = self._numbers[pair]
        return None if number is None else self.staged_activities.rows[number]

    def _activity(self, values: Values) -> ActivityRow | None:
        row = self.staged_activities.loaded(values[0], activity_from(values))
        if row is not None:
            self._numbers.setdefault((row.key, row.id), row.number)
        return row

    def loaded_activities(self, asked: Iterable[Pair], found: Iterable[Values]) -> None:
        """Keep activities of locked processes, and that the others that were asked for are not open."""
        for values in found:
            self._activity(values)
        for pair in asked:
            self._numbers.setdefault(pair, None)

    def activity_by_number(self, number: int) -> ActivityRow | None:
        def load() -> ActivityRow | None:
            for _ in range(2):
                found = self.session.rows("get_activity", number=number)
                if (
                    not found
                    or self.locks is Locks.NONE
                    or found[0][1] in self.staged_processes.rows
                ):
                    return activity_from(found[0]) if found else None
                # Only now is it known which process to lock; what was read before does not count.
                self.process(found[0][1])
            return None

        return self.staged_activities.get(number, load)

    def timer(self, key: int, timer_id: str) -> TimerRow | None:
        def load() -> TimerRow | None:
            bare = self._is_bare(key)
            found = [] if bare else self.session.rows("get_timer", key=key, id=timer_id)
            return timer_from(found[0]) if found else None

        return self.staged_timers.get((key, timer_id), load)

    def loaded_timers(self, asked: Iterable[Pair], found: Iterable[Values]) -> None:
        """Keep timers of locked processes, and that the others that were asked for are not open."""
        for values in found:
            self.staged_timers.loaded((values[0], values[1]), timer_from(values))
        for pair in asked:
            self.staged_timers.loaded(pair, None)

    def child(self, key: int, child_id: str) -> ChildRow | None:
        def load() -> ChildRow | None:
            bare = self._is_bare(key)
            found = [] if bare else self.session.rows("get_child", key=key, id=child_id)
            return child_from(found[0]) if found else None

        return self.staged_children.get((key, child_id), load)

    def loaded_children(self, found: Iterable[Values]) -> None:
        """Keep children of locked processes."""
        for values in found:
            if values[0] in self.staged_processes.rows:
                self.staged_children.loaded((values[0], values[1]), child_from(values))

    def activities(self, key: int) -> list[ActivityRow]:
        if not self._is_bare(key):
            self.loaded_activities([], self.session.rows("activities_of", keys=[key]))
        return [
            row
            for row in self.staged_activities.rows.values()
            if row is not None and row.key == key
        ]

    def timers(self, key: int) -> list[TimerRow]:
        if not self._is_bare(key):
            self.loaded_timers([], self.session.rows("timers_of", keys=[key]))
        return [
            row for row in self.staged_timers.rows.values() if row is not None and row.key == key
        ]

    def children(self, key: int) -> list[ChildRow]:
        if not self._is_bare(key):
            self.loaded_children(self.session.rows("children_of", keys=[key]))
        return [
            row for row in self.staged_children.rows.values() if row is not None and row.key == key
        ]

    def signaled(self, process: ProcessRow, signal_id: str) -> bool:
        pair = (process.first_key, signal_id)
        if pair in self.staged_signals:
            return True
        if (process.key, signal_id) in self._unsigned or pair[0] in self.staged_processes.new:
            return False
        return bool(self.session.rows("signals_named", pairs=pairs([pair])))

    def has_text(self, key: int, text: str) -> bool:
        return bool(self.session.rows("event_with_text", key=key, text=text))

    def unsigned(self, asked: Iterable[Pair]) -> None:
        """Take note of ids that no signal of a locked process has had."""
        self._unsigned.update(asked)

    # -- queues and deadlines ------------------------------------------------------------------------------------------------------

    def ready_decisions(
        self, category: str, names: Names, limit: int, *, suspect: bool = False
    ) -> list[DecisionRow]:
        source, staged = (category, names), self.staged_decisions
        if suspect:
            found = self._suspects("decision", source, limit)
            rows = [staged.loaded(own[0], decision_from(own)) for own in found]
            return self._ready(rows, staged, source, limit, suspect)
        if source not in self.claimable_decisions:
            wanted = limit + len(staged.changed) + len(staged.dropped)
            found = self.session.bulk([claim_call("decisions", source, wanted, self.now)])[0]
            self.claim_decisions(source, found)
        read = [staged.rows.get(key) for key in self.claimable_decisions[source]]
        return self._ready(read, staged, source, limit, suspect)

    def ready_activities(
        self, category: str, names: Names, limit: int, *, suspect: bool = False
    ) -> list[ActivityRow]:
        source, staged = (category, names), self.staged_activities
        if suspect:
            rows = [self._activity(own) for own in self._suspects("activity", source, limit)]
            return self._ready(rows, staged, source, limit, suspect)
        if source not in self.claimable_activities:
            wanted = limit + len(staged.changed) + len(staged.dropped)
            found = self.session.bulk([claim_call("activities", source, wanted, self.now)])[0]
            self.claim_activities(source, found)
        read = [staged.rows.get(number) for number in self.claimable_activities[source]]
        return self._ready(read, staged, source, limit, suspect)

    def _suspects(self, kind: str, source: Source, limit: int) -> list[Values]:
        """Return suspects of a queue, with their processes locked; there are seldom any."""
        category, names = source
        if self.suspect_queues is not None and (kind, category) not in self.suspect_queues:
            return []
        values = {
            "category": category,
            "names": None if names is None else list(names),
            "now": self.now,
            "limit": limit,
        }
        found = self.session.rows(f"claim_suspect_{kind}", **values)
        return [self._with_process(own) for own in found]

    def expect_no_claim(self, plan: Plan) -> None:
        """Have works claim only what this transaction makes ready, from sources in which others of it do not look."""
        for source in plan.decisions:
            self.claimable_decisions.setdefault(source, [])
        for source in plan.tasks:
            self.claimable_activities.setdefault(source, [])

    def claim_decisions(self, source: Source, found: Iterable[Values]) -> None:
        """Keep decisions that wait in a queue, with their processes."""
        keys = self.claimable_decisions.setdefault(source, [])
        for values in found:
            own = self._with_process(values)
            self.staged_decisions.loaded(own[0], decision_from(own))
            keys.append(own[0])

    def claim_activities(self, source: Source, found: Iterable[Values]) -> None:
        """Keep activities that wait in a queue, with their processes."""
        numbers = self.claimable_activities.setdefault(source, [])
        for values in found:
            own = self._with_process(values)
            self._activity(own)
            numbers.append(own[0])

    def left(self) -> set[Ready]:
        """Return the tasks that this transaction leaves ready."""
        decisions, activities = self.staged_decisions.put(), self.staged_activities.put()
        kinds = (("decision", decisions), ("activity", activities))
        return {
            (kind, row.category, row.name)
            for kind, rows in kinds
            for row in rows
            if row.state == SCHEDULED and row.ready <= self.now
        }

    def _with_process(self, values: Values) -> Values:
        """Keep the process at the end of a row; return what is before it."""
        if self.locks is Locks.NONE:
            return values
        self.loaded(values[-len(PROCESS) :])
        return values[: -len(PROCESS)]

    def next_due(self) -> int:
        return super().next_due() if self.deadline is None else self.deadline

    def due(self, limit: int) -> list[ProcessRow | DecisionRow | ActivityRow | TimerRow]:
        # The sweep comes before any work, so nothing has been changed yet; but it will change what waits in the queues.
        self.claimable_decisions.clear()
        self.claimable_activities.clear()
        values = {"now": self.now, "limit": limit}
        names = ("process_due", "decisions_due", "activities_due", "timers_due")
        processes, decisions, activities, timers = self.session.bulk([(n, values) for n in names])
        rows: list[ProcessRow | DecisionRow | ActivityRow | TimerRow | None] = [
            *(self.loaded(v) for v in processes),
            *self._due(decisions, self.staged_decisions, decision_from, lambda row: row.key),
            *(self._activity(self._with_process(v)) for v in activities),
            *self._due(timers, self.staged_timers, timer_from, lambda row: (row.key, row.id)),
        ]
        found = sorted((r for r in rows if r is not None and r.deadline < NEVER), key=due_order)
        self.swept = len(found[:limit])
        if not found and (gone := self.session.rows("drop_orphans", now=self.now)[0][0]):
            self.has_written, self.swept = True, gone
        return found[:limit]

    def _due(
        self,
        found: Iterable[Values],
        staged: Staged[Any, R],
        make: Callable[[Values], R],
        key: Callable[[R], Any],
    ) -> Iterable[R | None]:
        for values in found:
            row = make(self._with_process(values))
            yield staged.loaded(key(row), row)

    # -- numbers -------------------------------------------------------------------------------------------------------------------

    def next_key(self) -> int:
        return self.numbers.key(self.session)

    def next_number(self) -> int:
        return self.numbers.activity(self.session)
