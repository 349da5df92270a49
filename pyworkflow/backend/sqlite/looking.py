"""What people ask of a database, past the needs of the rules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apsw

from pyworkflow.backend.base import MOST_COUNTED, Queue
from pyworkflow.backend.reading import Depth, queues_of
from pyworkflow.backend.sqlite.facts import file_facts
from pyworkflow.backend.sqlite.kept import Kept
from pyworkflow.backend.sqlite.queries import queries
from pyworkflow.backend.sqlite.rows import Values
from pyworkflow.backend.staged import StagedUnit, damaged_registrations, registration
from pyworkflow.backend.unit import DefinitionRow, FeedBatch, PollerRow
from pyworkflow.clock import SECOND
from pyworkflow.codec import decode, encode
from pyworkflow.ledger.invariants import ProcessRecord, Violation, check_all
from pyworkflow.ledger.rows import ActivityTypeRow, ProcessRow, WorkflowRow
from pyworkflow.ledger.setback import SetBack
from pyworkflow.ledger.unit import Names

DAY = 86_400 * SECOND

ALL = -1
"""SQLite's word for a limit that is none."""


class Looking(StagedUnit):
    """The part of `SQLiteUnit` that reads lists, and writes what no rule cares for."""

    def __init__(self, connection: apsw.Connection, now: int, kept: Kept | None = None) -> None:
        super().__init__(now)
        self.kept = kept or Kept()
        self.connection = connection
        self.statements = queries()
        self._histories: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        self._read_inputs: dict[int, bytes] = {}

    def rows(self, name: str, values: Values | Mapping[str, Any] = ()) -> list[Values]:
        """Return what a query finds."""
        return list(self.connection.execute(self.statements[name], values))

    def each(self, name: str, values: Sequence[Values | Mapping[str, Any]]) -> list[Values]:
        """Return what a query finds for each set of values."""
        return list(self.connection.executemany(self.statements[name], values)) if values else []

    # -- types and pollers ---------------------------------------------------------------------------------------------------------

    def workflow(self, name: str) -> WorkflowRow | None:
        if name not in self.kept.workflows:
            found = self.rows("get_workflow", (name,))
            self.kept.workflows[name] = (
                registration(found[0][0], WorkflowRow, name) if found else None
            )
        return self.kept.workflows[name]

    def activity_type(self, name: str) -> ActivityTypeRow | None:
        if name not in self.kept.types:
            found = self.rows("get_activity_type", (name,))
            self.kept.types[name] = (
                registration(found[0][0], ActivityTypeRow, name) if found else None
            )
        return self.kept.types[name]

    def set_workflow(self, row: WorkflowRow) -> None:
        self.kept.workflows[row.name] = row
        self.rows("set_workflow", (row.name, encode(row)))

    def set_activity_type(self, row: ActivityTypeRow) -> None:
        self.kept.types[row.name] = row
        self.rows("set_activity_type", (row.name, encode(row)))

    def workflows(self) -> list[WorkflowRow]:
        rows = (registration(body, WorkflowRow, name) for name, body in self.rows("workflows"))
        return [row for row in rows if row is not None]

    def activity_types(self) -> list[ActivityTypeRow]:
        found = self.rows("activity_types")
        rows = (registration(body, ActivityTypeRow, name) for name, body in found)
        return [row for row in rows if row is not None]

    def define(self, kind: str, name: str, body: bytes) -> int:
        return int(self.rows("define", (kind, name, body, self.now))[0][0])

    def definitions(self, since: int) -> list[DefinitionRow]:
        return [DefinitionRow(*values) for values in self.rows("definitions", (since,))]

    def saw(self, kind: str, category: str, identity: str, names: Names) -> None:
        listed = None if names is None else encode(names).decode()
        self.rows("saw", (kind, category, identity, self.now, listed))

    def pollers(self, since: int) -> list[PollerRow]:
        return [
            PollerRow(identity, kind, category, seen, names and tuple(decode(names, list[str])))
            for identity, kind, category, seen, names in self.rows("pollers", (since,))
        ]

    # -- lists ---------------------------------------------------------------------------------------------------------------------

    def next_due(self) -> int:
        return int(self.rows("next_due")[0][0])

    def expect_histories(self, wanted: Sequence[tuple[int, int]]) -> None:
        since = [{"key": key, "next": have + 1} for key, have in wanted]
        found: dict[int, list[tuple[int, bytes]]] = {key: [] for key, _ in wanted}
        for key, first_seq, body in self.each("events_since", since):
            found[key].append((first_seq, body))
        self._histories.update((pair, found[pair[0]]) for pair in wanted)
        self._read_inputs.update(
            self.each("get_input", [(key,) for key, have in wanted if not have])
        )

    def input(self, key: int) -> bytes | None:
        for known in (self._inputs, self._read_inputs):
            if key in known:
                return known[key]
        found = self.rows("get_input", (key,))
        return bytes(found[0][1]) if found else None

    def batches(self, key: int, since: int) -> list[tuple[int, bytes]]:
        if (read := self._histories.get((key, since))) is not None:
            return read
        found = self.rows("events_since", {"key": key, "next": since + 1})
        return [(first_seq, body) for _, first_seq, body in found]

    def select(
        self,
        workflow: str | None,
        tag: str | None,
        status: str | None,
        parked: bool | None,
        limit: int | None,
        after: int,
        newest: bool,
    ) -> list[ProcessRow]:
        driver = _driver(workflow, tag, status, parked)
        values = {
            "workflow": workflow,
            "tag": tag,
            "status": status,
            "parked": parked,
            "limit": ALL if limit is None else limit,
            "after": after,
        }
        keys = self.rows(f"keys_{driver}_{'down' if newest else 'up'}", values)
        rows = (self.process(key) for (key,) in keys)
        return [row for row in rows if row is not None]

    def feed(self, after: int, limit: int) -> list[FeedBatch]:
        return [FeedBatch(*values) for values in self.rows("feed", (after, limit))]

    def feed_end(self) -> FeedBatch | None:
        rows = self.rows("feed_end")
        return FeedBatch(*rows[0]) if rows else None

    def feed_purged(self) -> int:
        rows = self.rows("get_meta", ("feed_purged",))
        return int(rows[0][0]) if rows else 0

    def queues(self, since: int) -> list[Queue]:
        depths = self.rows("queue_depths", {"now": self.now, "most": MOST_COUNTED})
        return queues_of((Depth(*depth) for depth in depths), self.pollers(since))

    def facts(self) -> dict[str, str]:
        return file_facts(self.connection)

    def set_back(self, ahead: int) -> None:
        """Move open work to a clock that is set back by so many microseconds; the unit has the right time."""
        clock = SetBack(self.now, ahead)
        for (key,) in self.rows("keys_open_up", {"after": 0, "parked": None, "limit": ALL}):
            if (decision := self.decision(key)) is not None:
                clock.move_decision(decision)
                self.changed(decision)
            for activity in self.activities(key):
                clock.move_activity(activity)
                self.changed(activity)
            for timer in self.timers(key):
                clock.move_timer(timer)
                self.changed(timer)

    def _set_back(self) -> int:
        rows = self.rows("get_meta", ("set_back",))
        return int(rows[0][0]) if rows else 0

    # -- keeping house -------------------------------------------------------------------------------------------------------------

    def check(self, progress: Callable[[int, int], None] | None) -> list[Violation]:
        # SQLite may tell of many faults in one text, below a heading.
        damage = [
            line
            for (text,) in self.connection.execute("pragma integrity_check")
            for line in text.splitlines()
            if line not in ("ok", "*** in database main ***")
        ]
        violations = [Violation("I23", None, line) for line in damage]
        for table, key in self.rows("orphans"):
            violations.append(
                Violation("I21", None, f"{table} of process number {key}, which is gone")
            )
        violations += damaged_registrations(
            (kind, name, body)
            for kind, query in (("workflow", "workflows"), ("activity", "activity_types"))
            for name, body in self.rows(query)
        )
        for counter, last, most in self.rows("counters"):
            if most > (last or 0):
                violations.append(Violation("I25", None, f"{counter} is {last}; {most} is used"))
        total = int(self.rows("count_processes")[0][0])
        registered = {row.name for row in self.workflows()}
        latest = max(self.now, self._set_back())
        return violations + check_all(
            self._records(), total, progress, registered=registered, now=latest
        )

    def _records(self) -> Iterator[ProcessRecord]:
        set_back = self._set_back()
        # Row by row: a store may hold millions of processes.
        for (key,) in self.connection.execute(self.statements["keys"]):
            row = self.process(key)
            if row is not None:
                yield ProcessRecord(
                    row=row,
                    input=self.input(key),
                    batches=self.batches(key, 0),
                    decision=self.decision(key),
                    activities=self.activities(key),
                    timers=self.timers(key),
                    children=self.children(key),
                    signals=[found[0] for found in self.rows("signals_of", (key,))],
                    set_back=set_back,
                )

    def purge(self, before: int, limit: int) -> int:
        keys = [found[0] for found in self.rows("keys_closed_before", (before, limit))]
        self.kept = Kept()
        self.rows("forget_pollers", (self.now - DAY,))
        purged = 0
        for key in keys:
            row = self.process(key)
            for tag in () if row is None else row.tags:
                self.rows("purge_tags", (tag, key))
            purged = max(purged, *(place for (place,) in self.rows("purge_events", (key,))), 0)
            for name in ("purge_input", "purge_signals", "purge_process"):
                self.rows(name, (key,))
        if purged > self.feed_purged():
            self.rows("set_meta", ("feed_purged", purged))
        return len(keys)


def _driver(workflow: str | None, tag: str | None, status: str | None, parked: bool | None) -> str:
    """Return which index finds the processes: the one that leaves the least to be passed over."""
    if parked and status in (None, "open"):
        return "parked"
    if tag is not None:
        return "tag"
    if workflow is not None:
        return "workflow" if status is None else "workflow_status"
    if status is not None:
        return "open" if status == "open" else "ended"
    return "any"
