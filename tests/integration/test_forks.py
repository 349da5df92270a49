"""A program may fork at any moment: nothing that was acknowledged is lost, nobody hangs, and nothing of the parent's stays taken."""

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from pyworkflow.backend.base import Backend, Poll
from pyworkflow.backend.blinker import BlinkerBackend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.errors import BackendReplacedError, BackendUnavailableError, ReentrantCallError
from pyworkflow.payloads import S3Store
from pyworkflow.process import Process
from pyworkflow.replay.cache import RunCache
from pyworkflow.task import DecisionTask
from tests.local_backends import LOCAL, local_backend
from tests.postgresql import Server

PATIENCE = 60


def fork(act: Callable[[], object]) -> int:
    """Run something in a child; it exits with 0 if that has ended well, and is ended if it takes too long."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(PATIENCE)
            act()
            code = 0
        except BaseException as error:
            os.write(2, f"child: {error!r}\n".encode())
        finally:
            os._exit(code)
    return child


def exit_code(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Gate:
    """Something that one OS process waits for until another one opens it."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def open(self) -> None:
        os.write(self._write, b"x")

    def wait(self) -> None:
        os.read(self._read, 1)


@contextmanager
def sleeper() -> Iterator[Callable[[], int]]:
    """Give what forks a child that does nothing until the end of the block."""
    end = Gate()
    children: list[int] = []

    def start() -> int:
        children.append(fork(end.wait))
        return children[-1]

    try:
        yield start
    finally:
        end.open()
        for child in children:
            exit_code(child)


def starts(backend: Backend, name: str, count: int) -> None:
    for number in range(count):
        backend.start_process(Process("w", id=f"{name}{number}"))


