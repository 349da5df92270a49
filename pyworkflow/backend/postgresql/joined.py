"""Starting and signaling processes within the caller's own transaction."""

from abc import abstractmethod
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation
from psycopg.pq import TransactionStatus

from pyworkflow.backend import requests
from pyworkflow.backend.base import Reuse
from pyworkflow.backend.postgresql.address import Address
from pyworkflow.backend.postgresql.errors import translated
from pyworkflow.backend.postgresql.flush import Flush
from pyworkflow.backend.postgresql.numbers import Numbers, Reserve
from pyworkflow.backend.postgresql.prefetch import Prefetch
from pyworkflow.backend.postgresql.registered import TypeCache
from pyworkflow.backend.postgresql.session import Call, Session
from pyworkflow.backend.postgresql.times import Times
from pyworkflow.backend.postgresql.unit import Locks, PostgreSQLUnit
from pyworkflow.backend.stored import StoredBackend
from pyworkflow.backend.touches import Plan
from pyworkflow.backend.unit import Work
from pyworkflow.codec import Json
from pyworkflow.errors import InvalidRequestError
from pyworkflow.process import Process

ATTEMPTS = 5
"""How often a work is tried while transactions that have just been committed are in the way."""


class Joining(StoredBackend):
    """A backend that can join a transaction of the caller's: what it does is committed with it, or not at all."""

    address: Address
    _times: Times
    _types: TypeCache
    _identity: int

    @abstractmethod
    def _session(self, connection: psycopg.Connection[Any]) -> Session: ...

    @abstractmethod
    def _told(self, unit: PostgreSQLUnit, sender: str) -> Call: ...

    def start_process(
        self,
        process: Process,
        *,
        reuse: Reuse = Reuse.REJECT,
        connection: psycopg.Connection[Any] | None = None,
    ) -> str:
        """Start a process and return its id.

        Args:
            process: The process.
            reuse: When the id of a closed process may be used again.
            connection: The caller's own, to this database: the process exists when the caller commits.
        """
        if connection is None:
            return super().start_process(process, reuse=reuse)
        request = requests.start(process)
        self._join(connection, requests.starting(request, reuse))
        return request.id

    def signal_process(
        self,
        process_id: str,
        name: str,
        data: Json = None,
        *,
        signal_id: str | None = None,
        connection: psycopg.Connection[Any] | None = None,
    ) -> None:
        """Tell a process something.

        Args:
            process_id: The process. It is locked from here to the end of the caller's transaction.
            name: What it is about.
            data: Any JSON.
            signal_id: The caller's id of this signal.
            connection: The caller's own, to this database: the signal is there when the caller commits.
        """
        if connection is None:
            super().signal_process(process_id, name, data, signal_id=signal_id)
        else:
            self._join(connection, requests.signaling(process_id, name, data, signal_id))

    def _join(self, connection: psycopg.Connection[Any], work: Work) -> None:
        self._alive()
        check_joinable(connection)
        with translated(self.address.label):
            for attempt in range(1, ATTEMPTS + 1):
                try:
                    return self._joined(connection, work)
                except UniqueViolation:
                    # Another transaction has just started a process of the same id, which now can be seen.
                    if attempt == ATTEMPTS:
                        raise

    def _joined(self, connection: psycopg.Connection[Any], work: Work) -> None:
        plan = Plan()
        plan.add([work])
        session = self._session(connection)
        # The first statement begins the caller's transaction, if that has not begun yet.
        ((server_time, database, has_schema),) = session.rows("whereabouts")
        if not has_schema:
            raise self._elsewhere(database)
        # A savepoint: what is refused leaves the caller's transaction as it was.
        with connection.transaction():
            numbers = Numbers(Reserve())
            prefetch = Prefetch(plan, numbers, self._times.given())
            ((version, identity),), *answers = session.bulk([("store", {}), *prefetch.calls])
            if identity != self._identity:
                raise self._elsewhere(database)
            unit = PostgreSQLUnit(
                session,
                self._times.of(server_time),
                self._types.at(version),
                Locks.WAIT,
                numbers,
            )
            prefetch.load(unit, answers)
            work(unit)
            if calls := Flush(unit, joined=True).calls:
                # From nobody: this backend object is to hear of it too.
                session.bulk([*calls, self._told(unit, "")])

    def _elsewhere(self, database: str) -> InvalidRequestError:
        return InvalidRequestError(
            "connection",
            f"leads to database {database!r}, which is not that of this backend:"
            f" pass a connection to {self.address.label}",
        )


def check_joinable(connection: object) -> None:
    """Check that a transaction of the caller's can be joined.

    Raises:
        InvalidRequestError: It is not a connection of psycopg 3, or commits each statement by itself, or is of no use any more.
    """
    if not isinstance(connection, psycopg.Connection):
        raise InvalidRequestError(
            "connection", f"must be a psycopg.Connection, not {_described(connection)}"
        )
    status = connection.info.transaction_status
    if connection.closed:
        raise InvalidRequestError("connection", "is closed")
    if connection.autocommit and status is TransactionStatus.IDLE:
        raise InvalidRequestError(
            "connection",
            "commits each statement by itself (autocommit): begin a transaction first, by `with connection.transaction():`",
        )
    if status is TransactionStatus.INERROR:
        raise InvalidRequestError(
            "connection", "a statement of its transaction has failed: roll it back first"
        )


def _described(connection: object) -> str:
    """Return the class of what was passed as a connection, and what to pass instead."""
    kind = type(connection)
    name = f"{kind.__module__}.{kind.__qualname__}"
    for base in kind.__mro__:
        if "Async" in base.__name__:
            return f"{name}: an asynchronous connection cannot be joined"
        if base.__module__.startswith("sqlalchemy."):
            way = _DRIVER_CONNECTIONS.get(base.__name__)
            if way is not None:
                return f"{name}: with an engine of postgresql+psycopg, pass its `{way}`"
    return name


_DRIVER_CONNECTIONS = {
    "Session": "connection().connection.driver_connection",
    "scoped_session": "connection().connection.driver_connection",
    "Connection": "connection.driver_connection",
}
"""Where SQLAlchemy keeps psycopg's connection."""
