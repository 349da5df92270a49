"""A worker takes nothing beside a suspect, and becomes idle for one that waits."""

import threading
from typing import Any

import pytest

from pyworkflow.activity import activity
from pyworkflow.backend.base import Poll, Turn
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import ScheduleActivity
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.worker import Worker
from pyworkflow.worker import worker as loop
from pyworkflow.workflow import Decidable, Workflow


class Watched(MemoryBackend):
    """Notes the polls and what they got."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.polls: list[tuple[Poll, ...]] = []
        self.waits = threading.Event()

    def turn(self, completions: Any = (), polls: Any = (), *rest: Any, **more: Any) -> Turn:
        self.polls.append(tuple(polls))
        turn = super().turn(completions, polls, *rest, **more)
        if turn.suspects:
            self.waits.set()
        return turn


@pytest.mark.parametrize("patience", [60.0, 0.0])
def test_a_worker_polls_for_nothing_beside_a_suspect(
    patience: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "PROBATION_SECONDS", patience)
    began, release = threading.Event(), threading.Event()

    @activity
    def work() -> None:
        began.set()
        assert release.wait(60)

    class Order(Workflow):
        activities = (work,)

        def decide(self, process: Process) -> Decidable:
            return ScheduleActivity(work) if len(process.history) == 2 else []

    clock = FakeClock()
    backend = Watched(clock)
    manager = Manager(backend, [Order])
    manager.start_process(Process(Order, "p"))
    [decision] = backend.turn((), [Poll(DecisionTask)]).tasks
    manager.complete_task(decision, ScheduleActivity(work))
    backend.turn((), [Poll(ActivityTask, lease=1)])
    # Its holder is lost.
    clock.advance(2)
    worker = Worker(manager, lease=0.03)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert began.wait(60)
    backend.polls.clear()
    backend.wake()
    monkeypatch.setattr(loop, "NAMES_SECONDS", 0.01)
    while not backend.polls and patience == 0 and thread.is_alive():
        release.wait(0.001)
    beside = list(backend.polls)
    release.set()
    worker.stop()
    thread.join(60)

    assert bool(beside) == (patience == 0)
    assert all(poll.idle for polls in beside for poll in polls)


def test_a_busy_worker_becomes_idle_for_a_suspect() -> None:
    began, release = threading.Event(), threading.Event()
    runs: list[str] = []

    @activity
    def work(name: str) -> None:
        runs.append(name)
        if name == "first":
            began.set()
            assert release.wait(60)

    class Order(Workflow):
        activities = (work,)

        def decide(self, process: Process) -> Decidable:
            return ScheduleActivity(work, input=process.id) if len(process.history) == 2 else []

    clock = FakeClock()
    backend = Watched(clock)
    manager = Manager(backend, [Order])
    manager.start_process(Process(Order, "lost"))
    [decision] = backend.turn((), [Poll(DecisionTask)]).tasks
    manager.complete_task(decision, ScheduleActivity(work, input="lost"))
    backend.turn((), [Poll(ActivityTask, lease=1)])
    manager.start_process(Process(Order, "first"))
    worker = Worker(manager)
    thread = threading.Thread(target=worker.run)
    thread.start()
    assert began.wait(60)
    clock.advance(2)

    assert backend.waits.wait(60)
    before = list(runs)
    release.set()
    while "lost" not in runs and thread.is_alive():
        began.wait(0.001)
        release.wait(0.001)
    worker.stop()
    thread.join(60)

    assert before == ["first"]
    assert runs == ["first", "lost"]
