"""What the API answers, as types: answers are made of them, and the OpenAPI document describes them."""

from datetime import datetime as DateTime
from typing import Any

from msgspec import Struct

from pyworkflow.backend.base import FeedEntry, Pending
from pyworkflow.codec import Json, fields
from pyworkflow.event import Event
from pyworkflow.process import Process


class ProcessSummary(Struct):
    """A process in a list."""

    id: str
    run: int
    workflow: str
    status: str
    parked: str | None
    tags: tuple[str, ...]
    parent: str | None
    started: DateTime | None
    closed: DateTime | None


class ProcessDetail(ProcessSummary):
    """One process."""

    input: Json
    result: Json
    category: str | None
    timeout: float | None
    events: int
    pending: list[Pending]


class ProcessPage(Struct):
    """A page of a list of processes; ``next`` is the ``after`` of the next page, null on the last."""

    processes: list[ProcessSummary]
    next: str | None


class HistoryPage(Struct):
    """A page of a history; ``next`` is the ``since`` of the next page, null on the last."""

    run: int
    events: list[dict[str, Any]]
    next: int | None


class Done(Struct):
    """What was done to which process."""

    action: str
    id: str


class Started(Struct):
    """A process that was started, or had been by the same request."""

    id: str
    workflow: str


class Contact(Struct):
    """A queue that a worker polls, when it last did, and the workflows or activities that it has; null for all."""

    kind: str
    category: str
    seen: DateTime
    names: tuple[str, ...] | None


class WorkerSummary(Struct):
    """A worker, by what it calls itself."""

    identity: str
    seen: DateTime
    polls: list[Contact]


class QueueSummary(Struct):
    """The state of one queue; ``age`` is how many seconds its oldest task has waited. A count of 10,000 means as many or more.

    ``unclaimed`` are names of waiting tasks that no live worker has.
    """

    kind: str
    category: str
    waiting: int
    delayed: int
    running: int
    oldest: DateTime | None
    age: float | None
    pollers: tuple[str, ...]
    unclaimed: tuple[str, ...]


class Health(Struct):
    """Whether the server and its backend work."""

    status: str
    backend: str


def summary(process: Process) -> ProcessSummary:
    """Return a process without payloads."""
    return ProcessSummary(
        id=str(process.id),
        run=process.run,
        workflow=process.workflow,
        status=process.status.value,
        parked=process.parked,
        tags=process.tags,
        parent=process.parent,
        started=process.started,
        closed=process.closed,
    )


def detail(process: Process, pending: list[Pending]) -> ProcessDetail:
    """Return a process with its payloads."""
    told = summary(process)
    return ProcessDetail(
        **{name: getattr(told, name) for name in told.__struct_fields__},
        input=process.input,
        result=process.result,
        category=process.category,
        timeout=process.timeout,
        events=len(process.history),
        pending=pending,
    )


def record(run: int, seq: int, event: Event) -> dict[str, Any]:
    """Return an event of a history."""
    return {"run": run, "seq": seq, **fields(event)}


def entry_record(entry: FeedEntry, brief: bool) -> dict[str, Any]:
    """Return an entry of the feed; a brief one has the event's type in place of the event."""
    named = fields(entry)
    event = named.pop("event")
    return named | ({"type": event.type} if brief else {"event": fields(event)})
