"""What graphs and plain async code have to do alike, each on every local backend."""

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.event import ActivityEvent, DecisionEvent, DecisionFailedEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ProcessCanceled, ProcessCompleted
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner
from pyworkflow.worker import Worker
from tests.integration.styles_program import STYLES
from tests.local_backends import LOCAL, local_backend


@pytest.fixture(params=STYLES)
def style(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=LOCAL)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def stage(request: pytest.FixtureRequest, kind: str, style: str) -> Iterator["Stage"]:
    clock = FakeClock()
    with local_backend(kind, request, clock) as backend:
        yield Stage(backend, clock, style)
        assert backend.check() == []


class Stage:
    """A backend whose clock stands still, and one process on it, called ``p``."""

    runner: Runner

    def __init__(self, backend: Backend, clock: FakeClock, style: str) -> None:
        self.backend = backend
        self.clock = clock
        self.style = style

    def begin(self, name: str, given: Any = None) -> Manager:
        program = STYLES[self.style][name]()
        self.runner = Runner(*program, backend=self.backend, clock=self.clock)
        self.runner.manager.start_process(Process(program[0], "p", given))
        return self.runner.manager

    def finish(self) -> Process:
        """Work to the end of the process, skipping what it waits for."""
        process = self.runner.finish("p")
        assert process.history.find(DecisionFailedEvent) == []
        return process

    def ends(self) -> list[str]:
        """How the activities of the process ended, retries that an engine does by itself left out."""
        history = self.runner.manager.history("p")
        return [event.result.type for event in history if isinstance(event, ActivityEvent)]


def test_a_diamond_joins(stage: Stage) -> None:
    stage.begin("diamond", 1)

    assert stage.finish().result == ProcessCompleted(3 + 21)
    assert stage.ends() == ["completed"] * 4


def test_what_fails_is_tried_again_after_a_pause(stage: Stage) -> None:
    stage.begin("flaky", 2)
    began = stage.clock.datetime()

    assert stage.finish().result == ProcessCompleted("attempt 3")
    assert (stage.clock.datetime() - began).total_seconds() == 60


def test_what_fails_too_often_fails_the_process(stage: Stage) -> None:
    stage.begin("flaky", 3)
    began = stage.clock.datetime()

    process = stage.finish()

    assert process.status is Status.FAILED
    assert "attempt 3" in str(process.result)
    assert (stage.clock.datetime() - began).total_seconds() == 60


def test_what_takes_too_long_is_tried_again_and_then_fails(stage: Stage) -> None:
    manager = stage.begin("slow")
    decide, _ = stage.runner.workers
    for seconds in (10, 5, 10):
        decide()
        task = manager.next_activity()
        # Two attempts are taken by somebody who never ends them; in the pause there is none.
        assert (task is None) is (seconds == 5)
        stage.clock.advance(seconds)
    decide()

    process = manager.process_by_id("p")
    assert process.status is Status.FAILED
    assert "start_to_close" in str(process.result)


def test_a_failure_may_be_taken_on(stage: Stage) -> None:
    stage.begin("rescued", "way")

    assert stage.finish().result == ProcessCompleted("no way")


@pytest.mark.parametrize("decided_before", [False, True])
def test_a_signal_that_comes_early_is_there_when_it_is_waited_for(
    stage: Stage, decided_before: bool
) -> None:
    manager = stage.begin("approval")
    if decided_before:
        stage.runner.work()
    manager.signal_process("p", "approved", {"by": "me"})
    stage.runner.work()
    assert manager.process_by_id("p").is_open

    assert stage.finish().result == ProcessCompleted({"by": "me"})


def test_a_signal_is_waited_for_so_long(stage: Stage) -> None:
    stage.begin("approval")
    began = stage.clock.datetime()

    assert stage.finish().status is Status.FAILED
    assert (stage.clock.datetime() - began).total_seconds() == 660


@pytest.mark.parametrize("decided_before", [False, True])
def test_a_process_may_be_canceled_at_any_time(stage: Stage, decided_before: bool) -> None:
    manager = stage.begin("diamond", 1)
    if decided_before:
        stage.runner.workers[0]()
    manager.cancel_process("p", "changed my mind")

    assert stage.finish().result == ProcessCanceled("changed my mind")
    assert "completed" not in stage.ends()


def test_a_childs_failure_is_told_to_its_parent(stage: Stage) -> None:
    stage.begin("family", 1)

    assert stage.finish().result == ProcessCompleted(["failed", 24])


# -- many, by workers beside each other ------------------------------------------------------------------------------------------------


def worked_off(request: pytest.FixtureRequest, kind: str, style: str, name: str) -> Process:
    """Run a program from the number 0 to its end with a real clock; return its process."""
    with local_backend(kind, request) as backend:
        program = STYLES[style][name]()
        manager = Manager(backend, program)
        worker = Worker(manager, concurrency=16)
        thread = threading.Thread(target=worker.run)
        thread.start()
        try:
            process_id = manager.start_process(Process(program[0], input=0))
            process = manager.wait_for_process(process_id, 280)
        finally:
            worker.stop()
            thread.join()
        assert backend.check() == []
        return process


def test_a_thousand_steps_run_beside_each_other(
    request: pytest.FixtureRequest, kind: str, style: str
) -> None:
    process = worked_off(request, kind, style, "parallel")

    assert process.result == ProcessCompleted(1000)
    assert len(process.history.find(DecisionEvent)) == 1002


@pytest.mark.parametrize(
    "kind",
    ["memory", *(pytest.param(store, marks=pytest.mark.slow) for store in LOCAL[1:])],
)
def test_a_chain_of_five_thousand_steps_comes_to_its_end(
    request: pytest.FixtureRequest, kind: str, style: str
) -> None:
    process = worked_off(request, kind, style, "chain")

    assert process.result == ProcessCompleted(5000)
    assert len(process.history.find(ActivityEvent)) == 5000
