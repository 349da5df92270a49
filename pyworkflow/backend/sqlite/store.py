"""The SQLite backend: connections, group commit, and taking turns with other OS processes."""

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import apsw

from pyworkflow.backend.base import Capability
from pyworkflow.backend.gate import gated
from pyworkflow.backend.group import Submission
from pyworkflow.backend.reading import feed_entries
from pyworkflow.backend.sqlite.boot import Anchor, BootClock, anchor, right_anchor
from pyworkflow.backend.sqlite.connection import MEMORY, translated, writing
from pyworkflow.backend.sqlite.database import Database
from pyworkflow.backend.sqlite.kept import Kept
from pyworkflow.backend.sqlite.queries import queries
from pyworkflow.backend.sqlite.unit import SQLiteUnit
from pyworkflow.backend.stored import StoredBackend
from pyworkflow.backend.unit import StoredUnit
from pyworkflow.clock import SECOND, Clock, SystemClock
from pyworkflow.codec import decode, encode
from pyworkflow.errors import InvalidRequestError
from pyworkflow.forks import watch_forks
from pyworkflow.values import check_storable

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

    @gated
    def __init__(self, path: str | os.PathLike[str], *, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())
        check_storable(str(path), "path")
        self._database = Database(path)
        self.path = self._database.path
        self.capabilities = StoredBackend.capabilities | {Capability.CLOCK}
        if self.path != MEMORY:
            self.capabilities |= {Capability.SHARED, Capability.DURABLE}
        self._reached = 0
        self._time = 0
        self._rows: Kept | None = None
        self._version = (0, 0)
        self._changes_read = 0
        watch_forks(self)
        try:
            with self._database.writing() as connection, translated(self.path):
                if clock is None:
                    self.clock = BootClock(_anchored(connection))
            with self._database.reading():
                pass
        except BaseException:
            self._database.close()
            raise

    # -- writing -------------------------------------------------------------------------------------------------------------------

    def _commit(self, group: Sequence[Submission]) -> None:
        with self._database.writing() as connection:
            with translated(self.path), self._database.turn():
                unit = self._transaction(connection, group)
            self._database.notify()
            self._committed(unit, lambda: feed_entries(unit.recorded(), 2**62))

    def _transaction(self, connection: apsw.Connection, group: Sequence[Submission]) -> SQLiteUnit:
        with writing(connection):
            rows = self._rows_left(connection)
            unit = SQLiteUnit(connection, self._now(), rows)
            unit.expect([work for submission in group for work in submission.works])
            self._run(unit, group)
            unit.flush()
            if abs(unit.now - self._reached) > REACHED_EVERY:
                self._reached = unit.now
                connection.execute(queries()["set_meta"], ("reached", unit.now))
        self._rows = unit.left()
        return unit

    def _rows_left(self, connection: apsw.Connection) -> Kept | None:
        """Return what the last transaction has left, if nobody else has committed since; a failure of this one leaves nothing."""
        rows, self._rows = self._rows, None
        changes = int(connection.execute("pragma data_version").get)
        before, self._version = self._version, (self._database.opened, changes)
        if before != self._version:
            self._follow_anchor(connection)
        return rows if before == self._version else None

    def _moment(self) -> int:
        now = self.clock.now()
        # A boot clock never runs back by itself, and may be set back.
        return now if isinstance(self.clock, BootClock) else max(self._time, now)

    def _now(self) -> int:
        self._time = self._moment()
        return self._time

    def _follow_anchor(self, connection: apsw.Connection) -> None:
        """Go by the present anchor: another program may have set the clock back."""
        if not isinstance(self.clock, BootClock):
            return
        present = _anchor(connection)
        if present is not None and present != self.clock.anchor and anchor(present, 0) == present:
            self.clock = BootClock(present)

    def set_clock_back(self) -> float:
        """Set the clock of the file to the wall clock, if it is ahead."""
        self._alive()
        with self._database.writing() as connection:
            with translated(self.path), self._database.turn(), writing(connection):
                self._follow_anchor(connection)
                now, present = self._now(), right_anchor()
                ahead = now - present[2]
                if not isinstance(self.clock, BootClock) or ahead <= 0:
                    return 0.0
                unit = SQLiteUnit(connection, present[2])
                unit.set_back(ahead)
                unit.flush()
                latest = max(now, int(_meta(connection, "set_back") or 0))
                for name, value in (
                    ("anchor", encode(present)),
                    ("reached", present[2]),
                    ("set_back", latest),
                ):
                    connection.execute(queries()["set_meta"], (name, value))
            self.clock, self._rows = BootClock(present), None
            self._database.notify()
        self._rouse()
        return ahead / SECOND

    # -- reading -------------------------------------------------------------------------------------------------------------------

    def _snapshot(self, work: Callable[[StoredUnit], T]) -> T:
        self._alive()
        with self._database.reading() as connection, translated(self.path):
            if connection.in_transaction:
                return work(SQLiteUnit(connection, self._now()))
            connection.execute("begin")
            try:
                changes = int(connection.execute("pragma data_version").get)
                if changes != self._changes_read:
                    self._changes_read = changes
                    self._follow_anchor(connection)
                return work(SQLiteUnit(connection, self._now()))
            finally:
                connection.execute("rollback")

    def _prepare_to_wait(self) -> None:
        if self._database.watch(self._rouse):
            # What was committed before that was not heard of.
            self._rouse()

    @property
    def closed(self) -> bool:
        """Whether `close` has been called, or the file is not the one that was opened."""
        return self._closed or self._database.lost is not None

    def close(self) -> None:
        """Let go of files and connections."""
        if self._closed:
            return
        super().close()
        self._database.close()

    def before_fork(self) -> None:
        self._database.before_fork()

    def after_fork_in_parent(self) -> None:
        self._database.after_fork_in_parent()

    def after_fork_in_child(self) -> None:
        super().after_fork_in_child()
        self._database.after_fork_in_child()


def _anchored(connection: apsw.Connection) -> Anchor:
    """Return the anchor of the database's time, setting it if the machine was started since."""
    known = _anchor(connection)
    if known is not None and anchor(known, 0) == known:
        return known
    with writing(connection):
        now = anchor(_anchor(connection), int(_meta(connection, "reached") or 0))
        connection.execute(queries()["set_meta"], ("anchor", encode(now)))
    return now


def _anchor(connection: apsw.Connection) -> Anchor | None:
    found = _meta(connection, "anchor")
    known: Anchor | None = None if found is None else decode(found, Anchor)
    return known


def _meta(connection: apsw.Connection, name: str) -> Any:
    return connection.execute(queries()["get_meta"], (name,)).get


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
