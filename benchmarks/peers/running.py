"""Runs a peer's program, each time anew and on an empty store, and reads its figures."""

import json
import subprocess

from benchmarks.peers.catalog import Peer
from benchmarks.servers import PEERS, ROOT, MissingError

PYTHON = PEERS / "bin" / "python"
TIMEOUT = 600.0

VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"


def version(peer: Peer) -> str:
    """Return the version of a peer that is installed.

    Raises:
        MissingError: None is.
    """
    if not PYTHON.exists():
        raise MissingError("there is no .venv-peers; ./do bench --peers makes it")
    command = [str(PYTHON), "-c", VERSION, peer.package]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    if asked.returncode:
        raise MissingError(f"{peer.package} is not installed")
    return asked.stdout.strip()


def measured(peer: Peer, work: str, count: int) -> dict[str, float]:
    """Return the figures of one run.

    Raises:
        MissingError: Its store or itself cannot be started, or it failed.
    """
    with peer.place() as url:
        module = f"benchmarks.peers.programs.{peer.program}"
        command = [str(PYTHON), "-m", module, work, str(count), url]
        try:
            ran = subprocess.run(
                command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT, check=False
            )
        except subprocess.TimeoutExpired as error:
            raise MissingError(f"{work} took longer than {TIMEOUT:.0f} s") from error
    return parsed(ran.returncode, ran.stdout, ran.stderr)


def parsed(code: int, output: str, errors: str) -> dict[str, float]:
    """Return the figures that a program printed as its last line.

    Raises:
        MissingError: It failed, or printed none.
    """
    try:
        if code == 0:
            figures: dict[str, float] = json.loads(last_line(output))
            return figures
    except ValueError:
        pass
    raise MissingError(last_line(errors) or last_line(output) or f"it ended with {code}")


def last_line(text: str) -> str:
    """Return the last line that says something."""
    return text.strip().rpartition("\n")[2].strip()
