"""A real PgBouncer in transaction mode between pyworkflow and the server, where one is installed."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.process import Process, Status
from tests.integration.program import StepsWorkflow, manager
from tests.integration.test_workers import working
from tests.postgresql import NOBODY, Server
from tests.programs import needs

PROGRAM = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")

pytestmark = [
    pytest.mark.xdist_group("postgresql-pooler"),
    needs(PROGRAM, "pgbouncer", "apt-get install pgbouncer"),
]

SETTINGS = """
[databases]
postgres = host={server} user=postgres
[pgbouncer]
listen_addr =
listen_port = 6432
unix_socket_dir = {folder}
auth_type = any
pool_mode = transaction
default_pool_size = 2
"""
"""With fewer connections to the server than pyworkflow has to the pooler, so that each transaction may get another one."""


@pytest.fixture
def pooler(postgresql_server: Server) -> Iterator[str]:
    """The address of a pooler."""
    assert PROGRAM is not None
    folder = Path(tempfile.mkdtemp(prefix="pyworkflow-pgbouncer-"))
    settings = folder / "pgbouncer.ini"
    settings.write_text(SETTINGS.format(server=postgresql_server.folder, folder=folder))
    user = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
    if user:
        os.chown(folder, NOBODY, NOBODY)
        folder.chmod(0o755)
    log = folder / "log"
    with log.open("wb") as file:
        process = subprocess.Popen([PROGRAM, str(settings)], stdout=file, stderr=file, **user)  # type: ignore[call-overload]
    address = f"postgresql://postgres@/postgres?host={quote(str(folder), safe='')}&port=6432"
    try:
        end = time.monotonic() + 60
        while True:
            try:
                psycopg.connect(address, connect_timeout=5).close()
                break
            except psycopg.OperationalError:
                assert time.monotonic() < end, log.read_text()
                time.sleep(0.02)
        yield address
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder)


def test_workers_and_clients_go_through_a_pooler_in_transaction_mode(
    pooler: str, postgresql_server: Server, schema: str
) -> None:
    listen = quote(postgresql_server.url(), safe="")
    url = f"{pooler}&schema={schema}&prepare=off&listen={listen}"
    of, other = manager(url), manager(url)
    with working(of), working(other):
        ids = [of.start_process(Process(StepsWorkflow)) for _ in range(30)]
        for process_id in ids:
            assert other.wait_for_process(process_id, 120).status is Status.COMPLETED

    assert of.backend.check() == []
    of.backend.close()
    other.backend.close()


def test_nothing_of_a_transaction_stays_with_the_poolers_connections(
    pooler: str, schema: str
) -> None:
    """Others who get them after pyworkflow find them as they were."""
    with PostgreSQLBackend(f"{pooler}", schema=schema, prepare=False, listen="off") as backend:
        backend.register_workflow("w")
        for _ in range(10):
            backend.start_process(Process("w"))
        assert len(backend.processes()) == 10
    for _ in range(4):
        with psycopg.connect(pooler, autocommit=True, prepare_threshold=None) as guest:
            for setting in ("lock_timeout", "idle_in_transaction_session_timeout", "plan_cache_mode", "enable_seqscan", "jit"):  # fmt: skip
                found = guest.execute(
                    "select setting = reset_val from pg_settings where name = %s", (setting,)
                ).fetchone()
                assert found == (True,), setting
            assert guest.execute("select count(*) from pg_prepared_statements").fetchone() == (0,)
