"""SQLite files under fire: killed writers, lost power, full and broken disks, files that cannot be written, clocks that jump."""

import ctypes
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import apsw
import pytest

from pyworkflow.backend.base import Backend, Completion, Poll
from pyworkflow.backend.sqlite import SQLiteBackend, boot
from pyworkflow.codec import decode
from pyworkflow.decision import Timer
from pyworkflow.errors import BackendFullError, BackendUnavailableError, BackendVersionError
from pyworkflow.process import Process, Status
from pyworkflow.result import ProcessCompleted
from pyworkflow.task import ActivityTask
from pyworkflow.testing.clock import FakeClock
from tests.integration.faults_program import (
    HOUR,
    POLLS,
    Answer,
    Disk,
    Strike,
    broken,
    decisions,
    full,
    recorded,
    work,
)
from tests.integration.program import OneWorkflow, manager
from tests.integration.test_workers import appear

ROOT = Path(__file__).parents[2]
PROGRAM = [sys.executable, "-m", "tests.integration.faults_program"]

# -- ended at any operation on the disk --------------------------------------------------------------------------------------------


def run_each(how: str, folder: Path, turns: Sequence[int]) -> None:
    subprocess.run([*PROGRAM, "each", how, folder, *map(str, turns)], cwd=ROOT, check=True)


def told(folder: Path) -> list[Any]:
    return [decode(line) for line in (folder / "told").read_bytes().splitlines()]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"] for event in events]


def whole_run(folder: Path) -> tuple[list[list[str]], int]:
    """Return what the work records, transition by transition, and how many operations on the disk that takes."""
    run_each("kill", folder, [0])
    *lines, operations = told(folder / "0")
    states: list[list[str]] = []
    for line in lines:
        if types(line) not in states:
            states.append(types(line))
    return states, operations


def check_interrupted(folder: Path, states: list[list[str]]) -> None:
    path = folder / "x.db"
    acknowledged = told(folder)
    assert not acknowledged or isinstance(acknowledged[-1], list), "it was not interrupted"
    last = acknowledged[-1] if acknowledged else []
    with SQLiteBackend(path) as backend:
        assert backend.check() == []
        found = recorded(backend)
    # All that was acknowledged, at most the one transition that was under way, and that one wholly.
    assert found[: len(last)] == last
    assert states.index(types(found)) - states.index(types(last)) in (0, 1)

    # A day later the leases of the dead have ended.
    tomorrow = FakeClock(datetime.now(UTC) + timedelta(days=1))
    work(path, lambda backend: None, tomorrow)
    with SQLiteBackend(path, clock=tomorrow) as backend:
        assert backend.check() == []
        process = backend.process_by_id("one")
    assert process.result == ProcessCompleted({"done": True})
    assert [event.type for event in process.history].count("activity") == 1


def interrupt(how: str, folder: Path, step: int) -> None:
    states, operations = whole_run(folder)
    turns = sorted({*range(1, operations + 1, step), 1, 2, 3, operations - 1, operations})
    run_each(how, folder, turns)
    for turn in turns:
        check_interrupted(folder / str(turn), states)


ENDS = ["kill", "tear", "cut_power"]


@pytest.mark.parametrize("how", ENDS)
def test_what_was_acknowledged_outlives_the_end_of_its_writer(how: str, tmp_path: Path) -> None:
    interrupt(how, tmp_path, step=41)


@pytest.mark.slow
@pytest.mark.parametrize("how", ENDS)
def test_every_operation_on_the_disk_may_be_the_last(how: str, tmp_path: Path) -> None:
    interrupt(how, tmp_path, step=1)


# -- disks without room, and broken ones -------------------------------------------------------------------------------------------


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    yield disk
    disk.unregister()


def everything(backend: Backend) -> object:
    return recorded(backend), backend.processes(status=None), backend.feed(), backend.queues()


MANY = 500
"""No call of these tests uses the disk as often."""


def failures(
    disk: Disk, strike: Strike, call: Callable[[], object]
) -> Iterator[BackendUnavailableError]:
    """Make a call with the disk struck from its first operation on, from its second, and so on until the call succeeds."""
    for turn in range(1, MANY):
        disk.fail(turn, strike)
        try:
            call()
        except BackendUnavailableError as error:
            disk.mend()
            yield error
        else:
            return
        finally:
            disk.mend()
    raise AssertionError("the call fails without the disk's help")


