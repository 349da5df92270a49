"""The PostgreSQL store by itself: starting, sharing, joining transactions, the feed, and commits that nobody answers."""

import os
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from pyworkflow.backend import connect
from pyworkflow.backend.base import FEED_START, Completion, Poll
from pyworkflow.backend.postgresql import PostgreSQLBackend, connections, session
from pyworkflow.backend.postgresql.address import parse_url
from pyworkflow.backend.postgresql.news import Notice
from pyworkflow.backend.postgresql.session import Call, Session
from pyworkflow.backend.statements import migrations
from pyworkflow.backend.wakeups import Wakeups
from pyworkflow.decision import (
    ChildPolicy,
    CompleteProcess,
    RequestCancelProcess,
    ScheduleActivity,
    SignalProcess,
    StartChildProcess,
)
from pyworkflow.errors import (
    BackendReadOnlyError,
    BackendUnavailableError,
    BackendVersionError,
    InvalidRequestError,
    ProcessAlreadyExistsError,
    StaleActivityTaskError,
    UnknownProcessError,
)
from pyworkflow.event import ActivityEvent
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from tests.postgresql import Server


@pytest.fixture
def server(postgresql_server: Server) -> Server:
    return postgresql_server


@pytest.fixture
def backend(server: Server, schema: str) -> Iterator[PostgreSQLBackend]:
    with PostgreSQLBackend(server.url(), schema=schema) as backend:
        backend.register_workflow("w")
        backend.register_workflow("polite", handles_cancel=True)
        backend.register_activity("a")
        yield backend


def decision(backend: PostgreSQLBackend) -> DecisionTask:
    # The server may notice the loss of another connection later, and hold its locks until then.
    [task] = backend.turn(polls=[Poll(DecisionTask)], wait=60).tasks
    assert isinstance(task, DecisionTask)
    return task


def types(backend: PostgreSQLBackend, process_id: str) -> list[str]:
    return [event.type for event in backend.history(process_id)]


def together(*acts: Callable[[], object]) -> list[object]:
    """Do all at the same time; return what each returned or raised."""
    results: list[object] = [None] * len(acts)
    barrier = threading.Barrier(len(acts))

    def run(place: int) -> None:
        barrier.wait()
        try:
            results[place] = acts[place]()
        except Exception as error:
            results[place] = error

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return results


# -- starting ----------------------------------------------------------------------------------------------------------------------


def test_many_starters_at_once_make_one_schema(server: Server, schema: str) -> None:
    opened = together(*[lambda: PostgreSQLBackend(server.url(), schema=schema)] * 6)

    assert all(isinstance(one, PostgreSQLBackend) for one in opened), opened
    for one in opened:
        assert isinstance(one, PostgreSQLBackend)
        one.register_workflow("w")
        one.start_process(Process("w"))
        one.close()
    with server.connect() as admin:
        assert admin.execute(f"select count(*), count(distinct key) from {schema}.process").fetchone() == (6, 6)  # fmt: skip


