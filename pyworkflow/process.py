"""Processes: executions of workflows, as deciders and clients see them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime as DateTime
from enum import StrEnum
from threading import RLock
from typing import TYPE_CHECKING, Any

from msgspec import field, structs
from msgspec.structs import force_setattr

from pyworkflow.activity import ActivityExecution
from pyworkflow.codec import Json, Payload, Value, payloads
from pyworkflow.decision import Decision, Named, Timer, name_of
from pyworkflow.errors import InvalidRequestError
from pyworkflow.event import DecisionEvent, Event, ProcessStartedEvent, TimerEvent
from pyworkflow.failure import repr_of
from pyworkflow.history import History
from pyworkflow.ids import new_id
from pyworkflow.result import (
    AnyProcessResult,
    ProcessCanceled,
    ProcessCompleted,
    ProcessContinued,
    ProcessFailed,
    ProcessResult,
    ProcessTerminated,
    ProcessTimedOut,
)

__all__ = [
    "Process",
    "ProcessCanceled",
    "ProcessCompleted",
    "ProcessContinued",
    "ProcessFailed",
    "ProcessResult",
    "ProcessTerminated",
    "ProcessTimedOut",
    "Status",
]


class Status(StrEnum):
    """Where a process stands."""

    OPEN = "open"
    COMPLETED = "completed"
    CANCELED = "canceled"
    FAILED = "failed"
    TIMED_OUT = "timedout"
    TERMINATED = "terminated"
    CONTINUED = "continued"


_assigning = RLock()


@payloads(input=Any)
class Process(Value, frozen=True, omit_defaults=True):
    """One execution of a workflow: what it was started with, what has happened since, and how it ended.

    Attributes:
        workflow: The name of its workflow; a workflow class stands for its name.
        id: Unique among the open processes of a domain; None until the process is started, which gives it one if the caller did not.
        input: Any JSON.
        tags: Up to five texts to find it by.
        history: What has happened, oldest first.
        parent: The id of the process that started it, if one did.
        run: The number of this run of the id: a process that continues as new keeps its id.
        status: Where it stands.
        result: How it ended, once it has.
        started: When it was started, aware UTC.
        closed: When it ended, aware UTC.
        parked: Why nobody decides it any more, if its decider kept failing; ``Manager.retry_process`` resumes it.
        category: The queue of its decision tasks, if not its workflow's.
        timeout: Seconds it may be open, if not its workflow's.
    """

    workflow: str
    id: str | None = None
    input: Payload = None
    tags: tuple[str, ...] = ()
    history: History = field(default_factory=lambda: History([ProcessStartedEvent()]))
    parent: str | None = None
    run: int = 1
    status: Status = Status.OPEN
    result: AnyProcessResult | None = None
    started: DateTime | None = None
    closed: DateTime | None = None
    parked: str | None = None
    category: str | None = None
    timeout: float | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            workflow: type[Named] | Named | str,
            id: str | None = None,
            input: Json = None,
            tags: Iterable[str] | None = None,
            history: Iterable[Event] | None = None,
            parent: str | None = None,
            run: int = 1,
            status: Status = Status.OPEN,
            result: ProcessResult | None = None,
            started: DateTime | None = None,
            closed: DateTime | None = None,
            parked: str | None = None,
            category: str | None = None,
            timeout: float | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        if type(self.workflow) is not str:
            force_setattr(self, "workflow", name_of(self.workflow))
        if type(self.tags) is not tuple:
            force_setattr(self, "tags", _tags(self.tags))
        if type(self.history) is not History:
            given: Any = self.history
            events = [ProcessStartedEvent()] if given is None else given
            try:
                force_setattr(self, "history", History(events))
            except TypeError:
                raise InvalidRequestError(
                    f"history {repr_of(events, 80)}", "must be a list of events"
                ) from None

    def assign_id(self) -> str:
        """Return the id. A process without one gets it here, for good: to start the same object again is to repeat the same start."""
        if self.id is None:
            with _assigning:
                if self.id is None:  # another thread may have been faster
                    force_setattr(self, "id", new_id())
        return self.id or ""

    def copy_with_id(self, id: str, **changes: Any) -> Process:
        """Return a copy with another id, and with a fresh history unless one is given."""
        changes.setdefault("history", History([ProcessStartedEvent()]))
        return structs.replace(self, id=id, **changes)

    @property
    def is_open(self) -> bool:
        """Whether the process has not ended."""
        return self.status is Status.OPEN

    def unseen_events(self) -> list[Event]:
        """Return the events that no completed decision has seen before the present (or last) one, oldest first."""
        return self.history.unseen()

    def unfinished_activities(self) -> list[ActivityExecution]:
        """Return the activities that were scheduled and have not ended."""
        return self.history.open_activities()

    def untriggered_timers(self, disregard_unseen: bool = False) -> list[Timer]:
        """Return the timers that were started and have neither fired nor been canceled.

        Args:
            disregard_unseen: Whether timers whose event is still unseen count as not fired.
        """
        timers = self.history.open_timers()
        if disregard_unseen:
            fired = (e.timer for e in self.unseen_events() if isinstance(e, TimerEvent))
            timers.extend(fired)
        return timers

    def has_event(self, event: Event) -> bool:
        """Tell whether the same has happened, whenever that was."""
        return event in self.history

    def has_decision(self, decision: Decision) -> bool:
        """Tell whether the same has been decided."""
        return any(isinstance(e, DecisionEvent) and e.decision == decision for e in self.history)


def _tags(tags: object) -> tuple[str, ...]:
    if tags is None:
        return ()
    if isinstance(tags, Iterable) and not isinstance(tags, str | bytes | Mapping):
        return tuple(tags)
    raise InvalidRequestError(f"tags {repr_of(tags, 80)}", "must be a list of texts")
