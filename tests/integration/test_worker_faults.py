"""Workers whose activities, deciders and backends misbehave: no slot, lease or result is lost."""

import asyncio
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import pytest

from pyworkflow.activity import Activity, activity, current_activity
from pyworkflow.backend.base import Turn
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import CancelActivity, CompleteProcess, ScheduleActivity
from pyworkflow.errors import BackendUnavailableError
from pyworkflow.event import ActivityEvent, SignalEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted, ActivityFailed, ProcessCompleted
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.worker import ActivityWorker, DecisionWorker
from pyworkflow.workflow import Decidable, Workflow
from tests.integration.test_workers import working


@dataclass
class Order:
    item: str
    amount: int


@activity
def leave(code: int) -> None:
    sys.exit(code)


@activity
async def leave_later(code: int) -> None:
    async def inner() -> None:
        sys.exit(code)

    await asyncio.create_task(inner())


@activity
async def give_up() -> None:
    raise asyncio.CancelledError


class Calls(Workflow):
    """Does the activity that its input names and completes with what became of it."""

    activities = (leave, leave_later, give_up)

    def decide(self, process: Process) -> Decidable:
        for event in process.unseen_events():
            if isinstance(event, ActivityEvent):
                result = event.result
                if isinstance(result, ActivityFailed):
                    return CompleteProcess([result.type_name, result.reason])
                return CompleteProcess(getattr(result, "result", None))
            if isinstance(event, SignalEvent):
                return [CancelActivity(run.id) for run in process.history.open_activities()]
        name, given = process.input
        return ScheduleActivity(name, input=given)


