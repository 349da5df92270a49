"""From rows to what people and deciders read."""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from msgspec import structs

from pyworkflow.backend.base import (
    Definition,
    FeedEntry,
    Pending,
    RegisteredActivity,
    RegisteredWorkflow,
)
from pyworkflow.backend.unit import DefinitionRow, FeedBatch, StoredUnit
from pyworkflow.clock import SECOND, to_datetime
from pyworkflow.codec import decode, reader
from pyworkflow.event import AnyEvent, Event, ProcessStartedEvent
from pyworkflow.history import History
from pyworkflow.ledger.lifecycle import plain
from pyworkflow.ledger.rows import (
    NEVER,
    PARKED,
    SCHEDULED,
    ActivityRow,
    ActivityTypeRow,
    DecisionRow,
    ProcessRow,
    WorkflowRow,
)
from pyworkflow.ledger.unit import Batch
from pyworkflow.process import Process, Status
from pyworkflow.result import AnyProcessResult

MAX_CACHED = 200_000
"""Events that one backend object keeps decoded."""

read_events: Callable[[bytes | str], list[Any]] = reader(list[AnyEvent])
"""Decodes a batch of events."""

Pollers = dict[tuple[str, str], tuple[str, ...]]


class _Known:
    """What is known of one process: its events, those that are not decoded yet, and its input."""

    __slots__ = ("history", "input", "length", "undecoded")

    def __init__(self) -> None:
        self.history = History()
        self.undecoded: list[bytes] = []
        self.length = 0
        self.input: bytes | None = None

    def decoded(self) -> History:
        if self.undecoded:
            events: list[Event] = []
            for body in self.undecoded:
                events.extend(read_events(body))
            self.undecoded = []
            self.history = self.history.extended(events)
        return self.history


class HistoryCache:
    """Histories as far as they were read or written here: they only grow, so only what others wrote has to be read again."""

    def __init__(self, limit: int = MAX_CACHED) -> None:
        self._lock = Lock()
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._limit = limit
        self._events = 0

    def wrote(self, batches: Mapping[int, Batch]) -> None:
        """Take over committed events of processes that are known up to there."""
        with self._lock:
            for key, batch in batches.items():
                known = self._known.get(key)
                if known is not None and known.length == batch.first_seq - 1:
                    known.undecoded.append(batch.body)
                    known.length += len(batch.events)
                    self._events += len(batch.events)

    def known(self, key: int, length: int) -> tuple[History, bytes] | None:
        """Return the first events of a history and the input, None where something would have to be read."""
        with self._lock:
            known = self._known.get(key)
            if known is None or known.length < length or known.input is None:
                return None
            self._known.move_to_end(key)
            history = known.decoded()
            return history if len(history) == length else history.prefix(length), known.input

    def have(self, key: int) -> int:
        """Return how many events of a process are known."""
        known = self._known.get(key)
        return 0 if known is None else known.length

    def upto(self, unit: StoredUnit, key: int, length: int) -> tuple[History, bytes]:
        """Return the first events of a history and the input, reading what is missing."""
        with self._lock:
            known = self._known.setdefault(key, _Known())
            self._known.move_to_end(key)
            history = known.decoded()
            if known.length < length:
                new = _after(unit, key, known.length)
                known.history = history = history.extended(new)
                known.length += len(new)
                self._events += len(new)
            if known.input is None:
                known.input = unit.input(key)
            while self._events > self._limit and len(self._known) > 1:
                self._events -= self._known.popitem(last=False)[1].length
            return history if len(history) == length else history.prefix(length), known.input


def _after(unit: StoredUnit, key: int, have: int) -> list[Event]:
    events: list[Event] = []
    for first_seq, body in unit.batches(key, have):
        decoded: list[Event] = read_events(body)
        events.extend(decoded[max(0, have + 1 - first_seq) :])
    return events


def open_process(row: ProcessRow, history: History, given: bytes) -> Process:
    """Return a process as it was while it was open, for a decider."""
    return Process(
        workflow=row.workflow,
        id=row.id,
        input=plain(given),
        tags=row.tags,
        history=history,
        parent=row.parent_id,
        run=row.run,
        started=to_datetime(row.started),
        category=row.category,
        timeout=row.timeout / SECOND,
    )


