"""The work area of one transaction: what the rules read, and where they leave what they change."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime as DateTime
from hashlib import blake2b

from pyworkflow.clock import to_datetime
from pyworkflow.codec import encode
from pyworkflow.event import CancelRequestedEvent, Event
from pyworkflow.ids import new_id
from pyworkflow.ledger.rows import (
    ActivityRow,
    ActivityTypeRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
    WorkflowRow,
)

DIGEST_BYTES = 16

CANCEL_REQUESTED = '{"type":"cancel_requested"'
"""How a `CancelRequestedEvent` begins as JSON; in a string of a payload the quotes are escaped."""

Names = tuple[str, ...] | None
"""Names of workflows or activities; None for all."""


def chained(digest: bytes, body: bytes) -> bytes:
    """Return the digest of a history after one more batch of events."""
    return blake2b(digest + body, digest_size=DIGEST_BYTES).digest()


class Batch:
    """Events that one transaction adds to one process; with its input, if the process begins with them."""

    __slots__ = ("body", "events", "first_seq", "input", "process")

    def __init__(self, process: ProcessRow) -> None:
        self.process = process
        self.first_seq = process.last_seq + 1
        self.events: list[Event] = []
        self.body = b""
        self.input: bytes | None = None


class Unit(ABC):
    """One transaction of a store.

    Rows are identical within a unit: asking twice gives the same object, and changing it (then calling `changed`) is enough to have it
    written. Nothing is visible to others before the store commits.

    Attributes:
        now: The store's time, microseconds.
        absent_since: From when the store could not be reached, if that has just ended.
    """

    def __init__(self, now: int) -> None:
        self.now = now
        self.absent_since: int | None = None
        self.staged: dict[int, Batch] = {}
        self._time = to_datetime(now)

    # -- what the rules read -------------------------------------------------------------------------------------------------------

    @abstractmethod
    def workflow(self, name: str) -> WorkflowRow | None:
        """Return a registered workflow."""

    @abstractmethod
    def activity_type(self, name: str) -> ActivityTypeRow | None:
        """Return a registered activity."""

    @abstractmethod
    def find(self, process_id: str) -> ProcessRow | None:
        """Return the latest run of a process id."""

    @abstractmethod
    def process(self, key: int) -> ProcessRow | None:
        """Return a run by the store's number."""

    @abstractmethod
    def input(self, key: int) -> bytes | None:
        """Return the input of a run, as JSON; None if it is gone, which is damage."""

    @abstractmethod
    def decision(self, key: int) -> DecisionRow | None:
        """Return the open decision of a process."""

    @abstractmethod
    def activity(self, key: int, activity_id: str) -> ActivityRow | None:
        """Return an open activity by its id."""

    @abstractmethod
    def activity_by_number(self, number: int) -> ActivityRow | None:
        """Return an open activity by the store's number."""

    @abstractmethod
    def timer(self, key: int, timer_id: str) -> TimerRow | None:
        """Return an open timer."""

    @abstractmethod
    def child(self, key: int, child_id: str) -> ChildRow | None:
        """Return an open child."""

    @abstractmethod
    def activities(self, key: int) -> list[ActivityRow]:
        """Return all open activities of a process."""

    @abstractmethod
    def timers(self, key: int) -> list[TimerRow]:
        """Return all open timers of a process."""

    @abstractmethod
    def children(self, key: int) -> list[ChildRow]:
        """Return all open children of a process."""

    @abstractmethod
    def signaled(self, process: ProcessRow, signal_id: str) -> bool:
        """Tell whether a signal of this id has been recorded in a run of the process, up to this one."""

    @abstractmethod
    def has_text(self, key: int, text: str) -> bool:
        """Tell whether the JSON of the stored events of a run holds a text. It goes through the whole history."""

    @abstractmethod
    def ready_decisions(
        self, category: str, names: Names, limit: int, *, suspect: bool = False
    ) -> list[DecisionRow]:
        """Return scheduled decisions of a queue that are ready now, the longest waiting first: suspects, or the others."""

    @abstractmethod
    def ready_activities(
        self, category: str, names: Names, limit: int, *, suspect: bool = False
    ) -> list[ActivityRow]:
        """Return scheduled activities of a queue that are ready now, the longest waiting first: suspects, or the others."""

    @abstractmethod
    def due(self, limit: int) -> list[ProcessRow | DecisionRow | ActivityRow | TimerRow]:
        """Return rows whose deadline has come, the earliest first: open processes, started decisions, activities, timers."""

    # -- what the rules change -----------------------------------------------------------------------------------------------------

    @abstractmethod
    def next_key(self) -> int:
        """Return a number for a new run, never used before."""

    @abstractmethod
    def next_number(self) -> int:
        """Return a number for a new activity, never used before."""

    @abstractmethod
    def add_process(self, row: ProcessRow, input: bytes) -> None:
        """Keep a new run, the latest of its id from now on."""

    @abstractmethod
    def add(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        """Keep a new row."""

    @abstractmethod
    def changed(self, row: ProcessRow | DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        """Keep what has changed in a row; not its keys."""

    @abstractmethod
    def drop(self, row: DecisionRow | ActivityRow | TimerRow | ChildRow) -> None:
        """Forget a row."""

    @abstractmethod
    def add_signal(self, process: ProcessRow, signal_id: str) -> None:
        """Remember the id of a signal that a run has recorded."""

    # -- common to all stores ------------------------------------------------------------------------------------------------------

    def token(self) -> str:
        """Return the secret of a new lease."""
        return new_id()

    def time_for(self, process: ProcessRow) -> DateTime:
        """Return the time of the next event of a process: now, but never before its last one."""
        return self._time if process.time <= self.now else to_datetime(process.time)

    def append(self, process: ProcessRow, event: Event, time: int | None = None) -> int:
        """Add an event, made with `time_for` unless its own time is given, to a history; return its number."""
        batch = self.staged.get(process.key)
        if batch is None:
            batch = self.staged[process.key] = Batch(process)
            self.changed(process)
        batch.events.append(event)
        process.last_seq += 1
        if time is None:
            time = self.now
        if process.time < time:
            process.time = time
        return process.last_seq

    def asked_to_cancel(self, process: ProcessRow) -> bool:
        """Tell whether a request to cancel is in the history of a run; slow. A payload with the look of that event counts as one."""
        batch = self.staged.get(process.key)
        if batch and any(isinstance(event, CancelRequestedEvent) for event in batch.events):
            return True
        return self.has_text(process.key, CANCEL_REQUESTED)

    def ends(self) -> bool:
        """Tell whether the transaction ends a process."""
        return any(batch.process.status != "open" for batch in self.staged.values())

    def sealed(self) -> Iterator[Batch]:
        """Write down the new events of each process as one body of JSON, and chain the digests. The store calls it once, at the end."""
        for batch in self.staged.values():
            batch.body = encode(batch.events)
            batch.process.digest = chained(batch.process.digest, batch.body)
            yield batch
