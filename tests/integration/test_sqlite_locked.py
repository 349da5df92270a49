"""Another program has locked a SQLite file: commands wait for it as they wait for a server that starts again."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from click.testing import CliRunner, Result

from pyworkflow.backend.sqlite import SQLiteBackend, connection, database
from pyworkflow.cli import cli, common, house
from pyworkflow.errors import BackendOutageError, BackendUnavailableError
from pyworkflow.process import Process

Unlock = Callable[[], object]

CHECK = ("check",)
PURGE = ("purge", "--older", "0", "--yes")


def keep_out(path: Path) -> Unlock:
    """Lock the whole file, as a maintenance tool does."""
    other = apsw.Connection(str(path))
    other.execute("pragma locking_mode = exclusive")
    other.execute("begin immediate; create table more (x); commit; begin immediate")
    return other.close


def keep_from_writing(path: Path) -> Unlock:
    """Write for long."""
    other = apsw.Connection(str(path))
    other.execute("begin immediate")
    return other.close


def keep_the_turn(path: Path) -> Unlock:
    """Commit for ever, as an OS process of ours that was stopped does."""
    file = os.open(f"{path}-lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(file, fcntl.LOCK_EX)
    return lambda: os.close(file)


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for module in (connection, database):
        monkeypatch.setattr(module, "BUSY_SECONDS", 0)
    path = tmp_path / "x.db"
    with SQLiteBackend(path) as backend:
        backend.register_workflow("w")
        backend.start_process(Process("w", id="one"))
        backend.terminate_process("one")
    return path


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, ["--backend", f"sqlite:///{path}", *words])


@pytest.mark.parametrize(
    ("lock", "words", "answer"),
    [
        (keep_out, CHECK, "no invariant is violated"),
        (keep_out, PURGE, "1 removed"),
        (keep_from_writing, PURGE, "1 removed"),
        (keep_the_turn, PURGE, "1 removed"),
    ],
)
def test_a_command_rides_out_a_lock(
    lock: Callable[[Path], Unlock],
    words: tuple[str, ...],
    answer: str,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    unlock = lock(path)
    reports: list[BackendUnavailableError] = []

    def report(error: BackendUnavailableError) -> None:
        reports.append(error)
        unlock()

    for module in (common, house):
        monkeypatch.setattr(module, "report_outage", report)

    result = run(path, *words)

    assert result.exit_code == 0, result.exception
    assert answer in result.output
    assert [str(path) in str(error) for error in reports] == [True]


@pytest.mark.parametrize("words", [CHECK, PURGE])
def test_a_command_without_patience_says_who_is_in_its_way(
    words: tuple[str, ...], path: Path
) -> None:
    unlock = keep_out(path)

    result = run(path, *words, "--patience", "0")

    assert isinstance(result.exception, BackendOutageError)
    assert "locked by another program" in str(result.exception)
    unlock()
