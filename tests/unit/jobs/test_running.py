"""The parts of a running job that need no OS process of their own."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from io import StringIO
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread

import pytest
from pydantic import ValidationError

from pyworkflow.codec import encode
from pyworkflow.errors import PayloadError
from pyworkflow.jobs.board import Board
from pyworkflow.jobs.channel import Lines, TaskEnd
from pyworkflow.jobs.checkpointer import (
    CheckpointContents,
    FileCheckpointer,
    NoCheckpointAvailableError,
    checkpointer,
)
from pyworkflow.jobs.classes import Plugins
from pyworkflow.jobs.definition import JobConfig, TaskDefinition
from pyworkflow.jobs.eventbus.execution import ExecutionState, ExecutionStateTransition
from pyworkflow.jobs.eventbus.log import (
    LogEndEvent,
    LogStartEvent,
    LogWriteEvent,
    SerializableLogEvent,
    Severity,
)
from pyworkflow.jobs.extensions import RichProgressBar, extension
from pyworkflow.jobs.loggers import FileLogger, Logger, logger
from pyworkflow.jobs.observers import Observers
from pyworkflow.jobs.restart import Beginning, left_in_checkpoint
from pyworkflow.jobs.runner import process_id_of
from pyworkflow.jobs.shared import MAX_SIZE, Answer, Ask, SharedStore, merged
from pyworkflow.jobs.streams import stream
from pyworkflow.jobs.task import Task, task
from pyworkflow.values import check_name

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
DAY = 86_400


class Greet(Task):
    name: str
    times: int = 1

    def run(self) -> None:
        self.shared_dict["greeted"] = self.name
        text = f"hello {self.name} from {self.metadata.variant}"
        self.logger.info(text)


def test_a_task_can_be_run_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    greet = Greet(name="Ann")

    greet.run()

    assert dict(greet.shared_dict) == {"greeted": "Ann"}
    assert capsys.readouterr().out == "INFO - hello Ann from Greet\n"


def test_a_task_takes_its_parameters_and_no_others() -> None:
    with pytest.raises(ValidationError, match="name"):
        Greet.model_validate({})
    with pytest.raises(ValidationError, match="extra"):
        Greet.model_validate({"name": "Ann", "nam": "Bob"})


@pytest.mark.parametrize("decorator", [task, logger, extension, checkpointer])
def test_decorators_refuse_classes_of_another_kind(decorator: Callable[[type], type]) -> None:
    with pytest.raises(TypeError, match="is for subclasses of"):
        decorator(int)


# -- the shared dictionary -----------------------------------------------------------------------------------------------------------


def test_who_writes_waits_for_the_transaction_of_another_and_who_reads_does_not() -> None:
    store, told = SharedStore(), list[tuple[str, object]]()

    def ask(who: str, asked: Ask) -> None:
        store.ask(who, asked, lambda answer: told.append((who, answer.value)))

    ask("a", Ask("write", values={"n": 1}))
    ask("a", Ask("begin"))
    ask("b", Ask("begin"))
    ask("c", Ask("write", values={"n": 7}))
    ask("d", Ask("get", "n"))
    assert told == [("a", None), ("a", {"n": 1}), ("d", 1)]

    ask("a", Ask("end", values={"n": 2}))
    assert told[3:] == [("a", None), ("b", {"n": 2})]

    store.take("b")  # it is gone, in the middle of its transaction
    assert told[5:] == [("c", None)]
    assert store.snapshot() == {"n": 7}


def test_a_history_has_the_last_value_whatever_order_the_tasks_ended_in() -> None:
    store = SharedStore()
    store.begin({"kept": 0, "gone": 0})
    a, b = store.view("a"), store.view("b")
    a["n"] = 1
    b["n"] = 2
    a["m"] = 3
    del b["gone"]

    late, early = store.take("a"), store.take("b")

    expected = {"kept": 0, "n": 2, "m": 3}
    assert store.snapshot() == expected
    assert merged({"kept": 0, "gone": 0}, [early, late]) == expected
    assert merged({"kept": 0, "gone": 0}, [late, early]) == expected


def test_a_key_that_is_not_there_is_a_key_error() -> None:
    shared = SharedStore().view("a")

    with pytest.raises(KeyError):
        shared["n"]
    with pytest.raises(KeyError):
        del shared["n"]
    assert shared.get("n", 5) == 5
    assert shared.setdefault("n", 6) == 6


def test_what_is_removed_or_replaced_makes_room() -> None:
    store = SharedStore()
    store.begin({"old": "x" * (MAX_SIZE - 100)})
    shared = store.view("a")

    with pytest.raises(PayloadError, match="at most"):
        shared["new"] = "x" * 1000
    shared["old"] = "x"
    shared["new"] = "x" * (MAX_SIZE - 100)
    with pytest.raises(PayloadError, match="at most"), shared.transaction() as values:
        values["more"] = "x" * 1000
    del shared["new"]
    shared["more"] = "x" * 1000

    assert {key: len(value) for key, value in shared.items()} == {"old": 1, "more": 1000}


def test_answers_tell_nothing_from_none() -> None:
    store, told = SharedStore(), list[Answer]()
    store.view("a")["n"] = None

    store.ask("b", Ask("get", "n"), told.append)
    store.ask("b", Ask("get", "m"), told.append)

    assert [answer.found for answer in told] == [True, False]


# -- states --------------------------------------------------------------------------------------------------------------------------


def test_what_waits_for_a_failed_task_is_defaulted_at_once_and_nothing_else() -> None:
    tasks = {
        "a": TaskDefinition("X"),
        "b": TaskDefinition("X", ("a",)),
        "c": TaskDefinition("X", ("b",)),
        "other": TaskDefinition("X"),
        "old": TaskDefinition("X", ("a",)),
        "left out": TaskDefinition("X"),
    }
    board, told = Board(tasks), list[ExecutionStateTransition]()
    board.begin(told.append, done=["old"], skipped=["left out"])
    told.clear()

    board.move("a", ExecutionState.RUNNING)
    board.move("a", ExecutionState.FAILED)
    board.move("a", ExecutionState.FAILED)

    assert [(t.name, t.from_state.value + t.to_state.value) for t in told] == [
        ("a", "PR"),
        ("a", "RF"),
        ("b", "PD"),
        ("c", "PD"),
    ]
    letters = {"F": {"a"}, "D": {"b", "c"}, "P": {"other"}, "C": {"old"}, "S": {"left out"}}
    assert board.by_letter() == letters


@pytest.mark.parametrize("name", ["my-job", "a/b: c|d", "ä", "%2F", "..", "a\tb"])
def test_every_job_has_a_process_id_of_its_own_that_is_a_file_name_too(name: str) -> None:
    process_id = process_id_of(name)

    assert check_name(process_id, "id") == process_id
    assert "/" not in process_id
    assert process_id == name or "%" in process_id


def test_a_checkpoint_tells_what_was_begun() -> None:
    states = {"C": {"a"}, "R": {"b"}, "F": {"c"}, "A": {"d"}, "D": {"e"}, "P": {"f"}}

    left = left_in_checkpoint(CheckpointContents("job", states, {"n": 1}))

    assert left == Beginning(("a", "b", "c", "d", "e", "f"), ("a",), ("b", "c", "d"), {"n": 1})


# -- loggers, checkpointers ----------------------------------------------------------------------------------------------------------


def test_files_are_named_after_tasks_and_each_line_says_when_and_how_much_it_matters(
    tmp_path: Path,
) -> None:
    files = FileLogger(base_log_dir=str(tmp_path / "logs"))
    files.on_create()
    for name in ("a", "b/../c"):
        files.update(LogStartEvent(name))
        files.update(LogWriteEvent(name, Severity.ERROR, "one\ntwo", NOON))
        files.update(LogEndEvent(name))
    files.on_destroy()

    (folder,) = (tmp_path / "logs").iterdir()
    datetime.strptime(folder.name, "%Y-%m-%d.%H.%M.%S").astimezone()
    assert sorted(path.name for path in folder.iterdir()) == ["a.log", "b%2F..%2Fc.log"]
    assert (folder / "a.log").read_text(encoding="utf-8") == (
        "[2026-01-01 12:00:00.000] ERROR - one\n[2026-01-01 12:00:00.000] ERROR - two\n"
    )


@pytest.mark.parametrize(
    ("days", "gone"), [(10, ["2020-01-01.00.00.01", "2020-01-01.00.00.03-2"]), (-1, [])]
)
def test_old_files_of_runs_are_removed_with_folders_that_are_empty_then_and_nothing_else(
    tmp_path: Path, days: int, gone: list[str]
) -> None:
    old, new, empty = (f"2020-01-01.00.00.0{n}" for n in "123")
    ages = {old: 11, new: 9, "others": 11}
    for folder, age in ages.items():
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / "task.log"
        path.touch()
        then = datetime.now(UTC).timestamp() - age * DAY
        os.utime(path, (then, then))
    (tmp_path / f"{empty}-2").mkdir()
    (tmp_path / "young.txt").touch()
    before = {path.name for path in tmp_path.iterdir()}
    files = FileLogger(base_log_dir=str(tmp_path), retention_days=days)
    files.on_create()

    files.on_destroy()

    assert sorted(before - {path.name for path in tmp_path.iterdir()}) == gone


def test_a_run_keeps_its_own_files_in_a_relative_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files = FileLogger(retention_days=0)
    files.on_create()
    files.update(LogStartEvent("a"))
    (path,) = Path("logs").glob("*/a.log")
    os.utime(path, (0, 0))

    files.on_destroy()

    assert path.exists()


def test_without_its_folder_nothing_is_written_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("logs").touch()
    files = FileLogger()
    with pytest.raises(FileExistsError):
        files.on_create()

    for event in (LogStartEvent("a"), LogWriteEvent("a", Severity.INFO, "x", NOON)):
        files.update(event)
    files.update(LogEndEvent("a"))
    files.on_destroy()

    assert [path.name for path in tmp_path.iterdir()] == ["logs"]


def test_long_names_have_files_that_differ(tmp_path: Path) -> None:
    names = ["長" * 99 + end for end in "ab"]
    files = FileLogger(base_log_dir=str(tmp_path))
    files.on_create()
    keeper = FileCheckpointer(checkpoint_dir=str(tmp_path / "kept"))

    for name in names:
        files.update(LogStartEvent(name))
        keeper.write_checkpoint(name, CheckpointContents(name))
        check_name(f"{process_id_of(name)}.task", "id")
    files.on_destroy()

    assert len(list(tmp_path.glob("*/*.log"))) == 2
    assert [keeper.read_checkpoint(name).name for name in names] == names
    assert process_id_of(names[0]) != process_id_of(names[1])


def test_two_runs_in_a_second_have_a_folder_each(tmp_path: Path) -> None:
    for _ in range(3):
        FileLogger(base_log_dir=str(tmp_path)).on_create()

    assert len(list(tmp_path.iterdir())) == 3


def test_a_checkpoint_file_is_made_with_its_folder_replaced_and_cleared(tmp_path: Path) -> None:
    keeper = FileCheckpointer(checkpoint_dir=str(tmp_path / "deep" / "er"))
    with pytest.raises(NoCheckpointAvailableError):
        keeper.read_checkpoint("a/b")

    keeper.write_checkpoint("a/b", CheckpointContents("a/b", {"P": {"x"}}))
    content = CheckpointContents("a/b", {"C": {"x", "y"}, "F": {"z"}}, {"n": [1]})
    keeper.write_checkpoint("a/b", content)

    assert keeper.read_checkpoint("a/b") == content
    assert [path.name for path in (tmp_path / "deep" / "er").iterdir()] == ["a%2Fb.json"]
    keeper.clear_checkpoint("a/b")
    keeper.clear_checkpoint("a/b")
    with pytest.raises(NoCheckpointAvailableError):
        keeper.read_checkpoint("a/b")


class Batches(Logger):
    """Is told of events, and tells of the first."""

    def update(self, evt: SerializableLogEvent) -> None:
        SEEN.append(evt.name)
        COME.set()


SEEN: list[str] = []
COME = Event()


def test_an_event_is_passed_on_at_once_and_the_next_when_the_interval_is_over_or_the_job() -> None:
    SEEN.clear()
    config = JobConfig(loggers_interval_seconds=1e6)
    observers = Observers(config, Plugins((Batches(),)), lambda: CheckpointContents("job"))
    observers.start(restarted=False)

    observers.said(LogStartEvent("first"))
    assert COME.wait(60)
    observers.said(LogStartEvent("second"))
    observers.said(LogStartEvent("third"))
    assert SEEN == ["first"]
    observers.finish("on_success")
    observers.close()

    assert SEEN == ["first", "second", "third"]


class Leaving(Logger):
    """Ends the program, or tries to."""

    def on_create(self) -> None:
        sys.exit("no connection")

    async def update(self, evt: SerializableLogEvent) -> None:
        raise asyncio.CancelledError


@pytest.mark.timeout(60)
def test_a_plugin_that_exits_does_not_hold_the_job_up(caplog: pytest.LogCaptureFixture) -> None:
    config = JobConfig(loggers_interval_seconds=0)
    observers = Observers(config, Plugins((Leaving(),)), lambda: CheckpointContents("job"))
    observers.start(restarted=False)
    observers.said(LogStartEvent("a"))
    observers.said(LogEndEvent("a"))
    observers.finish("on_success")
    observers.close()

    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "Leaving.on_create raised JobError: SystemExit: no connection; the job goes on",
        "Leaving.update raised CancelledError; the job goes on",
    ]


class Stuck(Logger):
    """Does not come back before it is let go."""

    def update(self, evt: SerializableLogEvent) -> None:
        pass

    def on_success(self) -> None:
        LET_GO.wait()


LET_GO = Event()


def test_a_plugin_that_does_not_end_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("pyworkflow.jobs.observers.PATIENCE", 0.1)
    observers = Observers(JobConfig(), Plugins((Stuck(),)), lambda: CheckpointContents("job"))
    observers.start(restarted=False)

    observers.finish("on_success")

    assert "left behind" in caplog.text
    LET_GO.set()
    observers.close()


# -- output --------------------------------------------------------------------------------------------------------------------------


def test_a_line_is_what_ends_with_a_line_feed_however_it_is_written() -> None:
    said: list[str] = []
    out = stream(1, said.append)

    print("a", end="", file=out)
    print("b", 1, file=out)
    print("\n \t\n", file=out)
    out.buffer.write("ü\nrest".encode())
    assert said == ["ab 1", "ü"]
    out.close()

    assert said == ["ab 1", "ü", "rest"]
    assert out.closed


def test_lines_come_from_pieces_and_one_that_is_too_long_is_taken_for_several() -> None:
    lines = Lines(4)

    assert lines.add(b"a\n\nb") == [b"a", b""]
    assert lines.add(b"c") == []
    assert lines.add(b"d\n1234567890\n123") == [b"bcd", b"1234", b"5678", b"90"]
    assert lines.add(b"45") == [b"1234", b"5"]
    assert lines.rest() == b""
    assert lines.add(b"x") == []
    assert (lines.rest(), lines.rest()) == (b"x", b"")


def test_an_interrupt_waits_for_the_answer_and_the_channel_can_be_used_after_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        end = TaskEnd(ours)

        def answer() -> None:
            for _ in range(2):
                theirs.recv(1000)
                if not asked:
                    end.interrupt(InterruptedError())
                asked.append(1)
                theirs.sendall(encode(Answer(len(asked))) + b"\n")

        asked: list[int] = []
        thread = Thread(target=answer)
        thread.start()
        with pytest.raises(InterruptedError):
            end.ask(Ask("get", "a"))
        assert end.ask(Ask("get", "a")).value == 2
        thread.join()
        with pytest.raises(InterruptedError):
            end.interrupt(InterruptedError())


def test_a_line_of_any_length_is_whole() -> None:
    lines = Lines()

    assert [line for _ in range(1000) for line in lines.add(b"x" * 1000)] == []
    assert lines.add(b"\nrest") == [b"x" * 1_000_000]


def test_progress_is_plain_lines_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    show(RichProgressBar())

    lines = [line.rpartition(" after ")[0] or line for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "a\N{REPLACEMENT CHARACTER}: running",
        "a\N{REPLACEMENT CHARACTER}: tried again later",
        "a\N{REPLACEMENT CHARACTER}: running (attempt 2)",
        "a\N{REPLACEMENT CHARACTER}: failed (attempt 2)",
        "b: not run",
    ]


class Terminal(StringIO):
    """Takes itself for a terminal."""

    def isatty(self) -> bool:
        return True


def test_progress_is_a_table_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    bar = RichProgressBar()
    bar.on_create()
    show(bar)
    bar.on_destroy()

    last = terminal.getvalue().rpartition("task")[2]
    for text in ("failed", "2", "the last line", "b", "not run", "1 failed, 1 not run"):
        assert text in last
    assert "\x07" not in last
    assert "the first line" not in last


def show(bar: RichProgressBar) -> None:
    """Tell of a task that fails twice, and of one that waits for it."""
    state = ExecutionState
    bar.update(ExecutionStateTransition("b", state.INIT, state.PENDING))
    moves = (state.INIT, state.PENDING, state.RUNNING, state.PENDING, state.RUNNING, state.FAILED)
    for before, after in pairwise(moves):
        bar.update(ExecutionStateTransition("a\x07", before, after))
    bar.on_log(LogWriteEvent("a\x07", Severity.INFO, "the first line\nthe last line", NOON))
    bar.update(ExecutionStateTransition("b", state.PENDING, state.DEFAULTED))
