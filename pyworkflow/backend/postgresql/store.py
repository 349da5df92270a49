"""The PostgreSQL backend: transactions and snapshots on connections that come and go."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import psycopg

from pyworkflow.backend.base import Capability, Poll
from pyworkflow.backend.gate import gated
from pyworkflow.backend.group import Rider, Submission
from pyworkflow.backend.postgresql.address import Address, checked, parse_url
from pyworkflow.backend.postgresql.connections import Connection, Connections
from pyworkflow.backend.postgresql.errors import is_lost, translated
from pyworkflow.backend.postgresql.flush import Flush, notice
from pyworkflow.backend.postgresql.joined import Joining
from pyworkflow.backend.postgresql.news import News, Notice, channel
from pyworkflow.backend.postgresql.numbers import Numbers, Reserve
from pyworkflow.backend.postgresql.registered import TypeCache
from pyworkflow.backend.postgresql.schema import set_up
from pyworkflow.backend.postgresql.session import Call, Session
from pyworkflow.backend.postgresql.times import Times
from pyworkflow.backend.postgresql.transaction import Job, Writer
from pyworkflow.backend.postgresql.unit import Locks, PostgreSQLUnit
from pyworkflow.backend.reading import feed_entries
from pyworkflow.backend.stored import StoredBackend
from pyworkflow.backend.touches import Plan
from pyworkflow.backend.turns import CONTENDED_SECONDS
from pyworkflow.backend.unit import StoredUnit
from pyworkflow.clock import SECOND, Clock, SystemClock
from pyworkflow.errors import BackendReadOnlyError
from pyworkflow.forks import watch_forks
from pyworkflow.ids import new_id
from pyworkflow.task import ActivityTask, DecisionTask

T = TypeVar("T")

READERS = 4
"""Connections of one backend object for reading; there is one more for writing, and one for listening."""


class PostgreSQLBackend(Joining):
    """Keeps processes in a PostgreSQL database that any number of machines share.

    What many threads of one OS process ask for at the same time is committed together. The time is the server's, unless a clock is given.

    Args:
        conninfo: libpq's connection string, or a ``postgresql://`` URL without parameters of ours.
        schema: The schema of the tables, made if it is missing.
        domain: The namespace: backends of different domains never see each other's processes.
        listen: The connection string for LISTEN, where `conninfo` leads to a pooler; ``off`` to do without.
        prepare: Whether statements are prepared on each connection.
        clock: What to read the time from, for tests.

    Raises:
        InvalidRequestError: An argument is not acceptable.
        BackendUnavailableError: The server cannot be reached.
        BackendVersionError: The schema is newer than this pyworkflow.
    """

    name = "postgresql"

    @gated
    def __init__(
        self,
        conninfo: str,
        *,
        schema: str = "pyworkflow",
        domain: str = "default",
        listen: str | None = None,
        prepare: bool = True,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(clock or SystemClock())
        self.capabilities = StoredBackend.capabilities | {
            Capability.CLOCK,
            Capability.SHARED,
            Capability.DURABLE,
            Capability.JOIN,
        }
        self.address = checked(Address(conninfo, schema, domain, listen, prepare))
        self._label = self.address.label
        self._times = Times(clock)
        self._open()
        try:
            with translated(self._label), self._readers.lend() as connection:
                self._domain, self._identity = set_up(connection, self.address)
        except BaseException:
            self._readers.close()
            raise
        watch_forks(self)

    def _open(self) -> None:
        self._writers = Connections(self.address, 1)
        self._readers = Connections(self.address, READERS)
        self._types = TypeCache()
        self._writer = Writer(self._writers, self._session, self._times, self._types)
        self._sender = new_id()
        self._channel = channel(self.address.schema, self.address.domain)
        self._news = News(self.address, self._channel, self._sender, self._heard)

    def _session(self, connection: Connection) -> Session:
        return Session(connection, self.address.schema, self._domain)

    def _moment(self) -> int | None:
        return self._times.moment()

    # -- writing -------------------------------------------------------------------------------------------------------------------

    def _commit(self, group: Sequence[Submission]) -> None:
        plan, riders = Plan(), Plan()
        for submission in group:
            # What was ready before a poll began to ride along, it would have found.
            (riders if isinstance(submission, Rider) else plan).add(submission.works)
        units: list[PostgreSQLUnit] = []

        def run(unit: PostgreSQLUnit, next_due: int) -> None:
            units.append(unit)
            unit.deadline = next_due
            unit.expect_no_claim(riders)
            self._run(unit, group)

        with translated(self._label):
            recorded = self._writer.transact(Job(plan, run, self._farewell))
        told = notice(units[-1], self._sender)
        if recorded or told.ready:
            self._news.committed(told)
        if recorded:
            self._committed(units[-1], lambda: feed_entries(recorded, 2**62))

    def _farewell(self, flush: Flush) -> list[Call]:
        """Tell other OS processes of the commit, if they may wait for it."""
        if not flush.is_news or self._news.tell():
            return []
        return [self._told(flush.unit, self._sender)]

    def _told(self, unit: PostgreSQLUnit, sender: str) -> Call:
        return "notify", {"channel": self._channel, "notice": notice(unit, sender).text()}

    def _heard(self, told: Notice | None) -> None:
        """Wake those who may find something in what others have committed."""
        if told is None:
            self._rouse()
        else:
            self._wakeups.notify(ends=told.ends)
            self._group.call_riders(told.ready)

    # -- reading -------------------------------------------------------------------------------------------------------------------

    def _snapshot(self, work: Callable[[StoredUnit], T]) -> T:
        return self._twice(lambda: self._look(work))

    def _twice(self, look: Callable[[], T]) -> T:
        """Look, on another connection if the first is lost: it may just have been kept for too long."""
        self._alive()
        with translated(self._label):
            try:
                return look()
            except psycopg.Error as error:
                if not is_lost(error):
                    raise
            return look()

    def _look(self, work: Callable[[StoredUnit], T]) -> T:
        with self._readers.lend() as connection:
            session = self._session(connection)
            _, ((server_time, version),), ((next_due,),) = session.bulk(
                [("begin_read", {}), ("clock", {}), ("next_due", {})]
            )
            now, types = self._times.of(server_time), self._types.at(version)
            unit = PostgreSQLUnit(session, now, types, Locks.NONE, Numbers(Reserve()))
            unit.deadline = next_due
            seen = work(unit)
            session.rows("rollback")
            return seen

    def _read_and_deadline(self, work: Callable[[StoredUnit], T]) -> tuple[T, int]:
        def look(unit: StoredUnit) -> tuple[T, int]:
            return work(unit), unit.next_due() - unit.now

        return self._after_what_is_due(lambda: self._look(look))

    def _after_what_is_due(self, look: Callable[[], tuple[T, int]]) -> tuple[T, int]:
        """Look, after doing what is due, as far as nobody else is doing it and this program may.

        Args:
            look: Returns what it sees, and in how many microseconds something is due.
        """
        swept = True
        while True:
            result, due_in = self._twice(look)
            if due_in > 0:
                return result, due_in
            if not swept:
                # What is due and not for this program to do, others do: there is no use in looking again at once.
                return result, int(CONTENDED_SECONDS * SECOND)
            try:
                swept = self._do(_has_swept)
            except BackendReadOnlyError:
                swept = False

    def _ready(self, polls: Sequence[Poll]) -> tuple[bool, int]:
        sources = _sources(polls)

        def look() -> tuple[bool, int]:
            with self._readers.lend() as connection:
                ((now, next_due, ready),) = self._session(connection).rows(
                    "look", now=self._times.given(), **sources
                )
            return ready, next_due - now

        return self._after_what_is_due(look)

    def _prepare_to_wait(self) -> None:
        self._news.follow()

    # -- the end -------------------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Let go of the connections."""
        if self._closed:
            return
        super().close()
        self._news.close()
        self._writers.close()
        self._readers.close()

    def after_fork_in_child(self) -> None:
        """Leave the connections to the parent: one that two programs use is of no use to either."""
        super().after_fork_in_child()
        for inherited in (self._writers, self._readers, self._news):
            inherited.drop()
        self._open()


