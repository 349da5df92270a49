"""What pyworkflow is measured on. Another store is one line more in `STORES`."""

import atexit
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from functools import cache
from pathlib import Path

import apsw
import psycopg
from msgspec import Struct

from benchmarks.raw import MemoryStore, SQLiteStore
from benchmarks.raw import Store as RawStore
from benchmarks.raw_postgresql import PostgreSQLStore
from benchmarks.servers import PostgreSQL, postgresql


class Store(Struct, frozen=True):
    """A store.

    Attributes:
        name: What to call it.
        place: Makes an empty one and yields its URL.
        raw: Opens the hand-written loop's store at an URL, None if nobody has written it.
        size: Tells the bytes of disk that the store at an URL takes, None if it takes none.
    """

    name: str
    place: Callable[[], AbstractContextManager[str]]
    raw: Callable[[str], RawStore] | None = None
    size: Callable[[str], int] | None = None

    @property
    def is_shared(self) -> bool:
        """Whether several OS processes can work on it: all that is on a disk."""
        return self.size is not None


@contextmanager
def memory() -> Iterator[str]:
    """Yield the URL of a backend in memory."""
    yield "memory:"


@contextmanager
def sqlite_file() -> Iterator[str]:
    """Yield the URL of a SQLite file that is yet to be made."""
    with tempfile.TemporaryDirectory(prefix="pyworkflow-bench-") as folder:
        yield f"sqlite:///{folder}/x.db"


def path_of(url: str) -> Path:
    """Return the file of a SQLite URL."""
    return Path(url.removeprefix("sqlite:///"))


def sqlite_size(url: str) -> int:
    """Return the bytes of a SQLite file with nothing left in its write-ahead log."""
    with closing(apsw.Connection(str(path_of(url)))) as db:
        db.set_busy_timeout(10_000)
        db.execute("pragma wal_checkpoint(truncate)").fetchall()
    return path_of(url).stat().st_size


@cache
def _server() -> PostgreSQL:
    """Return a server for as long as the program runs."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(postgresql())


@contextmanager
def postgresql_database() -> Iterator[str]:
    """Yield the URL of an empty database."""
    with _server().database() as url:
        yield url


def postgresql_size(url: str) -> int:
    """Return the bytes of a database."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select pg_database_size(current_database())").fetchone()
    return int(row[0]) if row else 0


STORES = [
    Store("memory", memory, lambda url: MemoryStore()),
    Store("SQLite", sqlite_file, lambda url: SQLiteStore(path_of(url)), sqlite_size),
    Store("PostgreSQL", postgresql_database, PostgreSQLStore, postgresql_size),
]
