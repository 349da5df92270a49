"""The SQLite backend: connections, group commit, and taking turns with other OS processes."""

import os
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from threading import RLock
from typing import Any, TypeVar

from pyworkflow.backend.base import Capability
from pyworkflow.backend.group import Submission
from pyworkflow.backend.reading import feed_entries
from pyworkflow.backend.sqlite.boot import Anchor, BootClock, anchor
from pyworkflow.backend.sqlite.connection import (
    BUSY_SECONDS,
    MEMORY,
    open_database,
    open_reader,
    translated,
)
from pyworkflow.backend.sqlite.kept import Kept
from pyworkflow.backend.sqlite.queries import queries
from pyworkflow.backend.sqlite.ticket import Ticket
from pyworkflow.backend.sqlite.unit import SQLiteUnit
from pyworkflow.backend.sqlite.wake import WakeFile
from pyworkflow.backend.stored import StoredBackend
from pyworkflow.backend.unit import StoredUnit
from pyworkflow.clock import SECOND, Clock, SystemClock
from pyworkflow.codec import decode, encode
from pyworkflow.errors import BackendUnavailableError, InvalidRequestError

T = TypeVar("T")

REACHED_EVERY = 10 * SECOND
"""How often the time that the database has reached is written down, for the next boot."""


class SQLiteBackend(StoredBackend):
    """Keeps processes in one SQLite file that many threads and OS processes of one machine share.

    Each change is on the disk when its call returns (WAL, ``synchronous=FULL``). What many threads ask for at the same time is committed
    together. Beside the file ``x.db`` lie ``x.db-lock`` and ``x.db-wake``, empty but for a byte.

    Args:
        path: The file, made if it is missing; ``:memory:`` for a database that ends with the object.
        clock: What to read the time from; a clock that does not heed the wall clock's jumps if left out.

    Raises:
        BackendUnavailableError: The file cannot be opened, or is not ours.
    """

    name = "sqlite"

    def __init__(self, path: str | os.PathLike[str], *, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())
        self.path = os.fspath(path) if os.fspath(path) == MEMORY else str(Path(path).absolute())
        self.capabilities = StoredBackend.capabilities | {Capability.CLOCK}
        if self.path != MEMORY:
            self.capabilities |= {Capability.SHARED, Capability.DURABLE}
        self._own_clock = clock is None
        self._open()
        _instances.add(self)

    def _open(self) -> None:
        self._leader = RLock()
        self._reading = RLock()
        self._reached = 0
        self._time = 0
        self._kept: Kept | None = None
        self._version: int | None = None
        self._ticket: Ticket | None = None
        self._wake: WakeFile | None = None
        with translated(self.path), ExitStack() as opened:
            self._writer = self._reader = open_database(self.path)
            opened.callback(self._writer.close)
            if self.path == MEMORY:
                self._reading = self._leader
            else:
                self._reader = open_reader(self.path)
                opened.callback(self._reader.close)
                self._ticket = Ticket(f"{self.path}-lock", BUSY_SECONDS)
                opened.callback(self._ticket.close)
                self._wake = WakeFile(f"{self.path}-wake", self._changes)
                opened.callback(self._wake.close)
            if self._own_clock:
                self.clock = BootClock(self._anchored())
            self._resources = opened.pop_all()

    def _changes(self) -> int:
        with self._reading:
            return int(self._reader.execute("pragma data_version").get)

    def _anchored(self) -> Anchor:
        """Return the anchor of the database's time, setting it if the machine was started since."""
        known = self._anchor()
        if known is not None and anchor(known, 0) == known:
            return known
        self._writer.execute("begin immediate")
        try:
            now = anchor(self._anchor(), int(self._meta("reached") or 0))
            self._writer.execute(queries()["set_meta"], ("anchor", encode(now)))
            self._writer.execute("commit")
        except BaseException:
            # SQLite has rolled back by itself after some errors, such as a full disk.
            if self._writer.in_transaction:
                self._writer.execute("rollback")
            raise
        return now

    def _anchor(self) -> Anchor | None:
        found = self._meta("anchor")
        kept: Anchor | None = None if found is None else decode(found, Anchor)
        return kept

    def _meta(self, name: str) -> Any:
        return self._writer.execute(queries()["get_meta"], (name,)).get

    # -- writing -------------------------------------------------------------------------------------------------------------------

    def _commit(self, group: Sequence[Submission]) -> None:
        with self._leader:
            with translated(self.path):
                unit = self._transaction(group)
            if self._wake is not None:
                self._wake.touch()
            self._committed(unit, lambda: feed_entries(unit.recorded(), 2**62))

    def _transaction(self, group: Sequence[Submission]) -> SQLiteUnit:
        if self._ticket is not None:
            self._ticket.acquire()
        try:
            self._writer.execute("begin immediate")
            try:
                unit = SQLiteUnit(self._writer, self._now(), self._still_good())
                unit.expect([work for submission in group for work in submission.works])
                self._run(unit, group)
                unit.flush()
                if unit.now - self._reached > REACHED_EVERY:
                    self._reached = unit.now
                    self._writer.execute(queries()["set_meta"], ("reached", unit.now))
                self._writer.execute("commit")
                self._kept = unit.left()
            except BaseException:
                if self._writer.in_transaction:
                    self._writer.execute("rollback")
                raise
        finally:
            if self._ticket is not None:
                self._ticket.release()
        return unit

    def _still_good(self) -> Kept | None:
        """Return what the last transaction has left, if nobody else has committed since; a failure of this one leaves nothing."""
        kept, self._kept = self._kept, None
        before, self._version = self._version, self._writer.execute("pragma data_version").get
        return kept if before == self._version else None

    def _moment(self) -> int:
        return max(self._time, self.clock.now())

    def _now(self) -> int:
        self._time = self._moment()
        return self._time

    # -- reading -------------------------------------------------------------------------------------------------------------------

    def _snapshot(self, work: Callable[[StoredUnit], T]) -> T:
        self._alive()
        with self._reading, translated(self.path):
            if self._reader.in_transaction:
                return work(SQLiteUnit(self._reader, self._now()))
            self._reader.execute("begin")
            try:
                return work(SQLiteUnit(self._reader, self._now()))
            finally:
                self._reader.execute("rollback")

    def _prepare_to_wait(self) -> None:
        if self._wake is not None and self._wake.watch(self._rouse):
            # What was committed before that was not heard of.
            self._rouse()

    def close(self) -> None:
        """Let go of files and connections."""
        if self._closed:
            return
        super().close()
        _instances.discard(self)
        with self._leader, self._reading:
            self._resources.close()

    def after_fork(self) -> None:
        """Open everything anew in a child process: nothing of SQLite's may be shared across a fork."""
        self._abandoned = self._resources
        self._begin()
        if self.path == MEMORY:
            self._closed = True
            return
        try:
            self._open()
        except BackendUnavailableError:
            self._closed = True


_instances: "weakref.WeakSet[SQLiteBackend]" = weakref.WeakSet()


def _reopen_all() -> None:
    for backend in list(_instances):
        backend.after_fork()


os.register_at_fork(after_in_child=_reopen_all)


def open_url(url: str) -> SQLiteBackend:
    """Open the backend of a URL: ``sqlite:///relative.db``, ``sqlite:////absolute.db``, ``sqlite://`` for a database in memory.

    Raises:
        InvalidRequestError: The URL names a host, or has parameters.
        BackendUnavailableError: The file cannot be opened, or is not ours.
    """
    rest = url.removeprefix("sqlite:")
    if rest in ("", "//", f"//{MEMORY}", f"///{MEMORY}"):
        return SQLiteBackend(MEMORY)
    if not rest.startswith("///") or "?" in rest:
        raise InvalidRequestError(f"backend {url!r}", "must be like sqlite:///path/to/file.db")
    return SQLiteBackend(rest.removeprefix("///"))
