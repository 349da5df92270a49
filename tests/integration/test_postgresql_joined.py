"""Transactions of callers that start and signal processes: nobody waits for another one, and the feed has each event in its place."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import psycopg
import pytest

from pyworkflow.backend.base import FEED_START, Backend, Reuse
from pyworkflow.backend.cursors import place_of
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.postgresql.session import statements
from pyworkflow.errors import BackendUnavailableError, InvalidRequestError
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from tests.postgresql import Server

HALF = 1 << 19
"""Places in the feed that a transaction has for itself; the others of its block are for older ones."""


@pytest.fixture
def server(postgresql_server: Server) -> Server:
    return postgresql_server


@pytest.fixture
def backend(server: Server, schema: str) -> Iterator[PostgreSQLBackend]:
    with PostgreSQLBackend(server.url(), schema=schema) as backend:
        backend.register_workflow("w")
        yield backend


@pytest.fixture
def callers(server: Server, schema: str) -> Iterator[list[psycopg.Connection[Any]]]:
    """Eight open transactions that have written a row of their own, and that wait for nobody."""
    with ExitStack() as opened, server.connect() as admin:
        admin.execute(f"create schema if not exists {schema}")
        admin.execute(f"create table {schema}.shop_order (id int)")
        callers = [opened.enter_context(psycopg.connect(server.url())) for _ in range(8)]
        for number, caller in enumerate(callers):
            caller.execute("set local lock_timeout = '100ms'")
            caller.execute(f"insert into {schema}.shop_order values (%s)", [number])
        yield callers


class Follower:
    """Follows the feed in small pages."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._cursor = FEED_START
        self.seqs: dict[str, int] = defaultdict(int)
        self.names: list[str] = []

    def follow(self) -> None:
        while entries := self._backend.feed(self._cursor, limit=2):
            for entry in entries:
                assert place_of(entry.cursor) >= place_of(self._cursor)
                self._cursor = entry.cursor
                self.seqs[entry.process_id] += 1
                assert entry.seq == self.seqs[entry.process_id]
                self.names.append(f"{entry.process_id}-{entry.seq}")


def test_eight_open_transactions_hold_up_nobody_and_lose_nothing(
    backend: PostgreSQLBackend, callers: list[psycopg.Connection[Any]]
) -> None:
    follower = Follower(backend)
    for number, caller in enumerate(callers):
        backend.start_process(Process("w", id=f"other-{number}"))
        backend.start_process(Process("w", id=f"first-{number}"), connection=caller)
        follower.follow()
        backend.signal_process(f"other-{number}", "from another")
    for number, caller in enumerate(reversed(callers)):
        backend.start_process(Process("w", id=f"between-{number}"))
        backend.start_process(Process("w", id=f"second-{7 - number}"), connection=caller)
        backend.signal_process(f"other-{number}", "from a caller", connection=caller)
        follower.follow()
    for number, caller in enumerate(callers):
        if number % 2:
            caller.rollback()
        else:
            caller.commit()
        follower.follow()
        backend.signal_process(f"other-{7 - number}", "afterwards")
    follower.follow()

    # Those of the even callers, in the order of the callers reversed: caller 7 has signaled other-0.
    expected = {f"{name}-{n}" for n in range(0, 8, 2) for name in ("first", "second")}
    expected |= {f"between-{n}" for n in range(8)} | {f"other-{n}" for n in range(8)}
    assert {process.id for process in backend.processes()} == expected
    assert {name: seq for name, seq in follower.seqs.items() if name.startswith("other")} == {
        f"other-{n}": 4 if n % 2 else 3 for n in range(8)
    }
    assert all(seq == len(backend.history(name)) for name, seq in follower.seqs.items())
    assert len(follower.names) == len(set(follower.names))
    assert set(follower.seqs) == expected
    assert backend.check() == []


