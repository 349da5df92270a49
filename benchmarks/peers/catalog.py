"""The peers: which programs there are, what each runs on, and which of pyworkflow's stores it is compared with."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from msgspec import Struct

from benchmarks import servers
from benchmarks.servers import PostgreSQL
from benchmarks.stores import sqlite_file

Place = Callable[[], AbstractContextManager[str]]


class Peer(Struct, frozen=True):
    """A framework on a store.

    Attributes:
        name: What it is called.
        store: What it runs on.
        program: Its module in `benchmarks.peers.programs`.
        package: The distribution whose version the report names.
        place: Makes an empty store and yields its URL.
        beside: pyworkflow's stores to compare with; the first that was measured counts.
        works: The workloads that it takes part in.
        most: Processes or activities of a run at most, so that a slow peer does not take an hour.
        note: What to know when reading its figures.
    """

    name: str
    store: str
    program: str
    package: str
    place: Place
    beside: tuple[str, ...]
    works: tuple[str, ...] = ("w1", "w2", "w3")
    most: int = 500
    note: str = ""


NO_STORE = "no store"
"""Where a figure is one of deciding alone."""

ON_DISK = ("SQLite",)
ON_SERVER = ("PostgreSQL", "SQLite")


def catalog(postgresql: Callable[[], PostgreSQL]) -> list[Peer]:
    """Return all peers.

    Args:
        postgresql: Returns the running server; raises `MissingError` if there is none.
    """

    def database() -> AbstractContextManager[str]:
        return postgresql().database()

    nothing = "no history"
    volatile = "not durable by default"
    return [
        Peer("DBOS", "SQLite", "dbos_program", "dbos", sqlite_file, ON_DISK, note="WAL"),
        Peer("DBOS", "PostgreSQL", "dbos_program", "dbos", database, ON_SERVER),
        Peer("huey", "SQLite", "huey_program", "huey", sqlite_file, ON_DISK, note=nothing),
        Peer(
            "procrastinate",
            "PostgreSQL",
            "procrastinate_program",
            "procrastinate",
            database,
            ON_SERVER,
            note=nothing,
        ),
        Peer(
            "Temporal",
            "memory",
            "temporal_program",
            "temporalio",
            servers.temporal,
            ("memory", NO_STORE),
            works=("w1", "w2", "w3", "w7"),
            most=300,
            note="development server",
        ),
        Peer(
            "Temporal",
            "SQLite",
            "temporal_program",
            "temporalio",
            lambda: servers.temporal(durable=True),
            ON_DISK,
            most=100,
            note="development server",
        ),
        Peer(
            "Celery",
            "Redis",
            "celery_program",
            "celery",
            servers.redis,
            ("memory",),
            note=f"{nothing}, {volatile}",
        ),
    ]
