"""What people do to a SQLite file while it is in use: it is noticed at the next call, and what they may do is not."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest

from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.backend.sqlite.connection import WAL_BYTES
from pyworkflow.errors import BackendReplacedError
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.worker import Worker
from pyworkflow.workflow import DefaultWorkflow


class Idle(DefaultWorkflow):
    """A workflow that nobody starts."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.db"


@pytest.fixture
def backend(path: Path) -> Iterator[SQLiteBackend]:
    with SQLiteBackend(path) as backend:
        backend.register_workflow("w")
        backend.start_process(Process("w", id="one", input="x" * 100_000))
        yield backend


@contextmanager
def opened(path: Path) -> Iterator[apsw.Connection]:
    """Open a database as another program would; by the same library: one that closes a file ends the locks of all others of its OS process."""
    connection = apsw.Connection(str(path))
    try:
        yield connection
    finally:
        connection.close()


def backup(path: Path, copy: Path) -> None:
    with (
        opened(path) as live,
        opened(copy) as target,
        target.backup("main", live, "main") as running,
    ):
        running.step()


def delete(path: Path) -> None:
    path.unlink()


def delete_wal(path: Path) -> None:
    Path(f"{path}-wal").unlink()


def delete_index(path: Path) -> None:
    Path(f"{path}-shm").unlink()


def move(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replace(path: Path) -> None:
    copy = path.with_name("copy.db")
    backup(path, copy)
    copy.replace(path)


def replace_wal(path: Path) -> None:
    wal, copy = Path(f"{path}-wal"), path.with_name("copy")
    shutil.copy(wal, copy)
    copy.replace(wal)


def truncate(path: Path) -> None:
    os.truncate(path, 4096)


@pytest.mark.parametrize(
    "harm", [delete, delete_wal, delete_index, move, replace, replace_wal, truncate]
)
def test_a_file_that_is_not_the_one_that_was_opened_is_an_error_at_the_next_call(
    harm: Callable[[Path], None], backend: SQLiteBackend, path: Path
) -> None:
    # What was written is in the database itself, so that there is something to truncate.
    with opened(path) as other:
        other.execute("pragma wal_checkpoint(truncate)").fetchall()
    backend.start_process(Process("w", id="two"))

    harm(path)

    with pytest.raises(BackendReplacedError, match=r"x\.db"):
        backend.start_process(Process("w", id="three"))
    with pytest.raises(BackendReplacedError, match=r"x\.db"):
        backend.processes()
    with pytest.raises(BackendReplacedError, match=r"x\.db"):
        backend.poll_activity_task()
    assert backend.closed


def test_a_worker_of_a_file_that_was_replaced_ends(backend: SQLiteBackend, path: Path) -> None:
    worker = Worker(Manager(backend, [Idle]))
    replace(path)

    with pytest.raises(BackendReplacedError):
        worker.run()


def test_what_others_may_do_to_a_file_is_no_harm(backend: SQLiteBackend, path: Path) -> None:
    with opened(path) as other:
        for statement in (
            "pragma wal_checkpoint(truncate)",
            "create table mine (x)",
            "insert into mine values (randomblob(3000000))",
            "pragma wal_checkpoint(truncate)",
            "drop table mine",
            "vacuum",
            "pragma wal_checkpoint(truncate)",
        ):
            other.execute(statement).fetchall()
            backend.start_process(Process("w"))
            assert backend.processes()
    assert len(backend.processes()) == 8


def test_a_database_is_put_in_place_of_another_by_restoring_it_into_the_file(
    backend: SQLiteBackend, path: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    backup(path, copy)
    backend.start_process(Process("w", id="two"))

    backup(copy, path)

    assert [process.id for process in backend.processes()] == ["one"]
    backend.start_process(Process("w", id="three"))
    assert [process.id for process in backend.processes()] == ["one", "three"]


def test_all_symbolic_links_lead_to_the_same_files(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    link, folder = tmp_path / "link.db", tmp_path / "folder"
    link.symlink_to(real / "x.db")
    folder.symlink_to(real, target_is_directory=True)

    for name in (real / "x.db", link, folder / "x.db"):
        with SQLiteBackend(name) as backend:
            backend.register_workflow("w")
            backend.start_process(Process("w"))
            assert backend.path == str(real / "x.db")

    assert {file.name for file in real.iterdir()} == {"x.db", "x.db-lock", "x.db-wake"}
    assert {file.name for file in tmp_path.iterdir()} == {"real", "link.db", "folder"}


def test_a_second_name_for_a_file_is_refused(backend: SQLiteBackend, path: Path) -> None:
    second = path.with_name("second.db")
    second.hardlink_to(path)

    with pytest.raises(BackendReplacedError, match="2 names"):
        SQLiteBackend(second)

    backend.start_process(Process("w", id="two"))
    second.unlink()
    assert len(backend.processes()) == 2


def test_the_log_shrinks_again_after_a_long_reader(path: Path) -> None:
    log = path.with_name(f"{path.name}-wal")
    with SQLiteBackend(path) as backend, SQLiteBackend(path) as other:
        backend.register_workflow("w")
        reader = apsw.Connection(str(path))
        reader.execute("begin")
        reader.execute("select count(*) from process").fetchall()
        for n in range(50):
            backend.start_process(Process("w", input=str(n) * 1_000_000))
        grown = log.stat().st_size
        reader.close()

        for n in range(40):
            backend.start_process(Process("w", input=str(n) * 1_000_000))
            other.processes(limit=1)

        assert grown > WAL_BYTES
        assert log.stat().st_size <= WAL_BYTES
        assert backend.check() == []
