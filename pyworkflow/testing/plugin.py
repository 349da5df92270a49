"""Fixtures for pytest: a clock, a backend, processes run to their end, recorded histories. ``pytest_plugins = ["pyworkflow.testing.plugin"]`` brings them.

They are not brought into every session of a machine on which pyworkflow is installed: whoever wants them says so, in ``conftest.py``.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from pyworkflow.activity import AnyActivity
from pyworkflow.backend.base import Backend, Capability
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.codec import Json
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.replay import replay
from pyworkflow.testing.run import Runner
from pyworkflow.workflow import Workflow


class MakesRunner(Protocol):
    """Makes a runner of workflows and further activities."""

    def __call__(
        self, *workflows: type[Workflow], activities: tuple[AnyActivity, ...] = ()
    ) -> Runner:
        """Return the runner."""
        ...


class RunsWorkflow(Protocol):
    """Runs a process of a workflow to its end."""

    def __call__(
        self,
        workflow: type[Workflow],
        input: Json = None,
        *,
        others: tuple[type[Workflow], ...] = (),
        activities: tuple[AnyActivity, ...] = (),
    ) -> Process:
        """Return the process, closed."""
        ...


@pytest.fixture
def fake_clock() -> FakeClock:
    """A clock that stands still until the test, or a runner, moves it."""
    return FakeClock()


@pytest.fixture
def workflow_backend(fake_clock: FakeClock) -> Iterator[Backend]:
    """Where processes live: memory. Override it to test on another backend, made with `fake_clock`.

    At the end of the test the invariants of all processes have to hold.
    """
    with MemoryBackend(fake_clock) as backend:
        yield backend
        if Capability.CHECK in backend.capabilities:
            assert backend.check() == []


@pytest.fixture
def workflow_runner(workflow_backend: Backend, fake_clock: FakeClock) -> MakesRunner:
    """Makes a `Runner` on the backend and the clock of the test."""

    def make(*workflows: type[Workflow], activities: tuple[AnyActivity, ...] = ()) -> Runner:
        return Runner(*workflows, activities=activities, backend=workflow_backend, clock=fake_clock)

    return make


@pytest.fixture
def run_workflow(workflow_runner: MakesRunner) -> RunsWorkflow:
    """Starts a process and runs it to its end in this thread, with a clock that skips what it waits for."""

    def run(
        workflow: type[Workflow],
        input: Json = None,
        *,
        others: tuple[type[Workflow], ...] = (),
        activities: tuple[AnyActivity, ...] = (),
    ) -> Process:
        runner = workflow_runner(workflow, *others, activities=activities)
        return runner.finish(runner.start(workflow, input))

    return run


@pytest.fixture
def replay_histories(
    request: pytest.FixtureRequest,
) -> Callable[[type[ReplayWorkflow], str], list[Path]]:
    """Runs code along all recorded histories that fit a pattern, relative to the folder of the test; returns their files.

    A pattern that fits no file fails the test.
    """

    def run(workflow: type[ReplayWorkflow], pattern: str) -> list[Path]:
        found = sorted(request.path.parent.glob(pattern))
        if not found:
            pytest.fail(f"no history fits {pattern!r} in {request.path.parent}")
        for path in found:
            replay(workflow, path)
        return found

    return run
