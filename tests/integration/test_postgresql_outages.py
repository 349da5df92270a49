"""Commands and callers while the server restarts, and while its disk is full."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest

from pyworkflow.errors import BackendFullError
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
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
        assert line(running.stderr).startswith("waiting for the store: postgresql://")
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
        assert line(running.stderr).startswith("waiting for the store: postgresql://")
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
        assert line(running.stderr).startswith("waiting for the store: postgresql://")
        own_server.start()
        own.terminate_process("open")

        assert "process_terminated" in line(running.stdout)
        assert running.wait(60) == 0


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
