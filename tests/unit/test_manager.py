"""The manager: classes and functions on one side, the backend's names and tasks on the other."""

from datetime import timedelta

import pytest

from pyworkflow.activity import Activity, activity
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import CancelProcess, CompleteProcess, ScheduleActivity
from pyworkflow.errors import (
    InvalidRequestError,
    PayloadError,
    ProcessClosedError,
    UnknownActivityError,
    UnknownProcessError,
    UnknownWorkflowError,
    UnsupportedByBackendError,
)
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted, ProcessCompleted, ProcessTerminated
from pyworkflow.signal import Signal
from pyworkflow.testing.clock import FakeClock
from pyworkflow.workflow import Workflow


@activity(category="fast", heartbeat_timeout=5)
def add(left: int, right: int) -> int:
    return left + right


class PackActivity(Activity):
    input: list[int]

    def execute(self) -> int:
        return len(self.input)


class OrderWorkflow(Workflow):
    activities = (PackActivity,)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def manager(clock: FakeClock) -> Manager:
    return Manager(MemoryBackend(clock), [OrderWorkflow], [add])


def scheduled(manager: Manager, name: str, given: object, category: str = "default") -> Activity:
    """Return an activity that is ready to execute."""
    manager.start_process(Process(OrderWorkflow))
    decision = manager.next_decision()
    assert decision is not None
    manager.complete_task(decision, ScheduleActivity(name, input=given))
    task = manager.next_activity(category=category)
    assert task is not None
    return manager.activity_for_task(task)


def test_classes_and_functions_are_found_again(manager: Manager) -> None:
    assert list(manager.workflows) == [OrderWorkflow]
    assert set(manager.activities) == {PackActivity, add}
    assert manager.find_activity("add") is add
    assert manager.find_activity("Pack") is PackActivity
    assert manager.find_activity("nobody") is None


def test_a_task_gets_its_class_and_its_input_by_type(manager: Manager) -> None:
    assert scheduled(manager, "Pack", [1, 2]).execute() == 2
    assert scheduled(manager, "add", {"left": 2, "right": 3}, "fast").execute() == 5
    assert scheduled(manager, "add", [4, 5], "fast").execute() == 9
    with pytest.raises(PayloadError):
        scheduled(manager, "Pack", "no list")
    with pytest.raises(PayloadError, match="add"):
        scheduled(manager, "add", [1, 2, 3], "fast")


def test_a_program_is_handed_no_task_that_it_cannot_do(manager: Manager) -> None:
    other = Manager(manager.backend)
    manager.start_process(Process(OrderWorkflow))
    assert other.next_decision() is None
    decision = manager.next_decision()
    assert decision is not None
    with pytest.raises(UnknownWorkflowError, match="Order"):
        other.workflow_for_task(decision)
    manager.complete_task(decision, ScheduleActivity(PackActivity, input=[]))
    assert other.next_activity() is None
    task = manager.next_activity()
    assert task is not None
    with pytest.raises(UnknownActivityError, match="Pack"):
        other.activity_for_task(task)


def test_a_result_for_the_wrong_kind_of_task_is_refused_and_changes_nothing(
    manager: Manager,
) -> None:
    process_id = manager.start_process(Process(OrderWorkflow))
    decision = manager.next_decision()
    assert decision is not None
    with pytest.raises(ValueError, match="unsupported task type"):
        manager.complete_task(decision, ActivityCompleted(1))
    assert [event.type for event in manager.history(process_id)][-1] == "decision_started"

    manager.complete_task(decision, [ScheduleActivity(PackActivity, input=[])])
    task = manager.next_activity()
    assert task is not None
    with pytest.raises(ValueError, match="unsupported task type"):
        manager.complete_task(task, CompleteProcess(1))
    manager.complete_task(task, ActivityCompleted(1))


def test_a_signal_may_be_a_name_or_an_object(manager: Manager) -> None:
    process_id = manager.start_process(Process(OrderWorkflow))
    manager.signal_process(process_id, "hello")
    manager.signal_process(manager.process_by_id(process_id), Signal("more", 0, "s1"))
    manager.signal_process(process_id, "more", 0, signal_id="s1")

    signals = [event.signal for event in manager.history(process_id)[1:]]  # type: ignore[attr-defined]

    assert signals == [Signal("hello", {}), Signal("more", 0, "s1")]


def test_processes_are_found_by_class_name_and_status(manager: Manager) -> None:
    first = manager.start_process(Process(OrderWorkflow, tags=["red"]))
    second = manager.start_process(Process("Order"))
    manager.cancel_process(first, "enough")

    assert [p.id for p in manager.processes(OrderWorkflow)] == [second]
    assert [p.id for p in manager.processes("Order", status=Status.CANCELED)] == [first]
    assert [p.id for p in manager.processes(OrderWorkflow(), "red", status=None)] == [first]
    assert manager.processes("nobody") == []
    canceled = manager.process_by_id(first)
    assert canceled.history[-1].decision == CancelProcess("enough")  # type: ignore[attr-defined]


def test_ending_by_force_and_waiting(manager: Manager) -> None:
    process_id = manager.start_process(Process(OrderWorkflow))
    manager.terminate_process(process_id, "stuck")

    assert manager.wait_for_process(process_id, 0).result == ProcessTerminated("stuck")
    with pytest.raises(ProcessClosedError, match="terminated"):
        manager.signal_process(process_id, "hello")
    with pytest.raises(UnknownProcessError, match="nobody"):
        manager.signal_process("nobody", "hello")


def test_purge_goes_on_until_nothing_is_left(manager: Manager, clock: FakeClock) -> None:
    for _ in range(2500):
        manager.terminate_process(manager.start_process(Process(OrderWorkflow)))
    kept = manager.start_process(Process(OrderWorkflow))
    clock.advance(timedelta(days=1))

    assert manager.purge(clock.datetime()) == 2500
    assert [p.id for p in manager.processes(status=None)] == [kept]


def test_a_copy_has_the_same_classes_on_another_backend(manager: Manager) -> None:
    other = manager.copy_with_backend(MemoryBackend())
    process_id = other.start_process(Process(OrderWorkflow))
    decision = other.next_decision()
    assert decision is not None
    other.complete_task(decision, CompleteProcess(other.workflow_for_task(decision).name))

    assert other.process_by_id(process_id).result == ProcessCompleted("Order")
    assert manager.processes(status=None) == []


def test_a_class_with_a_bad_setting_is_refused_by_name(manager: Manager) -> None:
    class EndlessWorkflow(Workflow):
        timeout = -1

    class SlashWorkflow(Workflow):
        name = "a/b"

    with pytest.raises(InvalidRequestError, match="timeout"):
        manager.register_workflow(EndlessWorkflow)
    with pytest.raises(InvalidRequestError, match="a/b"):
        manager.register_workflow(SlashWorkflow)
    assert list(manager.workflows) == [OrderWorkflow]


def test_a_manager_is_opened_by_url() -> None:
    with Manager.connect("memory:", [OrderWorkflow]).backend as backend:
        assert backend.name == "memory"
    with pytest.raises(InvalidRequestError, match="pigeon"):
        Manager.connect("pigeon://coop")


def test_a_transaction_that_the_backend_cannot_join_is_refused() -> None:
    manager = Manager(MemoryBackend())
    with pytest.raises(UnsupportedByBackendError, match="the memory backend cannot join"):
        manager.start_process(Process("w"), connection=object())
    with pytest.raises(UnsupportedByBackendError, match="the memory backend cannot join"):
        manager.signal_process("p", "s", connection=object())
