"""While the store cannot be reached nobody's work fails: heartbeats, results, deciders and leases outlast the outage."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from pyworkflow.activity import Activity, activity, current_activity
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.backend.wrapper import Wrapper
from pyworkflow.decision import CancelActivity, CompleteProcess, ScheduleActivity
from pyworkflow.errors import BackendUnavailableError, StaleTaskError
from pyworkflow.event import ActivityEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.result import ActivityFailed, ProcessCompleted
from pyworkflow.task import ActivityTask
from pyworkflow.worker import ActivityWorker, DecisionWorker, Worker
from pyworkflow.worker.keeper import LeaseKeeper
from pyworkflow.worker.simple import SimpleWorker
from pyworkflow.workflow import Decidable, Workflow

REACHED = (
    "turn",
    "heartbeat_activity_task",
    "extend_leases",
    "release_tasks",
    "process_by_id",
    "start_process",
    "signal_process",
)


class Outage(Wrapper):
    """A backend that cannot be reached while `down` is set.

    Attributes:
        calls: The names of the calls that reached it.
        refused: Set by a call that could not.
    """

    def __init__(self, backend: Any) -> None:
        super().__init__(backend)
        self.down = threading.Event()
        self.refused = threading.Event()
        self.calls: list[str] = []

    def __getattribute__(self, name: str) -> Any:
        if name in REACHED:
            self.reach(name)
        return super().__getattribute__(name)

    def reach(self, name: str) -> None:
        if self.down.is_set():
            self.refused.set()
            raise BackendUnavailableError("the cable is out")
        self.calls.append(name)


class Calls(Workflow):
    """Does the activity that its input names, and completes with its result."""

    def decide(self, process: Process) -> Decidable:
        for event in process.unseen_events():
            if isinstance(event, ActivityEvent):
                return CompleteProcess(event.result.to_json())
        return ScheduleActivity(process.input)


@activity(name="work")
def idle() -> None:
    """Do nothing."""


@pytest.fixture(params=["memory", "sqlite"])
def backend(request: pytest.FixtureRequest, tmp_path: Any) -> Generator[Outage]:
    inner = MemoryBackend() if request.param == "memory" else SQLiteBackend(tmp_path / "w.db")
    with inner:
        yield Outage(inner)


@contextmanager
def working(workers: Sequence[Worker | SimpleWorker]) -> Generator[None]:
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
        assert all(thread.is_alive() for thread in threads)
    finally:
        for worker in workers:
            worker.stop()
        for thread in threads:
            thread.join(60)


def simple(manager: Manager) -> list[Worker | SimpleWorker]:
    return [DecisionWorker(manager, lease=0.5), ActivityWorker(manager, lease=0.5)]


def threads(manager: Manager) -> list[Worker | SimpleWorker]:
    return [Worker(manager, lease=0.5)]


def coroutines(manager: Manager) -> list[Worker | SimpleWorker]:
    return [Worker(manager, lease=0.5, pool="asyncio")]


every_worker = pytest.mark.parametrize("workers", [simple, threads, coroutines])

Workers = Callable[[Manager], list[Worker | SimpleWorker]]


class Stage:
    """Where an activity waits until the outage has begun, and until it is over."""

    def __init__(self) -> None:
        self.began, self.down, self.up = (threading.Event() for _ in range(3))
        self.runs = 0
        self.answers: list[bool] = []


def completed(value: Any) -> ProcessCompleted:
    return ProcessCompleted({"type": "completed", "result": value})


def through_outage(backend: Outage, manager: Manager, workers: Workers, stage: Stage) -> Any:
    """Run one process with an outage while its activity runs; return its result."""
    with working(workers(manager)):
        process_id = manager.start_process(Process("Calls", input="work"))
        assert stage.began.wait(60)
        backend.down.set()
        stage.down.set()
        assert backend.refused.wait(60)
        assert stage.up.wait(60)
        backend.down.clear()
        return manager.wait_for_process(process_id, 60).result


@every_worker
def test_a_heartbeat_during_an_outage_is_no_failure_and_is_sent_later(
    backend: Outage, workers: Workers
) -> None:
    stage = Stage()

    @activity(name="work")
    def work() -> str:
        stage.runs += 1
        stage.answers.append(current_activity().heartbeat("before"))
        stage.began.set()
        assert stage.down.wait(60)
        stage.answers.append(current_activity().heartbeat("during"))
        stage.up.set()
        while manager.pending(str(current_activity().task.process_id))[0].details != "during":
            stage.began.wait(0)
        return "worked"

    manager = Manager(backend, [Calls], [work])

    result = through_outage(backend, manager, workers, stage)

    assert result == completed("worked")
    assert stage.answers == [False, False]
    assert stage.runs == 1


@every_worker
def test_a_result_that_cannot_be_sent_is_kept(backend: Outage, workers: Workers) -> None:
    stage = Stage()

    @activity(name="work", at_most_once=True)
    def work() -> int:
        stage.runs += 1
        stage.began.set()
        assert stage.down.wait(60)
        stage.up.set()
        return stage.runs

    manager = Manager(backend, [Calls], [work])
    stage.up = backend.refused

    assert through_outage(backend, manager, workers, stage) == completed(1)


@every_worker
def test_an_activity_that_needs_the_store_is_done_again_after_an_outage(
    backend: Outage, workers: Workers
) -> None:
    stage = Stage()

    @activity(name="work")
    def work() -> int:
        stage.runs += 1
        if stage.runs == 1:
            stage.began.set()
            assert stage.down.wait(60)
            stage.up.set()
        manager.process_by_id(str(current_activity().task.process_id))
        return stage.runs

    manager = Manager(backend, [Calls], [work])

    assert through_outage(backend, manager, workers, stage) == completed(2)


def test_an_at_most_once_activity_that_needs_the_store_is_not_done_again(backend: Outage) -> None:
    stage = Stage()

    @activity(name="work", at_most_once=True)
    def work() -> None:
        stage.runs += 1
        stage.began.set()
        assert stage.down.wait(60)
        stage.up.set()
        manager.process_by_id("any")

    manager = Manager(backend, [Calls], [work])

    result = through_outage(backend, manager, threads, stage)

    assert result.result["type"] == "failed"
    assert stage.runs == 1


@pytest.mark.parametrize("workers", [simple, threads])
@pytest.mark.parametrize("style", ["decider", "replay", "side effect"])
def test_a_decider_that_needs_the_store_does_not_fail_during_an_outage(
    backend: Outage, workers: Workers, style: str
) -> None:
    stage = Stage()

    def look() -> str:
        stage.runs += 1
        if stage.runs == 1:
            stage.began.set()
            assert stage.down.wait(60)
        try:
            return manager.process_by_id("p").workflow
        finally:
            stage.up.set()

    class Decides(Workflow):
        name = "Calls"

        def decide(self, process: Process) -> Decidable:
            return CompleteProcess({"type": "completed", "result": look()})

    class Replays(ReplayWorkflow):
        name = "Calls"

        async def run(self) -> Any:
            return {"type": "completed", "result": look()}

    class SideEffects(ReplayWorkflow):
        name = "Calls"

        async def run(self) -> Any:
            return {"type": "completed", "result": self.side_effect(look)}

    workflow = {"decider": Decides, "replay": Replays, "side effect": SideEffects}[style]
    manager = Manager(backend, [workflow])
    with working(workers(manager)):
        manager.start_process(Process("Calls", "p"))
        assert stage.began.wait(60)
        backend.down.set()
        stage.down.set()
        assert stage.up.wait(60)
        backend.down.clear()
        process = manager.wait_for_process("p", 60)

    reasons = [getattr(e, "reason", None) for e in process.history if e.type == "decision_failed"]
    assert process.result == completed("Calls")
    assert all(reason == "released" for reason in reasons)


def test_an_outage_within_a_task_group_is_an_outage() -> None:
    def execute(self: Activity) -> None:
        raise ExceptionGroup("group", [ValueError(), BackendUnavailableError("away")])

    work = type("work", (Activity,), {"execute": execute, "name": "work"})
    manager = Manager(MemoryBackend(), [Calls], [work])
    process_id = manager.start_process(Process(Calls, input="work"))
    DecisionWorker(manager).step()

    ActivityWorker(manager).step()

    assert "activity" not in [event.type for event in manager.history(process_id)]


def test_the_leases_are_extended_before_anything_else_after_an_outage(backend: Outage) -> None:
    go = threading.Event()

    @activity(name="work")
    def work() -> str:
        assert go.wait(60)
        return "worked"

    manager = Manager(backend, [Calls], [work])
    worker = Worker(manager, lease=60)
    with working([worker]):
        process_id = manager.start_process(Process(Calls, input="work"))
        while len(manager.history(process_id)) < 4:
            go.wait(0.001)
        backend.down.set()
        backend.refused.clear()
        worker.manager.backend.wake()
        manager.backend.backend.start_process(Process(Calls, input="work"))  # type: ignore[attr-defined]
        assert backend.refused.wait(60)
        backend.calls.clear()
        backend.down.clear()
        while not backend.calls:
            go.wait(0.001)
        first = backend.calls[0]
        go.set()
        manager.wait_for_process(process_id, 60)

    assert first == "extend_leases"


def test_the_keeper_tries_again_soon_and_extends_first() -> None:
    backend = Outage(MemoryBackend())
    manager = Manager(backend, [Calls], [idle])
    manager.start_process(Process(Calls, input="work"))
    DecisionWorker(manager).step()
    task = manager.next_activity()
    assert isinstance(task, ActivityTask)
    keeper = LeaseKeeper(manager, lease=60)
    keeper.hold([task])
    backend.down.set()

    assert keeper.heartbeat(task, "during") is False
    backend.refused.clear()
    assert backend.refused.wait(60)
    backend.calls.clear()
    backend.down.clear()
    while len(backend.calls) < 2:
        backend.refused.wait(0.001)
    keeper.close()

    assert backend.calls[:2] == ["extend_leases", "heartbeat_activity_task"]


def test_a_heartbeat_during_an_outage_says_that_a_lost_lease_is_lost() -> None:
    backend = Outage(MemoryBackend())
    manager = Manager(backend, [Calls], [idle])
    manager.start_process(Process(Calls, input="work"))
    DecisionWorker(manager).step()
    task = manager.next_activity()
    assert isinstance(task, ActivityTask)
    keeper = LeaseKeeper(manager, lease=60)
    backend.down.set()

    with pytest.raises(StaleTaskError):
        keeper.heartbeat(task)


def test_the_last_answer_to_a_heartbeat_holds_during_an_outage(backend: Outage) -> None:
    class Cancels(Workflow):
        name = "Calls"

        def decide(self, process: Process) -> Decidable:
            if (running := process.history.open_activities()) and len(process.history) > 4:
                return CancelActivity(running[0].id)
            return [] if running else ScheduleActivity("work")

    manager = Manager(backend, [Cancels], [idle])
    process_id = manager.start_process(Process(Cancels))
    decider = DecisionWorker(manager)
    decider.step()
    task = manager.next_activity()
    assert isinstance(task, ActivityTask)
    keeper = LeaseKeeper(manager, lease=60)
    keeper.hold([task])
    manager.signal_process(process_id, "cancel")
    decider.step()

    assert keeper.heartbeat(task) is True
    backend.down.set()
    assert keeper.heartbeat(task) is True
    keeper.close()


class Broken(Outage):
    """Fails at one outcome in a way that no backend should."""

    def turn(self, completions: Any = (), *args: Any, **kwargs: Any) -> Any:
        for completion in completions:
            if getattr(completion.outcome, "result", None) == "poison":
                raise RuntimeError("out of luck")
        return super().turn(completions, *args, **kwargs)


@pytest.mark.parametrize("workers", [simple, threads])
def test_an_outcome_that_a_backend_fails_at_is_its_tasks_failure(workers: Workers) -> None:
    ready = threading.Barrier(3)

    @activity
    def work(value: str) -> str:
        if workers is threads:
            ready.wait(60)
        return value

    class Works(Workflow):
        activities = (work,)

        def decide(self, process: Process) -> Decidable:
            for event in process.unseen_events():
                if isinstance(event, ActivityEvent):
                    return CompleteProcess(event.result.to_json())
            return ScheduleActivity(work, input=process.input)

    manager = Manager(Broken(MemoryBackend()), [Works])
    with working(workers(manager)):
        ids = [manager.start_process(Process(Works, input=v)) for v in ("a", "poison", "b")]
        results: list[Any] = [manager.wait_for_process(i, 60).result for i in ids]

    assert results[0] == completed("a")
    assert results[2] == completed("b")
    assert results[1].result["type"] == ActivityFailed.type
    assert "RuntimeError: out of luck" in results[1].result["reason"]


@pytest.mark.parametrize("workers", [simple, threads])
def test_a_worker_goes_on_after_its_backend_has_failed_at_a_poll(workers: Workers) -> None:
    failures = iter([RuntimeError("bad luck")] * 3)

    class Unlucky(Outage):
        def turn(self, *args: Any, **kwargs: Any) -> Any:
            if (failure := next(failures, None)) is not None:
                raise failure
            return super().turn(*args, **kwargs)

    manager = Manager(Unlucky(MemoryBackend()), [Calls], [idle])
    with working(workers(manager)):
        process_id = manager.start_process(Process(Calls, input="work"))
        result = manager.wait_for_process(process_id, 60).result

    assert result == ProcessCompleted({"type": "completed"})
