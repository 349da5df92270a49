"""Commands and callers while the server restarts, and while its disk is full."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psycopg
import pytest

from pyworkflow.activity import ActivityExecution, activity, current_activity
from pyworkflow.backend.base import Poll
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backoff import ride_out
from pyworkflow.decision import CompleteProcess, Decision, ScheduleActivity
from pyworkflow.errors import BackendFullError, StaleTaskError
from pyworkflow.event import ActivityAttemptEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted, ProcessCompleted
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.workflow import DefaultWorkflow
from tests.integration.program import StepsWorkflow, manager
from tests.integration.test_workers import working
from tests.postgresql import NOBODY, Server, new_server

pytestmark = pytest.mark.xdist_group("postgresql-faults")


@pytest.fixture
def own_server() -> Iterator[Server]:
    """A server that the test may do anything to."""
    server = new_server()
    yield server
    server.remove()


@pytest.fixture
def own(own_server: Server) -> Iterator[Manager]:
    """A manager of a store with a process that is open and one that has closed."""
    own = manager(own_server.url())
    own.start_process(Process(StepsWorkflow, id="open"))
    own.start_process(Process(StepsWorkflow, id="closed"))
    own.terminate_process("closed")
    yield own
    own.backend.close()


@contextmanager
def command(server: Server, *words: str) -> "Iterator[subprocess.Popen[str]]":
    arguments = [sys.executable, "-m", "pyworkflow", "--backend", server.url(), *words]
    with subprocess.Popen(
        arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


def read_that_it_waits(running: "subprocess.Popen[str]") -> None:
    """Read on until a command says that it waits; its listener may have logged something before."""
    assert running.stderr is not None
    assert any(text.startswith("waiting for the store: postgresql://") for text in running.stderr)


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def somebody_waits_for_a_lock(server: Server) -> bool:
    with server.connect() as admin:
        return admin.execute("select from pg_locks where not granted").fetchone() is not None


CHECK = ("check",)
PURGE = ("purge", "--older", "0", "--yes")


@pytest.mark.parametrize(
    ("words", "answer"),
    [(CHECK, "no invariant is violated"), (PURGE, "1 removed")],
    ids=["check", "purge"],
)
def test_a_command_rides_out_a_restart_in_its_middle(
    own: Manager, own_server: Server, words: tuple[str, ...], answer: str
) -> None:
    busy = own_server.connect()
    busy.execute("begin")
    busy.execute("lock table pyworkflow.process in access exclusive mode")
    with command(own_server, *words) as running:
        until(lambda: somebody_waits_for_a_lock(own_server))
        own_server.stop()
        read_that_it_waits(running)
        own_server.start()

        assert running.wait(60) == 0
        assert answer in line(running.stdout)
    busy.close()


@pytest.mark.parametrize("words", [CHECK, PURGE], ids=["check", "purge"])
def test_a_command_that_begins_during_a_restart_waits_for_its_end(
    own: Manager, own_server: Server, words: tuple[str, ...]
) -> None:
    own_server.stop()
    with command(own_server, *words) as running:
        read_that_it_waits(running)
        own_server.start()

        assert running.wait(60) == 0


def test_a_command_without_patience_ends(own: Manager, own_server: Server) -> None:
    own_server.stop()
    with command(own_server, "check", "--patience", "0") as running:
        assert running.wait(60) == 3
        assert line(running.stderr).startswith("error: postgresql://")


def test_a_history_is_followed_across_a_restart(own: Manager, own_server: Server) -> None:
    with command(own_server, "history", "open", "--follow") as running:
        assert "process_started" in line(running.stdout)
        own_server.stop()
        read_that_it_waits(running)
        own_server.start()
        own.terminate_process("open")

        assert "process_terminated" in line(running.stdout)
        assert running.wait(60) == 0


# -- leases ------------------------------------------------------------------------------------------------------------------------


def crash(server: Server) -> None:
    """Kill one process of the server: all others end, too, and it recovers."""
    with psycopg.connect(server.url()) as victim, psycopg.connect(server.url()) as other:
        os.kill(victim.info.backend_pid, signal.SIGKILL)

        def is_lost() -> bool:
            # The victim is lost before the server knows, and may answer others.
            try:
                other.execute("select 1")
            except psycopg.OperationalError:
                return True
            return False

        until(is_lost)
    until(server._answers)


RETURNS: dict[str, Callable[[Server], None]] = {
    "restart": lambda server: server.restart(),
    "immediate": lambda server: server.restart(signal.SIGQUIT),
    "crash": crash,
}


@pytest.mark.parametrize("how", RETURNS)
def test_no_lease_ends_while_the_server_is_away(own_server: Server, how: str) -> None:
    clock = FakeClock()
    with PostgreSQLBackend(own_server.url(), clock=clock) as backend:
        backend.register_workflow("w")
        backend.register_activity("a", heartbeat_timeout=5, execution_timeout=5)
        for number in range(2):
            backend.start_process(Process("w", id=f"busy-{number}"))
            decision = backend.poll_decision_task()
            assert decision is not None
            backend.complete_decision_task(decision, ScheduleActivity("a", id="a"))
        backend.start_process(Process("w", id="decided"))
        kinds = (Poll(DecisionTask, limit=9, lease=5), Poll(ActivityTask, limit=9, lease=5))
        tasks = backend.turn(polls=kinds).tasks
        assert len(tasks) == 3
        RETURNS[how](own_server)
        clock.advance(40)

        # Whoever comes first does what is due, and that is no lease.
        assert ride_out(lambda: backend.process_by_id("decided"), print).is_open
        done, lost = [task for task in tasks if isinstance(task, ActivityTask)]
        [decision] = [task for task in tasks if isinstance(task, DecisionTask)]
        assert backend.heartbeat_activity_task(done, 1) is False
        backend.complete_activity_task(done, ActivityCompleted(1))
        backend.complete_decision_task(decision, CompleteProcess())
        clock.advance(11)

        # And whoever does not report is lost.
        with pytest.raises(StaleTaskError):
            backend.complete_activity_task(lost, ActivityCompleted(1))
        assert backend.check() == []


RELEASED = threading.Event()
"""What every activity below waits for."""


@activity(heartbeat_timeout=2)
def beats(attempt: int) -> int:
    while not RELEASED.wait(0.05):
        current_activity().heartbeat("still here")
    return attempt


@activity(heartbeat_timeout=2, auto_heartbeat=True)
def is_alive(attempt: int) -> int:
    RELEASED.wait(60)
    return attempt


@activity(at_most_once=True, execution_timeout=2)
def once(attempt: int) -> int:
    RELEASED.wait(60)
    return attempt


@activity(retry=Retry(2, initial=0), heartbeat_timeout=2, auto_heartbeat=True)
def second(attempt: int) -> int:
    RELEASED.wait(60)
    if current_activity().task.attempt == 1:
        raise ValueError("the first attempt fails, outage or not")
    return attempt


class Straddling(DefaultWorkflow):
    """One of each, at the same time."""

    activities = (beats, is_alive, once, second)

    def initiate(self, process: Process) -> list[Decision]:
        return [ScheduleActivity(a, id=a.name, input=7) for a in self.activities]

    def respond_to_completed_activity(
        self, process: Process, execution: ActivityExecution, result: object
    ) -> list[Decision]:
        return [] if process.history.open_activities() else [CompleteProcess(result)]


@pytest.mark.parametrize("seconds", [3, 40])
def test_no_outcome_tells_of_an_outage(own_server: Server, seconds: float) -> None:
    clock = FakeClock()
    RELEASED.clear()
    with PostgreSQLBackend(own_server.url(), clock=clock) as backend:
        own = Manager(backend, [Straddling])
        ids = [own.start_process(Process(Straddling)) for _ in range(5)]
        with working(own, concurrency=30, lease=2):
            until(lambda: sum(queue.running for queue in backend.queues()) == 20)
            own_server.stop()
            clock.advance(seconds)
            own_server.start()
            RELEASED.set()

            for process_id in ids:
                ended = ride_out(lambda i=process_id: own.wait_for_process(i, 60), print)  # type: ignore[misc]
                assert ended.result == ProcessCompleted(7)
                attempts = [e for e in ended.history if isinstance(e, ActivityAttemptEvent)]
                assert [e.activity_execution.activity for e in attempts] == ["second"]
        assert backend.check() == []


# -- a full disk -------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    disk = Path(f"/tmp/pyworkflow-small-{os.getpid()}")
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        disk.rmdir()
        pytest.skip("a small file system cannot be mounted here")
    os.chown(disk, NOBODY, NOBODY)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
    disk.rmdir()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_is_an_outage_and_nothing_is_lost(own_server: Server, small_disk: Path) -> None:
    own = manager(own_server.url())
    started: list[str] = []

    def start_some() -> None:
        for _ in range(1000):
            process = Process(StepsWorkflow, input=os.urandom(4000).hex())
            started.append(own.start_process(process))

    with own_server.connect() as admin:
        admin.execute(f"create tablespace small location '{small_disk}'".encode())
        admin.execute("alter table pyworkflow.process_input set tablespace small")
    with working(own, concurrency=2):
        with pytest.raises(OSError, match="No space left"):
            fill(small_disk / "ballast")
        with pytest.raises(BackendFullError, match="has no space left"):
            start_some()
        (small_disk / "ballast").unlink()
        started.append(own.start_process(Process(StepsWorkflow, input="fits")))

        for process_id in started:
            assert own.wait_for_process(process_id, 60).status is Status.COMPLETED
    assert own.backend.check() == []
    own.backend.close()
