"""Graphs on real backends: one thread and a clock that is set, and workers beside each other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.event import ActivityEvent, DecisionEvent, Event
from pyworkflow.graph import Workflow
from pyworkflow.graph.run import Run, fold
from pyworkflow.manager import Manager
from pyworkflow.process import Process, ProcessCanceled, ProcessCompleted, ProcessFailed, Status
from pyworkflow.testing.clock import FakeClock
from pyworkflow.worker import ActivityWorker, DecisionWorker, Worker
from tests.integration import graph_program as program


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Backend]:
    made: Backend = (
        MemoryBackend(clock)
        if request.param == "memory"
        else SQLiteBackend(tmp_path / "graph.db", clock=clock)
    )
    with made:
        yield made
        assert made.check() == []


class Stage:
    """A graph with workers that are stepped by hand."""

    def __init__(self, backend: Backend, graph: Workflow) -> None:
        self.graph = graph
        self.manager = Manager(backend, graph.workflows())
        self.decider = DecisionWorker(self.manager)
        self.worker = ActivityWorker(self.manager)

    def start(self, given: object = None) -> None:
        self.manager.start_process(Process(self.graph.as_workflow(), "p", given))

    def work(self) -> Process:
        """Do all that can be done now."""
        while self.decider.step() or self.worker.step():
            pass
        return self.manager.process_by_id("p")


def test_a_diamond_joins(backend: Backend) -> None:
    stage = Stage(backend, program.diamond())
    stage.start(1)

    assert stage.work().result == ProcessCompleted(3 + 21)


def test_retries_are_paused_between(backend: Backend, clock: FakeClock) -> None:
    stage = Stage(backend, program.flaky())
    stage.start()

    for _ in range(2):
        assert stage.work().is_open
        clock.advance(30)
    process = stage.work()

    assert process.result == ProcessCompleted("attempt 3")
    results = [e.result.type for e in process.history if isinstance(e, ActivityEvent)]
    assert results == ["failed", "failed", "completed"]


def test_a_timeout_is_retried_and_then_fails(backend: Backend, clock: FakeClock) -> None:
    stage = Stage(backend, program.slow(1))
    stage.start()
    for seconds in (10, 5, 10):
        stage.decider.step()
        stage.manager.next_activity()
        clock.advance(seconds)
    stage.decider.step()

    result = stage.manager.process_by_id("p").result
    assert isinstance(result, ProcessFailed)
    assert result.reason == "step 'a' failed: timed out: start_to_close"
    assert result.details["steps"] == {"a": "timedout"}


def test_a_signal_that_comes_early_is_there_when_it_is_waited_for(
    backend: Backend, clock: FakeClock
) -> None:
    stage = Stage(backend, program.approval())
    stage.start()
    stage.manager.signal_process("p", "approved", {"by": "me"})
    assert stage.work().is_open
    clock.advance(60)

    assert stage.work().result == ProcessCompleted({"by": "me"})


def test_a_signal_that_never_comes_times_out(backend: Backend, clock: FakeClock) -> None:
    stage = Stage(backend, program.approval())
    stage.start()
    stage.work()
    clock.advance(60)
    stage.work()
    clock.advance(600)

    assert stage.work().status is Status.FAILED


@pytest.mark.parametrize("early", [True, False])
def test_a_process_may_be_canceled_at_any_time(backend: Backend, early: bool) -> None:
    stage = Stage(backend, program.diamond())
    stage.start(1)
    if not early:
        stage.decider.step()
    stage.manager.cancel_process("p", "changed my mind")

    assert stage.work().result == ProcessCanceled("changed my mind")


def test_a_childs_failure_is_told(backend: Backend) -> None:
    stage = Stage(backend, program.family())
    stage.start(1)

    process = stage.work()

    reason = "step 'r' failed: no way"
    assert process.result == ProcessCompleted(24 + len(reason))
    failed, completed = (
        stage.manager.process_by_id(f"p.1.{name}#1.1").status for name in ("child", "other")
    )
    assert (failed, completed) == (Status.FAILED, Status.COMPLETED)


def test_the_children_end_with_their_parent(backend: Backend) -> None:
    graph = program.family()
    stage = Stage(backend, graph)
    stage.start(1)
    stage.decider.step()
    stage.manager.terminate_process("p")

    assert stage.manager.process_by_id("p.1.other#1.1").status is Status.TERMINATED


def test_another_program_goes_on_after_every_decision(tmp_path: Path) -> None:
    path = tmp_path / "graph.db"
    with SQLiteBackend(path) as first:
        Stage(first, program.diamond()).start(1)
    for _ in range(8):
        with SQLiteBackend(path) as later:
            stage = Stage(later, program.diamond())
            stage.decider.step()
            stage.worker.step()

    with SQLiteBackend(path) as last:
        assert Stage(last, program.diamond()).work().result == ProcessCompleted(24)


# -- many -------------------------------------------------------------------------------------------------------------------------------


@contextmanager
def working(manager: Manager) -> Iterator[None]:
    worker = Worker(manager, concurrency=4)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(params=["memory", "sqlite"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """A backend whose clock runs."""
    made: Backend = (
        MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "graph.db")
    )
    with made:
        yield made


def run(backend: Backend, graph: Workflow, given: object) -> Process:
    manager = Manager(backend, graph.workflows())
    with working(manager):
        process_id = manager.start_process(Process(graph.as_workflow(), input=given))
        manager.wait_for_process(process_id, 250)
    return manager.process_by_id(process_id)


def test_a_thousand_steps_run_beside_each_other(running: Backend) -> None:
    process = run(running, program.parallel(1000), 1)

    assert process.result == ProcessCompleted(2000)
    decided = [e for e in process.history if isinstance(e, DecisionEvent)]
    assert len(decided) == 1002


def test_a_map_over_a_thousand_items_runs_so_many_at_a_time(running: Backend) -> None:
    graph = program.mapped(10)
    process = run(running, graph, list(range(1000)))

    assert process.result == ProcessCompleted(sum(range(1001)))
    assert fold(graph.graph(), process).flow.states["each"].finished == 1000


def test_a_chain_of_five_thousand_steps_comes_to_its_end(running: Backend) -> None:
    process = run(running, program.chain(5000), 0)

    assert process.result == ProcessCompleted(5000)
    assert len([e for e in process.history if isinstance(e, ActivityEvent)]) == 5000


# -- what it costs --------------------------------------------------------------------------------------------------------------------


def test_each_event_is_read_once(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Event] = []
    read = Run.read

    def counted(self: Run, event: Event) -> None:
        reads.append(event)
        read(self, event)

    monkeypatch.setattr(Run, "read", counted)
    stage = Stage(backend, program.chain(100))
    stage.start(0)
    process = stage.work()

    assert process.result == ProcessCompleted(100)
    # A decision that was expected is not read again at all.
    assert len(reads) <= len(process.history) - 100
