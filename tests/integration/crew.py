"""Worker OS processes that are started again when they end, as a service manager does."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pyworkflow.backend.base import Backend

ROOT = Path(__file__).parents[2]

PATIENCE = 240
"""Seconds to wait for something, at most."""


class Crew:
    """Workers that run one program on one store.

    Args:
        backend: The store.
        program: The module to run; the first of its arguments is the URL.
        url: Of the store.
        log: Where the workers write what goes wrong.

    Attributes:
        restarts: How many of them have ended and were started again.
    """

    def __init__(self, backend: Backend, program: str, url: str, log: Path) -> None:
        self.backend = backend
        self.restarts = 0
        self._command = [sys.executable, "-m", program, url]
        self._log = log
        self._workers: list[subprocess.Popen[bytes]] = []
        self._arguments: list[Sequence[str]] = []

    def start(self, workers: Sequence[Sequence[str]]) -> None:
        """Start a worker for each list of further arguments."""
        self._arguments = list(workers)
        self._workers = [self._begin(arguments) for arguments in workers]

    def _begin(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen([*self._command, *arguments], cwd=ROOT, stderr=log)

    def watch_until(self, is_over: Callable[[], bool]) -> None:
        """Start workers again until something is over."""
        end = time.monotonic() + PATIENCE
        while not is_over():
            assert time.monotonic() < end, self._state()
            for place, worker in enumerate(self._workers):
                if worker.poll() is not None:
                    self.restarts += 1
                    self._workers[place] = self._begin(self._arguments[place])
            time.sleep(0.05)

    def is_settled(self) -> bool:
        """Tell whether every process has ended or is parked."""
        return all(process.parked for process in self.backend.processes())

    def is_whole(self) -> bool:
        """Tell whether every worker asks for work."""
        present = [poller.identity for poller in self.backend.pollers()]
        return all(
            worker.poll() is None and any(f"-{worker.pid}-" in name for name in present)
            for worker in self._workers
        )

    def _state(self) -> str:
        still = [(p.id, p.workflow, p.input) for p in self.backend.processes() if not p.parked]
        return f"{still[:20]}\n{self._log.read_text()[-5000:]}"

    def stop(self) -> list[int]:
        """Stop the workers with SIGTERM; return their exit codes."""
        for worker in self._workers:
            worker.terminate()
        return [worker.wait(60) for worker in self._workers]

    def kill(self) -> None:
        """End what still runs."""
        for worker in self._workers:
            worker.kill()
            worker.wait()
