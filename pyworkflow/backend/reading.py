"""From rows to what people and deciders read."""

import logging
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from datetime import datetime as DateTime
from functools import lru_cache
from typing import Any

from msgspec import Struct, structs

from pyworkflow.backend.base import (
    MOST_COUNTED,
    Definition,
    FeedEntry,
    Pending,
    Queue,
    RegisteredActivity,
    RegisteredWorkflow,
)
from pyworkflow.backend.cursors import batches_after, cursor_of
from pyworkflow.backend.unit import DefinitionRow, FeedBatch, PollerRow, StoredUnit
from pyworkflow.clock import SECOND, to_datetime
from pyworkflow.codec import Json, decode, payload, reader
from pyworkflow.errors import PayloadError, UnreadableProcessError
from pyworkflow.event import AnyEvent, ProcessStartedEvent
from pyworkflow.history import History
from pyworkflow.ledger.claims import attempt
from pyworkflow.ledger.parking import values_of
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
from pyworkflow.result import AnyProcessResult

log = logging.getLogger("pyworkflow.backend")

read_events: Callable[[bytes | str], list[Any]] = reader(list[AnyEvent])
"""Decodes a batch of events."""


class Depth(Struct, frozen=True, gc=False):
    """How many tasks of one name a queue has; as `Queue`, the instant in microseconds. The name of what runs may be left out."""

    kind: str
    category: str
    name: str | None
    waiting: int
    delayed: int
    running: int
    oldest: int | None


