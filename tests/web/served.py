"""A real server: ``pyworkflow serve`` as an OS process, on a free port."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


class Served:
    """A server that runs.

    Attributes:
        address: Its URL.
        process: The OS process.
    """

    def __init__(self, address: str, process: "subprocess.Popen[str]") -> None:
        self.address = address
        self.process = process

    @property
    def place(self) -> tuple[str, int]:
        parts = urlsplit(self.address)
        assert parts.hostname is not None
        assert parts.port is not None
        return parts.hostname, parts.port

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


def serve_command(store: Path | str, *words: str) -> list[str]:
    """Return the command that serves a SQLite file, or what is behind a URL."""
    backend = f"sqlite:///{store}" if isinstance(store, Path) else store
    return [
        sys.executable,
        "-m",
        "pyworkflow",
        "--backend",
        backend,
        "serve",
        "--port",
        "0",
        *words,
    ]


@contextmanager
def served(store: Path | str, *words: str, **environment: Any) -> Iterator[Served]:
    """Serve a store until the end of the block."""
    process = subprocess.Popen(
        [*serve_command(store, *words), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | environment,
    )
    try:
        assert process.stdout is not None
        yield Served(json.loads(process.stdout.readline())["address"].rstrip("/"), process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
