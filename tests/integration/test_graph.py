"""Graphs on real backends: one thread and a clock that is set, and workers beside each other."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.event import Event
from pyworkflow.graph import Workflow
from pyworkflow.graph.run import Run, fold
from pyworkflow.manager import Manager
from pyworkflow.process import Process, ProcessCompleted, Status
from pyworkflow.testing.clock import FakeClock
from pyworkflow.worker import ActivityWorker, DecisionWorker, Worker
from tests.integration import graph_program as program
from tests.local_backends import LOCAL, local_backend


@pytest.fixture(params=LOCAL)
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    with local_backend(request.param, request, FakeClock()) as made:
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


@pytest.fixture(params=LOCAL)
def running(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """A backend whose clock runs."""
    with local_backend(request.param, request) as made:
        yield made


def run(backend: Backend, graph: Workflow, given: object) -> Process:
    manager = Manager(backend, graph.workflows())
    with working(manager):
        process_id = manager.start_process(Process(graph.as_workflow(), input=given))
        manager.wait_for_process(process_id, 250)
    return manager.process_by_id(process_id)


def test_a_map_over_a_thousand_items_runs_so_many_at_a_time(running: Backend) -> None:
    graph = program.mapped(10)
    process = run(running, graph, list(range(1000)))

    assert process.result == ProcessCompleted(sum(range(1001)))
    assert fold(graph.graph(), process).flow.states["each"].finished == 1000


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
