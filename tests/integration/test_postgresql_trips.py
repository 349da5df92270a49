"""How often PostgreSQL is asked: ways to the server and back are what a transaction takes its time for."""

import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from pyworkflow.backend.base import Completion, Poll
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.postgresql.news import Notice
from pyworkflow.backend.postgresql.session import Session
from pyworkflow.codec import decode
from pyworkflow.decision import CompleteProcess, ScheduleActivity
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from tests.integration.program import StepsWorkflow, manager
from tests.integration.test_workers import working
from tests.postgresql import Server

pytestmark = pytest.mark.xdist_group("postgresql-trips")


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements of each way to the server and back."""
    trips: list[str] = []
    bulk = Session.bulk

    def counted(one: Session, calls: Any) -> Any:
        trips.append("+".join(name for name, _ in calls))
        return bulk(one, calls)

    monkeypatch.setattr(Session, "bulk", counted)
    return trips


@pytest.fixture
def backend(postgresql_server: Server, schema: str) -> Iterator[PostgreSQLBackend]:
    with PostgreSQLBackend(postgresql_server.url(), schema=schema) as opened:
        opened.register_workflow("w")
        opened.register_activity("a")
        yield opened


def commits(asked: list[str]) -> int:
    return sum(trip.endswith("commit") for trip in asked)


def until_it_waits(backend: PostgreSQLBackend) -> None:
    """Wait until a poll waits in the backend."""
    while not backend._group._riders:
        time.sleep(0.001)


def test_a_transaction_asks_twice_however_much_it_does(
    postgresql_server: Server, schema: str, asked: list[str]
) -> None:
    with PostgreSQLBackend(postgresql_server.url(), schema=schema, clock=FakeClock()) as backend:
        backend.register_workflow("w")
        backend.register_activity("a")
        for n in range(20):
            asked.clear()
            backend.start_process(Process("w", id=f"p{n}"))
        assert len(asked) == 2

        def turn(done: list[Completion], *polls: Poll) -> list[Any]:
            asked.clear()
            turned = backend.turn(done, polls)
            assert turned.errors == [None] * len(done)
            return turned.tasks

        decisions = turn([], Poll(DecisionTask, limit=20))
        assert len(decisions) == 20
        work = turn(
            [Completion(task, [ScheduleActivity("a") for _ in range(3)]) for task in decisions],
            Poll(ActivityTask, limit=60),
        )
        assert len(work) == 60
        assert len(asked) == 2, asked
        decisions = turn(
            [Completion(task, ActivityCompleted(1)) for task in work], Poll(DecisionTask, limit=20)
        )
        assert len(decisions) == 20
        assert len(asked) == 2, asked
        turn([Completion(task, [CompleteProcess()]) for task in decisions])
        assert len(asked) == 2, asked
        assert backend.processes() == []
        assert backend.check() == []


def test_an_idle_worker_does_a_process_of_three_steps_in_five_transactions(
    postgresql_server: Server, schema: str, asked: list[str]
) -> None:
    """The start, the first decision, and each step with the decision on it; each claims what follows from it."""
    of = manager(postgresql_server.url(schema=schema))
    assert isinstance(of.backend, PostgreSQLBackend)
    transactions, trips = [], []
    with working(of):
        for _ in range(15):
            until_it_waits(of.backend)
            asked.clear()
            process_id = of.start_process(Process(StepsWorkflow))
            assert of.wait_for_process(process_id, 60).status is Status.COMPLETED
            transactions.append(commits(asked))
            trips.append(len(asked))

    # Now and then a lease is extended as well.
    assert statistics.median(transactions) == 5
    # The last two read the history for whoever waits: a closed process is in no cache.
    assert statistics.median(trips) <= 18
    of.backend.close()


def test_a_poll_that_waits_gets_its_task_with_the_commit_that_makes_it(
    backend: PostgreSQLBackend, asked: list[str]
) -> None:
    got: list[Any] = []
    poll = Poll(DecisionTask, limit=5)
    waiting = threading.Thread(target=lambda: got.extend(backend.turn(polls=[poll], wait=60).tasks))
    waiting.start()
    until_it_waits(backend)
    while "look" not in asked:
        time.sleep(0.001)
    asked.clear()
    backend.start_process(Process("w", id="p"))
    waiting.join()

    assert [task.process.id for task in got] == ["p"]
    assert commits(asked) == 1
    assert [e.type for e in got[0].process.history] == ["process_started", "decision_started"]
    backend.complete_decision_task(got[0], CompleteProcess(1))
    assert backend.check() == []


def test_a_poll_that_waits_for_something_else_waits_on(backend: PostgreSQLBackend) -> None:
    got: list[Any] = []
    poll = Poll(ActivityTask)
    waiting = threading.Thread(target=lambda: got.extend(backend.turn(polls=[poll], wait=60).tasks))
    waiting.start()
    until_it_waits(backend)
    backend.start_process(Process("w", id="p"))
    [task] = backend.turn(polls=[Poll(DecisionTask)]).tasks
    assert isinstance(task, DecisionTask)
    backend.complete_decision_task(task, ScheduleActivity("a", id="first"))
    waiting.join()

    assert [task.activity_execution.id for task in got] == ["first"]


def test_a_notice_wakes_only_those_who_want_what_it_tells_of(
    postgresql_server: Server, schema: str, backend: PostgreSQLBackend
) -> None:
    heard: list[Notice | None] = []
    told = threading.Event()
    got: list[Any] = []
    with PostgreSQLBackend(postgresql_server.url(), schema=schema) as other:
        poll = Poll(DecisionTask, category="wanted")

        def wait() -> None:
            got.extend(other.turn(polls=[poll], wait=60).tasks)

        waiting = threading.Thread(target=wait)
        waiting.start()
        until_it_waits(other)
        call, notify = other._group.call_riders, other._news._notify

        def listen(notice: Notice | None) -> None:
            notify(notice)
            heard.append(notice)
            told.set()

        called: list[bool] = []

        def counted(ready: Any = None) -> None:
            for rider in (*other._group._riders, *other._group._taken):
                called.append(ready is None or rider.wants(ready))
            call(ready)

        while other._news._connection is None:
            time.sleep(0.001)
        other._news._notify = listen
        other._group.call_riders = counted  # type: ignore[method-assign]
        backend.start_process(Process("w", category="unwanted"))
        assert told.wait(60)
        while not any(one is not None and one.ready for one in heard):
            time.sleep(0.001)
        assert [one.ready for one in heard if one is not None] == [
            frozenset({("decision", "unwanted", "w")})
        ]
        assert not any(called)
        backend.start_process(Process("w", id="p", category="wanted"))
        waiting.join()

    assert [task.process.id for task in got] == ["p"]


def test_what_many_queues_have_is_told_in_a_notice_that_fits() -> None:
    queues = frozenset(("decision", "default", f"{n:0250}") for n in range(40))

    assert decode(Notice("me", queues).text(), Notice) == Notice("me")
    assert decode(Notice("me", frozenset(), False).text(), Notice) == Notice(
        "me", frozenset(), False
    )
    assert Notice("me", frozenset(), False).joined(Notice("me", queues)) == Notice("me", queues)
    assert Notice("me", queues, False).joined(Notice("me", None, False)).ready is None


def test_what_is_not_committed_is_handed_to_nobody(
    backend: PostgreSQLBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    got: list[Any] = []
    poll = Poll(DecisionTask)
    waiting = threading.Thread(target=lambda: got.extend(backend.turn(polls=[poll], wait=60).tasks))
    waiting.start()
    until_it_waits(backend)
    bulk = Session.bulk

    def refused(one: Session, calls: Any) -> Any:
        if "add_processes" in (name for name, _ in calls):
            monkeypatch.setattr(Session, "bulk", bulk)
            raise psycopg.errors.DiskFull("no space left")
        return bulk(one, calls)

    monkeypatch.setattr(Session, "bulk", refused)
    with pytest.raises(Exception, match="no space left"):
        backend.start_process(Process("w", id="lost"))
    backend.start_process(Process("w", id="kept"))
    waiting.join()

    assert [task.process.id for task in got] == ["kept"]
    assert [process.id for process in backend.processes()] == ["kept"]
    assert backend.check() == []


def test_an_obstacle_costs_no_connection(backend: PostgreSQLBackend) -> None:
    """A lock that another transaction has is waited for in another attempt, on the same connection."""
    backend.start_process(Process("w", id="p"))
    with backend._writers.lend() as connection:
        before = connection.info.backend_pid
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("begin; select 1 / 0")
    with backend._writers.lend() as connection:
        assert connection.info.backend_pid == before
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
