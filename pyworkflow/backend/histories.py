"""Histories that one backend object keeps decoded, so that a decision costs as much as the events that are new."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from threading import RLock

from msgspec import structs

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.reading import read_events
from pyworkflow.backend.reentry import once
from pyworkflow.backend.unit import StoredUnit
from pyworkflow.cache import SizedCache, history_size
from pyworkflow.errors import PayloadError
from pyworkflow.event import DecisionStartedEvent, Event
from pyworkflow.history import History
from pyworkflow.ledger.lifecycle import OPEN
from pyworkflow.ledger.rows import ProcessRow
from pyworkflow.ledger.unit import Batch
from pyworkflow.process import Process

Happens = Callable[[ActivityExecution], Iterable[Event]]


class _Known:
    """What is known of one process.

    Attributes:
        history: Its events.
        undecoded: Further batches of events, each with the number of events that are in the history already.
        length: How many events all of them are.
        payload: How many bytes of JSON they are, those of its input included.
        input: Its input, as JSON.
        process: What its last decider was shown.
        foreseen: The history as it will be if nothing happens but what was foreseen.
    """

    __slots__ = ("foreseen", "history", "input", "length", "payload", "process", "undecoded")

    def __init__(self) -> None:
        self.history = History()
        self.undecoded: list[tuple[bytes, int]] = []
        self.length = 0
        self.payload = 0
        self.input: bytes | None = None
        self.process: Process | None = None
        self.foreseen: History | None = None

    @property
    def size(self) -> int:
        return history_size(self.length, self.payload)

    def begins(self, input: bytes | None) -> None:
        """Take over the input; None if it is gone."""
        self.input = input
        self.payload += len(input or b"")

    def grows(self, batches: Sequence[tuple[int, bytes]]) -> None:
        """Take over events that were read.

        Raises:
            PayloadError: One of them cannot be read, or is gone.
        """
        events: list[Event] = []
        payload = 0
        for first_seq, body in batches:
            if first_seq > self.length + len(events) + 1:
                raise PayloadError("history", f"event {self.length + len(events) + 1} is gone")
            decoded: list[Event] = read_events(body)
            events.extend(decoded[max(0, self.length + len(events) + 1 - first_seq) :])
            payload += len(body)
        self.history = self.decoded().extended(events, payload)
        self.payload += payload
        self.length += len(events)
        self.foreseen = None

    def decoded(self) -> History:
        if self.undecoded:
            events: list[Event] = []
            for body, known in self.undecoded:
                decoded: list[Event] = read_events(body)
                events.extend(decoded[known:])
            payload = sum(len(body) for body, _ in self.undecoded)
            self.undecoded = []
            self.history = self.history.extended(events, payload)
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
        self.payload += len(batch.body)


class HistoryCache:
    """Histories as far as they were read or written here: they only grow, so only what others wrote has to be read again."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._known: SizedCache[int, _Known] = SizedCache()

    def wrote(self, batches: Mapping[int, Batch]) -> None:
        """Take over committed events of processes that are known up to there, or were handed to a decider as they began.

        Nobody decides a process that has closed, so it leaves at once.
        """
        with once(self._lock):
            for key, batch in batches.items():
                if batch.process.status != OPEN:
                    self._known.pop(key)
                    continue
                known = self._known.get(key)
                if known is None and batch.input is not None and _handed_out(batch):
                    known = _Known()
                    known.begins(batch.input)
                if known is not None and known.length == batch.first_seq - 1:
                    known.goes_on(batch)
                    self._known.put(key, known, known.size)

    def known(self, key: int, length: int) -> tuple[History, bytes] | None:
        """Return the first events of a history and the input, None where something would have to be read."""
        with once(self._lock):
            known = self._known.get(key)
            if known is None or known.length < length or known.input is None:
                return None
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
            return structs.replace(known.process, history=known.foreseen)

    def have(self, key: int) -> int:
        """Return how many events of a process are known."""
        with once(self._lock):
            known = self._known.get(key)
            return 0 if known is None else known.length

    def upto(self, unit: StoredUnit, row: ProcessRow, length: int) -> tuple[History, bytes]:
        """Return the first events of a history and the input, reading what is missing; what is read of an open process is kept.

        Raises:
            PayloadError: They cannot be read.
        """
        key = row.key
        with once(self._lock):
            known = self._known.get(key) or _Known()
            if known.length < length:
                known.grows(unit.batches(key, known.length))
            if known.input is None:
                known.begins(unit.input(key))
            history = known.decoded()
            if len(history) < length:
                raise PayloadError("history", f"has {len(history)} events; {length} were counted")
            if known.input is None:
                raise PayloadError("input", "is gone")
            if row.status == OPEN:
                self._known.put(key, known, known.size)
            return history if len(history) == length else history.prefix(length), known.input

    def forget(self, key: int) -> None:
        """Let go of a process that cannot be read: it may be repaired."""
        with once(self._lock):
            self._known.pop(key)


def _handed_out(batch: Batch) -> bool:
    return isinstance(batch.events[-1], DecisionStartedEvent)