def test_the_events_of_one_transaction_are_in_the_order_of_its_calls(
    backend: PostgreSQLBackend, callers: list[psycopg.Connection[Any]]
) -> None:
    caller, *others = callers
    backend.start_process(Process("w", id="younger"))
    backend.start_process(Process("w", id="a"), connection=caller)
    backend.signal_process("younger", "s", connection=caller)
    with caller.transaction(force_rollback=True):
        backend.start_process(Process("w", id="undone"), connection=caller)
    backend.start_process(Process("w", id="b"), connection=caller)
    backend.signal_process("a", "s", connection=caller)
    caller.commit()
    for other in others:
        other.rollback()

    entries = backend.feed()

    names = [entry.process_id for entry in entries]
    assert names == ["a", "younger", "younger", "b", "a"]
    assert len({entry.cursor for entry in entries}) == 5


def test_an_order_holds_where_the_places_for_older_transactions_begin_anew(
    backend: PostgreSQLBackend, callers: list[psycopg.Connection[Any]], schema: str, server: Server
) -> None:
    follower = Follower(backend)
    backend.start_process(Process("w", id="younger"))
    with server.connect() as admin:
        admin.execute("select setval(%s, %s)", [f"{schema}.late_event", HALF - 3])
    for caller in callers[:3]:
        for number in range(3):
            backend.signal_process("younger", str(number), connection=caller)
        caller.commit()
    for caller in callers[3:]:
        caller.rollback()
    follower.follow()

    assert follower.seqs == {"younger": 10}


def test_the_batches_of_one_statement_are_in_order_where_the_places_begin_anew(
    backend: PostgreSQLBackend, callers: list[psycopg.Connection[Any]], schema: str, server: Server
) -> None:
    caller = callers[0]
    backend.start_process(Process("w", id="younger"))
    before = statements_of_feed(server, schema)[-1]
    with server.connect() as admin:
        admin.execute("select setval(%s, %s)", [f"{schema}.late_event", HALF - 3])
        ((key,),) = admin.execute(f"select key from {schema}.process").fetchall()
    rows = ",".join(f'{{"key": {k}, "first_seq": 2, "body": "[]"}}' for k in (key, 90, 91, 92, 93))
    values = {"domain": 1, "rows": f"[{rows}]", "joined": True}

    added = caller.execute(statements(schema)["add_events"], values).fetchall()

    cursors = [cursor for cursor, _ in added]
    assert cursors == sorted(set(cursors))
    assert cursors[0] > before


def statements_of_feed(server: Server, schema: str) -> list[int]:
    with server.connect() as admin:
        rows = admin.execute(f"select cursor from {schema}.event order by cursor").fetchall()
    return [int(str(cursor)) for (cursor,) in rows]


def test_more_events_than_a_transaction_has_places_for_follow_its_own(
    backend: PostgreSQLBackend, callers: list[psycopg.Connection[Any]], schema: str
) -> None:
    caller = callers[0]
    for number in range(2):
        backend.start_process(Process("w", id=f"p{number}"), connection=caller)
    # As if there had been half a million between them.
    last = f"((pg_current_xact_id()::text::bigint << 20) + {HALF - 2})::text"
    caller.execute(f"select set_config('pyworkflow.{schema}', {last}, true)".encode())
    for number in range(2, 5):
        backend.start_process(Process("w", id=f"p{number}"), connection=caller)
    backend.signal_process("p0", "s", connection=caller)
    caller.commit()
    for other in callers[1:]:
        other.rollback()

    assert [e.process_id for e in backend.feed()] == ["p0", "p1", "p2", "p3", "p4", "p0"]


def test_two_starts_of_one_id_are_one_process(
    backend: PostgreSQLBackend, callers: list[psycopg.Connection[Any]]
) -> None:
    backend.start_process(Process("w", id="p", input=1), connection=callers[0])
    with pytest.raises(BackendUnavailableError, match="another transaction holds its locks"):
        backend.start_process(Process("w", id="p", input=1), connection=callers[1])
    callers[0].commit()

    backend.start_process(Process("w", id="p", input=1), connection=callers[1])
    callers[1].commit()

    assert [process.id for process in backend.processes()] == ["p"]


# -- what cannot be joined ---------------------------------------------------------------------------------------------------------


def refused(backend: PostgreSQLBackend, connection: Any) -> str:
    """Return why a connection is refused."""
    with pytest.raises(InvalidRequestError) as refusal:
        backend.start_process(Process("w", id="p"), connection=connection)
    assert backend.processes() == []
    return str(refusal.value)