def lines(error: BaseException) -> int:
    return len(str(error).splitlines())


@pytest.mark.parametrize(
    ("strike", "error"), [(full, BackendFullError), (broken, BackendUnavailableError)]
)
def test_a_call_that_cannot_be_written_changes_nothing_and_may_be_tried_again(
    disk: Disk, strike: Strike, error: type[BackendUnavailableError], tmp_path: Path
) -> None:
    backend = SQLiteBackend(tmp_path / "x.db")
    tasks: list[Any] = []

    def claim() -> None:
        tasks.extend(backend.turn(polls=POLLS).tasks)

    def complete() -> None:
        backend.complete_decision_task(tasks[0], decisions(tasks[0].process))

    calls: list[Callable[[], object]] = [
        lambda: backend.register_workflow("Order"),
        lambda: backend.register_activity("pack"),
        lambda: backend.start_process(Process("Order", id="one", input={"n": 1})),
        lambda: backend.signal_process("one", "hurry", "x" * 20_000, signal_id="s"),
        claim,
        complete,
        lambda: backend.terminate_process("one"),
        lambda: backend.purge(datetime.now(UTC) + timedelta(days=1)),
    ]
    with backend:
        for call in calls:
            before = everything(backend)
            failed = 0
            for failure in failures(disk, strike, call):
                assert isinstance(failure, error)
                assert lines(failure) == 1
                assert everything(backend) == before
                failed += 1
            assert failed, "the call wrote nothing"
        assert backend.check() == []
        assert backend.processes(status=None) == []


# Closing writes, too, and what the disk says to that has nobody to go to.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("strike", "error"), [(full, BackendFullError), (broken, BackendUnavailableError)]
)
def test_a_file_that_could_not_be_made_is_made_later(
    disk: Disk, strike: Strike, error: type[BackendUnavailableError], tmp_path: Path
) -> None:
    backends: list[SQLiteBackend] = []
    failed = 0
    for failure in failures(
        disk, strike, lambda: backends.append(SQLiteBackend(tmp_path / "x.db"))
    ):
        assert isinstance(failure, error)
        assert lines(failure) == 1
        failed += 1

    assert failed
    with backends.pop() as backend:
        backend.register_workflow("Order")
        assert backend.check() == []


