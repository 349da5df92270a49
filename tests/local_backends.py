"""The backends that need no service of others: memory, a file, and the PostgreSQL server that the tests bring."""

from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.testing.clock import FakeClock
from tests.postgresql import Server

LOCAL = ("memory", "sqlite", "postgresql")


def local_backend(
    kind: str, request: pytest.FixtureRequest, clock: FakeClock | None = None
) -> AbstractContextManager[Backend]:
    """Return one of them, empty.

    Args:
        kind: One of `LOCAL`.
        request: The test's.
        clock: Its clock; the system's if left out.
    """
    if kind == "memory":
        return MemoryBackend(clock)
    if kind == "sqlite":
        folder: Path = request.getfixturevalue("tmp_path")
        return SQLiteBackend(folder / "local.db", clock=clock)
    server: Server = request.getfixturevalue("postgresql_server")
    return PostgreSQLBackend(server.url(), schema=request.getfixturevalue("schema"), clock=clock)