@pytest.mark.parametrize(
    ("module", "name", "words"),
    [
        (
            "sqlalchemy.orm.session",
            "Session",
            "pass its `connection().connection.driver_connection`",
        ),
        ("sqlalchemy.engine.base", "Connection", "pass its `connection.driver_connection`"),
        ("sqlalchemy.ext.asyncio.session", "AsyncSession", "asynchronous connection cannot be"),
        ("psycopg2.extensions", "connection", "must be a psycopg.Connection, not psycopg2"),
    ],
)
def test_what_is_no_connection_of_psycopg_is_refused_with_what_to_pass(
    backend: PostgreSQLBackend, module: str, name: str, words: str
) -> None:
    base = type(name, (), {"__module__": module})

    assert words in refused(backend, base())
    assert words in refused(backend, type("Mine", (base,), {"__module__": module})())


def test_an_asynchronous_connection_is_refused(backend: PostgreSQLBackend, server: Server) -> None:
    async def refuse() -> str:
        async with await psycopg.AsyncConnection.connect(server.url()) as connection:
            return refused(backend, connection)

    assert "AsyncConnection: an asynchronous connection cannot be joined" in asyncio.run(refuse())


def test_a_connection_that_commits_each_statement_is_refused_outside_of_a_transaction(
    backend: PostgreSQLBackend, server: Server
) -> None:
    with psycopg.connect(server.url(), autocommit=True) as connection:
        assert "commits each statement by itself" in refused(backend, connection)
        with connection.transaction(force_rollback=True):
            backend.start_process(Process("w", id="p"), connection=connection)
        assert backend.processes() == []
        with connection.transaction():
            backend.start_process(Process("w", id="p"), connection=connection)

    assert [process.id for process in backend.processes()] == ["p"]


def test_a_connection_that_is_of_no_use_is_refused(
    backend: PostgreSQLBackend, server: Server
) -> None:
    with psycopg.connect(server.url()) as connection:
        with pytest.raises(psycopg.Error):
            connection.execute("select 1 / 0")
        assert "roll it back first" in refused(backend, connection)
    assert "is closed" in refused(backend, connection)


def test_a_connection_to_another_database_is_refused_and_its_transaction_goes_on(
    backend: PostgreSQLBackend, server: Server, schema: str
) -> None:
    with server.connect() as admin:
        admin.execute(f"create database {schema}_other")
    url = server.url().replace("/postgres?", f"/{schema}_other?")
    with psycopg.connect(url) as connection:
        connection.execute("create table kept (id int)")
        words = f"leads to database '{schema}_other', which is not that of this backend"
        assert words in refused(backend, connection)
        # Nor if it has a schema of the same name.
        with PostgreSQLBackend(url, schema=schema) as other:
            other.register_workflow("w")
        assert words in refused(backend, connection)
        connection.commit()
        assert connection.execute("select * from kept").fetchall() == []


def test_a_transaction_that_sees_an_old_state_is_told_to_begin_again(
    backend: PostgreSQLBackend, server: Server
) -> None:
    backend.start_process(Process("w", id="p"))
    with psycopg.connect(server.url()) as caller:
        caller.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        caller.execute("select 1")
        backend.signal_process("p", "s")
        with pytest.raises(BackendUnavailableError) as error:
            backend.signal_process("p", "t", connection=caller)
        caller.rollback()
        backend.signal_process("p", "t", connection=caller)

    assert re.search("another transaction was in the way.*roll back.*once more", str(error.value))
    assert len(backend.history("p")) == 3


def test_a_manager_joins_as_its_backend_does(backend: PostgreSQLBackend, server: Server) -> None:
    manager = Manager(backend)
    with psycopg.connect(server.url()) as caller:
        manager.start_process(Process("w", id="p"), reuse=Reuse.ALLOW, connection=caller)
        manager.signal_process("p", "s", 1, signal_id="once", connection=caller)
        assert backend.processes() == []
        caller.commit()

    assert [event.type for event in backend.history("p")] == ["process_started", "signal"]
