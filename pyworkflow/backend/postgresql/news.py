"""Hearing of the commits of other OS processes, and telling them of one's own: a hint, besides which everybody looks now and then.

PostgreSQL lets one transaction at a time commit a NOTIFY. So an OS process that listens tells the others on the connection that it listens
on, after the commit and no more often than they need; only one that does not listen tells them within its transactions.
"""

import logging
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from threading import RLock, Thread
from typing import Any

import psycopg
from msgspec import Struct
from psycopg import sql

from pyworkflow.backend.postgresql.address import Address
from pyworkflow.backend.postgresql.connections import connect, drop_connection
from pyworkflow.backend.touches import Ready
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.codec import decode, encode
from pyworkflow.errors import BackendUnavailableError, PayloadError
from pyworkflow.forks import drop_descriptor

log = logging.getLogger("pyworkflow.postgresql")

QUIET_SECONDS = 0.002
"""Between two notices of one OS process; what is committed meanwhile is told by the second."""

ALIVE_SECONDS = 30.0
"""How often a connection on which nothing happens is used, so that its loss is noticed."""


MAX_BYTES = 7999
"""PostgreSQL's limit for what a notice says."""


class Notice(Struct, frozen=True, omit_defaults=True):
    """What is told of a commit.

    Attributes:
        sender: Who has committed: passed over by the same; empty for nobody who would hear it otherwise.
        ready: Tasks that others may claim; None if that is not known.
        ends: Whether a process may have ended.
    """

    sender: str
    ready: frozenset[Ready] | None = None
    ends: bool = True

    def text(self) -> str:
        """Return it as it is sent."""
        body = encode(self)
        return (body if len(body) <= MAX_BYTES else encode(Notice(self.sender))).decode()

    def joined(self, other: "Notice | None") -> "Notice":
        """Return what tells of two commits."""
        if other is None:
            return self
        known = self.ready is not None and other.ready is not None
        ready = frozenset((*(self.ready or ()), *(other.ready or ()))) if known else None
        return Notice(self.sender, ready, self.ends or other.ends)


def _read(text: str) -> Notice:
    try:
        return decode(text, Notice)
    except PayloadError:
        # Of another version, or of somebody who may do what he likes: something may have happened.
        return Notice("")


def channel(schema: str, domain: str) -> str:
    """Return the channel of a domain: a name of any length does not fit."""
    told = blake2b(f"{schema}\0{domain}".encode(), digest_size=12).hexdigest()
    return f"pyworkflow_{told}"


class News:
    """A connection that listens, and the thread that serves it. Neither is there before somebody waits.

    Args:
        address: What to connect to.
        channel: What to listen to.
        sender: What one's own notices say, so that they are passed over.
        notify: What to call when others have committed, or, with None, when they may have.
    """

    def __init__(
        self,
        address: Address,
        channel: str,
        sender: str,
        notify: Callable[[Notice | None], None],
    ) -> None:
        self._address = address
        self._channel = channel
        self._sender = sender
        self._notify = notify
        self._lock = RLock()
        self._thread: Thread | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._pipe: tuple[int, int] | None = None
        self._untold: Notice | None = None
        self._closed = False

    def follow(self) -> None:
        """Listen from now on; a second call does nothing."""
        if self._address.listening is None:
            return
        with self._lock:
            if self._thread is None and not self._closed:
                self._pipe = os.pipe()
                os.set_blocking(self._pipe[0], False)
                os.set_blocking(self._pipe[1], False)
                self._thread = Thread(target=self._serve, daemon=True, name="pyworkflow-news")
                self._thread.start()

    def tell(self) -> bool:
        """Tell others of a commit that is about to be made, soon after; return False if they must be told by other means."""
        return self._connection is not None

    def committed(self, notice: Notice) -> None:
        """Send what `tell` has promised."""
        if self._connection is not None:
            with self._lock:
                self._untold = notice.joined(self._untold)
            self._poke()

    def _poke(self) -> None:
        with self._lock:
            if self._pipe is not None:
                # A pipe that is full wakes the thread as well.
                with suppress(BlockingIOError):
                    os.write(self._pipe[1], b"\0")

    # -- the thread ----------------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        while not self._closed:
            try:
                with connect(self._address, self._address.listening) as connection:
                    connection.execute(sql.SQL("listen {}").format(sql.Identifier(self._channel)))
                    # Told of commits, others need not wait until this notice is safe on the disk.
                    connection.execute("set synchronous_commit = off")
                    self._connection = connection
                    backoff.succeed()
                    # Whatever came while nobody listened has to be looked for.
                    self._notify(None)
                    self._converse(connection)
            except (psycopg.Error, OSError, BackendUnavailableError) as error:
                if not self._closed:
                    log.warning("no news from %s: %s", self._address.label, error)
                    self._connection = None
                    self._wait(backoff.pause())
            finally:
                self._connection = None

    def _wait(self, seconds: float) -> bool:
        """Sleep until poked."""
        pipe = self._pipe
        if pipe is None:
            return False
        poked = bool(select.select([pipe[0]], [], [], seconds)[0])
        if poked:
            os.read(pipe[0], 65536)
        return poked

    def _converse(self, connection: psycopg.Connection[Any]) -> None:
        assert self._pipe is not None  # noqa: S101 - made before the thread
        told = 0.0
        while not self._closed:
            files: list[Any] = [connection, self._pipe[0]]
            readable, _, _ = select.select(files, [], [], ALIVE_SECONDS)
            if self._pipe[0] in readable:
                os.read(self._pipe[0], 65536)
            if self._untold is not None:
                time.sleep(max(0.0, told + QUIET_SECONDS - time.monotonic()))
                with self._lock:
                    untold, self._untold = self._untold, None
                told = time.monotonic()
                connection.execute("select pg_notify(%s, %s)", (self._channel, untold.text()))
            elif not readable:
                connection.execute("select 1")
            heard: Notice | None = None
            for notification in connection.notifies(timeout=0):
                notice = _read(notification.payload)
                if notice.sender != self._sender:
                    heard = notice.joined(heard)
            if heard is not None:
                self._notify(heard)

    # -- the end -------------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """End the thread and the connection."""
        self._closed = True
        self._poke()
        if self._thread is not None:
            self._thread.join(5)
        with self._lock:
            pipe, self._pipe = self._pipe, None
        if pipe is not None:
            for end in pipe:
                os.close(end)

    def drop(self) -> None:
        """Leave the connection to the parent, in a child."""
        if self._connection is not None:
            drop_connection(self._connection)
        for end in self._pipe or ():
            drop_descriptor(end)