def _sources(polls: Sequence[Poll]) -> dict[str, list[str]]:
    """Return the parameters of the statement that looks for tasks."""
    decisions = [(p.category, p.names) for p in polls if p.kind is DecisionTask]
    tasks = [(p.category, p.names) for p in polls if p.kind is ActivityTask]
    return {
        "decisions": [category for category, names in decisions for _ in names or ()],
        "workflows": [name for _, names in decisions for name in names or ()],
        "tasks": [category for category, names in tasks for _ in names or ()],
        "activities": [name for _, names in tasks for name in names or ()],
        "any_decisions": [category for category, names in decisions if names is None],
        "any_tasks": [category for category, names in tasks if names is None],
    }


def _has_swept(unit: StoredUnit) -> bool:
    """Tell whether a transaction did what was due. If not, another one has it under its locks."""
    return isinstance(unit, PostgreSQLUnit) and unit.swept > 0


def open_url(url: str) -> PostgreSQLBackend:
    """Open the backend of a URL, such as ``postgresql://user@host:5432/database?schema=pyworkflow&domain=shop``.

    Raises:
        InvalidRequestError: A part of the URL is not acceptable.
        BackendUnavailableError: The server cannot be reached.
    """
    address = parse_url(url)
    return PostgreSQLBackend(
        address.conninfo,
        schema=address.schema,
        domain=address.domain,
        listen=address.listen,
        prepare=address.prepare,
    )
