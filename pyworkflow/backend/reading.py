"""From rows to what people and deciders read."""

from collections import OrderedDict
from threading import Lock

from pyworkflow.backend.base import FeedEntry, Pending, RegisteredActivity, RegisteredWorkflow
from pyworkflow.backend.unit import FeedBatch, StoredUnit
from pyworkflow.clock import SECOND, to_datetime
from pyworkflow.codec import decode
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
from pyworkflow.process import Process, Status
from pyworkflow.result import AnyProcessResult, ProcessResult

MAX_CACHED = 200_000
"""Events that one backend object keeps decoded."""

Pollers = dict[tuple[str, str], tuple[str, ...]]


class HistoryCache:
    """Histories as far as they were read: since they only grow, what was read stays true, and only new events are read again."""

    def __init__(self, limit: int = MAX_CACHED) -> None:
        self._lock = Lock()
        self._histories: OrderedDict[int, History] = OrderedDict()
        self._limit = limit
        self._events = 0

    def upto(self, unit: StoredUnit, key: int, length: int) -> History:
        """Return the first events of a history, reading those that are missing."""
        with self._lock:
            history = self._histories.pop(key, None)
            if history is None:
                history = History()
            else:
                self._events -= len(history)
            if len(history) < length:
                history = history.extended(_after(unit, key, len(history)))
            self._histories[key] = history
            self._events += len(history)
            while self._events > self._limit and len(self._histories) > 1:
                _, oldest = self._histories.popitem(last=False)
                self._events -= len(oldest)
        return history if len(history) == length else history.prefix(length)

    def forget(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._histories.clear()
            self._events = 0


def _after(unit: StoredUnit, key: int, have: int) -> list[Event]:
    events: list[Event] = []
    for first_seq, body in unit.batches(key, have):
        decoded: list[Event] = decode(body, list[AnyEvent])
        events.extend(decoded[max(0, have + 1 - first_seq) :])
    return events


def to_process(
    unit: StoredUnit, row: ProcessRow, history: History | None, *, still_open: bool = False
) -> Process:
    """Return a process as it is, or as it was while it was open."""
    if history is None:
        history = History([ProcessStartedEvent(datetime=to_datetime(row.started))])
    closed = row.status != Status.OPEN and not still_open
    decision = None if closed or still_open else unit.decision(row.key)
    result: ProcessResult | None = None
    if closed and row.result is not None:
        result = decode(row.result, AnyProcessResult)
    return Process(
        workflow=row.workflow,
        id=row.id,
        input=plain(unit.input(row.key)),
        tags=row.tags,
        history=history,
        parent=row.parent_id,
        run=row.run,
        status=Status(row.status) if closed else Status.OPEN,
        result=result,
        started=to_datetime(row.started),
        closed=to_datetime(row.closed) if closed and row.closed is not None else None,
        parked=decision.reason if decision is not None and decision.state == PARKED else None,
        category=row.category,
        timeout=row.timeout / 1_000_000,
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


def feed_entries(batches: list[FeedBatch], limit: int) -> list[FeedEntry]:
    """Return the events of batches, no more than fit the limit but always a whole batch."""
    entries: list[FeedEntry] = []
    for batch in batches:
        events: list[AnyEvent] = decode(batch.body, list[AnyEvent])
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
