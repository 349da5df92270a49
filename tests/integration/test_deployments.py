"""Rolling deployments: OS processes of two releases side by side, on one store and one category, forward and back again."""

import itertools
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.event import Event
from pyworkflow.process import Process
from tests.integration.deployment_program import STYLES, program
from tests.local_backends import local_backend
from tests.postgresql import Server

ROOT = Path(__file__).parents[2]


class Deployment:
    """Workers of two releases on one store, and processes that are started meanwhile."""

    def __init__(self, backend: Backend, url: str) -> None:
        self.backend = backend
        self.url = url
        self.ids: list[str] = []
        self._numbers = itertools.count()

    @contextmanager
    def running(self, release: str, workers: int = 1) -> Iterator[None]:
        """Have workers of a release run, until they are stopped by SIGTERM."""
        command = [sys.executable, "-m", "tests.integration.deployment_program", self.url, release]
        program(release, self.backend)
        # Those who decide and those who act are others, so that each decision of a process may be another worker's.
        started = [
            subprocess.Popen([*command, kind], cwd=ROOT)
            for _ in range(workers)
            for kind in ("decisions", "activities")
        ]
        try:
            for worker in started:
                while not any(f"-{worker.pid}-" in p.identity for p in self.backend.pollers()):
                    assert worker.poll() is None
                    time.sleep(0.01)
            yield
        finally:
            for worker in started:
                worker.terminate()
            assert [worker.wait(60) for worker in started] == [0] * 2 * workers

    def start(self, count: int, *, new: bool) -> list[str]:
        """Start processes in each style; of the workflows that only the new release has, too."""
        names = [*STYLES, *(f"New{style}" for style in STYLES if new)]
        started: list[str] = []
        for _ in range(count):
            # A few at a time, so that every worker gets some.
            processes = [Process(name, f"{name}-{next(self._numbers)}", 7) for name in names]
            self.backend.start_processes(processes)
            started += [str(process.id) for process in processes]
        self.ids += started
        return started

    def done(self, ids: list[str]) -> None:
        """Wait for the end of processes: one that met the other release often is asked again once a minute."""
        for process_id in ids:
            self.backend.wait_for_process(process_id, 240)


@pytest.fixture(params=["sqlite", "postgresql"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    with local_backend(request.param, request) as backend:
        url = f"sqlite:///{tmp_path / 'local.db'}"
        if request.param == "postgresql":
            server: Server = request.getfixturevalue("postgresql_server")
            url = server.url(schema=request.getfixturevalue("schema"))
        yield Deployment(backend, url)


def is_patience(event: Event) -> bool:
    """Tell whether a decision was given back, or left to the release that has made the earlier ones: neither is counted."""
    reason = str(getattr(event, "reason", ""))
    return reason == "released" or "another release has decided it" in reason


def roll(deployment: Deployment, count: int, workers: int) -> None:
    """Deploy the new release beside the old one, and roll it back, and deploy it again; then see what became of everything."""
    backend = deployment.backend
    with deployment.running("old", workers):
        deployment.start(count, new=False)
        with deployment.running("new", workers):
            deployment.start(count, new=True)
        # Rolled back, with work of the new release under way and to come.
        waiting = deployment.start(count, new=True)
        deployment.done([process_id for process_id in waiting if not process_id.startswith("New")])
        with deployment.running("new", workers):
            deployment.start(count, new=True)
            deployment.done(deployment.ids)

    processes = [backend.process_by_id(process_id) for process_id in deployment.ids]
    assert Counter(p.status for p in processes) == {"completed": len(deployment.ids)}
    assert backend.processes(parked=True) == []
    assert backend.check() == []
    failures = Counter(
        f"{event.type}: {getattr(event, 'reason', '')}"
        for process in processes
        for event in process.history
        if event.type in ("decision_failed", "activity_attempt", "decision_timed_out")
        and not is_patience(event)
    )
    assert failures == {}


@pytest.mark.timeout(300)
def test_a_deployment_rolls_forward_and_back(deployment: Deployment) -> None:
    roll(deployment, 5, 1)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_large_deployment_rolls_forward_and_back(deployment: Deployment) -> None:
    roll(deployment, 60, 3)