def listed_by_another_program(path: Path) -> str:
    command = [sys.executable, "-m", "pyworkflow", "--backend", f"sqlite:///{path}", "list"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


def test_a_child_has_locks_and_lock_files_of_its_own(path: Path) -> None:
    called, end = Gate(), Gate()
    with SQLiteBackend(path) as backend:
        backend.register_workflow("w")
        backend.turn(polls=[Poll(DecisionTask)], wait=0.01)

        def act() -> None:
            starts(backend, "child", 1)
            called.open()
            end.wait()

        child = fork(act)
        called.wait()
        files = {Path(f"{path}{end}").stat().st_ino: end for end in ("", "-shm")}
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        held = {
            files.get(int(lock[5].rpartition(":")[2])) for lock in locks if lock[4] == str(child)
        }
        opened = [os.path.realpath(fd) for fd in Path(f"/proc/{child}/fd").iterdir()]
        end.open()

        assert exit_code(child) == 0
    assert held >= {"", "-shm"}
    assert opened.count(f"{path}-lock") == 1
    assert opened.count(f"{path}-wake") <= 1
    assert not [name for name in opened if "inotify" in name]


@pytest.mark.parametrize("connects", [False, True])
def test_what_a_child_has_acknowledged_outlives_its_parents_end(path: Path, connects: bool) -> None:
    called, go = Gate(), Gate()
    backend = SQLiteBackend(path)
    backend.register_workflow("w")

    def act() -> None:
        own = SQLiteBackend(path) if connects else backend
        starts(own, "before", 1)
        called.open()
        go.wait()
        starts(own, "after", 20)

    child = fork(act)
    called.wait()
    backend.close()
    # SQLite removes the WAL with what it takes for the last connection.
    listed_by_another_program(path)
    go.open()

    assert exit_code(child) == 0
    with SQLiteBackend(path) as again:
        assert len(again.processes()) == 21
        assert again.check() == []


@pytest.mark.parametrize("kind", LOCAL)
def test_a_program_forks_while_its_threads_are_at_work(
    kind: str, request: pytest.FixtureRequest
) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []
    counts = [0] * 4
    with local_backend(kind, request) as backend:
        backend.register_workflow("w")

        def work(thread: int) -> None:
            try:
                while not stop.is_set():
                    backend.start_process(Process("w", id=f"t{thread}-{counts[thread]}"))
                    counts[thread] += 1
                    backend.processes(limit=1)
                    backend.turn(polls=[Poll(DecisionTask, names=("other",))], wait=0.001)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        children = []
        for number in range(10):
            before = sum(counts)
            while sum(counts) < before + 5 and not failures:
                time.sleep(0.001)

            def act(number: int = number) -> None:
                starts(backend, f"c{number}-", 3)
                assert len(backend.history(f"c{number}-2")) == 1

            children.append(fork(act))
        codes = [exit_code(child) for child in children]
        stop.set()
        for thread in threads:
            thread.join()

        assert failures == []
        assert codes == [0] * 10
        # A child of a backend in memory has a copy.
        shared = 0 if kind == "memory" else 30
        assert len(backend.processes()) == sum(counts) + shared
        assert backend.check() == []


def test_a_fork_in_the_middle_of_a_commit_leaves_the_database_to_the_parent(path: Path) -> None:
    children: list[int] = []

    def forks(unit: object) -> None:
        children.append(os.fork())

    with SQLiteBackend(path) as backend:
        backend.register_workflow("w")
        backend.start_process(Process("w", id="one"))
        refused: BaseException | None = None
        try:
            backend._do(forks)
        except BackendUnavailableError as error:
            refused = error
        if children == [0]:
            code = 1
            try:
                assert refused is not None
                with pytest.raises(BackendReplacedError, match="in use by the thread that forked"):
                    backend.start_process(Process("w", id="two"))
                with pytest.raises(BackendReplacedError, match="in use by the thread that forked"):
                    SQLiteBackend(path)
                code = 0
            finally:
                os._exit(code)

        assert refused is None
        assert exit_code(children[0]) == 0
        backend.start_process(Process("w", id="three"))
        assert [process.id for process in backend.processes()] == ["one", "three"]
        assert backend.check() == []
    assert "three" in listed_by_another_program(path)


def test_a_parent_that_is_killed_while_it_writes_leaves_no_turn_taken(path: Path) -> None:
    with sleeper() as start:

        def act() -> None:
            backend = SQLiteBackend(path)
            with backend._database.turn():
                start()
                os.kill(os.getpid(), signal.SIGKILL)

        assert exit_code(fork(act)) == -signal.SIGKILL
        # The child of the dead one may be about to drop the file.
        with Path(f"{path}-lock").open("r+") as file:
            signal.alarm(PATIENCE)
            fcntl.flock(file, fcntl.LOCK_EX)
            signal.alarm(0)


def test_a_parent_that_is_killed_in_a_transaction_leaves_the_server_no_lock(
    postgresql_server: Server, schema: str
) -> None:
    url = postgresql_server.url()
    with sleeper() as start:

        def act() -> None:
            backend = PostgreSQLBackend(url, schema=schema)
            with backend._writers.lend() as connection:
                connection.execute("begin; select pg_advisory_xact_lock(4711)")
                start()
                os.kill(os.getpid(), signal.SIGKILL)

        assert exit_code(fork(act)) == -signal.SIGKILL
        with psycopg.connect(url) as other:
            other.execute(f"set lock_timeout = '{PATIENCE}s'")
            other.execute("select pg_advisory_xact_lock(4711)")


def test_a_database_in_memory_stays_with_its_process() -> None:
    with SQLiteBackend(":memory:") as backend:
        backend.register_workflow("w")
        starts(backend, "p", 1)

        def act() -> None:
            with pytest.raises(BackendReplacedError, match="stays with the process that made it"):
                starts(backend, "q", 1)

        assert exit_code(fork(act)) == 0
        assert len(backend.processes()) == 1


def test_locks_that_threads_of_the_parent_hold_are_free_in_the_child() -> None:
    backend = BlinkerBackend(MemoryBackend())
    backend.register_workflow("w")
    cache = RunCache()

    def act() -> None:
        starts(backend, "p", 1)
        task = backend.poll_decision_task()
        assert task is not None
        backend.complete_decision_task(task, [])
        cache.clear()

    with backend._lock, cache._lock:
        assert exit_code(fork(act)) == 0


def test_a_child_makes_connections_to_amazon_of_its_own() -> None:
    class Client:
        closed = False

        def close(self) -> None:
            self.closed = True

    client = Client()
    store = S3Store("bucket", client=client)

    def act() -> None:
        assert client.closed

    assert exit_code(fork(act)) == 0
    assert not client.closed
    assert store.bucket == "bucket"


@pytest.mark.parametrize("kind", LOCAL)
def test_a_call_from_a_signal_handler_is_made_or_refused_and_never_hangs(
    kind: str, request: pytest.FixtureRequest
) -> None:
    calls = refused = 0

    def on_alarm(*_: object) -> None:
        nonlocal calls, refused
        calls += 1
        try:
            backend.signal_process("one", "tick", calls)
            backend.history("one")
            process.unseen_events()
            Process("w").assign_id()
            backend.wake()
        except ReentrantCallError:
            refused += 1
        signal.setitimer(signal.ITIMER_REAL, 0.0005 + calls % 7 * 0.0003)

    with local_backend(kind, request) as backend:
        backend.register_workflow("w")
        backend.start_process(Process("w", id="one"))
        process = backend.process_by_id("one")
        before = signal.signal(signal.SIGALRM, on_alarm)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.001)
            number = 0
            while refused < 3 or calls - refused < 3:
                number += 1
                backend.start_process(Process("w", id=f"p{number}"))
                backend.history(f"p{number}")
                process.history.prefix(1).unseen()
                Process("w").assign_id()
                backend.turn(polls=[Poll(DecisionTask, names=("other",))])
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

        assert len(backend.processes()) == number + 1
        assert backend.check() == []