def test_a_starter_that_fails_leaves_nothing_behind(
    server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = migrations("pyworkflow.backend.postgresql")
    name = "pyworkflow.backend.postgresql.schema.migrations"
    monkeypatch.setattr(name, lambda _: [*whole, "create tabel"])
    with pytest.raises(BackendUnavailableError):
        PostgreSQLBackend(server.url(), schema=schema)
    with server.connect() as admin:
        assert admin.execute("select to_regnamespace(%s)", [schema]).fetchone() == (None,)
    monkeypatch.undo()

    PostgreSQLBackend(server.url(), schema=schema).close()


def test_a_newer_schema_is_refused_and_left_alone(server: Server, schema: str) -> None:
    PostgreSQLBackend(server.url(), schema=schema).close()
    with server.connect() as admin:
        admin.execute(f"update {schema}.meta set value = 1000 where name = 'schema'")

        with pytest.raises(BackendVersionError, match="upgrade"):
            PostgreSQLBackend(server.url(), schema=schema)
        found = admin.execute(f"select value from {schema}.meta where name = 'schema'").fetchone()
        assert found == (1000,)


def test_another_encoding_is_refused(server: Server) -> None:
    with server.connect() as admin:
        admin.execute("create database latin encoding 'LATIN1' template template0")

    with pytest.raises(BackendVersionError, match="UTF8"):
        PostgreSQLBackend(server.url(dbname="latin"))


@pytest.mark.parametrize(
    "address",
    [
        "postgresql://x:secret@127.0.0.1:1/x",
        "postgresql://x:secret@nowhere.invalid/x?connect_timeout=2",
    ],
)
def test_a_server_that_is_not_there_is_told_without_the_password(address: str) -> None:
    with pytest.raises(BackendUnavailableError) as caught:
        connect(address)

    assert "secret" not in str(caught.value)


def test_a_wrong_password_is_told_as_what_it_is(server: Server, schema: str) -> None:
    hba = server.data / "pg_hba.conf"
    before = hba.read_text()
    with server.connect() as admin:
        admin.execute("create role locked login password 'right'")
        try:
            hba.write_text(f"local all locked scram-sha-256\n{before}")
            admin.execute("select pg_reload_conf()")
            with pytest.raises(BackendUnavailableError, match="password authentication failed"):
                connect(server.url("locked:wrong", schema=schema))
        finally:
            hba.write_text(before)
            admin.execute("select pg_reload_conf()")


def test_an_address_is_shown_without_the_password() -> None:
    address = parse_url("postgresql://me:secret@db.example:6543/shop?schema=s&sslmode=require")

    assert (
        repr(address) == "Address(postgresql://db.example:6543/shop, schema='s', domain='default')"
    )
    assert "sslmode=require" in address.conninfo


@pytest.mark.parametrize(
    "parameters", [{"schema": 'Quo"te'}, {"prepare": "perhaps"}, {"domain": ""}]
)
def test_parameters_that_cannot_be_are_refused(server: Server, parameters: dict[str, str]) -> None:
    with pytest.raises(InvalidRequestError):
        connect(server.url(**parameters))


def test_a_url_carries_everything(server: Server, schema: str) -> None:
    url = server.url(
        schema=schema, domain="a-b ü", listen="off", prepare="off", connect_timeout="7"
    )

    with connect(url) as backend:
        assert isinstance(backend, PostgreSQLBackend)
        backend.register_workflow("w")
        assert backend.start_process(Process("w", id="p")) == "p"
        assert backend.address.domain == "a-b ü"
        assert "connect_timeout=7" in backend.address.conninfo
        assert "tcp_user_timeout=" in backend.address.conninfo


# -- sharing -----------------------------------------------------------------------------------------------------------------------


def test_domains_never_see_each_other(server: Server, schema: str) -> None:
    one, two = (
        PostgreSQLBackend(server.url(), schema=schema, domain=name) for name in ("one", "two")
    )
    for backend in (one, two):
        backend.register_workflow("w")
        backend.register_activity("a")
        backend.start_process(Process("w", id="same", tags=["t"]))
    one.start_process(Process("w", id="only"))
    one.register_workflow("unknown to two")

    held = decision(one)
    listed = [
        ScheduleActivity("a"),
        SignalProcess("only", Signal("s")),
        RequestCancelProcess("only"),
        StartChildProcess(Process("w", id="kid"), ChildPolicy.TERMINATE),
    ]
    with pytest.raises(UnknownProcessError):
        two.signal_process("only", "s")
    foreign = decision(two)
    with pytest.raises(InvalidRequestError, match="not registered"):
        two.complete_decision_task(foreign, StartChildProcess(Process("unknown to two")))
    two.complete_decision_task(foreign, listed)
    # What the list of one domain names in the other is not there.
    assert types(two, "same").count("decision_rejected") == 2
    assert "signal" not in types(one, "only")
    with pytest.raises(UnknownProcessError):
        one.process_by_id("kid")
    # A task of one domain is none in the other.
    [turn_error] = two.turn([Completion(held, [CompleteProcess()])]).errors
    assert turn_error is not None
    assert [p.id for p in two.processes(tag="t", status=None)] == ["same"]
    assert {entry.process_id for entry in two.feed()} == {"same", "kid"}
    assert two.turn(polls=[Poll(ActivityTask, limit=9)]).tasks
    assert one.turn(polls=[Poll(ActivityTask, limit=9)]).tasks == []
    assert [q.category for q in one.queues() if q.kind == "activity" and q.waiting] == []
    for backend in (one, two):
        assert backend.check() == []
        backend.close()


def test_the_same_id_started_at_once_is_one_process(server: Server, schema: str) -> None:
    backends = [PostgreSQLBackend(server.url(), schema=schema) for _ in range(4)]
    backends[0].register_workflow("w")
    for round_ in range(15):
        # Each starts the same ones in another order, in one transaction of its own.
        def start(backend: PostgreSQLBackend, first: int, round_: int = round_) -> list[str]:
            ids = [f"{round_}-{(first + n) % 4}" for n in range(4)]
            return [backend.start_process(Process("w", id=i)) for i in ids]

        results = together(*[lambda b=b, n=n: start(b, n) for n, b in enumerate(backends)])
        assert [r for r in results if isinstance(r, Exception)] == []
    assert len(backends[0].processes()) == 60
    assert backends[0].check() == []
    for backend in backends:
        backend.close()


def test_processes_that_touch_each_other_wait_for_each_other_in_one_direction(
    server: Server, schema: str
) -> None:
    """Signals, children and parents, from four backend objects, all between the same few processes."""
    backends = [PostgreSQLBackend(server.url(), schema=schema) for _ in range(4)]
    for backend in backends:
        backend.register_workflow("w")
    ids = [f"p{n}" for n in range(4)]
    for process_id in ids:
        backends[0].start_process(Process("w", id=process_id))

    def work(backend: PostgreSQLBackend, seed: int) -> int:
        chance = random.Random(seed)
        done = 0
        for _ in range(25):
            backend.signal_process(chance.choice(ids), "from outside")
            for task in backend.turn(polls=[Poll(DecisionTask, limit=2)]).tasks:
                assert isinstance(task, DecisionTask)
                others = chance.sample(ids, 3)
                backend.complete_decision_task(
                    task, [SignalProcess(other, Signal("s", done)) for other in others]
                )
                done += 1
        return done

    results = together(*[lambda b=b, n=n: work(b, n) for n, b in enumerate(backends)])

    assert all(isinstance(result, int) for result in results), results
    told = sum(types(backends[0], i).count("signal") for i in ids)
    assert told == 100 + 3 * sum(int(str(result)) for result in results)
    assert backends[0].check() == []
    with server.connect() as admin:
        found = admin.execute("select deadlocks from pg_stat_database where datname = 'postgres'")
        assert found.fetchone() == (0,)
    for backend in backends:
        backend.close()


def test_what_another_transaction_holds_is_passed_over(
    backend: PostgreSQLBackend, server: Server, schema: str
) -> None:
    backend.start_process(Process("w", id="held"))
    backend.start_process(Process("w", id="free"))
    with psycopg.connect(server.url()) as stranger:
        stranger.execute(f"select from {schema}.process where id = 'held' for update")

        assert [t.process.id for t in backend.turn(polls=[Poll(DecisionTask, limit=9)]).tasks if isinstance(t, DecisionTask)] == ["free"]  # fmt: skip
        assert backend.turn(polls=[Poll(DecisionTask)], wait=0.1).tasks == []
        stranger.rollback()
    assert decision(backend).process.id == "held"


def test_a_commit_elsewhere_wakes_who_waits(
    server: Server, schema: str, backend: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So long that nobody looks by himself before the test has failed.
    monkeypatch.setattr(Wakeups, "FLOOR", 3600.0)
    with PostgreSQLBackend(server.url(), schema=schema) as other:
        taken = together(
            lambda: backend.turn(polls=[Poll(DecisionTask)], wait=200).tasks,
            lambda: other.start_process(Process("w", id="p")),
        )[0]
        # The other listens now, too, and so tells by the other way.
        listens(other)
        told = together(
            lambda: backend.turn(polls=[Poll(DecisionTask)], wait=200).tasks,
            lambda: other.start_process(Process("w", id="q")),
        )[0]

    assert [t.process.id for t in taken] == ["p"]  # type: ignore[attr-defined]
    assert [t.process.id for t in told] == ["q"]  # type: ignore[attr-defined]


def listens(backend: PostgreSQLBackend) -> None:
    backend._news.follow()
    while backend._news._connection is None:
        threading.Event().wait(0.01)


@pytest.mark.parametrize("by_notice", [False, True])
def test_a_process_that_is_resumed_elsewhere_wakes_who_waits(
    by_notice: bool,
    server: Server,
    schema: str,
    backend: PostgreSQLBackend,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Wakeups, "FLOOR", 3600.0)
    backend.start_process(Process("w", id="p"))
    while backend.process_by_id("p").parked is None:
        backend.fail_decision_task(decision(backend), "no")
        with server.connect() as impatient:
            impatient.execute(f"update {schema}.decision_task set ready = 0")
    listens(backend)
    with PostgreSQLBackend(server.url(), schema=schema) as other:
        if by_notice:
            listens(other)
        taken = together(
            lambda: backend.turn(polls=[Poll(DecisionTask)], wait=200).tasks,
            lambda: other.retry_process("p"),
        )[0]

    assert [t.process.id for t in taken] == ["p"]  # type: ignore[attr-defined]


def test_a_notice_that_cannot_be_read_is_a_hint_like_any_other(
    server: Server, schema: str, backend: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as those of other versions: they say nothing but who has committed."""
    monkeypatch.setattr(Wakeups, "FLOOR", 3600.0)
    listens(backend)
    with server.connect() as somebody, PostgreSQLBackend(server.url(), schema=schema) as other:
        heard = threading.Event()

        def hear(told: Notice | None) -> None:
            backend._heard(told)
            heard.set()

        monkeypatch.setattr(backend._news, "_notify", hear)
        somebody.execute("select pg_notify(%s, 'somebody')", (backend._channel,))
        somebody.commit()
        assert heard.wait(60)
        taken = together(
            lambda: backend.turn(polls=[Poll(DecisionTask)], wait=200).tasks,
            lambda: other.start_process(Process("w", id="p")),
        )[0]

    assert [t.process.id for t in taken] == ["p"]  # type: ignore[attr-defined]


def test_without_listening_who_waits_looks_now_and_then(server: Server, schema: str) -> None:
    with (
        PostgreSQLBackend(server.url(), schema=schema, listen="off") as one,
        PostgreSQLBackend(server.url(), schema=schema) as two,
    ):
        one.register_workflow("w")
        taken, _ = together(
            lambda: one.turn(polls=[Poll(DecisionTask)], wait=60).tasks,
            lambda: two.start_process(Process("w")),
        )
    assert len(taken) == 1  # type: ignore[arg-type]


def test_a_pooler_may_give_each_transaction_another_connection(
    server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After each transaction the connection forgets all that it was told, as if it were another one."""

    class Forgetful(connections.Connections):
        def _take_back(self, connection: connections.Connection) -> None:
            if not connection.closed:
                connection.execute("discard all")
            super()._take_back(connection)

    monkeypatch.setattr("pyworkflow.backend.postgresql.store.Connections", Forgetful)
    with connect(server.url(schema=schema, prepare="off", listen=server.url())) as backend:
        backend.register_workflow("w")
        backend.register_activity("a")
        for _ in range(8):
            backend.start_process(Process("w"))
        for task in backend.turn(polls=[Poll(DecisionTask, limit=9)]).tasks:
            assert isinstance(task, DecisionTask)
            backend.complete_decision_task(task, ScheduleActivity("a"))
        assert len(backend.turn(polls=[Poll(ActivityTask, limit=9)], wait=1).tasks) == 8
        assert backend.check() == []


def test_a_forked_child_has_connections_of_its_own(backend: PostgreSQLBackend) -> None:
    backend.start_process(Process("w", id="parent"))
    backend.turn(polls=[Poll(ActivityTask)], wait=0.1)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            backend.start_process(Process("w", id="child"))
            code = 0
        finally:
            os._exit(code)

    assert os.waitpid(child, 0)[1] == 0
    assert [p.id for p in backend.processes()] == ["parent", "child"]


# -- the caller's own transaction --------------------------------------------------------------------------------------------------


def test_a_start_and_a_signal_are_committed_with_the_callers_rows_or_not_at_all(
    backend: PostgreSQLBackend, server: Server, schema: str
) -> None:
    with psycopg.connect(server.url(), row_factory=dict_row) as own:
        own.execute(f"create table {schema}.orders (id text)")
        own.commit()
        for keep in (False, True):
            own.execute(f"insert into {schema}.orders values ('o')")
            backend.start_process(Process("w", id="p", tags=["t"], input=1), connection=own)
            backend.signal_process("p", "s", 2, signal_id="once", connection=own)
            backend.signal_process("p", "s", 2, signal_id="once", connection=own)
            backend.start_process(Process("w", id="q"), connection=own)
            with pytest.raises(UnknownProcessError):
                backend.process_by_id("p")
            if keep:
                own.commit()
            else:
                own.rollback()
                assert backend.processes(status=None) == []
        assert own.execute(f"select count(*) as n from {schema}.orders").fetchone() == {"n": 1}

    assert types(backend, "p") == ["process_started", "signal"]
    assert [e.event.type for e in backend.feed()] == [
        "process_started",
        "signal",
        "process_started",
    ]
    assert backend.check() == []


def test_what_is_refused_leaves_the_callers_transaction_as_it_was(
    backend: PostgreSQLBackend, server: Server
) -> None:
    backend.start_process(Process("w", id="p", input=1))
    with psycopg.connect(server.url()) as own:
        with pytest.raises(ProcessAlreadyExistsError):
            backend.start_process(Process("w", id="p", input=2), connection=own)
        with pytest.raises(UnknownProcessError):
            backend.signal_process("nobody", "s", connection=own)
        backend.start_process(Process("w", id="after"), connection=own)
    assert [p.id for p in backend.processes()] == ["p", "after"]


def test_a_waiter_hears_of_the_callers_commit(
    backend: PostgreSQLBackend, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Wakeups, "FLOOR", 3600.0)
    own = psycopg.connect(server.url())

    def start() -> None:
        with own:
            backend.start_process(Process("w", id="p"), connection=own)

    tasks, error = together(lambda: backend.turn(polls=[Poll(DecisionTask)], wait=200).tasks, start)

    assert error is None
    assert [t.process.id for t in tasks] == ["p"]  # type: ignore[attr-defined]


# -- the feed ----------------------------------------------------------------------------------------------------------------------


def test_the_feed_skips_nothing_that_commits_late(
    backend: PostgreSQLBackend, server: Server
) -> None:
    backend.start_process(Process("w", id="first"))
    with psycopg.connect(server.url()) as slow:
        backend.start_process(Process("w", id="slow"), connection=slow)
        backend.start_process(Process("w", id="fast"))

        early = backend.feed()
        end = backend.feed_end()
        slow.commit()

    # What began before it and has not ended keeps the fast one back.
    assert [entry.process_id for entry in early] == ["first"]
    assert end == early[-1].cursor
    late = backend.feed(early[-1].cursor)
    assert [entry.process_id for entry in late] == ["slow", "fast"]


def test_a_feed_that_is_followed_during_many_commits_has_each_event_once(
    server: Server, schema: str
) -> None:
    backends = [PostgreSQLBackend(server.url(), schema=schema) for _ in range(3)]
    for backend in backends:
        backend.register_workflow("w")
    done = threading.Event()

    def follow() -> list[tuple[str, int]]:
        seen: list[tuple[str, int]] = []
        cursor = FEED_START
        while True:
            last = done.is_set()
            entries = backends[0].feed(cursor, limit=7)
            seen.extend((entry.process_id, entry.seq) for entry in entries)
            cursor = entries[-1].cursor if entries else cursor
            if last and not entries:
                return seen

    def write(backend: PostgreSQLBackend, name: str) -> None:
        for n in range(30):
            backend.start_process(Process("w", id=f"{name}-{n}"))
            backend.signal_process(f"{name}-{n}", "s")

    def write_all() -> None:
        errors = together(*[lambda b=b, n=n: write(b, str(n)) for n, b in enumerate(backends)])
        done.set()
        assert errors == [None] * 3

    seen, error = together(follow, write_all)

    assert error is None
    assert isinstance(seen, list)
    assert len(seen) == len(set(seen)) == 180
    for backend in backends:
        backend.close()


def test_events_follow_the_old_ones_after_a_dump_was_read_into_another_server(
    server: Server, schema: str
) -> None:
    url = server.url()
    with PostgreSQLBackend(url, schema=schema) as before:
        before.register_workflow("w")
        before.start_process(Process("w", id="old"))
    with server.connect() as admin:
        # As if the server that wrote them had been through many more transactions than this one.
        admin.execute(f"update {schema}.event set cursor = cursor + (1::bigint << 40)")

    with PostgreSQLBackend(url, schema=schema) as after:
        after.start_process(Process("w", id="new"))

        assert [entry.process_id for entry in after.feed()] == ["old", "new"]


# -- commits that nobody answers ---------------------------------------------------------------------------------------------------


class Cuts:
    """Loses the connection at commits: before they are sent, or before they are answered."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, server: Server) -> None:
        self.wanted: list[str] = []
        self.made = 0
        bulk = Session.bulk

        def cut(one: Session, calls: Sequence[Call]) -> Any:
            if not self.wanted or not any(name == "add_receipt" for name, _ in calls):
                return bulk(one, calls)
            how = self.wanted.pop(0)
            self.made += 1
            if how == "after":
                bulk(one, calls)
            elif how == "killed":
                with server.connect() as admin:
                    admin.execute("select pg_terminate_backend(%s)", [one.connection.info.backend_pid])  # fmt: skip
                return bulk(one, calls)
            one.connection.close()
            raise psycopg.OperationalError("the connection is lost")

        monkeypatch.setattr(session.Session, "bulk", cut)


@pytest.fixture
def cuts(monkeypatch: pytest.MonkeyPatch, server: Server) -> Cuts:
    return Cuts(monkeypatch, server)


@pytest.mark.parametrize("how", ["before", "after", "killed"])
def test_a_commit_that_nobody_answers_happens_once(
    backend: PostgreSQLBackend, cuts: Cuts, how: str
) -> None:
    heard: list[str] = []
    backend.observe(lambda entries: heard.extend(entry.event.type for entry in entries))

    def cut(act: Callable[[], Any]) -> Any:
        cuts.wanted = [how]
        try:
            return act()
        finally:
            assert cuts.wanted == []

    process_id = cut(lambda: backend.start_process(Process("w")))
    cut(lambda: backend.signal_process(process_id, "s"))
    [task] = cut(lambda: backend.turn(polls=[Poll(DecisionTask)], wait=60)).tasks
    cut(lambda: backend.complete_decision_task(task, ScheduleActivity("a", id="a")))
    [work] = cut(lambda: backend.turn(polls=[Poll(ActivityTask)], wait=60)).tasks
    cut(lambda: backend.heartbeat_activity_task(work, 50))
    cut(lambda: backend.complete_activity_task(work, ActivityCompleted(1)))
    cut(lambda: backend.complete_decision_task(decision(backend), CompleteProcess(1)))
    polite = cut(lambda: backend.start_process(Process("polite")))
    cut(lambda: backend.cancel_process(polite))
    cut(lambda: backend.terminate_process(polite))

    assert cuts.made >= 11
    assert types(backend, process_id) == [
        "process_started", "signal", "decision_started", "decision", "activity_started", "activity",
        "decision_started", "decision",
    ]  # fmt: skip
    assert types(backend, polite) == ["process_started", "cancel_requested", "process_terminated"]
    assert heard == [entry.event.type for entry in backend.feed()]
    assert backend.check() == []


def test_hundreds_of_lost_connections_lose_and_double_nothing(
    backend: PostgreSQLBackend, cuts: Cuts, server: Server, schema: str
) -> None:
    chance = random.Random(7)
    for n in range(60):
        cuts.wanted = [chance.choice(["before", "after"]) for _ in range(chance.randrange(4))]
        backend.start_process(Process("w", id=f"p{n}"))
        cuts.wanted = [chance.choice(["before", "after"]) for _ in range(chance.randrange(4))]
        backend.signal_process(f"p{n}", "s", n)

    cuts.wanted = []
    assert cuts.made > 50
    for n in range(60):
        assert types(backend, f"p{n}") == ["process_started", "signal"]
    assert backend.check() == []
    # Receipts have done their duty with the next transaction, those that were voided, too.
    backend.signal_process("p0", "last")
    with server.connect() as admin:
        receipts = admin.execute(f"select void from {schema}.transaction_receipt").fetchall()
    assert receipts == [(False,)]


def test_a_commit_in_doubt_cannot_happen_after_it_was_done_again(
    backend: PostgreSQLBackend, server: Server, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server is still at work on the lost transaction while its program has already given it up."""
    late: list[tuple[Session, Sequence[Call]]] = []
    ended: list[str] = []
    bulk = Session.bulk

    def slow(one: Session, calls: Sequence[Call]) -> Any:
        names = [name for name, _ in calls]
        if not late and "add_receipt" in names:
            # Everything but the receipt and the commit has reached the server.
            bulk(one, calls[:-2])
            late.append((one, calls[-2:]))
            raise psycopg.OperationalError("the connection is lost")
        found = bulk(one, calls)
        if "void_receipt" in names:
            # Now the rest arrives.
            with pytest.raises(psycopg.errors.UniqueViolation):
                bulk(*late[0])
            late[0][0].connection.close()
            ended.extend(names)
        return found

    class Kept(connections.Connections):
        def _take_back(self, connection: connections.Connection) -> None:
            if not late or ended:
                super()._take_back(connection)

    monkeypatch.setattr(Session, "bulk", slow)
    backend._writers.__class__ = Kept

    backend.start_process(Process("w", id="p"))

    assert ended
    assert types(backend, "p") == ["process_started"]
    assert backend.check() == []


@pytest.mark.parametrize("fenced", [True, False])
def test_it_is_the_token_that_keeps_a_stale_worker_out(
    server: Server, schema: str, monkeypatch: pytest.MonkeyPatch, fenced: bool
) -> None:
    """The control: without the check of the token, the worker that was given up is heard, and the one at work is not."""
    clock = FakeClock()
    with PostgreSQLBackend(server.url(), schema=schema, clock=clock) as backend:
        backend.register_workflow("w")
        backend.register_activity("a")
        backend.start_process(Process("w", id="p"))
        backend.complete_decision_task(decision(backend), ScheduleActivity("a"))
        [stale] = backend.turn(polls=[Poll(ActivityTask, lease=5)]).tasks
        clock.advance(6)
        [held] = backend.turn(polls=[Poll(ActivityTask, lease=5)]).tasks
        assert isinstance(stale, ActivityTask)
        assert isinstance(held, ActivityTask)
        if not fenced:
            monkeypatch.setattr(
                "pyworkflow.ledger.claims._holds",
                lambda unit, row, token: row.state == "started" and unit.now < row.deadline,
            )

        completions = [
            Completion(stale, ActivityCompleted("stale")),
            Completion(held, ActivityCompleted("held")),
        ]
        refused = [type(error) for error in backend.turn(completions).errors]

        heard = "held" if fenced else "stale"
        assert refused == ([StaleActivityTaskError, type(None)] if fenced else [type(None), StaleActivityTaskError])  # fmt: skip
        last = backend.history("p")[-1]
        assert isinstance(last, ActivityEvent)
        assert last.result == ActivityCompleted(heard)


# -- keeping house -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "invariant"),
    [
        ("update {schema}.event set body = replace(body, 'started', 'stopped') where first_seq = 2", "I"),
        ("update {schema}.process set last_seq = 9", "I1"),
        ("delete from {schema}.decision_task", "I9"),
        ("insert into {schema}.timer values (77, 1, 't', 1, 'null', 1, 4000000000000000)", "I21"),
        ("update {schema}.decision_task set domain = 99", "I20"),
        ("delete from {schema}.process", "I21"),
    ],
)  # fmt: skip
def test_a_check_finds_what_was_damaged(
    backend: PostgreSQLBackend, server: Server, schema: str, damage: str, invariant: str
) -> None:
    backend.start_process(Process("w", id="p"))
    backend.signal_process("p", "started")
    assert backend.check() == []
    with server.connect() as admin:
        admin.execute(damage.format(schema=schema))

    assert any(found.invariant.startswith(invariant) for found in backend.check())


def test_a_check_holds_nobody_up_and_is_held_up_by_nobody(
    backend: PostgreSQLBackend, server: Server, schema: str
) -> None:
    for n in range(20):
        backend.start_process(Process("w", id=f"p{n}"))
    seen: list[int] = []

    def meanwhile(done: int, total: int) -> None:
        # What changes during a check is not half seen.
        backend.signal_process("p1", "s")
        backend.terminate_process("p2")
        seen.append(total)

    with psycopg.connect(server.url()) as stranger:
        stranger.execute(f"select from {schema}.process where id = 'p3' for update")
        assert backend.check(meanwhile) == []

    assert seen == [20]
    assert backend.check() == []


def test_many_may_purge_at_once(server: Server, schema: str) -> None:
    backends = [PostgreSQLBackend(server.url(), schema=schema) for _ in range(3)]
    backends[0].register_workflow("w")
    for n in range(30):
        backends[0].start_process(Process("w", id=f"p{n}", tags=["t"]))
        if n % 3:
            backends[0].terminate_process(f"p{n}")

    def purge(backend: PostgreSQLBackend) -> int:
        total = 0
        while removed := backend.purge(datetime.now(UTC) + timedelta(days=1), limit=3):
            total += removed
        return total

    removed = together(*[lambda b=b: purge(b) for b in backends])

    # Whoever finds all that is left in the hands of others has nothing more to do.
    assert sum(int(str(n)) for n in removed) == 20
    assert len(backends[0].processes(tag="t", status=None)) == 10
    assert {entry.process_id for entry in backends[0].feed()} == {f"p{n}" for n in range(0, 30, 3)}
    assert backends[0].check() == []
    with server.connect() as admin:
        found = admin.execute(f"select count(*) from {schema}.transaction_receipt").fetchone()
    # One row for each backend object, however many transactions it has been through.
    assert found is not None
    assert int(str(found[0])) <= 3
    for backend in backends:
        backend.close()


# -- roles -------------------------------------------------------------------------------------------------------------------------


def test_a_reader_looks_and_changes_nothing(
    backend: PostgreSQLBackend, server: Server, schema: str
) -> None:
    backend.start_process(Process("w", id="p", timeout=0.001))
    grant_roles(server, schema)
    with PostgreSQLBackend(server.url("some_reader"), schema=schema) as reader:
        # Something is due that this role may not do.
        assert [p.id for p in reader.processes(status=None)] == ["p"]
        assert reader.process_by_id("p").status is Status.OPEN
        assert reader.check() == []
        assert reader.feed()
        with pytest.raises(BackendReadOnlyError):
            reader.start_process(Process("w"))


def test_a_worker_works_and_changes_no_table(
    backend: PostgreSQLBackend, server: Server, schema: str
) -> None:
    grant_roles(server, schema)
    with PostgreSQLBackend(server.url("some_worker"), schema=schema, domain="new") as worker:
        worker.register_workflow("w")
        worker.start_process(Process("w", id="p"))
        worker.complete_decision_task(decision(worker), CompleteProcess())
        assert worker.check() == []
    with (
        psycopg.connect(server.url("some_worker")) as own,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        own.execute(f"drop table {schema}.process")


def test_threads_of_a_reader_get_an_answer_while_something_is_due(
    postgresql_server: Server, schema: str
) -> None:
    clock = FakeClock()
    with PostgreSQLBackend(postgresql_server.url(), schema=schema, clock=clock) as writer:
        writer.register_workflow("w", timeout=5)
        writer.start_process(Process("w", "due"))
        writer.start_process(Process("w", "other", timeout=1000))
    grant_roles(postgresql_server, schema)
    clock.advance(10)
    reader = PostgreSQLBackend(postgresql_server.url("some_reader"), schema=schema, clock=clock)
    with reader, ThreadPoolExecutor(8) as pool:
        processes = list(pool.map(lambda _: reader.process_by_id("other"), range(200)))
        feeds = list(pool.map(lambda _: reader.feed(), range(50)))

    assert {process.id for process in processes} == {"other"}
    assert {len(feed) for feed in feeds} == {2}


def grant_roles(server: Server, schema: str) -> None:
    """Run the script of the documentation."""
    from importlib.resources import files

    script = files("pyworkflow.backend.postgresql").joinpath("roles.sql").read_text()
    with server.connect() as admin:
        for role in ("some_worker", "some_reader"):
            found = admin.execute("select from pg_roles where rolname = %s", [role])
            if found.fetchone() is None:
                admin.execute(f"create role {role} login")
        text = script.replace(":schema", schema)
        admin.execute(text.replace(":worker", "some_worker").replace(":reader", "some_reader"))
