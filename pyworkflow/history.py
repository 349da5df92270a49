"""A history: an immutable run of events, with the questions that deciders ask of it.

Histories of one process are views of one growing list, and share what has been counted over it: going on where the last view ended
costs as much as the new events, not as the whole history.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Any, TypeVar, cast, overload

from pyworkflow.activity import ActivityExecution
from pyworkflow.cache import history_size
from pyworkflow.codec import convert, register, stored
from pyworkflow.decision import (
    CancelTimer,
    Decision,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    ActivityEvent,
    AnyEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
    TimerEvent,
)

T = TypeVar("T")


class _Tally:
    """What is open, and what has been seen, after the first ``counted`` events of a list."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        self.lock = Lock()
        self.payload = 0
        self.counted = 0
        self.seen = 0
        self.open_decision: int | None = None
        self.activities: dict[str, ActivityExecution] = {}
        self.timers: dict[str, Timer] = {}
        self.children: set[str] = set()
        self.shared: dict[object, Any] = {}

    def count(self, length: int) -> None:
        """Go on to the first `length` events; called under the lock."""
        for index in range(self.counted, length):
            self._add(index, self.events[index])
        self.counted = max(self.counted, length)

    def _add(self, index: int, event: Event) -> None:
        if isinstance(event, DecisionEvent):
            self._decide(event)
        elif isinstance(event, ActivityEvent):
            self.activities.pop(event.activity_execution.id, None)
        elif isinstance(event, DecisionStartedEvent):
            if self.open_decision is not None:
                self.seen = self.open_decision + 1
            self.open_decision = index
        elif isinstance(event, DecisionFailedEvent | DecisionTimedOutEvent):
            self.open_decision = None
        elif isinstance(event, TimerEvent):
            self.timers.pop(event.timer.id, None)
        elif isinstance(event, ChildProcessEvent):
            self.children.discard(event.process_id)
        elif isinstance(event, DecisionRejectedEvent):
            self._reject(event.decision)

    def _reject(self, decision: Decision) -> None:
        if isinstance(decision, StartChildProcess):
            self.children.discard(str(decision.process.id))

    def _decide(self, event: DecisionEvent) -> None:
        decision = event.decision
        if isinstance(decision, ScheduleActivity):
            execution = ActivityExecution(decision.activity, decision.id, stored(decision, "input"))
            self.activities[decision.id] = execution
        elif isinstance(decision, ScheduleLambda):
            execution = ActivityExecution(decision.function, decision.id, stored(decision, "input"))
            self.activities[decision.id] = execution
        elif isinstance(decision, Timer):
            self.timers[decision.id] = decision
        elif isinstance(decision, CancelTimer):
            self.timers.pop(decision.id, None)
        elif isinstance(decision, StartChildProcess):
            self.children.add(str(decision.process.id))


class History(Sequence[Event]):
    """The events of a process, oldest first, as they were when the history was read."""

    __slots__ = ("_length", "_tally")

    def __init__(self, events: Iterable[Event] = ()) -> None:
        self._tally = _Tally(list(events))
        self._length = len(self._tally.events)

    @property
    def size(self) -> int:
        """About how many bytes it takes, as far as it was told the bytes of its payloads."""
        return history_size(self._length, self._tally.payload)

    def extended(self, events: Iterable[Event], payload: int = 0) -> "History":
        """Return this history and some more events, in time proportional to those.

        Args:
            events: They.
            payload: How many bytes they are as JSON, if that is known.
        """
        tally = self._tally
        if len(tally.events) != self._length:
            # Somebody else has gone on from here: the shared list is theirs.
            payload += tally.payload
            tally = _Tally(tally.events[: self._length])
        tally.payload += payload
        tally.events.extend(events)
        longer = History.__new__(History)
        longer._tally = tally
        longer._length = len(tally.events)
        return longer

    def prefix(self, length: int) -> "History":
        """Return the first events, as a view."""
        shorter = History.__new__(History)
        shorter._tally = self._tally
        shorter._length = min(length, self._length)
        return shorter

    def continues(self, earlier: "History") -> bool:
        """Tell whether an earlier history is the beginning of this one, its times included; at once for two views of one list."""
        if self._length < earlier._length:
            return False
        if self._tally.events is earlier._tally.events:
            return True
        pairs = zip(earlier, self, strict=False)
        return all(a == b and a.datetime == b.datetime for a, b in pairs)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, index: int) -> Event: ...

    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...

    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        if isinstance(index, slice):
            return [self._tally.events[i] for i in range(*index.indices(self._length))]
        if not -self._length <= index < self._length:
            raise IndexError("history index out of range")
        return self._tally.events[index % self._length]

    def __iter__(self) -> Iterator[Event]:
        events = self._tally.events
        for index in range(self._length):
            yield events[index]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, History | list | tuple):
            return NotImplemented
        others = cast("Sequence[object]", other)
        return self._length == len(others) and all(
            a == b for a, b in zip(self, others, strict=True)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"History({list(self)!r})"

    def _ask(self, question: Callable[[_Tally], T]) -> T:
        """Return what a question finds in the tally of exactly these events."""
        tally = self._tally
        # Without waiting: whoever counts may be the thread that a signal handler asks from.
        if tally.lock.acquire(blocking=False):
            try:
                if tally.counted <= self._length:
                    tally.count(self._length)
                    # Under the lock: another thread may count on for a longer view.
                    return question(tally)
            finally:
                tally.lock.release()
        # Somebody counts, or has counted on for a longer view: this one counts for itself.
        own = _Tally(tally.events)
        own.count(self._length)
        return question(own)

    def unseen(self) -> list[Event]:
        """Return the events that no completed decision before the present (or last) one has seen, oldest first."""
        seen, end = self._ask(lambda tally: (tally.seen, tally.open_decision))
        return self[seen : self._length if end is None else end]

    def seen(self) -> int:
        """Return how many events the last decision before the present one that completed has seen."""
        return self._ask(lambda tally: tally.seen)

    def open_activities(self) -> list[ActivityExecution]:
        """Return the activities that were scheduled and have not ended."""
        return self._ask(lambda tally: list(tally.activities.values()))

    def sole_activity(self) -> ActivityExecution | None:
        """Return the activity that is open, if it is the only one."""
        return self._ask(_sole)

    def open_timers(self) -> list[Timer]:
        """Return the timers that were started and have neither fired nor been canceled."""
        return self._ask(lambda tally: list(tally.timers.values()))

    def open_children(self) -> list[str]:
        """Return the ids of the children that were started by these events and have not ended, in the order of their ids."""
        return self._ask(lambda tally: sorted(tally.children))

    def shared(self) -> dict[object, Any]:
        """Return a place for what was worked out from the events, which longer and shorter views of the same list find again.

        Whoever leaves something there says in it how many events it is worth, and takes it out while changing it.
        """
        return self._tally.shared

    def find(self, kind: type[Event]) -> list[Event]:
        """Return all events of a class."""
        return [event for event in self if isinstance(event, kind)]


def _sole(tally: _Tally) -> ActivityExecution | None:
    return next(iter(tally.activities.values())) if len(tally.activities) == 1 else None


def _read(data: Any) -> History:
    return History(convert(data, list[AnyEvent]))


register(History, list, _read)
