"""Histories that one backend object keeps decoded, so that a decision costs as much as the events that are new."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from threading import RLock

from msgspec import structs

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.reading import read_events
from pyworkflow.backend.reentry import once
from pyworkflow.backend.unit import StoredUnit
from pyworkflow.errors import PayloadError
from pyworkflow.event import DecisionStartedEvent, Event
from pyworkflow.history import History
from pyworkflow.ledger.lifecycle import plain
from pyworkflow.ledger.unit import Batch
from pyworkflow.process import Process

MAX_EVENTS = 200_000
"""Events that one backend object keeps decoded."""

MAX_PROCESSES = 16_000
"""Processes that one backend object keeps anything of: a short history takes less memory than what is around it."""

Happens = Callable[[ActivityExecution], Iterable[Event]]


class _Known:
    """What is known of one process.

    Attributes:
        history: Its events.
        undecoded: Further batches of events, each with the number of events that are in the history already.
        length: How many events all of them are.
        input: Its input, as JSON.
        process: What its last decider was shown.
        foreseen: The history as it will be if nothing happens but what was foreseen.
    """

    __slots__ = ("foreseen", "history", "input", "length", "process", "undecoded")

    def __init__(self) -> None:
        self.history = History()
        self.undecoded: list[tuple[bytes, int]] = []
        self.length = 0
        self.input: bytes | None = None
        self.process: Process | None = None
        self.foreseen: History | None = None

    def decoded(self) -> History:
        if self.undecoded:
            events: list[Event] = []
            for body, known in self.undecoded:
                decoded: list[Event] = read_events(body)
                events.extend(decoded[known:])
            self.undecoded = []
            self.history = self.history.extended(events)
        return self.history

    def goes_on(self, batch: Batch) -> None:
        """Take over the events that follow."""
        foreseen, self.foreseen = self.foreseen, None
        known = 0
        # Others may have taken the process further than what was foreseen.
        if (
            foreseen is not None
            and len(foreseen) > self.length
            and foreseen[self.length] is batch.events[0]
        ):
            # Decoded, or rather never written down before it was read.
            self.history = foreseen
            known = len(foreseen) - self.length
        self.undecoded.append((batch.body, known))
        self.length += len(batch.events)


class HistoryCache:
    """Histories as far as they were read or written here: they only grow, so only what others wrote has to be read again."""

    def __init__(self, limit: int = MAX_EVENTS) -> None:
        self._lock = RLock()
        self._known: OrderedDict[int, _Known] = OrderedDict()
        self._limit = limit
        self._events = 0

    def wrote(self, batches: Mapping[int, Batch]) -> None:
        """Take over committed events of processes that are known up to there, or were handed to a decider as they began."""
        with once(self._lock):
            for key, batch in batches.items():
                known = self._known.get(key)
                if known is None and batch.input is not None and _handed_out(batch):
                    known = self._known[key] = _Known()
                    known.input = batch.input
                if known is not None and known.length == batch.first_seq - 1:
                    known.goes_on(batch)
                    self._events += len(batch.events)
            self._trim()

    def known(self, key: int, length: int) -> tuple[History, bytes] | None:
        """Return the first events of a history and the input, None where something would have to be read."""
        with once(self._lock):
            known = self._known.get(key)
            if known is None or known.length < length or known.input is None:
                return None
            self._known.move_to_end(key)
            history = known.decoded()
            return history if len(history) == length else history.prefix(length), known.input

    def shown(self, key: int, process: Process) -> None:
        """Remember what a decider is shown, for `foresee`."""
        with once(self._lock):
            if (known := self._known.get(key)) is not None:
                known.process = process

    def foresee(self, key: int, activity_id: str, happens: Happens) -> Process | None:
        """Return a process as its decider will be shown it when the only activity that is open ends; None where that cannot be told.

        Args:
            key: The process.
            activity_id: The activity.
            happens: Makes the events that follow of the activity's execution.
        """
        with once(self._lock):
            known = self._known.get(key)
            if known is None or known.process is None or known.input is None:
                return None
            history = known.decoded()
            execution = history.sole_activity()
            if execution is None or execution.id != activity_id:
                return None
            known.foreseen = history.extended(happens(execution))
            # Its input is read anew for each decider: one may have changed what it was given.
            given = plain(known.input)
            return structs.replace(known.process, history=known.foreseen, input=given)

    def have(self, key: int) -> int:
        """Return how many events of a process are known."""
        known = self._known.get(key)
        return 0 if known is None else known.length

    def upto(self, unit: StoredUnit, key: int, length: int) -> tuple[History, bytes]:
        """Return the first events of a history and the input, reading what is missing.

        Raises:
            PayloadError: They cannot be read.
        """
        with once(self._lock):
            known = self._known.setdefault(key, _Known())
            self._known.move_to_end(key)
            history = known.decoded()
            if known.length < length:
                new = _after(unit, key, known.length)
                known.history = history = history.extended(new)
                known.length += len(new)
                known.foreseen = None
                self._events += len(new)
            if known.input is None:
                known.input = unit.input(key)
            self._trim()
            if len(history) < length:
                raise PayloadError("history", f"has {len(history)} events; {length} were counted")
            if known.input is None:
                raise PayloadError("input", "is gone")
            return history if len(history) == length else history.prefix(length), known.input

    def forget(self, key: int) -> None:
        """Let go of a process that cannot be read: it may be repaired."""
        with once(self._lock):
            if (known := self._known.pop(key, None)) is not None:
                self._events -= known.length

    def _trim(self) -> None:
        """Let go of those not asked for in longest; called under the lock."""
        while len(self._known) > MAX_PROCESSES or (
            self._events > self._limit and len(self._known) > 1
        ):
            self._events -= self._known.popitem(last=False)[1].length


def _handed_out(batch: Batch) -> bool:
    return isinstance(batch.events[-1], DecisionStartedEvent)


def _after(unit: StoredUnit, key: int, have: int) -> list[Event]:
    events: list[Event] = []
    for first_seq, body in unit.batches(key, have):
        if first_seq > have + len(events) + 1:
            raise PayloadError("history", f"event {have + len(events) + 1} is gone")
        decoded: list[Event] = read_events(body)
        events.extend(decoded[max(0, have + 1 - first_seq) :])
    return events
