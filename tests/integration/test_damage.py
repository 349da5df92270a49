"""Rows that cannot be read: each parks its own process with the reason, is named by `check`, and costs nobody else anything."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from pyworkflow.backend.base import FEED_START, Backend, Poll, Turn
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import CompleteProcess, ScheduleActivity, Timer
from pyworkflow.errors import UnreadableProcessError
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from tests.postgresql import Server

STORES = ("sqlite", "postgresql")


class Store:
    """A store whose rows a test damages behind the backend's back, and a backend that has read nothing of it before."""

    def __init__(
        self,
        clock: FakeClock,
        connect: Callable[[], Backend],
        execute: Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]],
        is_text: bool,
    ) -> None:
        self.clock = clock
        self.connect = connect
        self.execute = execute
        self._cast = "{}" if is_text else "cast({} as blob)"

    def value(self, table: str, column: str, where: str) -> Any:
        """Return what is stored."""
        ((value,),) = self.execute(f"select {column} from {table} where {where}", ())
        return value.decode() if isinstance(value, bytes) else value

    def put(self, table: str, column: str, where: str, value: str) -> None:
        """Store something else."""
        self.execute(
            f"update {table} set {column} = {self._cast.format('?')} where {where}", (value,)
        )


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    clock = FakeClock()
    if request.param == "sqlite":
        path = tmp_path / "damaged.db"
        SQLiteBackend(path, clock=clock).close()

        def run_sqlite(statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
            # Not kept open: the backend must see a change by another.
            database = apsw.Connection(str(path))
            try:
                return list(database.execute(statement, values))
            finally:
                database.close()

        yield Store(clock, lambda: SQLiteBackend(path, clock=clock), run_sqlite, is_text=False)
        return
    server: Server = request.getfixturevalue("postgresql_server")
    schema: str = request.getfixturevalue("schema")
    with server.connect() as admin:
        PostgreSQLBackend(server.url(), schema=schema, clock=clock).close()
        admin.execute(f"set search_path = {schema}")

        def run_postgresql(statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
            cursor = admin.execute(statement.replace("?", "%s"), values)
            return cursor.fetchall() if cursor.description else []

        yield Store(
            clock,
            lambda: PostgreSQLBackend(server.url(), schema=schema, clock=clock),
            run_postgresql,
            is_text=True,
        )


VICTIM = "key = (select key from process where id = 'victim')"
NEWER = '[{"type":"of_a_newer_version","datetime":"2026-01-01T00:00:00Z"}]'

UNREADABLE_DECISIONS = {
    "events that are not JSON": ("event", "body", f"{VICTIM} and first_seq = 1", "{{{"),
    "an event of a newer version": ("event", "body", f"{VICTIM} and first_seq = 1", NEWER),
    "a batch that is too short": ("event", "body", f"{VICTIM} and first_seq = 1", "[]"),
    "an input that is not JSON": ("process_input", "body", VICTIM, "{{{"),
}

UNREADABLE_ACTIVITIES = {
    "an input that is not JSON": ("activity_task", "input", VICTIM, "{{{"),
    "a retry policy that is not JSON": ("activity_task", "retry", VICTIM, "{{{"),
    "a retry policy of another shape": ("activity_task", "retry", VICTIM, '{"non_retryable":"x"}'),
    "a heartbeat that is not JSON": ("activity_task", "details", VICTIM, "{{{"),
}


def register(backend: Backend) -> None:
    backend.register_workflow("order")
    backend.register_activity("charge", retry=Retry(3, initial=1))


def start(backend: Backend, *more: str) -> None:
    register(backend)
    for process_id in ("victim", *more):
        backend.start_process(Process("order", id=process_id, input={"amount": 1}))


def poll(backend: Backend) -> Turn:
    kinds = (DecisionTask, ActivityTask)
    return backend.turn(polls=[Poll(kind, limit=10, lease=10) for kind in kinds])


def decide(backend: Backend, task: DecisionTask) -> None:
    """Charge once, then complete."""
    types = [event.type for event in task.process.history]
    if "activity" in types:
        backend.complete_decision_task(task, CompleteProcess())
    else:
        schedule = [] if "decision" in types else [ScheduleActivity("charge", id="a", input=1)]
        backend.complete_decision_task(task, schedule)


def work(store: Store, backend: Backend) -> None:
    """Do all there is."""
    for _ in range(20):
        for task in poll(backend).tasks:
            if isinstance(task, DecisionTask):
                decide(backend, task)
            else:
                backend.complete_activity_task(task, ActivityCompleted(1))
        store.clock.advance(2)


def statuses(backend: Backend) -> dict[str | None, Status]:
    return {process.id: process.status for process in backend.processes(status=None)}


DONE = {f"innocent-{n}": Status.COMPLETED for n in range(3)}


def check_victim(backend: Backend) -> None:
    """See that the victim alone stands still, with its reason."""
    assert statuses(backend) == DONE | {"victim": Status.OPEN}
    parked = {process.id: process.parked for process in backend.processes()}
    assert "cannot be read" in (parked["victim"] or "")
    assert [process.id for process in backend.processes(parked=True)] == ["victim"]
    assert "victim" in {violation.process_id for violation in backend.check()}
    backend.pending("victim")
    backend.queues()
    assert not poll(backend).tasks


@pytest.mark.parametrize("name", UNREADABLE_DECISIONS)
def test_a_decision_that_cannot_be_read_parks_its_process(store: Store, name: str) -> None:
    table, column, where, value = UNREADABLE_DECISIONS[name]
    with store.connect() as first:
        start(first, *DONE)
    before = store.value(table, column, where)
    store.put(table, column, where, value)

    with store.connect() as backend:
        work(store, backend)

        check_victim(backend)
        for look in (backend.process_by_id, backend.history):
            if "input" not in name or look == backend.process_by_id:
                with pytest.raises(UnreadableProcessError, match="'victim'"):
                    look("victim")
        entries = backend.feed()
        assert {entry.process_id for entry in entries} >= set(DONE)

        store.put(table, column, where, before)
        backend.retry_process("victim")
        work(store, backend)

        assert statuses(backend) == DONE | {"victim": Status.COMPLETED}
        assert backend.check() == []


def test_an_input_that_is_gone_parks_its_process(store: Store) -> None:
    with store.connect() as first:
        start(first, *DONE)
    store.execute(f"delete from process_input where {VICTIM}", ())

    with store.connect() as backend:
        work(store, backend)

        check_victim(backend)
        with pytest.raises(UnreadableProcessError, match="input: is gone"):
            backend.process_by_id("victim")


@pytest.mark.parametrize("name", UNREADABLE_ACTIVITIES)
def test_an_activity_that_cannot_be_read_parks_its_process(store: Store, name: str) -> None:
    table, column, where, value = UNREADABLE_ACTIVITIES[name]
    with store.connect() as first:
        start(first)
        (task,) = poll(first).tasks
        assert isinstance(task, DecisionTask)
        decide(first, task)
        for process_id in DONE:
            first.start_process(Process("order", id=process_id, input={"amount": 1}))
    before = store.value(table, column, where)
    store.put(table, column, where, value)

    with store.connect() as backend:
        work(store, backend)

        check_victim(backend)
        backend.history("victim")
        assert [p.state for p in backend.pending("victim")] == ["parked", "parked"]

        if before is None:
            store.execute(f"update {table} set {column} = null where {where}", ())
        else:
            store.put(table, column, where, before)
        backend.retry_process("victim")
        work(store, backend)

        assert statuses(backend) == DONE | {"victim": Status.COMPLETED}
        assert backend.check() == []


def test_a_process_that_is_not_repaired_is_parked_again(store: Store) -> None:
    damage = UNREADABLE_ACTIVITIES["an input that is not JSON"]
    with store.connect() as first:
        start(first, *DONE)
        for task in poll(first).tasks:
            assert isinstance(task, DecisionTask)
            decide(first, task)
    store.put(*damage)

    with store.connect() as backend:
        work(store, backend)
        backend.signal_process("victim", "told meanwhile")
        backend.retry_process("victim")
        work(store, backend)

        check_victim(backend)


def test_a_running_activity_whose_retry_policy_cannot_be_read_parks_when_it_fails(
    store: Store,
) -> None:
    table, column, where, value = UNREADABLE_ACTIVITIES["a retry policy that is not JSON"]
    with store.connect() as first:
        start(first)
        (task,) = poll(first).tasks
        assert isinstance(task, DecisionTask)
        decide(first, task)
        (activity,) = poll(first).tasks
        assert isinstance(activity, ActivityTask)
    before = store.value(table, column, where)
    store.put(table, column, where, value)

    with store.connect() as backend:
        backend.complete_activity_task(activity, ActivityFailed("broken"))
        assert "retry policy" in (backend.process_by_id("victim").parked or "")

        store.put(table, column, where, before)
        backend.retry_process("victim")
        work(store, backend)

        assert statuses(backend) == {"victim": Status.COMPLETED}
        assert backend.check() == []


def test_an_activity_that_cannot_be_read_is_not_timed_out(store: Store) -> None:
    with store.connect() as first:
        first.register_activity("brief", scheduled_timeout=60)
        start(first)
        (task,) = poll(first).tasks
        assert isinstance(task, DecisionTask)
        first.complete_decision_task(task, ScheduleActivity("brief", id="a", input=1))
    store.put("activity_task", "input", VICTIM, "{{{")
    store.clock.advance(61)

    with store.connect() as backend:
        assert "input of activity 'a'" in (backend.process_by_id("victim").parked or "")
        assert poll(backend).tasks == []


def test_a_timer_that_cannot_be_read_parks_its_process(store: Store) -> None:
    with store.connect() as first:
        start(first)
        (task,) = poll(first).tasks
        assert isinstance(task, DecisionTask)
        first.complete_decision_task(task, Timer(10, {"n": 1}, id="t"))
    before = store.value("timer", "data", VICTIM)
    store.put("timer", "data", VICTIM, "{{{")
    store.clock.advance(10)

    with store.connect() as backend:
        assert "timer 't'" in (backend.process_by_id("victim").parked or "")
        assert [p.kind for p in backend.pending("victim")] == ["decision", "timer"]
        assert "victim" in {violation.process_id for violation in backend.check()}

        store.put("timer", "data", VICTIM, before)
        backend.retry_process("victim")
        (due,) = poll(backend).tasks
        assert isinstance(due, DecisionTask)
        assert "timer" in [event.type for event in due.process.unseen_events()]
        backend.complete_decision_task(due, CompleteProcess())
        assert backend.check() == []


@pytest.mark.parametrize("kind", ["workflow", "activity"])
def test_a_registration_that_cannot_be_read_is_repaired_by_registering_again(
    store: Store, kind: str
) -> None:
    with store.connect() as first:
        start(first, *DONE)
        first.register_workflow("other")
        first.register_activity("pay")
    store.put(f"{kind}_type", "body", "name in ('order', 'charge')", '{"name":1}')
    # Others learn of it as they learn of a registration.
    if store.execute("select 1 from meta where name = 'types'", ()):
        store.execute("update meta set value = value + 1 where name = 'types'", ())

    with store.connect() as backend:
        broken = {violation.invariant for violation in backend.check()}
        assert broken == {"I24"}
        assert [row.name for row in backend.workflows()][:1] == ["order" if kind == "activity" else "other"]  # fmt: skip
        assert [row.name for row in backend.activities()][-1] == "pay"
        backend.start_process(Process("other", id="of another workflow"))
        backend.terminate_process("of another workflow")

        register(backend)
        work(store, backend)

        assert statuses(backend)["victim"] is Status.COMPLETED
        assert backend.check() == []


def test_a_feed_goes_on_past_what_cannot_be_read(store: Store) -> None:
    with store.connect() as first:
        start(first, *DONE)
    store.put(*UNREADABLE_DECISIONS["events that are not JSON"])

    with store.connect() as backend:
        entries = backend.feed(limit=1)
        assert [entry.process_id for entry in entries] == ["innocent-0"]
        heard: list[str] = []
        cursor = FEED_START
        while found := backend.feed(cursor, limit=1):
            heard += [entry.process_id for entry in found]
            cursor = found[-1].cursor
        assert heard == list(DONE)


def test_tasks_of_a_process_that_is_gone_are_dropped(store: Store) -> None:
    with store.connect() as first:
        start(first)
        (task,) = poll(first).tasks
        assert isinstance(task, DecisionTask)
        first.complete_decision_task(task, [ScheduleActivity("charge", id="a"), Timer(10, id="t")])
        first.signal_process("victim", "s")
    for table in ("event", "process_input", "process"):
        store.execute(f"delete from {table} where {VICTIM}" if table != "process" else "delete from process where id = 'victim'", ())  # fmt: skip

    with store.connect() as backend:
        assert {violation.invariant for violation in backend.check()} >= {"I21"}
        assert not poll(backend).tasks
        looks = 0

        def is_enough() -> bool:
            nonlocal looks
            looks += 1
            return looks > 50

        # A worker that waits sleeps: it does not find the same tasks ready again and again.
        backend.turn(polls=[Poll(DecisionTask), Poll(ActivityTask)], wait=0.2, stop=is_enough)
        assert looks <= 10
        store.clock.advance(10)
        assert backend.queues() is not None
        backend.turn(polls=[Poll(DecisionTask), Poll(ActivityTask)], wait=0.2, stop=is_enough)
        assert looks <= 20
        backend.start_process(Process("order", id="later"))
        assert len(poll(backend).tasks) == 1


def test_counters_that_run_behind_are_named_and_give_no_number_twice(store: Store) -> None:
    with store.connect() as first:
        start(first, *DONE)
    if store.execute("select 1 from meta where name = 'last_key'", ()):
        store.execute("update meta set value = 1 where name in ('last_key', 'last_number')", ())
    else:
        store.execute("select setval('process_key', 1)", ())

    with store.connect() as backend:
        assert {violation.invariant for violation in backend.check()} == {"I25"}
        if isinstance(backend, SQLiteBackend):
            backend.start_process(Process("order", id="later"))
            assert backend.check() == []


@pytest.mark.parametrize("first", ["timer", "signal"])
def test_events_that_were_not_counted_stop_nobody_else(store: Store, first: str) -> None:
    with store.connect() as before:
        start(before)
        (task,) = poll(before).tasks
        assert isinstance(task, DecisionTask)
        before.complete_decision_task(task, Timer(10, id="t"))
    # Where the history is to go on, an event stands already.
    place = store.value("process", "last_seq", "id = 'victim'") + 1
    store.execute(f"update event set first_seq = {place} where {VICTIM} and first_seq = 1", ())

    with store.connect() as backend:
        start(backend, *DONE)
        if first == "signal":
            backend.signal_process("victim", "hello")
        store.clock.advance(10)
        work(store, backend)
        check_victim(backend)
