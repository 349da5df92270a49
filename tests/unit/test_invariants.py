"""The checker, checked: what is healthy passes, and each corruption is found under the number of what it breaks."""

import re
from collections import Counter
from collections.abc import Callable
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec import structs

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.base import Poll
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.codec import decode, encode
from pyworkflow.decision import (
    CancelActivity,
    ChildPolicy,
    CompleteProcess,
    ContinueProcess,
    Decision,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    ActivityEvent,
    ActivityStartedEvent,
    AnyEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.ledger.invariants import ProcessRecord, check_all, check_process
from pyworkflow.ledger.rows import DecisionRow
from pyworkflow.ledger.unit import chained
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed, ProcessCompleted, ProcessFailed
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock

Records = dict[str, ProcessRecord]
"""Of a store, by id and run: ``p:1``."""


def decide(backend: MemoryBackend, *decisions: Decision) -> None:
    for task in backend.turn(polls=[Poll(DecisionTask)]).tasks:
        assert isinstance(task, DecisionTask)
        backend.complete_decision_task(task, decisions)
        return
    raise AssertionError("there is nothing to decide")


def work(backend: MemoryBackend, result: ActivityCompleted | ActivityFailed | None) -> None:
    for task in backend.turn(polls=[Poll(ActivityTask)]).tasks:
        assert isinstance(task, ActivityTask)
        if result is not None:
            backend.complete_activity_task(task, result)
        return
    raise AssertionError("there is nothing to do")


def ran() -> Records:
    """Return what a store knows after processes in all kinds of states.

    ``open`` has everything open and a decision running, ``idle`` waits for a child that goes on as a second run, ``done`` has
    completed, ``stopped`` was terminated with its child, ``went on`` was continued with a child of its own.
    """
    clock = FakeClock()
    backend = MemoryBackend(clock)
    backend.register_workflow("w", timeout=10_000)
    backend.register_activity("a")

    def start(name: str) -> None:
        backend.start_process(Process("w", id=name, input={"n": 1}, tags=["t"]))

    start("done")
    retry = Retry(2, 1)
    decide(backend, ScheduleActivity("a", "x", input=[1], retry=retry), Timer(5, "data", "t"))
    work(backend, ActivityFailed("once"))
    clock.advance(1)
    work(backend, ActivityCompleted(1))
    backend.signal_process("done", "s", 1, signal_id="s1")
    decide(backend)
    clock.advance(5)
    decide(backend, CompleteProcess("good"))

    start("stopped")
    decide(backend, StartChildProcess(Process("w", id="ended"), ChildPolicy.TERMINATE))
    decide(backend)
    backend.terminate_process("stopped", "enough")

    start("went on")
    decide(backend, StartChildProcess(Process("w", id="heir"), ChildPolicy.TERMINATE))
    decide(backend)
    backend.signal_process("went on", "s")
    decide(backend, ContinueProcess(2))
    decide(backend)

    start("idle")
    children = [StartChildProcess(Process("w", id=name)) for name in ("again", "soon over")]
    decide(backend, *children, Timer(500, id="long"))
    decide(backend, ContinueProcess(3))
    decide(backend, CompleteProcess("grown up"))
    decide(backend)
    decide(backend)

    start("open")
    parts = [ScheduleActivity("a", name, input={"i": 1}, retry=retry) for name in ("b", "c")]
    child = StartChildProcess(Process("w", id="kid"))
    decide(backend, *parts, Timer(100, {"d": 1}, "long"), child)
    decide(backend)
    work(backend, ActivityFailed("once"))
    work(backend, None)
    backend.signal_process("open", "s", signal_id="s1")
    decide(backend)
    backend.signal_process("open", "s", signal_id="s2")
    backend.turn(polls=[Poll(DecisionTask)])
    backend.signal_process("open", "s")
    start("waiting")

    assert backend.check() == []
    unit = backend._unit()
    return {f"{r.row.id}:{r.row.run}": deepcopy(r) for r in unit._records()}


HEALTHY = ran()


def events(record: ProcessRecord) -> list[Event]:
    found: list[Event] = []
    for _, body in record.batches:
        batch: list[Event] = decode(body, list[AnyEvent])
        found.extend(batch)
    return found


def rewrite(record: ProcessRecord, told: list[Event]) -> None:
    """Replace a history by one that was made with care: its digest and the number of its events are kept."""
    body = encode(told)
    record.batches = [(1, body)]
    record.row.digest = chained(b"", body)
    record.row.last_seq = len(told)


def place(record: ProcessRecord, kind: type[Event], nth: int = 0) -> int:
    return [i for i, e in enumerate(events(record)) if isinstance(e, kind)][nth]


def edit(name: str, change: Callable[[list[Event], ProcessRecord], object]) -> Any:
    """Return a corruption that changes the history of one record."""

    def corrupt(records: Records) -> None:
        told = events(records[name])
        change(told, records[name])
        rewrite(records[name], told)

    return corrupt


def insert(name: str, after: type[Event], event: Event, nth: int = 0) -> Any:
    """Return a corruption that puts an event after the nth of a kind."""

    def change(told: list[Event], record: ProcessRecord) -> None:
        at = place(record, after, nth)
        told.insert(at + 1, structs.replace(event, datetime=told[at].datetime))

    return edit(name, change)


def remove(name: str, kind: type[Event], nth: int = 0) -> Any:
    return edit(name, lambda told, record: told.pop(place(record, kind, nth)))


def replace(name: str, kind: type[Event], nth: int = 0, **changes: Any) -> Any:
    def change(told: list[Event], record: ProcessRecord) -> None:
        at = place(record, kind, nth)
        told[at] = structs.replace(told[at], **changes)

    return edit(name, change)


def row(name: str, **changes: Any) -> Any:
    """Return a corruption that changes the process row."""

    def corrupt(records: Records) -> None:
        for field, value in changes.items():
            setattr(records[name].row, field, value)

    return corrupt


def part(name: str, table: str, nth: int = 0, **changes: Any) -> Any:
    """Return a corruption that changes a row beside the history."""

    def corrupt(records: Records) -> None:
        found = getattr(records[name], table)
        for field, value in changes.items():
            setattr(found[nth] if isinstance(found, list) else found, field, value)

    return corrupt


def lose(name: str, table: str) -> Any:
    """Return a corruption that loses a row, and counts as if it had never been."""

    def corrupt(records: Records) -> None:
        getattr(records[name], table).pop()
        records[name].row.opened -= 1

    return corrupt


def gain(name: str, table: str, source: str) -> Any:
    """Return a corruption that gives a process the first row of another, under a new id."""

    def corrupt(records: Records) -> None:
        item = structs.replace(getattr(records[source], table)[0], id="new")
        getattr(records[name], table).append(item)
        records[name].row.opened += 1

    return corrupt


def batch(name: str, change: Callable[[list[tuple[int, bytes]]], object]) -> Any:
    """Return a corruption of the stored batches that keeps the digest right."""

    def corrupt(records: Records) -> None:
        record = records[name]
        change(record.batches)
        record.row.digest = b""
        for _, body in record.batches:
            record.row.digest = chained(record.row.digest, body)

    return corrupt


def put_decision(name: str) -> Any:
    def corrupt(records: Records) -> None:
        found = records[name]
        found.decision = DecisionRow(key=found.row.key, name="w", category="default", ready=0)

    return corrupt


def drop_decision(name: str) -> Any:
    def corrupt(records: Records) -> None:
        records[name].decision = None

    return corrupt


def same_token(records: Records) -> None:
    held = [a for a in records["open:1"].activities if a.token]
    decision = records["open:1"].decision
    assert decision is not None
    held[0].token = decision.token


def outlive(records: Records) -> None:
    found = records["ended:1"]
    found.row.status, found.row.closed, found.row.result = "open", None, None
    told = events(found)[:-1]
    rewrite(found, told)


def drop_record(name: str) -> Any:
    return lambda records: records.pop(name)


def close_over(told: list[Event], record: ProcessRecord) -> None:
    at = place(record, DecisionStartedEvent, -1)
    told.insert(at + 1, SignalEvent(Signal("s"), datetime=told[at].datetime))


def swap(name: str, kind: type[Event], first: int, second: int) -> Any:
    def change(told: list[Event], record: ProcessRecord) -> None:
        a, b = place(record, kind, first), place(record, kind, second)
        told[a], told[b] = told[b], told[a]

    return edit(name, change)


def move_time(name: str, nth: int) -> Any:
    def change(told: list[Event], record: ProcessRecord) -> None:
        time = told[nth].datetime
        assert time is not None
        told[nth] = structs.replace(told[nth], datetime=time - timedelta(days=1))

    return edit(name, change)


SIGNAL = SignalEvent(Signal("s", id="never kept"))
CORRUPTIONS: list[tuple[str, str, Any]] = [
    ("I1", "an event is missing", batch("done:1", lambda b: b.pop(3))),
    ("I1", "one more was counted", row("open:1", last_seq=99)),
    ("I1", "a batch is kept twice", batch("idle:1", lambda b: b.insert(1, b[1]))),
    ("I2", "no start", remove("done:1", ProcessStartedEvent)),
    ("I2", "a second start", insert("open:1", DecisionStartedEvent, ProcessStartedEvent())),
    ("I2", "another workflow", row("open:1", workflow="other")),
    ("I2", "another input", lambda records: setattr(records["done:1"], "input", b"[]")),
    ("I2", "another deadline", row("open:1", deadline=1)),
    ("I3", "another digest", row("done:1", digest=b"0" * 16)),
    ("I3", "another past", lambda r: r["idle:1"].batches.__setitem__(0, (1, b"[]"))),
    ("I4", "time runs backwards", move_time("done:1", 4)),
    ("I4", "no time", replace("open:1", SignalEvent, datetime=None)),
    ("I4", "another time was kept", row("open:1", time=1)),
    ("I5", "an event after the end", insert("done:1", DecisionEvent, SIGNAL, -1)),
    ("I5", "no closing event", remove("done:1", DecisionEvent, -1)),
    ("I5", "another status", row("done:1", status="failed")),
    ("I5", "another result", row("done:1", result=encode(ProcessCompleted("bad")))),
    ("I5", "no result", row("stopped:1", result=None)),
    ("I5", "another run", row("went on:1", result=b'{"type":"continued","run":7}')),
    ("I5", "another end", row("done:1", closed=1)),
    ("I6", "a closed process is decided", put_decision("done:1")),
    (
        "I6",
        "a closed process has a timer",
        lambda r: r["done:1"].timers.append(r["open:1"].timers[0]),
    ),
    ("I7", "two start", insert("idle:1", DecisionStartedEvent, DecisionStartedEvent())),
    ("I7", "a failure of none", insert("idle:1", ProcessStartedEvent, DecisionFailedEvent())),
    ("I7", "it began elsewhere", part("open:1", "decision", started_seq=2)),
    ("I7", "nothing calls for it", put_decision("idle:1")),
    ("I7", "another queue", part("open:1", "decision", category="other")),
    ("I7", "failures out of nothing", row("idle:1", failures=3)),
    ("I8", "more was seen", row("open:1", seen_seq=15)),
    ("I8", "less was seen", row("idle:1", seen_seq=1)),
    ("I8", "less was seen by a closed one", row("done:1", seen_seq=2)),
    ("I8", "nothing was seen by one stopped", row("stopped:1", seen_seq=1)),
    ("I9", "no decision", drop_decision("waiting:1")),
    ("I9", "forgotten meanwhile", part("open:1", "decision", pending=False)),
    ("I9", "meanwhile, but not running", part("waiting:1", "decision", pending=True)),
    (
        "I10",
        "outside of any task",
        insert("waiting:1", ProcessStartedEvent, DecisionEvent(Timer(1, id="z"))),
    ),
    (
        "I10",
        "apart from the others",
        insert("done:1", ActivityStartedEvent, DecisionEvent(Timer(1, id="z"))),
    ),
    ("I10", "without effect", insert("open:1", DecisionEvent, DecisionEvent(CancelActivity("b")))),
    (
        "I10",
        "another is rejected",
        insert("open:1", DecisionEvent, DecisionRejectedEvent(Timer(1, id="z"), "why")),
    ),
    (
        "I10",
        "the running one has decided",
        insert("open:1", DecisionStartedEvent, DecisionEvent(Timer(1, id="z")), -1),
    ),
    ("I11", "closed over a signal", edit("done:1", close_over)),
    ("I11", "continued over a signal", edit("went on:1", close_over)),
    ("I12", "an activity that was not decided", remove("done:1", DecisionEvent, 0)),
    ("I12", "a result without a start", remove("done:1", ActivityStartedEvent, 1)),
    (
        "I12",
        "another activity",
        replace("done:1", ActivityEvent, activity_execution=ActivityExecution("b", "x", [1])),
    ),
    ("I14", "an attempt is left out", replace("done:1", ActivityStartedEvent, attempt=2)),
    ("I13", "an activity is lost", lose("open:1", "activities")),
    ("I13", "an activity is made up", gain("idle:1", "activities", "open:1")),
    ("I13", "another input", part("open:1", "activities", input=b"[]")),
    ("I13", "to cancel itself", part("open:1", "activities", cancel_requested=True)),
    ("I14", "an attempt too many", part("open:1", "activities", 0, attempt=5)),
    ("I14", "another deadline", part("open:1", "activities", 0, deadline=5)),
    ("I14", "a worker too many", part("open:1", "activities", 0, lost=5)),
    ("I14", "a decision without a token", part("open:1", "decision", token=None)),
    ("I14", "a decision for ever", part("open:1", "decision", deadline=2**62)),
    ("I14", "one token twice", same_token),
    ("I16", "parked for no reason", part("waiting:1", "decision", state="parked")),
    ("I16", "a reason without a failure", part("waiting:1", "decision", reason="why")),
    ("I17", "a timer is lost", lose("open:1", "timers")),
    ("I17", "a timer is made up", gain("went on:2", "timers", "open:1")),
    ("I17", "another deadline", part("open:1", "timers", deadline=5)),
    ("I17", "other data", part("open:1", "timers", data=b"[]")),
    ("I17", "another timer fires", replace("done:1", TimerEvent, timer=Timer(5, "bad", "t"))),
    ("I17", "it fires twice", insert("done:1", TimerEvent, TimerEvent(Timer(5, "data", "t")))),
    ("I18", "an id too many", lambda r: r["open:1"].signals.append("s3")),
    ("I18", "an id too few", lambda r: r["done:1"].signals.clear()),
    ("I18", "an id twice", lambda r: r["open:1"].signals.append("s2")),
    ("I18", "a signal twice", insert("open:1", SignalEvent, SignalEvent(Signal("s", id="s1")))),
    ("I19", "a child is lost", lose("open:1", "children")),
    ("I19", "an inherited child is lost", lose("went on:2", "children")),
    ("I19", "a child is made up", gain("went on:2", "children", "open:1")),
    ("I19", "another policy", part("open:1", "children", policy="TERMINATE")),
    ("I19", "another run", part("open:1", "children", child_key=1)),
    ("I19", "another parent", row("kid:1", parent_key=1)),
    ("I19", "another parent's id", row("kid:1", parent_id="done")),
    ("I19", "no parent", row("kid:1", parent_key=None, parent_id=None)),
    ("I19", "half a parent", row("kid:1", parent_id=None)),
    (
        "I19",
        "a parent too many",
        lambda r: row("waiting:1", parent_key=r["open:1"].row.key, parent_id="open")(r),
    ),
    (
        "I19",
        "an ending that is told wrongly",
        replace("idle:1", ChildProcessEvent, result=ProcessFailed()),
    ),
    ("I19", "an ending that is not told", remove("idle:1", ChildProcessEvent)),
    (
        "I19",
        "told twice",
        insert("idle:1", ChildProcessEvent, ChildProcessEvent("soon over", ProcessCompleted(1))),
    ),
    ("I20", "unreadable events", batch("open:1", lambda b: b.__setitem__(1, (2, b"{")))),
    ("I20", "unreadable input", lambda records: setattr(records["done:1"], "input", b"{")),
    ("I20", "an input that is gone", lambda records: setattr(records["done:1"], "input", None)),
    ("I20", "an unreadable result", row("done:1", result=b"{}")),
    ("I20", "two of one id", row("waiting:1", id="open")),
    ("I20", "no next run", drop_record("went on:2")),
    ("I19", "a child outlives its parent", outlive),
    ("I19", "it waits for a closed child", drop_record("kid:1")),
    ("I22", "one more is open", row("open:1", opened=9)),
    ("I22", "one less is open", row("idle:1", opened=0)),
    ("I4", "an event of the future", row("open:1", time=2**60)),
    ("I24", "a workflow that is not registered", row("open:1", workflow="gone")),
    (
        "I24",
        "a waiting process whose workflow is not registered",
        row("waiting:1", workflow="gone"),
    ),
]
STORE: dict[str, Any] = {
    "registered": {record.row.workflow for record in HEALTHY.values()},
    "now": max(record.row.time for record in HEALTHY.values()),
}


def test_healthy_records_pass() -> None:
    assert check_all(HEALTHY.values(), len(HEALTHY), **STORE) == []
    assert [check_process(record) for record in HEALTHY.values()] == [[]] * len(HEALTHY)


@pytest.mark.parametrize(
    ("invariant", "corrupt"),
    [pytest.param(n, c, id=f"{n} {what}") for n, what, c in CORRUPTIONS],
)
def test_a_corruption_is_found_under_its_number(
    invariant: str, corrupt: Callable[[Records], None]
) -> None:
    records = deepcopy(HEALTHY)

    corrupt(records)

    found = {
        violation.invariant for violation in check_all(records.values(), len(records), **STORE)
    }
    assert invariant in found


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "store.db"
    with SQLiteBackend(str(path)) as backend:
        backend.register_workflow("w")
        backend.register_activity("a")
        for n in range(50):
            backend.start_process(Process("w", id=f"p{n}", input="x" * 200))
        assert backend.check() == []
    return path


@pytest.mark.parametrize(
    "statement",
    [
        "delete from process where id = 'p1'",
        "insert into timer (key, id, delay, data, since, deadline) values (999, 't', 1, x'00', 1, 4000000000000000000)",
    ],
)
def test_i21_rows_of_a_process_that_is_gone_are_found(database: Path, statement: str) -> None:
    connection = apsw.Connection(str(database))
    connection.execute("pragma foreign_keys = off")
    connection.execute(statement)
    connection.close()

    with SQLiteBackend(str(database)) as backend:
        assert "I21" in {violation.invariant for violation in backend.check()}


def index_page(database: Path) -> int:
    """Return where an index of the processes lies in the file."""
    connection = apsw.Connection(str(database))
    connection.execute("pragma wal_checkpoint(truncate)")
    ((page,),) = connection.execute(
        "select rootpage from sqlite_schema where name = 'process_workflow'"
    )
    ((size,),) = connection.execute("pragma page_size")
    connection.close()
    return (int(page) - 1) * int(size)


@pytest.mark.parametrize("what", ["an index of nothing", "a freelist that is not there"])
def test_i23_a_damaged_file_is_found(database: Path, what: str) -> None:
    start = index_page(database)
    with database.open("r+b") as file:
        if what == "an index of nothing":
            file.seek(start + 3)
            file.write(bytes(2))
        else:
            file.seek(36)
            file.write((7).to_bytes(4, "big"))

    with SQLiteBackend(str(database)) as backend:
        assert "I23" in {violation.invariant for violation in backend.check()}


def test_what_is_said_to_be_checked_is_tested_by_two_corruptions_at_least() -> None:
    table = Path(__file__).parents[2] / "docs" / "architecture" / "invariants.md"
    listed = set(re.findall(r"^\| (I\d+) \|", table.read_text(encoding="utf-8"), re.MULTILINE))
    tried = Counter(number for number, _, _ in CORRUPTIONS)

    in_a_file_only = {"I21", "I23", "I25"}
    assert listed == tried.keys() | in_a_file_only
    assert min(tried.values()) >= 2