class Flaky(MemoryBackend):
    """A backend that cannot be reached while `down` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.down = threading.Event()
        self.turns = 0
        self.refused = threading.Event()

    def turn(self, *args: Any, **kwargs: Any) -> Turn:
        self.turns += 1
        self._reach()
        return super().turn(*args, **kwargs)

    def extend_leases(self, *args: Any) -> list[bool]:
        self._reach()
        return super().extend_leases(*args)

    def _reach(self) -> None:
        if self.down.is_set():
            self.refused.set()
            raise BackendUnavailableError("the cable is out")


def until(look: Any) -> None:
    for _ in range(3000):
        if look():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come")


@pytest.mark.parametrize("pool", ["thread", "asyncio", "process"])
@pytest.mark.parametrize("name", ["leave", "leave_later"])
def test_an_activity_that_exits_is_a_failure_and_frees_its_slot(pool: str, name: str) -> None:
    of = Manager(MemoryBackend(), [Calls])
    with working(of, pool=pool, concurrency=1):
        ids = [of.start_process(Process(Calls, input=[name, 3])) for _ in range(3)]
        results = [of.wait_for_process(i, 60).result for i in ids]

    assert results == [ProcessCompleted(["SystemExit", "SystemExit: 3"])] * 3


def test_a_coroutine_that_cancels_itself_is_a_failure() -> None:
    of = Manager(MemoryBackend(), [Calls])
    with working(of, pool="asyncio", concurrency=1):
        process_id = of.start_process(Process(Calls, input=["give_up", None]))
        result = of.wait_for_process(process_id, 60).result

    assert isinstance(result, ProcessCompleted)
    assert result.result[0] == "CancelledError"


def test_a_decider_that_exits_has_failed_and_others_go_on() -> None:
    class Exits(Workflow):
        def decide(self, process: Process) -> None:
            sys.exit("enough")

    of = Manager(MemoryBackend(), [Exits, Calls])
    with working(of):
        broken = of.start_process(Process(Exits))
        sound = of.start_process(Process(Calls, input=["leave", 1]))
        of.wait_for_process(sound, 60)
        until(lambda: of.history(broken)[-1].type == "decision_failed")

    assert "SystemExit: enough" in str(of.history(broken)[-1])


def test_a_decider_that_always_fails_is_parked_and_can_be_resumed() -> None:
    mended = False

    class Stuck(Workflow):
        def decide(self, process: Process) -> Decidable:
            if not mended:
                raise LookupError("no such table")
            return CompleteProcess("at last")

    clock = FakeClock()
    of = Manager(MemoryBackend(clock), [Stuck])
    process_id = of.start_process(Process(Stuck))
    worker = DecisionWorker(of)
    for _ in range(20):
        worker.step()
        clock.advance(3600)

    parked = of.processes(parked=True)
    assert [process.id for process in parked] == [process_id]
    assert [event.type for event in of.history(process_id)].count("decision_failed") == 10
    [pending] = of.pending(process_id)
    assert "no such table" in str(pending.details)

    mended = True
    of.retry_process(process_id)
    worker.step()
    assert of.process_by_id(process_id).result == ProcessCompleted("at last")


def test_results_are_kept_while_the_backend_cannot_be_reached() -> None:
    runs: list[int] = []
    go = threading.Event()

    @activity
    def count(given: int) -> int:
        go.wait(30)
        runs.append(given)
        return given

    class Counts(Calls):
        activities = (count,)  # type: ignore[assignment]

    backend = Flaky()
    of = Manager(backend, [Counts])
    with working(of, concurrency=3):
        ids = [of.start_process(Process(Counts, input=["count", i])) for i in range(3)]
        until(lambda: all(len(of.history(i)) == 4 for i in ids))
        backend.down.set()
        go.set()
        assert backend.refused.wait(30)
        until(lambda: len(runs) == 3)
        backend.down.clear()
        results = [of.wait_for_process(i, 60).result for i in ids]

    assert results == [ProcessCompleted(i) for i in range(3)]
    assert sorted(runs) == [0, 1, 2]


def test_a_hand_off_is_kept_while_the_backend_cannot_be_reached() -> None:
    tasks: list[ActivityTask] = []
    go = threading.Event()

    @activity(auto_complete=False)
    def ask() -> None:
        tasks.append(current_activity().task)
        go.wait(30)

    class Asks(Calls):
        activities = (ask, leave)  # type: ignore[assignment]

    backend = Flaky()
    of = Manager(backend, [Asks])
    with working(of, concurrency=1, lease=0.5):
        process_id = of.start_process(Process(Asks, input=["ask", None]))
        until(lambda: tasks)
        backend.down.set()
        go.set()
        assert backend.refused.wait(30)
        backend.down.clear()
        # The one slot is free again, and the lease has no end any more.
        after = of.start_process(Process(Asks, input=["leave", 1]))
        of.wait_for_process(after, 60)
        time.sleep(1)
        of.complete_task(tasks[0], ActivityCompleted("yes"))

        assert of.wait_for_process(process_id, 60).result == ProcessCompleted("yes")


def test_a_worker_with_all_slots_busy_rests() -> None:
    began, go = threading.Event(), threading.Event()

    @activity
    def wait() -> None:
        began.set()
        go.wait(30)

    class Waits(Calls):
        activities = (wait,)  # type: ignore[assignment]

    backend = Flaky()
    of = Manager(backend, [Waits])
    process_id = of.start_process(Process(Waits, input=["wait", None]))
    DecisionWorker(of).step()
    with working(of, concurrency=1, decisions=False):
        assert began.wait(30)
        turns = backend.turns
        time.sleep(0.3)
        assert backend.turns <= turns + 1
        go.set()
        until(lambda: of.history(process_id)[-1].type == "activity")


def test_sync_work_in_the_asyncio_pool_has_as_many_threads_as_the_pool_is_large() -> None:
    together = threading.Barrier(40, timeout=30)

    @activity
    def meet() -> int:
        return together.wait() >= 0

    class Meets(Calls):
        activities = (meet,)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Meets])
    with working(of, pool="asyncio", concurrency=40):
        ids = [of.start_process(Process(Meets, input=["meet", None])) for _ in range(40)]
        results = [of.wait_for_process(i, 60).result for i in ids]

    assert results == [ProcessCompleted(True)] * 40


def test_a_running_activity_hears_that_it_is_to_cancel_itself() -> None:
    began = threading.Event()

    @activity
    def patient() -> str:
        began.set()
        while not current_activity().heartbeat({"still": "here"}):
            time.sleep(0.01)
        return "stopped"

    class Patient(Calls):
        activities = (patient,)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Patient])
    with working(of):
        process_id = of.start_process(Process(Patient, input=["patient", None]))
        assert began.wait(30)
        of.signal_process(process_id, "enough")

        assert of.wait_for_process(process_id, 60).result == ProcessCompleted("stopped")


@pytest.mark.parametrize("beats", [True, False])
def test_a_worker_sends_the_heartbeats_of_an_activity_that_wishes_it(beats: bool) -> None:
    go = threading.Event()

    @activity(auto_heartbeat=beats, heartbeat_timeout=0.6)
    def deaf() -> str:
        go.wait(1.5)
        return "done"

    class Deaf(Calls):
        activities = (deaf,)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Deaf])
    with working(of):
        process_id = of.start_process(Process(Deaf, input=["deaf", None]))
        result = of.wait_for_process(process_id, 60).result
        go.set()

    assert result == ProcessCompleted("done" if beats else None)


def test_an_interrupted_activity_worker_gives_its_task_back() -> None:
    interrupted: list[str] = []

    @activity
    def interrupt() -> None:
        if not interrupted:
            interrupted.append("once")
            raise KeyboardInterrupt

    class Interrupts(Calls):
        activities = (interrupt,)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Interrupts])
    process_id = of.start_process(Process(Interrupts, input=["interrupt", None]))
    DecisionWorker(of).step()
    ActivityWorker(of).run()

    assert interrupted
    assert ActivityWorker(of).step() is True
    assert [event.type for event in of.history(process_id)][-1] == "activity"


def test_typed_values_travel_as_input_signal_and_result() -> None:
    @activity
    def double(orders: list[Order]) -> list[Order]:
        return [Order(order.item, order.amount * 2) for order in orders]

    class Doubles(Workflow):
        activities = (double,)

        def decide(self, process: Process) -> Decidable:
            for event in process.unseen_events():
                if isinstance(event, SignalEvent):
                    return ScheduleActivity(double, input=[Order("pear", 2), event.signal.data])
                if isinstance(event, ActivityEvent):
                    return CompleteProcess(getattr(event.result, "result", None))
            return []

    of = Manager(MemoryBackend(), [Doubles])
    process_id = of.start_process(Process(Doubles, input={"first": Order("plum", 1)}))
    of.signal_process(process_id, Signal("more", Order("fig", 3)))
    with working(of):
        done = of.wait_for_process(process_id, 60)

    assert done.input == {"first": {"item": "plum", "amount": 1}}
    assert done.result == ProcessCompleted(
        [{"item": "pear", "amount": 4}, {"item": "fig", "amount": 6}]
    )


def test_a_result_that_is_no_json_fails_its_activity() -> None:
    class OddActivity(Activity):
        def execute(self) -> Any:
            return [object()]

    class Odd(Calls):
        activities = (OddActivity,)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Odd])
    with working(of):
        process_id = of.start_process(Process(Odd, input=["Odd", None]))
        done = of.wait_for_process(process_id, 60)

    assert done.status is Status.COMPLETED
    assert "object" in str(done.result)


def test_a_single_worker_keeps_the_lease_of_what_takes_long() -> None:
    @activity
    def long() -> str:
        time.sleep(1.2)
        return "done"

    class Long(Calls):
        activities = (long,)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Long])
    process_id = of.start_process(Process(Long, input=["long", None]))
    DecisionWorker(of).step()
    ActivityWorker(of, lease=0.5).step()

    assert of.history(process_id)[-1].type == "activity"


def test_a_function_with_a_default_needs_no_input() -> None:
    @activity
    def greet(name: str = "you") -> str:
        return f"hello {name}"

    class Greets(Calls):
        activities = (greet,)  # type: ignore[assignment]

    of = Manager(MemoryBackend(), [Greets])
    with working(of):
        ids = [of.start_process(Process(Greets, input=["greet", who])) for who in (None, "all")]
        results = [of.wait_for_process(i, 60).result for i in ids]

    assert results == [ProcessCompleted("hello you"), ProcessCompleted("hello all")]
