"""What people ask of a database, past the needs of the rules."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from pyworkflow.backend.base import MOST_COUNTED, Queue
from pyworkflow.backend.postgresql.registered import Types
from pyworkflow.backend.postgresql.rows import (
    EventStart,
    SeenValues,
    Values,
    activity_from,
    as_json,
    child_from,
    decision_from,
    process_from,
    storable,
    timer_from,
)
from pyworkflow.backend.postgresql.session import Call, Session
from pyworkflow.backend.reading import Depth, queues_of
from pyworkflow.backend.staged import StagedUnit, damaged_registrations
from pyworkflow.backend.unit import DefinitionRow, FeedBatch, PollerRow
from pyworkflow.codec import decode, encode
from pyworkflow.ledger.invariants import ProcessRecord, Violation, check_all
from pyworkflow.ledger.rows import ActivityTypeRow, ProcessRow, WorkflowRow
from pyworkflow.ledger.unit import Names

R = TypeVar("R")

MOST = 2**63 - 1
"""The largest number that a column holds."""

CHECKED_AT_ONCE = 500
"""Processes that a check has in memory."""


class Looking(StagedUnit):
    """The part of `PostgreSQLUnit` that reads lists, and keeps what no rule cares for.

    Args:
        session: The connection, in a transaction.
        now: The time of the transaction.
        types: The workflows and activities that are known.
    """

    def __init__(self, session: Session, now: int, types: Types) -> None:
        super().__init__(now)
        self.session = session
        self.types = types
        self.has_written = False
        self._preloaded: dict[tuple[int, int], list[tuple[int, bytes]]] = {}
        self._preloaded_inputs: dict[int, bytes] = {}
        self._new_workflows: dict[str, WorkflowRow] = {}
        self._new_activities: dict[str, ActivityTypeRow] = {}
        self._seen: dict[tuple[str, str, str], SeenValues] = {}

    # -- types and pollers ---------------------------------------------------------------------------------------------------------

    def workflow(self, name: str) -> WorkflowRow | None:
        return self._new_workflows.get(name) or self.types.workflows(self.session).get(name)

    def activity_type(self, name: str) -> ActivityTypeRow | None:
        return self._new_activities.get(name) or self.types.activities(self.session).get(name)

    def workflows(self) -> list[WorkflowRow]:
        return [row for _, row in sorted(self.types.workflows(self.session).items())]

    def activity_types(self) -> list[ActivityTypeRow]:
        return [row for _, row in sorted(self.types.activities(self.session).items())]

    def set_workflow(self, row: WorkflowRow) -> None:
        self._new_workflows[row.name] = row

    def set_activity_type(self, row: ActivityTypeRow) -> None:
        self._new_activities[row.name] = row

    def define(self, kind: str, name: str, body: bytes) -> int:
        self.has_written = True
        # Numbered in the order of the commits, so that nobody who reads on from a revision misses one.
        self.session.rows("lock_definitions")
        given = {"kind": kind, "name": name, "body": body.decode(), "now": self.now}
        return int(self.session.rows("define", **given)[0][0])

    def definitions(self, since: int) -> list[DefinitionRow]:
        return [
            DefinitionRow(revision, kind, name, body.encode(), defined)
            for revision, kind, name, body, defined in self.session.rows("definitions", since=since)
        ]

    def saw(self, kind: str, category: str, identity: str, names: Names) -> None:
        listed = None if names is None else encode(names).decode()
        self._seen[kind, category, identity] = SeenValues(kind, category, identity, listed)

    def kept(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Return the statements that write these down, in one order for all."""
        if self._new_workflows or self._new_activities:
            yield "types_changed", {}
        for name, workflow in sorted(self._new_workflows.items()):
            yield "set_workflow", {"name": name, "body": encode(workflow).decode()}
        for name, activity in sorted(self._new_activities.items()):
            yield "set_activity_type", {"name": name, "body": encode(activity).decode()}
        if self._seen:
            yield "saw", {"rows": as_json(self._seen.values()), "now": self.now}

    def pollers(self, since: int) -> list[PollerRow]:
        return [
            PollerRow(identity, kind, category, seen, names and tuple(decode(names, list[str])))
            for identity, kind, category, seen, names in self.session.rows("pollers", since=since)
        ]

    # -- lists ---------------------------------------------------------------------------------------------------------------------

    def next_due(self) -> int:
        return int(self.session.rows("next_due")[0][0])

    def expect_histories(self, wanted: Sequence[tuple[int, int]]) -> None:
        self.preload(dict(wanted))

    def preload(self, wanted: Mapping[int, int]) -> None:
        """Read the inputs of processes, and their events after as many as are given, all at once."""
        starts = as_json(EventStart(key, since + 1) for key, since in wanted.items())
        calls: list[Call] = [
            ("inputs_of", {"keys": list(wanted)}),
            ("events_wanted", {"wanted": starts}),
        ]
        inputs, events = self.session.bulk(calls)
        self._preloaded_inputs.update((key, body.encode()) for key, body in inputs)
        batches = _by_key(events, lambda values: (values[1], values[2].encode()))
        for key, since in wanted.items():
            self._preloaded[key, since] = batches.get(key, [])

    def input(self, key: int) -> bytes | None:
        for read in (self._inputs, self._preloaded_inputs):
            if key in read:
                return read[key]
        found = self.session.rows("get_input", key=key)
        if not found:
            return None
        # Not among those of this transaction, which will be written.
        return self._preloaded_inputs.setdefault(key, found[0][0].encode())

    def batches(self, key: int, since: int) -> list[tuple[int, bytes]]:
        if (key, since) in self._preloaded:
            return self._preloaded[key, since]
        found = self.session.rows("events_since", key=key, next=since + 1)
        return [(first_seq, body.encode()) for first_seq, body in found]

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
        if not all(storable(text) for text in (workflow, tag, status) if text is not None):
            return []
        # Each of them has an index that begins with what it is asked by.
        if tag is not None:
            name = "processes_tagged"
        elif parked:
            name = "processes_parked"
        elif workflow is not None:
            name = "processes_of_workflow"
        else:
            name = "processes_open" if status == "open" else "processes_any"
        found = self.session.rows(
            f"{name}_{'down' if newest else 'up'}",
            workflow=workflow,
            tag=tag,
            status=status,
            parked=parked,
            limit=limit,
            after=min(after, MOST),
        )
        return [process_from(values) for values in found]

    def feed(self, after: int, limit: int) -> list[FeedBatch]:
        return _batches(self.session.rows("feed", cursor=min(after, MOST), limit=limit))

    def feed_end(self) -> FeedBatch | None:
        batches = _batches(self.session.rows("feed_end"))
        return batches[0] if batches else None

    def feed_purged(self) -> int:
        return int(self.session.rows("feed_purged")[0][0])

    def queues(self, since: int) -> list[Queue]:
        depths = self.session.rows("queue_depths", now=self.now, most=MOST_COUNTED)
        return queues_of((Depth(*depth) for depth in depths), self.pollers(since))

    def facts(self) -> dict[str, str]:
        version = self.session.rows("schema_version")[0][0]
        return {"schema": f"version {version}", "server": self.session.rows("server_version")[0][0]}

    # -- keeping house -------------------------------------------------------------------------------------------------------------

    def check(self, progress: Callable[[int, int], None] | None) -> list[Violation]:
        violations = [
            Violation("I21", None, f"{table} of process number {key}, which is gone")
            for table, key in self.session.rows("orphans")
        ]
        violations += [
            Violation("I20", None, f"{table} of process number {key} is in another domain")
            for table, key in self.session.rows("strangers")
        ]
        violations += damaged_registrations(
            (kind, name, body) for kind, name, body in self.session.rows("get_types")
        )
        violations += [
            Violation("I25", None, f"sequence {sequence} is at {last}; {most} is used")
            for sequence, last, most in self.session.rows("counters")
            if last is not None and most is not None and most > last
        ]
        total = int(self.session.rows("count_processes")[0][0])
        registered = {row.name for row in self.workflows()}
        return violations + check_all(
            self._records(), total, progress, registered=registered, now=self.now
        )

    def _records(self) -> Iterator[ProcessRecord]:
        # Some at a time: a store may hold millions of processes, and each question is a way to the server and back.
        last = 0
        while found := self.session.rows("keys_after", after=last, limit=CHECKED_AT_ONCE):
            keys = [values[0] for values in found]
            last = keys[-1]
            yield from self._records_of(keys)

    def _records_of(self, keys: list[int]) -> Iterator[ProcessRecord]:
        names = (
            "check_processes", "inputs_of", "check_events", "decisions_of", "activities_of",
            "timers_of", "children_of", "signals_of",
        )  # fmt: skip
        found = self.session.bulk([(name, {"keys": keys}) for name in names])
        processes, inputs, events, decisions, activities, timers, children, signals = found
        bodies: dict[int, str] = dict(inputs)
        batches = _by_key(events, lambda values: (values[1], values[2].encode()))
        open_decisions = {row.key: row for row in map(decision_from, decisions)}
        open_activities = _by_key(activities, activity_from, place=1)
        open_timers = _by_key(timers, timer_from)
        open_children = _by_key(children, child_from)
        receipts = _by_key(signals, lambda values: str(values[1]))
        for row in map(process_from, processes):
            yield ProcessRecord(
                row=row,
                input=None if row.key not in bodies else bodies[row.key].encode(),
                batches=batches.get(row.key, []),
                decision=open_decisions.get(row.key),
                activities=open_activities.get(row.key, []),
                timers=open_timers.get(row.key, []),
                children=open_children.get(row.key, []),
                signals=receipts.get(row.key, []),
            )

    def purge(self, before: int, limit: int) -> int:
        found = self.session.rows("lock_closed_before", before=before, limit=limit)
        keys = [values[0] for values in found]
        self.has_written = True
        names = ("purge_tags", "purge_events", "purge_inputs", "purge_signals", "purge_processes")
        self.session.bulk(
            [
                *((name, {"keys": keys}) for name in names if keys),
                ("purge_receipts", {}),
                ("purge_pollers", {"now": self.now}),
            ]
        )
        return len(keys)


def _batches(rows: list[Values]) -> list[FeedBatch]:
    return [
        FeedBatch(place, process_id, run, workflow, parent, first_seq, body.encode())
        for place, process_id, run, workflow, parent, first_seq, body in rows
    ]


def _by_key(found: list[Values], make: Callable[[Values], R], place: int = 0) -> dict[int, list[R]]:
    by_key: dict[int, list[R]] = {}
    for values in found:
        by_key.setdefault(values[place], []).append(make(values))
    return by_key
