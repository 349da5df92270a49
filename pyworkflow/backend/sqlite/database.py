"""The connections of one OS process to a database file, and their life across forks and restored backups.

SQLite keeps the locks of a file per OS process, behind its connections: a child that inherits one believes in locks that the kernel has not
passed on, and so does every connection that it opens later. So no connection is open during a fork.
"""

import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from threading import RLock

import apsw

from pyworkflow.backend.sqlite.connection import (
    BUSY_SECONDS,
    MEMORY,
    open_database,
    open_reader,
    translated,
)
from pyworkflow.backend.sqlite.files import IN_USE_BY_PARENT, FileIdentity
from pyworkflow.backend.sqlite.ticket import Ticket
from pyworkflow.backend.sqlite.wake import WakeFile
from pyworkflow.errors import BackendReplacedError, BackendUnavailableError
from pyworkflow.forks import ForkAware

_inherited: list[apsw.Connection] = []
"""Connections of a parent: a child must not even close them, for that writes to what both share."""


class Database(ForkAware):
    """One connection that writes and one that reads, each opened when it is needed, and the files beside the database.

    Args:
        path: The file; ``:memory:`` for a database that ends with the object.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        text = os.fspath(path)
        self.path = text if text == MEMORY else os.path.realpath(text)
        self.opened = 0
        self.lost: str | None = None
        self._identity = FileIdentity(self.path)
        self._begin()

    def _begin(self) -> None:
        self._write_lock = RLock()
        self._read_lock = self._write_lock if self.path == MEMORY else RLock()
        self._writes = 0
        self._reads = 0
        self._writer: apsw.Connection | None = None
        self._reader: apsw.Connection | None = None
        self._turn: Ticket | None = None
        self._wake_file: WakeFile | None = None

    @contextmanager
    def writing(self) -> Generator[apsw.Connection]:
        """Lend the connection that writes, to one thread at a time.

        Raises:
            BackendReplacedError: The file is not the one that was opened.
            BackendUnavailableError: It cannot be opened.
        """
        with self._write_lock:
            self._writes += 1
            try:
                yield self._usable(self._writer or self._open_writer())
            finally:
                self._writes -= 1

    @contextmanager
    def turn(self) -> Generator[None]:
        """Keep the writers of other OS processes waiting; only within `writing`."""
        if self.path == MEMORY:
            yield
            return
        if self._turn is None:
            self._turn = Ticket(f"{self.path}-lock", BUSY_SECONDS)
        turn = self._turn
        turn.acquire()
        try:
            yield
        finally:
            turn.release()

    @contextmanager
    def reading(self) -> Generator[apsw.Connection]:
        """Lend the connection that reads, to one thread at a time.

        Raises:
            BackendReplacedError: The file is not the one that was opened.
            BackendUnavailableError: It cannot be opened.
        """
        if self.path == MEMORY:
            with self.writing() as connection:
                yield connection
            return
        with self._read_lock:
            self._reads += 1
            try:
                yield self._usable(self._reader or self._open_reader())
            finally:
                self._reads -= 1

    def _open_writer(self) -> apsw.Connection:
        with self._opening():
            self._writer = open_database(self.path)
        self.opened += 1
        return self._writer

    def _open_reader(self) -> apsw.Connection:
        with self._opening():
            self._reader = open_reader(self.path)
        return self._reader

    @contextmanager
    def _opening(self) -> Generator[None]:
        """Refuse to open what is not there any more, before SQLite makes a new file in its place."""
        if self.path == MEMORY:
            yield
            return
        with self._noting_loss(), translated(self.path):
            self._identity.admit()
            yield
            self._identity.record()

    def _usable(self, connection: apsw.Connection) -> apsw.Connection:
        """Return a connection if the file that it has open is still the one at the path."""
        if self.lost is not None:
            raise BackendReplacedError(self.lost)
        if self.path != MEMORY and not connection.in_transaction:
            with self._noting_loss(), translated(self.path):
                if before := self._identity.check():
                    pages = int(connection.execute("pragma page_count").get)
                    # A database that was compacted has fewer pages. One that was truncated still counts those that it has lost.
                    if pages * int(connection.execute("pragma page_size").get) >= before:
                        raise BackendReplacedError(f"{self.path} was truncated: restore it")
        return connection

    @contextmanager
    def _noting_loss(self) -> Generator[None]:
        try:
            yield
        except BackendReplacedError as error:
            self.lost = str(error)
            raise

    # -- the files beside it -------------------------------------------------------------------------------------------------------

    def notify(self) -> None:
        """Wake other OS processes after a commit."""
        if self.path != MEMORY:
            self._wake().touch()

    def watch(self, callback: Callable[[], None]) -> bool:
        """Call back after commits of other OS processes; return False if that has begun before."""
        return self.path != MEMORY and self._wake().watch(callback)

    def _wake(self) -> WakeFile:
        if self._wake_file is None:
            with self._write_lock:
                if self._wake_file is None:
                    self._wake_file = WakeFile(f"{self.path}-wake", self._changes)
        return self._wake_file

    def _changes(self) -> int:
        with self.reading() as connection:
            return int(connection.execute("pragma data_version").get)

    # -- the end, and forks --------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of files and connections, once the calls that are under way have ended."""
        with self._write_lock, self._read_lock:
            self._close_connections()
            for file in (self._turn, self._wake_file):
                if file is not None:
                    file.close()
            self._turn = self._wake_file = None

    def _close_connections(self) -> None:
        for connection in (self._writer, self._reader):
            if connection is not None:
                # Closing moves the WAL into the database. What the disk says to that harms nothing: the WAL is still there.
                with suppress(apsw.Error):
                    connection.close(True)
        self._writer = self._reader = None
        self._identity.forget_sides()

    def before_fork(self) -> None:
        """Wait for the calls of other threads, and close the connections."""
        self._write_lock.acquire()
        self._read_lock.acquire()
        # What this thread is in the middle of goes on in the parent.
        if not (self._writes or self._reads or self.path == MEMORY):
            self._close_connections()

    def after_fork_in_parent(self) -> None:
        """Let calls in again: the next ones open the connections."""
        self._read_lock.release()
        self._write_lock.release()

    def after_fork_in_child(self) -> None:
        """Leave to the parent what is its own."""
        if open_connections := [c for c in (self._writer, self._reader) if c is not None]:
            self.lost = (
                "a database in memory stays with the process that made it"
                if self.path == MEMORY
                else f"{self.path} {IN_USE_BY_PARENT}"
            )
            self._identity.leave_to_parent()
            for connection in open_connections:
                connection.exec_trace = _refuse
            _inherited.extend(open_connections)
        for file in (self._turn, self._wake_file):
            if file is not None:
                file.drop()
        self._begin()


def _refuse(*_: object) -> bool:
    """Keep an interrupted call from going on in a child: its locks are the parent's."""
    raise BackendUnavailableError("this call goes on in the process that forked")
