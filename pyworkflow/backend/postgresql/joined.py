"""Starting and signaling processes within the caller's own transaction."""

from abc import abstractmethod
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation

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
from pyworkflow.ids import new_id
from pyworkflow.process import Process


class Joining(StoredBackend):
    """A backend that can join a transaction of the caller's: what it does is committed with it, or not at all."""

    address: Address
    _times: Times
    _types: TypeCache

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
        request = requests.start(process, new_id())
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
        with translated(self.address.label):
            try:
                self._joined(connection, work)
            except UniqueViolation:
                # Another transaction has just started a process of the same id, which now can be seen.
                self._joined(connection, work)

    def _joined(self, connection: psycopg.Connection[Any], work: Work) -> None:
        plan = Plan()
        plan.add([work])
        session = self._session(connection)
        # The first statement begins the caller's transaction, if that has not begun yet.
        ((server_time, version),) = session.rows("clock")
        # A savepoint: what is refused leaves the caller's transaction as it was.
        with connection.transaction():
            numbers = Numbers(Reserve())
            unit = PostgreSQLUnit(
                session,
                self._times.of(server_time),
                self._types.at(version),
                Locks.WAIT,
                numbers,
            )
            prefetch = Prefetch(plan, numbers, self._times.given())
            prefetch.load(unit, session.bulk(prefetch.calls))
            work(unit)
            if calls := Flush(unit).calls:
                # From nobody: this backend object is to hear of it too.
                session.bulk([*calls, self._told(unit, "")])
