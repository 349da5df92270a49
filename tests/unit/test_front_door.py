"""What a manager, a process or a decision is handed by mistake is refused in one line that says what was meant."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from pyworkflow.activity import Activity, ActivityCompleted, activity
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import CompleteProcess, ScheduleActivity, StartChildProcess, Timer
from pyworkflow.errors import (
    InvalidDecisionError,
    InvalidRequestError,
    PayloadError,
    UnansweredQueryError,
)
from pyworkflow.graph import Workflow as Graph
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.replay import ReplayWorkflow, query
from pyworkflow.worker import DecisionWorker
from pyworkflow.workflow import Workflow


class ShipActivity(Activity):
    def execute(self) -> Any:
        return self.input


class OrderWorkflow(Workflow):
    activities = (ShipActivity,)

    def decide(self, process: Process) -> Any:
        return ShipActivity


@activity
def charge(amount: int) -> int:
    return amount


def plain(amount: int) -> int:
    return amount


def manager(**more: Any) -> Manager:
    return Manager(MemoryBackend(), [OrderWorkflow], **more)


MISTAKES: list[tuple[Callable[[], object], str]] = [
    (lambda: Manager(_any(MemoryBackend)), r"did you forget the \(\)"),
    (lambda: Manager(_any("sqlite:///x.db")), r"Manager\.connect\('sqlite:///x.db'\)"),
    (lambda: Manager(_any([ShipActivity])), "backend .* must be a backend object"),
    (lambda: Manager(MemoryBackend(), _any(OrderWorkflow)), r"did you forget the \[\]"),
    (lambda: Manager(MemoryBackend(), _any("Order")), "must be a list of workflows"),
    (lambda: Manager(MemoryBackend(), activities=_any(ShipActivity)), r"did you forget the \[\]"),
    (lambda: Manager(MemoryBackend(), activities=_any(charge)), r"did you forget the \[\]"),
    (lambda: Manager(MemoryBackend(), [_any(OrderWorkflow())]), r"OrderWorkflow without \(\)"),
    (lambda: Manager(MemoryBackend(), [_any(ShipActivity)]), r"activities=\[\.\.\.\]"),
    (lambda: Manager(MemoryBackend(), [_any(plain)]), "did you forget @workflow"),
    (lambda: manager(activities=[plain]), "did you forget @activity"),
    (lambda: manager(activities=[OrderWorkflow]), r"workflows=\[\.\.\.\]"),
    (lambda: manager(activities=["Ship"]), "must be a subclass of Activity"),
    (
        lambda: manager().start_process(_any(OrderWorkflow)),
        r"did you mean Process\(OrderWorkflow\)",
    ),
    (lambda: manager().start_process(_any("Order")), r"did you mean Process\('Order'\)"),
    (lambda: manager().start_process(_any(None)), "must be a Process"),
    (lambda: manager().wait_for_process(Process(OrderWorkflow), 0), "start it first"),
    (lambda: manager().signal_process("p", _any(5)), "must be a Signal or its name"),
    (lambda: manager().cancel_process(_any(5)), "must be a Process or its id"),
    (lambda: Process(_any(None)), "no name"),
    (lambda: Process(_any(plain)), "did you forget @activity or @workflow"),
    (lambda: Process(OrderWorkflow, tags="abc"), "tags 'abc': must be a list of texts"),
    (lambda: Process(OrderWorkflow, tags=_any(5)), "tags 5: must be a list of texts"),
    (lambda: ScheduleActivity(_any(plain)), "did you forget @activity"),
    (lambda: StartChildProcess(OrderWorkflow), r"did you mean Process\(OrderWorkflow\)"),
    (lambda: StartChildProcess("Order"), "must be a Process"),
    (lambda: Timer(_any("5")), "delay '5': must be a number of seconds"),
    (lambda: Timer(_any(None)), "delay None"),
    (lambda: Timer(True), "delay True"),
]


def _any(thing: object) -> Any:
    return thing


@pytest.mark.parametrize(("mistake", "hint"), MISTAKES, ids=[hint for _, hint in MISTAKES])
def test_a_mistake_is_refused_with_a_hint(mistake: Callable[[], object], hint: str) -> None:
    with pytest.raises(InvalidRequestError, match=hint) as refused:
        mistake()

    assert "\n" not in str(refused.value)


# -- two of one name -----------------------------------------------------------------------------------------------------------------


def _parcel() -> tuple[type[Workflow], type[Activity]]:
    class ShipActivity(Activity): ...

    class OrderWorkflow(Workflow):
        activities = (ShipActivity,)

    return OrderWorkflow, ShipActivity


def test_two_activities_or_workflows_of_one_name_are_refused() -> None:
    order, ship = _parcel()

    with pytest.raises(InvalidRequestError, match=r"activity 'Ship': two .*_parcel.*give one"):
        manager(activities=[ship])
    with pytest.raises(InvalidRequestError, match="activity 'Ship'"):
        Manager(MemoryBackend(), [OrderWorkflow, type("Mail", (Workflow,), {"activities": [ship]})])
    order.activities = ()
    with pytest.raises(InvalidRequestError, match="workflow 'Order': two"):
        Manager(MemoryBackend(), [OrderWorkflow, order])


def test_the_same_object_may_be_named_again() -> None:
    again = manager(activities=[ShipActivity])
    again.register_workflow(OrderWorkflow)
    again.register_activity(ShipActivity)

    assert again.activities == (ShipActivity,)
    assert again.copy_with_backend(MemoryBackend()).workflows == (OrderWorkflow,)


def test_a_registration_that_changes_what_another_program_stored_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "pyworkflow.backend")
    backend = MemoryBackend()
    Manager(backend, [OrderWorkflow])
    Manager(backend, [OrderWorkflow])
    assert not caplog.records

    backend.register_activity("Ship", category="fast", heartbeat_timeout=5)

    [record] = caplog.records
    assert (record.name, record.levelno) == ("pyworkflow.backend", logging.INFO)
    assert "activity 'Ship'" in record.message
    assert "category 'fast' in place of 'default'" in record.message


# -- what a decider returns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("returned", "hint"),
    [
        (CompleteProcess, r"did you mean CompleteProcess\(\.\.\.\)"),
        ([CompleteProcess], r"did you mean CompleteProcess\(\.\.\.\)"),
        (plain, "did you forget @activity"),
        ("done", "Invalid decision type: 'done'"),
        (12, "Invalid decision type: 12"),
    ],
)
def test_what_is_no_decision_is_refused_with_a_hint(returned: Any, hint: str) -> None:
    own = manager()
    own.start_process(Process(OrderWorkflow))
    task = own.next_decision()
    assert task is not None

    with pytest.raises(InvalidDecisionError, match=hint):
        own.complete_task(task, returned)


def test_a_task_is_completed_with_whatever_decide_may_return() -> None:
    own = manager()
    process_id = own.start_process(Process(OrderWorkflow, input=3))
    decision = own.next_decision()
    assert decision is not None
    own.complete_task(decision, own.workflow_for_task(decision).decide(decision.process))
    task = own.next_activity()
    assert task is not None
    with pytest.raises(InvalidRequestError, match=r"did you mean ActivityCompleted\(12\)"):
        own.complete_task(task, 12)
    own.complete_task(task, ActivityCompleted(12))

    assert own.history(process_id)[-1].type == "activity"


# -- a process that was started ------------------------------------------------------------------------------------------------------


def test_a_started_process_can_be_waited_for_signaled_and_canceled() -> None:
    own = manager()
    process = Process(OrderWorkflow)

    process_id = own.start_process(process)

    assert process.id == process_id
    own.signal_process(process, "hello")
    own.cancel_process(process)
    assert own.wait_for_process(process, 0).status is Status.CANCELED


def test_to_start_the_same_process_again_changes_nothing() -> None:
    own = manager()
    process = Process(OrderWorkflow, input=1)

    assert own.start_process(process) == own.start_process(process)
    started = own.backend.start_processes([process, Process(OrderWorkflow, input=1)])

    assert len({p.id for p in started if isinstance(p, Process)}) == 2
    assert len(own.processes()) == 2


# -- the input of a start ------------------------------------------------------------------------------------------------------------


@dataclass
class Order:
    id: str
    amount: int = 1


class Shop(ReplayWorkflow):
    activities = (charge,)
    release = 1

    async def run(self, order: Order) -> int:
        if self.release == 1:
            await self.sleep(5)
        return await self.activity(charge, order.amount)

    @query
    def step(self) -> str:
        return "open"


graph = Graph("graph")


@graph.step
def double(input: int) -> int:
    return 2 * input


@pytest.mark.parametrize(
    ("workflow", "wrong", "right"),
    [
        (Shop, {"nonsense": 1}, {"id": "o"}),
        (Shop, None, Order("o", 3)),
        (graph.as_workflow(), "two", 2),
    ],
)
def test_a_wrong_input_is_refused_when_a_process_is_started(
    workflow: Any, wrong: Any, right: Any
) -> None:
    own = Manager(MemoryBackend(), [workflow])

    with pytest.raises(PayloadError, match="input"):
        own.start_process(Process(workflow, input=wrong))
    assert own.processes() == []

    own.start_process(Process(workflow, input=right))
    assert len(own.processes()) == 1


# -- a query of code of another version ----------------------------------------------------------------------------------------------


def test_a_query_of_code_of_another_version_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Manager(MemoryBackend(), [Shop])
    process = Process(Shop, "o", Order("o"))
    own.start_process(process)
    DecisionWorker(own).step()
    assert own.query(process, "step") == "open"

    monkeypatch.setattr(Shop, "release", 2)

    with pytest.raises(
        UnansweredQueryError, match=r"process 'o': query 'step' cannot be answered: another release"
    ):
        own.query(process, "step")
    assert own.process_by_id("o").is_open
