"""A backup takes the place of a store that goes on being written: who follows the feed notices."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue
from typing import Any, Protocol

import pytest

from pyworkflow.backend.base import Backend, FeedEntry
from pyworkflow.backend.listener import CursorFile, Listener
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.clock import to_datetime
from pyworkflow.errors import StaleCursorError
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from tests.integration.program import StepsWorkflow
from tests.integration.shell import Shell
from tests.integration.test_sqlite_files import opened
from tests.postgresql import Server


class Store(Protocol):
    """A store that can be backed up and restored while backends have it open."""

    def open(self) -> Backend: ...

    def backup(self) -> None: ...

    def restore(self) -> None: ...


class SQLiteStore:
    """Restores into the file, as ``sqlite3 x.db ".restore copy.db"`` does."""

    def __init__(self, folder: Path) -> None:
        self.path, self.copy = folder / "x.db", folder / "copy.db"

    def open(self) -> SQLiteBackend:
        return SQLiteBackend(self.path)

    def backup(self) -> None:
        self._copy(self.path, self.copy)

    def restore(self) -> None:
        self._copy(self.copy, self.path)

    def _copy(self, source: Path, target: Path) -> None:
        with opened(source) as one, opened(target) as other:
            other.set_busy_timeout(30_000)
            with other.backup("main", one, "main") as running:
                running.step()


class PostgreSQLStore:
    """Restores the rows by SQL, in one transaction."""

    def __init__(self, server: Server, schema: str) -> None:
        self.server, self.schema = server, schema

    def open(self) -> PostgreSQLBackend:
        return PostgreSQLBackend(self.server.url(), schema=self.schema)

    def backup(self) -> None:
        with self.server.connect() as admin:
            for table in self._tables(admin):
                admin.execute(
                    f"create table {self.schema}.copy_of_{table} as table {self.schema}.{table}"
                )

    def restore(self) -> None:
        with self.server.connect() as admin, admin.transaction():
            for table in self._tables(admin):
                admin.execute(f"delete from {self.schema}.{table}")
                admin.execute(
                    f"insert into {self.schema}.{table} overriding system value table {self.schema}.copy_of_{table}"
                )

    def _tables(self, admin: Any) -> list[str]:
        query = (
            "select tablename from pg_tables where schemaname = %s and tablename not like 'copy%%'"
        )
        return [name for (name,) in admin.execute(query, (self.schema,))]


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "sqlite":
        return SQLiteStore(tmp_path)
    return PostgreSQLStore(
        request.getfixturevalue("postgresql_server"), request.getfixturevalue("schema")
    )


@pytest.fixture
def backend(store: Store) -> Iterator[Backend]:
    with store.open() as backend:
        backend.register_workflow("w")
        yield backend


def start(backend: Backend, *names: str) -> None:
    for name in names:
        backend.start_process(Process("w", id=name))


def test_a_running_listener_ends_with_an_error(
    store: Store, backend: Backend, tmp_path: Path
) -> None:
    heard: Queue[str] = Queue()
    start(backend, "kept")
    store.backup()
    with store.open() as other, ThreadPoolExecutor(1) as pool:

        def pass_on(entries: list[FeedEntry]) -> None:
            for entry in entries:
                heard.put(entry.process_id)

        cursor = CursorFile(tmp_path / "cursor")
        listener = Listener(other, pass_on, cursor)
        running = pool.submit(listener.run)
        start(backend, "lost-1", "lost-2")
        assert [heard.get(timeout=60) for _ in range(3)] == ["kept", "lost-1", "lost-2"]

        store.restore()
        start(backend, "new-1", "new-2", "new-3")

        with pytest.raises(StaleCursorError, match="backup was restored"):
            running.result(60)
        assert heard.empty()
        # What the message says to do.
        cursor.save("0")
        Listener(other, pass_on, cursor).step()
        assert [heard.get_nowait() for _ in range(4)] == ["kept", "new-1", "new-2", "new-3"]


def test_a_cursor_from_before_the_backup_goes_on(store: Store, backend: Backend) -> None:
    start(backend, "kept")
    cursor = backend.feed_end()
    store.backup()
    start(backend, "lost")

    store.restore()
    assert backend.feed(cursor) == []
    start(backend, "new")

    assert [entry.process_id for entry in backend.feed(cursor)] == ["new"]


@pytest.mark.parametrize("more", [0, 1, 3])
def test_a_cursor_of_the_lost_events_is_refused_whatever_is_written_since(
    store: Store, backend: Backend, more: int
) -> None:
    start(backend, "kept")
    store.backup()
    # The same process, at the same place, with the same number.
    backend.signal_process("kept", "s")
    lost = backend.feed_end()

    store.restore()
    for _ in range(more):
        backend.signal_process("kept", "s")

    with pytest.raises(StaleCursorError):
        backend.feed(lost)


def test_a_purge_of_other_entries_hides_no_restored_backup(store: Store, backend: Backend) -> None:
    start(backend, "old")
    backend.terminate_process("old")
    start(backend, "kept")
    store.backup()
    start(backend, "lost")
    lost = backend.feed_end()
    store.restore()

    assert backend.purge(to_datetime(2**52)) == 1

    with pytest.raises(StaleCursorError):
        backend.feed(lost)


def test_a_file_that_was_copied_back_is_noticed_from_the_saved_cursor(tmp_path: Path) -> None:
    path, copy = tmp_path / "x.db", tmp_path / "copy.db"
    cursor = CursorFile(tmp_path / "cursor")

    def session(*names: str, act: Callable[[Backend], object] = lambda _: None) -> None:
        with SQLiteBackend(path) as backend:
            backend.register_workflow("w")
            start(backend, *names)
            act(backend)

    session("kept")
    copy.write_bytes(path.read_bytes())
    session("lost", act=lambda backend: Listener(backend, lambda _: None, cursor).step())
    path.write_bytes(copy.read_bytes())
    session("new")

    def listen(backend: Backend) -> None:
        with pytest.raises(StaleCursorError):
            Listener(backend, lambda _: pytest.fail("passed on"), cursor).step()

    session(act=listen)


@pytest.mark.parametrize("words", [("watch", "--from-start"), ("history", "kept", "--follow")])
def test_the_command_line_ends_with_an_error(tmp_path: Path, words: tuple[str, ...]) -> None:
    store = SQLiteStore(tmp_path)
    shell = Shell(store.path)
    with store.open() as backend:
        manager = Manager(backend, [StepsWorkflow])
        manager.start_process(Process(StepsWorkflow, id="kept"))
        store.backup()
        with shell.running(*words, "--json") as follower:
            assert follower.stdout is not None
            assert follower.stderr is not None
            assert "process_started" in follower.stdout.readline()
            backend.signal_process("kept", "lost")
            assert "lost" in follower.stdout.readline()

            store.restore()
            backend.signal_process("kept", "new")

            assert follower.wait(60) == 5
            assert follower.stdout.read() == ""
            assert "backup was restored" in follower.stderr.read()