def to_process(unit: StoredUnit, row: ProcessRow, history: History | None, given: bytes) -> Process:
    """Return a process as it is."""
    if history is None:
        history = History([ProcessStartedEvent(datetime=to_datetime(row.started))])
    process = open_process(row, history, given)
    if row.status == Status.OPEN:
        decision = unit.decision(row.key)
        if decision is None or decision.state != PARKED:
            return process
        return structs.replace(process, parked=decision.reason)
    return structs.replace(
        process,
        status=Status(row.status),
        result=None if row.result is None else decode(row.result, AnyProcessResult),
        closed=None if row.closed is None else to_datetime(row.closed),
    )


def registered_workflow(row: WorkflowRow) -> RegisteredWorkflow:
    """Return a workflow type as people read it."""
    return RegisteredWorkflow(
        row.name,
        row.category,
        row.timeout / SECOND,
        row.decision_timeout / SECOND,
        row.handles_cancel,
    )


def registered_activity(row: ActivityTypeRow) -> RegisteredActivity:
    """Return an activity type as people read it."""
    return RegisteredActivity(
        row.name,
        row.category,
        row.scheduled_timeout / SECOND,
        row.execution_timeout / SECOND,
        row.heartbeat_timeout / SECOND,
        row.retry,
        row.at_most_once,
    )


def definition(row: DefinitionRow) -> Definition:
    """Return an entry of the log of definitions as people read it."""
    return Definition(row.revision, row.kind, row.name, decode(row.body), to_datetime(row.defined))


def feed_entries(batches: list[FeedBatch], limit: int) -> list[FeedEntry]:
    """Return the events of batches, no more than fit the limit but always a whole batch."""
    entries: list[FeedEntry] = []
    for batch in batches:
        events: list[AnyEvent] = read_events(batch.body)
        if entries and len(entries) + len(events) > limit:
            break
        entries.extend(
            FeedEntry(
                batch.cursor,
                batch.process_id,
                batch.run,
                batch.workflow,
                batch.first_seq + place,
                event,
                batch.parent,
            )
            for place, event in enumerate(events)
        )
    return entries


def describe_pending(unit: StoredUnit, row: ProcessRow, pollers: Pollers) -> list[Pending]:
    """Return what an open process waits for."""
    if row.status != Status.OPEN:
        return []
    pending: list[Pending] = []
    if (decision := unit.decision(row.key)) is not None:
        pending.append(_pending_decision(unit, row, decision, pollers))
    pending.extend(_pending_activity(unit, a, pollers) for a in unit.activities(row.key))
    pending.extend(
        Pending("timer", t.id, since=to_datetime(t.since), until=to_datetime(t.deadline))
        for t in unit.timers(row.key)
    )
    pending.extend(
        Pending("child_process", c.id, name=c.workflow, since=to_datetime(c.since))
        for c in unit.children(row.key)
    )
    return pending


def _state(unit: StoredUnit, row: DecisionRow | ActivityRow) -> str:
    return "delayed" if row.state == SCHEDULED and row.ready > unit.now else row.state


def _pending_decision(
    unit: StoredUnit, row: ProcessRow, decision: DecisionRow, pollers: Pollers
) -> Pending:
    state = _state(unit, decision)
    until = decision.ready if state == "delayed" else decision.deadline
    return Pending(
        "decision",
        state=state,
        category=decision.category,
        since=to_datetime(decision.ready if state == SCHEDULED else row.time),
        until=None if until == NEVER else to_datetime(until),
        attempt=row.failures + 1,
        identity=decision.identity,
        details=decision.reason,
        pollers=pollers.get(("decision", decision.category), ()),
    )


def _pending_activity(unit: StoredUnit, row: ActivityRow, pollers: Pollers) -> Pending:
    state = _state(unit, row)
    return Pending(
        "activity",
        row.id,
        state,
        row.name,
        row.category,
        to_datetime(row.since),
        to_datetime(row.ready if state == "delayed" else row.deadline),
        row.attempt,
        row.identity,
        plain(row.details),
        row.cancel_requested,
        pollers.get(("activity", row.category), ()),
    )
