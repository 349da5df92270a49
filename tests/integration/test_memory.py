"""Large payloads: a worker's memory grows by what its caches may hold, and not by what its processes carry."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.postgresql import Server

MOST = 64_000_000
"""Bytes by which 400 processes with payloads of 100 kB may have a worker grow."""


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
@pytest.mark.parametrize("style", ["handlers", "replay"])
def test_four_hundred_large_processes_grow_a_worker_by_little(
    store: str, style: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'large.db'}"
    if store == "postgresql":
        server: Server = request.getfixturevalue("postgresql_server")
        url = server.url(schema=request.getfixturevalue("schema"))

    command = [sys.executable, "-m", "tests.integration.memory_program", url, style]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)

    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) <= MOST