def open_process(row: ProcessRow, history: History, given: bytes) -> Process:
    """Return a process as it was while it was open, for a decider."""
    return Process(
        workflow=row.workflow,
        id=row.id,
        input=payload(given),
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


@contextmanager
def readable(row: ProcessRow) -> Generator[None]:
    """Turn what a damaged process raises into one error that names it."""
    try:
        yield
    except (PayloadError, ValueError, TypeError) as error:
        raise UnreadableProcessError(row.id, str(error)) from error


def listed(unit: StoredUnit, row: ProcessRow) -> Process:
    """Return a process for a list, without its history; of a damaged one what can be read, parked with the reason."""
    try:
        with readable(row):
            given = unit.input(row.key)
            if given is None:
                raise PayloadError("input", "is gone")
            return to_process(unit, row, None, given)
    except UnreadableProcessError as error:
        return structs.replace(open_process(row, History(), b"null"), parked=str(error))


def queues_of(depths: Iterable[Depth], pollers: Sequence[PollerRow]) -> list[Queue]:
    """Return the queues that have tasks or pollers, in order.

    Args:
        depths: What is in them, by name.
        pollers: Who polls.
    """
    tasks: dict[tuple[str, str], list[Depth]] = {(row.kind, row.category): [] for row in pollers}
    for depth in depths:
        tasks.setdefault((depth.kind, depth.category), []).append(depth)
    return [
        _queue(kind, category, tasks[kind, category], pollers) for kind, category in sorted(tasks)
    ]


def _queue(
    kind: str, category: str, depths: Sequence[Depth], pollers: Sequence[PollerRow]
) -> Queue:
    oldest = min((depth.oldest for depth in depths if depth.oldest is not None), default=None)
    names = {depth.name for depth in depths if depth.waiting and depth.name is not None}
    return Queue(
        kind,
        category,
        min(sum(depth.waiting for depth in depths), MOST_COUNTED),
        min(sum(depth.delayed for depth in depths), MOST_COUNTED),
        min(sum(depth.running for depth in depths), MOST_COUNTED),
        None if oldest is None else to_datetime(oldest),
        tuple(row.identity for row in pollers if (row.kind, row.category) == (kind, category)),
        tuple(sorted(name for name in names if not able(pollers, kind, category, name))),
    )


def able(pollers: Iterable[PollerRow], kind: str, category: str, name: str) -> tuple[str, ...]:
    """Return those who poll a queue for a name."""
    return tuple(
        row.identity
        for row in pollers
        if row.kind == kind
        and row.category == category
        and (row.names is None or name in row.names)
    )


def registered_workflow(row: WorkflowRow) -> RegisteredWorkflow:
    """Return a workflow type as people read it."""
    return RegisteredWorkflow(
        row.name,
        row.category,
        row.timeout / SECOND,
        row.decision_timeout / SECOND,
        row.handles_cancel,
        row.graph,
    )


def registered_activity(row: ActivityTypeRow) -> RegisteredActivity:
    """Return an activity type as people read it."""
    return RegisteredActivity(
        row.name,
        row.category,
        None if row.scheduled_timeout >= NEVER else row.scheduled_timeout / SECOND,
        row.execution_timeout / SECOND,
        row.heartbeat_timeout / SECOND,
        row.retry,
        row.at_most_once,
    )


def definition(row: DefinitionRow) -> Definition:
    """Return an entry of the log of definitions as people read it."""
    return Definition(row.revision, row.kind, row.name, payload(row.body), to_datetime(row.defined))


def feed_after(unit: StoredUnit, cursor: str, limit: int) -> list[FeedEntry]:
    """Return the next entries after a cursor that can be read.

    Raises:
        StaleCursorError: The store does not hold the events that the cursor stands for.
    """
    batches = batches_after(unit, cursor, limit)
    while batches:
        if entries := feed_entries(batches, limit):
            return entries
        batches = unit.feed(batches[-1].place, limit)
    return []


@lru_cache(1024)
def _report(process_id: str, first_seq: int, error: str) -> None:
    """Log once, however many look, that events are left out."""
    log.error(
        "events of process %r from %d are left out of the feed, they cannot be read: %s",
        process_id,
        first_seq,
        error,
    )


def feed_entries(batches: list[FeedBatch], limit: int) -> list[FeedEntry]:
    """Return the events of batches, no more than fit the limit but always a whole batch."""
    entries: list[FeedEntry] = []
    for batch in batches:
        try:
            events: list[AnyEvent] = read_events(batch.body)
        except PayloadError as error:
            _report(batch.process_id, batch.first_seq, str(error))
            continue
        if entries and len(entries) + len(events) > limit:
            break
        cursor = cursor_of(batch)
        entries.extend(
            FeedEntry(
                cursor,
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


def describe_pending(
    unit: StoredUnit, row: ProcessRow, pollers: Sequence[PollerRow]
) -> list[Pending]:
    """Return what an open process waits for."""
    if row.status != Status.OPEN:
        return []
    pending: list[Pending] = []
    if (decision := unit.decision(row.key)) is not None:
        pending.append(_pending_decision(unit, row, decision, pollers))
    pending.extend(_pending_activity(unit, a, pollers) for a in unit.activities(row.key))
    pending.extend(
        Pending("timer", t.id, since=to_datetime(t.since), until=_until(t.deadline))
        for t in unit.timers(row.key)
    )
    pending.extend(
        Pending("child_process", c.id, name=c.workflow, since=to_datetime(c.since))
        for c in unit.children(row.key)
    )
    return pending


def _until(instant: int) -> DateTime | None:
    return None if instant >= NEVER else to_datetime(instant)


def _state(unit: StoredUnit, row: DecisionRow | ActivityRow) -> str:
    return "delayed" if row.state == SCHEDULED and row.ready > unit.now else row.state


def _pending_decision(
    unit: StoredUnit, row: ProcessRow, decision: DecisionRow, pollers: Sequence[PollerRow]
) -> Pending:
    state = _state(unit, decision)
    until = decision.ready if state == "delayed" else decision.deadline
    workers = able(pollers, "decision", decision.category, decision.name)
    return Pending(
        "decision",
        state=state,
        name=decision.name,
        category=decision.category,
        since=to_datetime(decision.ready if state == SCHEDULED else row.time),
        until=_until(until),
        attempt=attempt(row, decision),
        identity=decision.identity,
        details=decision.reason,
        pollers=workers,
        unclaimed=_unclaimed(state, workers, "workflow", decision),
    )


def _details(row: ActivityRow) -> Json:
    """Return the last heartbeat, or why nobody is handed the activity any more."""
    try:
        details = values_of(row)[1]
    except PayloadError as error:
        return str(error)
    return details


def _pending_activity(unit: StoredUnit, row: ActivityRow, pollers: Sequence[PollerRow]) -> Pending:
    state = _state(unit, row)
    until = row.ready if state == "delayed" else row.deadline
    workers = able(pollers, "activity", row.category, row.name)
    return Pending(
        "activity",
        row.id,
        state,
        row.name,
        row.category,
        to_datetime(row.since),
        _until(until),
        row.attempt,
        row.identity,
        _details(row),
        row.cancel_requested,
        workers,
        _unclaimed(state, workers, "activity", row),
    )


def _unclaimed(
    state: str, workers: Sequence[str], what: str, row: DecisionRow | ActivityRow
) -> str | None:
    if workers or state != SCHEDULED:
        return None
    return f"no live worker has {what} {row.name!r} in category {row.category!r}"
