"""The memory backend: the ledger over dicts, thread-safe, with a clock that tests can set. Everything is gone with the object."""

from collections.abc import Callable, Sequence
from threading import RLock
from typing import TypeVar

from pyworkflow.backend.base import Capability
from pyworkflow.backend.gate import gated
from pyworkflow.backend.group import Submission
from pyworkflow.backend.memory_tables import Tables
from pyworkflow.backend.memory_unit import MemoryUnit
from pyworkflow.backend.reading import feed_entries
from pyworkflow.backend.reentry import once
from pyworkflow.backend.stored import StoredBackend
from pyworkflow.backend.unit import StoredUnit
from pyworkflow.clock import Clock, SystemClock
from pyworkflow.errors import InvalidRequestError
from pyworkflow.forks import watch_forks

T = TypeVar("T")


class MemoryBackend(StoredBackend):
    """Keeps processes in this OS process's memory. A forked child goes on with a copy.

    Args:
        clock: What to read the time from; the machine's clock if left out.
    """

    name = "memory"
    capabilities = StoredBackend.capabilities | {Capability.CLOCK}

    @gated
    def __init__(self, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())
        self._tables = Tables()
        self._lock = RLock()
        watch_forks(self)

    def _commit(self, group: Sequence[Submission]) -> None:
        with once(self._lock):
            unit = self._unit()
            try:
                self._run(unit, group)
                recorded = unit.keep()
            finally:
                unit.end()
            self._committed(unit, lambda: feed_entries(recorded, 2**62))

    def _snapshot(self, work: Callable[[StoredUnit], T]) -> T:
        self._alive()
        with once(self._lock):
            unit = self._unit()
            try:
                return work(unit)
            finally:
                unit.end()

    def _moment(self) -> int:
        # The wall clock may be set back; the time of a store never is.
        return max(self._tables.time, self.clock.now())

    def before_fork(self) -> None:
        self._lock.acquire()

    def after_fork_in_parent(self) -> None:
        self._lock.release()

    def after_fork_in_child(self) -> None:
        super().after_fork_in_child()
        self._lock = RLock()

    def _unit(self) -> MemoryUnit:
        self._tables.time = self._moment()
        return MemoryUnit(self._tables, self._tables.time)


def open_url(url: str) -> MemoryBackend:
    """Open a new, empty backend for the URL ``memory:``.

    Raises:
        InvalidRequestError: The URL says more than that.
    """
    if url.removeprefix("memory:").strip("/"):
        raise InvalidRequestError(f"backend {url!r}", "the memory backend takes no name")
    return MemoryBackend()
