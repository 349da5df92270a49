"""Connections that are kept between transactions.

psycopg's own pool was tried and left out: it tries again in the background at intervals that double up to minutes, so that work would go
on long after the server has come back, and a wrong password is told as a time-out.
"""

from collections import deque
from collections.abc import Generator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from threading import RLock
from typing import Any

import psycopg
from psycopg.pq import TransactionStatus as Status

from pyworkflow.backend.postgresql.address import Address
from pyworkflow.backend.postgresql.errors import translated
from pyworkflow.backend.postgresql.wire import Wire
from pyworkflow.errors import BackendOutageError
from pyworkflow.forks import drop_descriptor

Connection = psycopg.Connection[Any]


class OwnConnection(psycopg.Connection[Any]):
    """A connection that one backend object has for itself."""

    wire: Wire


def connect(address: Address, conninfo: str | None = None) -> OwnConnection:
    """Open a connection that begins no transactions by itself."""
    connection = OwnConnection.connect(
        address.conninfo if conninfo is None else conninfo, autocommit=True, prepare_threshold=None
    )
    connection.wire = Wire(connection, address.prepare)
    return connection


class Connections:
    """Connections of one kind, lent to one thread each.

    Args:
        address: What to connect to.
        most: How many at most.
        patience: Seconds to wait for one that is lent out.
    """

    def __init__(self, address: Address, most: int, patience: float = 30) -> None:
        self._address = address
        self._free: deque[Connection] = deque()
        self._lent: set[Connection] = set()
        self._lock = RLock()
        # A signal handler may borrow while its thread is here: this queue is safe then, a semaphore hangs.
        self._slots: SimpleQueue[None] = SimpleQueue()
        for _ in range(most):
            self._slots.put(None)
        self._patience = patience
        self._closed = False

    @contextmanager
    def lend(self) -> Generator[Connection]:
        """Lend a connection; what is left of a transaction is rolled back, and once one was lost, the others are closed, too.

        Raises:
            BackendOutageError: There is none to be had.
        """
        try:
            self._slots.get(timeout=self._patience)
        except Empty:
            raise BackendOutageError(
                f"all connections to {self._address.label} are in use"
            ) from None
        try:
            connection = self._take()
            self._lent.add(connection)
            try:
                yield connection
            finally:
                self._lent.discard(connection)
                self._take_back(connection)
        finally:
            self._slots.put(None)

    def _take(self) -> Connection:
        while True:
            with self._lock:
                connection = self._free.pop() if self._free else None
            if connection is None:
                with translated(self._address.label):
                    return connect(self._address)
            if not connection.closed:
                return connection

    def _take_back(self, connection: Connection) -> None:
        with suppress(psycopg.Error):
            # Opening another one costs far more, and it would have to prepare all statements anew.
            if connection.info.transaction_status in (Status.INTRANS, Status.INERROR):
                connection.rollback()
        if not connection.closed and connection.info.transaction_status == Status.IDLE:
            with self._lock:
                if not self._closed:
                    self._free.append(connection)
                    return
        elif connection.broken:
            # Most likely the server was restarted: the others are of no use either.
            self.drop_idle()
        with suppress(psycopg.Error):
            connection.close()

    def drop_idle(self) -> None:
        """Close the connections that nobody has been lent."""
        with self._lock:
            free, self._free = self._free, deque()
        for connection in free:
            with suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """Close all connections, those that are lent out when they come back."""
        self._closed = True
        self.drop_idle()

    def drop(self) -> None:
        """Leave all connections to the parent, in a child: as long as its sockets are open here, the server takes the parent for alive."""
        for connection in (*self._free, *self._lent):
            drop_connection(connection)


_inherited: list[psycopg.Connection[Any]] = []
"""Connections of a parent: a child must not even end them, for that says farewell to the server."""


def drop_connection(connection: psycopg.Connection[Any]) -> None:
    """Close the socket of a connection of the parent's, in a child."""
    _inherited.append(connection)
    with suppress(psycopg.Error, OSError):
        drop_descriptor(connection.fileno())
