"""Transactions that write: begun, run, written down, committed, and looked after where nobody answers."""

import time
from collections.abc import Callable
from typing import Any

import psycopg
from msgspec import Struct

from pyworkflow.backend.postgresql.connections import Connection, Connections
from pyworkflow.backend.postgresql.errors import AGAIN, is_lost
from pyworkflow.backend.postgresql.flush import Flush
from pyworkflow.backend.postgresql.numbers import Numbers, Reserve
from pyworkflow.backend.postgresql.prefetch import Prefetch
from pyworkflow.backend.postgresql.registered import TypeCache
from pyworkflow.backend.postgresql.session import Call, Session
from pyworkflow.backend.postgresql.times import Times
from pyworkflow.backend.postgresql.unit import ContendedError, Locks, PostgreSQLUnit
from pyworkflow.backend.touches import Plan
from pyworkflow.backend.unit import FeedBatch, UncountedEventsError
from pyworkflow.backoff import Backoff
from pyworkflow.clock import SECOND
from pyworkflow.errors import BackendOutageError, BackendUnavailableError
from pyworkflow.ids import new_id

EVENT_KEY = "event_pkey"
"""What keeps two events of a process from having one number."""

ATTEMPTS = 20
"""How often the same works are tried while other transactions are in the way."""

PATIENCE_SECONDS = 30
"""How long to ask what became of a commit that nobody has answered."""

RETURN_SECONDS = 10
"""After the server has come back no lease, heartbeat or activity times out for so long: nobody could report meanwhile."""


class Job(Struct, frozen=True):
    """What a transaction is to do.

    Attributes:
        plan: What the works will touch.
        run: Runs them on a unit, from the beginning each time it is called; told the earliest deadline of all.
        farewell: Returns statements to send right before the commit.
    """

    plan: Plan
    run: Callable[[PostgreSQLUnit, int], None]
    farewell: Callable[[Flush], list[Call]]


class _ServerReturnedError(Exception):
    """The server was started again, has recovered or was promoted since the last transaction of anybody."""


class _UnknownError(Exception):
    """The connection was lost while the server may have been committing."""

    def __init__(self, flush: Flush) -> None:
        super().__init__()
        self.flush = flush


class Writer:
    """Runs transactions, one after the other.

    Args:
        connections: Where to get a connection.
        session: Makes a session of one.
        times: What time it is.
        types: What is known of the types.
    """

    def __init__(
        self,
        connections: Connections,
        session: Callable[[Connection], Session],
        times: Times,
        types: TypeCache,
    ) -> None:
        self._connections = connections
        self._session = session
        self._times = times
        self._types = types
        self._reserve = Reserve()
        self._receipts: list[str] = []

    def transact(self, job: Job) -> list[FeedBatch]:
        """Do a job until it is certain that it is done; return the new events.

        Raises:
            BackendUnavailableError: Nothing was committed, or nobody knows, as the message says.
            psycopg.Error: Nothing was committed.
        """
        ids: set[str] = set()
        keys: set[int] = set()
        backoff = Backoff(0.005, 0.2)
        lost = 0
        obstacle: psycopg.Error | None = None
        for _ in range(ATTEMPTS):
            receipt = new_id()
            try:
                return self._attempt(job, ids, keys, receipt)
            except ContendedError as contended:
                # The next attempt asks for these at the beginning, and waits for them.
                ids |= contended.ids
                keys |= contended.keys
            except _ServerReturnedError:
                # Leases have been prolonged.
                continue
            except _UnknownError as unknown:
                if self._was_committed(receipt):
                    return self._read_back(unknown.flush)
            except AGAIN as error:
                obstacle = error
                time.sleep(backoff.pause())
            except psycopg.Error as error:
                # Nothing remains of what was not to be committed yet. The first loss may be of a connection that was kept too long; if
                # a new one is lost too, the server is going.
                lost += 1
                if not is_lost(error) or lost > 1:
                    raise
        raise BackendOutageError(
            f"other transactions were in the way {ATTEMPTS} times: {obstacle or 'they hold its locks'}"
        ) from obstacle

    def _attempt(self, job: Job, ids: set[str], keys: set[int], receipt: str) -> list[FeedBatch]:
        with self._connections.lend() as connection:
            session = self._session(connection)
            numbers = Numbers(self._reserve)
            prefetch = Prefetch(job.plan, numbers, self._times.given(), ids, keys)
            _, ((*_, server_time, version, same_run),), *found = session.bulk(
                [("begin_write", {}), ("prologue", {}), *prefetch.calls]
            )
            now = self._times.of(server_time)
            if not same_run:
                hold = now + RETURN_SECONDS * SECOND
                session.bulk([("server_returned", {"hold": hold}), ("commit", {})])
                raise _ServerReturnedError
            unit = PostgreSQLUnit(
                session,
                now,
                self._types.at(version),
                Locks.NOWAIT,
                numbers,
            )
            job.run(unit, prefetch.load(unit, found))
            flush = Flush(unit)
            if not flush.calls and not unit.has_written:
                session.rows("rollback")
                return []
            calls: list[Call] = [
                *flush.calls,
                *job.farewell(flush),
                ("add_receipt", {"id": receipt, "before": self._receipts}),
                ("commit", {}),
            ]
            try:
                results = session.bulk(calls)
            except psycopg.Error as error:
                if is_lost(error) or connection.closed:
                    raise _UnknownError(flush) from error
                if error.diag.constraint_name == EVENT_KEY:
                    raise UncountedEventsError(flush.keys) from error
                raise
        self._receipts = [receipt]
        return flush.recorded(results)

    # -- a commit that nobody has answered -----------------------------------------------------------------------------------------

    def _was_committed(self, receipt: str) -> bool:
        """Find out what became of a transaction, and keep it from committing later if it has not."""
        backoff = Backoff(0.05, 1)
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                void = self._ask(receipt)
            except (BackendUnavailableError, psycopg.Error) as error:
                if time.monotonic() > end:
                    raise BackendOutageError(
                        f"the connection was lost during a commit; nobody knows whether it took place: {error}"
                    ) from error
                time.sleep(backoff.pause())
            else:
                self._receipts.append(receipt)
                return not void

    def _ask(self, receipt: str) -> bool:
        with self._connections.lend() as connection:
            session = self._session(connection)
            results = session.bulk(
                [
                    ("begin_write", {}),
                    ("prologue", {}),
                    ("void_receipt", {"id": receipt}),
                    ("get_receipt", {"id": receipt}),
                    ("commit", {}),
                ]
            )
        return bool(results[3][0][0])

    def _read_back(self, flush: Flush) -> list[FeedBatch]:
        try:
            with self._connections.lend() as connection:
                cursors: dict[Any, int] = {
                    (key, first_seq): cursor
                    for key, first_seq, cursor in self._session(connection).rows(
                        "cursors", events=flush.events
                    )
                }
        except (BackendUnavailableError, psycopg.Error):
            # It is committed, which is what counts; the cursors are for observers only.
            cursors = {}
        return flush.numbered(cursors)