@contextmanager
def no_room() -> Iterator[None]:
    """Have the system refuse every write to a file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_file_is_closed_without_room_and_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    backend = SQLiteBackend(path)
    backend.register_workflow("Order")
    backend.start_process(Process("Order", id="one"))
    before = everything(backend)
    with no_room():
        with pytest.raises(BackendUnavailableError) as refused:
            backend.start_process(Process("Order", id="two"))
        backend.close()

    assert lines(refused.value) == 1
    with SQLiteBackend(path) as again:
        assert everything(again) == before
        assert again.check() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_may_keep_others_from_hearing_but_the_commit_stands(tmp_path: Path) -> None:
    (tmp_path / "x.db-wake").symlink_to("/dev/full")
    with SQLiteBackend(tmp_path / "x.db") as backend:
        backend.register_workflow("Order")
        assert backend.start_process(Process("Order", id="one")) == "one"
        assert [process.id for process in backend.processes()] == ["one"]


def test_the_command_line_tells_of_a_full_disk_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with SQLiteBackend(path) as backend:
        backend.register_workflow("Order")
        before = everything(backend)
    done = subprocess.run(
        [*PROGRAM, "command", "full", "1", "--backend", f"sqlite:///{path}", "start", "Order"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 3
    assert done.stdout == ""
    assert done.stderr.startswith("error: no space left for ")
    assert len(done.stderr.splitlines()) == 1
    with SQLiteBackend(path) as backend:
        assert everything(backend) == before


# -- files that cannot be written, or are not ours ---------------------------------------------------------------------------------


def heed_permissions() -> None:
    """Drop what lets root write where permissions forbid it; run between fork and exec."""
    drop_from_bounding_set, override, read_search = 24, 1, 2
    libc = ctypes.CDLL(None)
    for capability in (override, read_search):
        libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)


def command(path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pyworkflow", "--backend", f"sqlite:///{path}", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=heed_permissions if os.geteuid() == 0 else None,
    )


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Path]:
    """Give a database with one process, which nobody has open."""
    path = tmp_path / "store" / "x.db"
    path.parent.mkdir()
    with SQLiteBackend(path) as backend:
        backend.register_workflow("Order")
        backend.start_process(Process("Order", id="one"))
    yield path
    path.parent.chmod(0o700)


def refused(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode == 3, done
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: ")
    return done.stderr


def test_a_file_that_may_only_be_read_is_read_and_not_written(kept: Path) -> None:
    kept.chmod(0o400)
    before = kept.read_bytes()

    assert "one" in command(kept, "list").stdout
    assert command(kept, "check").returncode == 0
    assert "cannot be written" in refused(command(kept, "start", "Order"))
    assert "cannot be written" in refused(command(kept, "terminate", "one"))
    assert kept.read_bytes() == before
    for file in kept.parent.iterdir():
        file.chmod(0o600)
    assert command(kept, "terminate", "one").returncode == 0


def test_a_folder_that_may_only_be_read_is_told_in_one_line(kept: Path) -> None:
    before = kept.read_bytes()
    kept.parent.chmod(0o500)

    assert str(kept) in refused(command(kept, "start", "Order"))
    assert str(kept) in refused(command(kept, "list"))
    assert "new.db" in refused(command(kept.with_name("new.db"), "list"))
    assert kept.read_bytes() == before
    kept.parent.chmod(0o700)
    assert command(kept, "start", "Order").returncode == 0


def newer(path: Path) -> None:
    with SQLiteBackend(path) as backend:
        backend.register_workflow("Order")
    database = apsw.Connection(str(path))
    assert database.execute("pragma journal_mode = delete").get == "delete"
    database.execute("pragma user_version = 99")
    database.close()


def of_another_program(path: Path) -> None:
    database = apsw.Connection(str(path))
    database.execute("create table process (id text); insert into process values ('one')")
    database.close()


def with_the_mark_of_another_program(path: Path) -> None:
    database = apsw.Connection(str(path))
    database.execute("pragma application_id = 7; create table process (id text)")
    database.close()


def a_text(path: Path) -> None:
    path.write_text("A letter to nobody.\n" * 1000)


@pytest.mark.parametrize(
    "make", [newer, of_another_program, with_the_mark_of_another_program, a_text]
)
def test_a_file_that_is_not_ours_is_left_as_it_is(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "x.db"
    make(path)
    before, files = path.read_bytes(), set(tmp_path.iterdir())

    with pytest.raises(BackendVersionError) as told:
        SQLiteBackend(path)

    assert lines(told.value) == 1
    assert path.read_bytes() == before
    assert set(tmp_path.iterdir()) == files


def test_a_page_that_was_overwritten_is_found_wherever_it_is(kept: Path) -> None:
    whole, page = kept.read_bytes(), 4096
    for start in range(page, len(whole), page):
        kept.write_bytes(whole[:start] + b"\xff" * page + whole[start + page :])
        try:
            with SQLiteBackend(kept) as backend:
                told = [violation.message for violation in backend.check()]
        except BackendUnavailableError as error:
            told = [str(error)]
        assert told, f"nobody has noticed what is at {start}"
        assert all(len(text.splitlines()) == 1 for text in told)


# -- clocks that jump --------------------------------------------------------------------------------------------------------------

DAY = 86_400
JUMPS = [-30 * DAY, 365 * DAY]


class WallClock:
    """The wall clock of OS processes that are started with its environment."""

    def __init__(self, folder: Path) -> None:
        library, self._file = folder / "clockjump.so", folder / "clockjump"
        source = Path(__file__).with_name("clockjump.c")
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source], check=True)
        self.environment = {**os.environ, "LD_PRELOAD": str(library), "CLOCKJUMP": str(self._file)}
        self.jump(0)

    def jump(self, seconds: int) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(str(seconds))
        beside.replace(self._file)

    @contextmanager
    def started(self, *command: object) -> Iterator["subprocess.Popen[str]"]:
        child = subprocess.Popen(
            [*map(str, command)],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with child:
            try:
                yield child
            finally:
                child.kill()


@pytest.fixture
def wall(tmp_path: Path) -> WallClock:
    if sys.platform != "linux" or shutil.which("gcc") is None:
        pytest.skip("the wall clock of a program is moved with gcc, on Linux")
    return WallClock(tmp_path)


def in_order(backend: Backend, process_id: str) -> bool:
    times = [event.datetime for event in backend.history(process_id)]
    return all(a is not None and b is not None and a <= b for a, b in pairwise(times))


def test_leases_and_timers_do_not_heed_the_wall_clock(wall: WallClock, tmp_path: Path) -> None:
    path, short = tmp_path / "x.db", 2.0

    def ask(holder: "subprocess.Popen[str]", word: str) -> tuple[float, list[str]]:
        assert holder.stdin is not None
        assert holder.stdout is not None
        holder.stdin.write(f"{word}\n")
        holder.stdin.flush()
        answer: Answer = decode(holder.stdout.readline(), Answer)
        assert answer.held == (word != "finish")
        assert "short" not in answer.fired or answer.elapsed >= short
        return answer.wall - time.time(), answer.fired

    with wall.started(*PROGRAM, "hold", short, path) as holder:
        for seconds in JUMPS:
            wall.jump(seconds)
            off, fired = ask(holder, "look")
            assert abs(off - seconds) < DAY, "the clock has not jumped"
            assert "long" not in fired
            # Nor do those who open the file after the jump, or by another clock.
            url = f"sqlite:///{path}"
            with wall.started(sys.executable, "-m", "pyworkflow", "--backend", url, "check") as new:
                assert "no invariant is violated" in new.communicate(timeout=60)[0]
            with SQLiteBackend(path) as backend:
                assert backend.turn(polls=[Poll(ActivityTask)]).tasks == []
        assert ask(holder, "wait")[1] == ["short"]
        assert ask(holder, "finish")[1] == ["short"]

    with SQLiteBackend(path) as backend:
        assert backend.process_by_id("one").status is Status.COMPLETED
        assert in_order(backend, "one")
        assert backend.check() == []


def test_a_worker_keeps_its_task_while_the_wall_clock_jumps(
    wall: WallClock, tmp_path: Path
) -> None:
    path, began = tmp_path / "x.db", tmp_path / "began"
    of = manager(str(path))

    def lease_ends() -> datetime | None:
        [activity] = of.backend.pending(process_id)
        return activity.until

    with wall.started(*PROGRAM, "worker", 6, path) as worker:
        process_id = of.start_process(Process(OneWorkflow, input=["slow", str(began)]))
        appear(began)
        for seconds in JUMPS:
            wall.jump(seconds)
            before = lease_ends()
            while lease_ends() == before:
                time.sleep(0.01)
        began.with_name("began.end").touch()
        result = of.wait_for_process(process_id, 60).result
        worker.terminate()
        assert worker.wait(30) == 0

    assert result == ProcessCompleted("done")
    started = [event.type for event in of.history(process_id)].count("activity_started")
    assert started == 1
    assert in_order(of.backend, process_id)
    assert of.backend.check() == []


def test_time_goes_on_after_a_boot_whatever_the_wall_clock_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, wall = tmp_path / "x.db", time.time_ns

    def reboot(number: int, seconds: int) -> None:
        monkeypatch.setattr(boot, "boot_id", lambda: f"boot {number}")
        monkeypatch.setattr(boot, "since_boot", lambda: number)
        monkeypatch.setattr(time, "time_ns", lambda: wall() + seconds * 10**9)

    reboot(1, 0)
    with SQLiteBackend(path) as backend:
        backend.register_workflow("Order", decision_timeout=10 * HOUR)
        backend.start_process(Process("Order", id="one"))
        [task] = backend.turn(polls=POLLS).tasks
        backend.turn([Completion(task, [Timer(HOUR, id="t")])])
    reboot(2, -30 * DAY)
    with SQLiteBackend(path) as backend:
        backend.signal_process("one", "after the boot")
        backend.start_process(Process("Order", id="two"))
        first, second = (backend.process_by_id(name).started for name in ("one", "two"))
        assert first is not None
        assert second is not None
        assert second > first - timedelta(minutes=1)
        assert "timer" not in types(recorded(backend))
        assert in_order(backend, "one")
    reboot(3, 2 * HOUR)
    with SQLiteBackend(path) as backend:
        assert "timer" in types(recorded(backend))
        assert in_order(backend, "one")
        assert backend.check() == []
