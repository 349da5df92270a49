"""What a store's transaction does beyond the ledger's needs: types, lists, the feed, housekeeping."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from msgspec import Struct

from pyworkflow.backend.base import Queue
from pyworkflow.ledger.checks.record import Violation
from pyworkflow.ledger.rows import ActivityTypeRow, ProcessRow, WorkflowRow
from pyworkflow.ledger.unit import Names, Unit


class UncountedEventsError(Exception):
    """New events stand already where they were to be written: the row of one of these processes counts fewer than there are, which is damage."""

    def __init__(self, keys: Sequence[int]) -> None:
        super().__init__(keys)
        self.keys = keys


class FeedBatch(Struct, frozen=True, gc=False):
    """One batch of events in the feed, as `FeedEntry`; later ones have a larger place."""

    place: int
    process_id: str
    run: int
    workflow: str
    parent: str | None
    first_seq: int
    body: bytes


class PollerRow(Struct, frozen=True, gc=False):
    """Who polls a queue, as `Poller`; the instant in microseconds."""

    identity: str
    kind: str
    category: str
    seen: int
    names: Names


class DefinitionRow(Struct, frozen=True, gc=False):
    """One entry of the log of definitions, as `Definition`; the instant in microseconds."""

    revision: int
    kind: str
    name: str
    body: bytes
    defined: int


class StoredUnit(Unit):
    """A transaction of a store, or a snapshot of it for reading."""

    def expect_histories(self, wanted: Sequence[tuple[int, int]]) -> None:
        """Read at once what `batches` and `input` will be asked for, as (process, events it has)."""

    @abstractmethod
    def set_workflow(self, row: WorkflowRow) -> None:
        """Keep a workflow type."""

    @abstractmethod
    def set_activity_type(self, row: ActivityTypeRow) -> None:
        """Keep an activity type."""

    @abstractmethod
    def workflows(self) -> list[WorkflowRow]:
        """Return all workflow types, in the order of their names."""

    @abstractmethod
    def activity_types(self) -> list[ActivityTypeRow]:
        """Return all activity types, in the order of their names."""

    @abstractmethod
    def define(self, kind: str, name: str, body: bytes) -> int:
        """Add an entry to the log of definitions; return its revision."""

    @abstractmethod
    def definitions(self, since: int) -> list[DefinitionRow]:
        """Return the entries after a revision, in order."""

    @abstractmethod
    def saw(self, kind: str, category: str, identity: str, names: Names) -> None:
        """Note that somebody polls a queue for some names; `kind` is ``activity`` or ``decision``."""

    @abstractmethod
    def pollers(self, since: int) -> list[PollerRow]:
        """Return who has polled since an instant, in the order of identities, kinds and categories."""

    @abstractmethod
    def next_due(self) -> int:
        """Return the earliest deadline of an open process, started decision, activity or timer; `NEVER` if there is none."""

    @abstractmethod
    def run_of(self, process_id: str, run: int) -> ProcessRow | None:
        """Return a run of a process id by its number."""

    @abstractmethod
    def batches(self, key: int, since: int) -> list[tuple[int, bytes]]:
        """Return (first number, JSON) of the batches that have events after the first `since`, in order."""

    @abstractmethod
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
        """Return runs in the order of their keys, those after a key; or the newest first, those before a key."""

    @abstractmethod
    def feed(self, after: int, limit: int) -> list[FeedBatch]:
        """Return batches after a place, at most as many as the limit."""

    @abstractmethod
    def feed_end(self) -> FeedBatch | None:
        """Return the newest batch, None if there is none."""

    @abstractmethod
    def feed_purged(self) -> int:
        """Return the place up to which batches may be missing: a purge has removed some."""

    def facts(self) -> dict[str, str]:
        """Return what there is to say about the store, for `Diagnosis`."""
        return {}

    @abstractmethod
    def queues(self, since: int) -> list[Queue]:
        """Return the state of the queues; pollers are those since an instant."""

    @abstractmethod
    def check(self, progress: Callable[[int, int], None] | None) -> list[Violation]:
        """Return every invariant that does not hold."""

    @abstractmethod
    def purge(self, before: int, limit: int) -> int:
        """Remove runs that closed before an instant; return how many."""


Work = Callable[[StoredUnit], Any]
"""What a transaction does."""
