"""One mistake of each kind at each place of users' code where a decision is made, and what is left of it when the code is repaired.

A program is made with its `Slip`: what the code calls at the place of the mistake. The repaired program calls one that does nothing.
"""

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, NamedTuple

from pyworkflow.activity import activity
from pyworkflow.backend.base import Backend
from pyworkflow.decision import CompleteProcess, Decision, ScheduleActivity
from pyworkflow.event import ActivityEvent, DecisionEvent
from pyworkflow.graph import ActivityTask
from pyworkflow.graph import Workflow as GraphProgram
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow, SideEffectFailed, on_signal
from pyworkflow.testing.clock import FakeClock
from pyworkflow.testing.run import Runner, WaitsForeverError
from pyworkflow.workflow import Workflow
from pyworkflow.workflow.handlers import DefaultWorkflow
from pyworkflow.workflow.rules import completed_activity, process_started, rule
from pyworkflow.workflow.ruleset import RuleSetWorkflow

Slip = Callable[[], Any]
Program = type[Workflow]

executed: list[str] = []
"""What the activities did, in their order."""


@activity
def charge(text: str) -> str:
    executed.append(f"charge {text}")
    return text


@activity
def ship(text: str) -> str:
    executed.append(f"ship {text}")
    return text


@activity
def refund(text: str) -> None:
    executed.append(f"refund {text}")


@activity
def decline(text: str) -> None:
    executed.append(f"decline {text}")
    raise ValueError("declined")


ACTIVITIES = (charge, ship, refund, decline)


# -- the kinds ---------------------------------------------------------------------------------------------------------------------


def _typo() -> None:
    undefined_name  # type: ignore[name-defined]  # noqa: B018, F821


def _attribute() -> None:
    None.nothing  # type: ignore[attr-defined]  # noqa: B018


def _forbidden() -> None:
    threading.Thread(target=print).start()


def _wrong_type() -> None:
    len(3)  # type: ignore[arg-type]


def _in_group() -> None:
    raise ExceptionGroup(
        "several", [ValueError("a failure"), ExceptionGroup("more", [NameError("a mistake")])]
    )


def _chained() -> None:
    try:
        _attribute()
    except AttributeError as error:
        raise RuntimeError("could not go on") from error


KINDS: dict[str, Slip] = {
    "a typo": _typo,
    "an attribute that is not there": _attribute,
    "a forbidden call": _forbidden,
    "a wrong type": _wrong_type,
    "in a group": _in_group,
    "chained": _chained,
}


# -- the places --------------------------------------------------------------------------------------------------------------------


class Base(ReplayWorkflow):
    """Charges and ships; each place overrides what it is about."""

    name = "Order"
    slip: Slip
    paid = False
    pause = 10

    async def run(self) -> Any:
        await self.activity(charge, "a")
        return await self.activity(ship, "a")

    async def sold(self, text: str, *, slip: bool = False) -> str:
        """Sell one thing in a saga of its own, which takes three steps."""
        async with self.saga() as saga:
            await self.activity(charge, text)
            saga.compensate(self.activity, refund, text)
            if slip:
                self.slip()
            if self.pause:
                await self.sleep(self.pause)
            return await self.activity(ship, text)


class InRun(Base):
    async def run(self) -> Any:
        await self.activity(charge, "a")
        self.activity(ship, "b")
        self.slip()
        return await self.activity(ship, "a")


class InSaga(Base):
    async def run(self) -> Any:
        async with self.saga() as outer:
            outer.compensate(self.activity, refund, "outer")
            return await self.sold("a", slip=True)


class CaughtAroundSaga(Base):
    async def run(self) -> Any:
        try:
            return await self.sold("a", slip=True)
        except Exception:
            return "not sold"


class InCompensation(Base):
    async def run(self) -> Any:
        async with self.saga() as saga:
            saga.compensate(self.activity, refund, "first")
            saga.compensate(self.undo)
            saga.compensate(self.activity, refund, "last")
            await self.activity(decline, "a")

    async def undo(self) -> None:
        self.slip()
        await self.activity(refund, "middle")


class InSynchronousCompensation(InCompensation):
    def undo(self) -> Any:
        self.slip()
        return self.activity(refund, "middle")


class InSideEffect(Base):
    async def run(self) -> Any:
        await self.activity(charge, "a")
        try:
            text = self.side_effect(lambda: self.slip() or "b", str)
        except SideEffectFailed:
            text = "c"
        return await self.activity(ship, text)


class InHandler(Base):
    @on_signal
    def pay(self) -> None:
        self.activity(charge, "tip")
        self.slip()
        self.paid = True

    async def run(self) -> Any:
        await self.wait_until(lambda: self.paid)
        return await self.activity(ship, "a")


class InAsyncHandler(Base):
    @on_signal
    async def pay(self) -> None:
        await self.activity(charge, "tip")
        self.slip()
        self.paid = True

    async def run(self) -> Any:
        await self.wait_until(lambda: self.paid)
        return await self.activity(ship, "a")


class InCondition(Base):
    @on_signal
    def pay(self) -> None:
        self.paid = True

    async def run(self) -> Any:
        self.activity(charge, "a")
        with suppress(Exception):
            await self.wait_until(self.is_paid)
        return await self.activity(ship, "a")

    def is_paid(self) -> bool:
        if self.paid:
            self.slip()
        return self.paid


class InFirstCondition(InCondition):
    def is_paid(self) -> bool:
        self.slip()
        return self.paid


class InTaskGroup(Base):
    async def run(self) -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sold("a"))
            group.create_task(self.sold("b", slip=True))
            group.create_task(self.sold("c"))
        return "sold"


class InBodyOfTaskGroup(Base):
    async def run(self) -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.sold("a"))
            await self.activity(charge, "b")
            await asyncio.sleep(1)
            self.slip()
        return "sold"


class InGather(Base):
    async def run(self) -> Any:
        each = [self.sold("a"), self.sold("b", slip=True)]
        results = await asyncio.gather(*each, return_exceptions=True)
        return [await self.activity(ship, "more"), [str(result) for result in results]]


class InRace(Base):
    # Time goes on while a process is parked, and a race would end otherwise.
    pause = 0

    async def run(self) -> Any:
        return await self.race(self.sold("a", slip=True), self.wait_until(lambda: self.paid))


class InTask(Base):
    async def run(self) -> Any:
        task = asyncio.create_task(self.sold("a", slip=True))
        await self.sleep(1_000)
        return await task


class InCallback(Base):
    async def run(self) -> Any:
        operation = self.activity(charge, "a")
        operation.add_done_callback(lambda done: self.slip())
        await operation
        return await self.activity(ship, "a")


class BeforeFinally(Base):
    async def run(self) -> Any:
        try:
            await self.activity(charge, "a")
            self.slip()
            await self.activity(ship, "a")
        finally:
            await self.activity(refund, "a")


class BeforeExcept(Base):
    async def run(self) -> Any:
        try:
            await self.activity(charge, "a")
            self.slip()
            return await self.activity(ship, "a")
        except Exception:
            await self.activity(refund, "a")


class BeforeSleep(Base):
    async def run(self) -> Any:
        for _ in range(3):
            try:
                await self.activity(charge, "a")
                self.slip()
                return await self.activity(ship, "a")
            except Exception:
                await asyncio.sleep(10)


class BeforeContinuing(Base):
    async def run(self, number: int = 1) -> Any:
        try:
            await self.activity(charge, "a")
            self.slip()
            return await self.activity(ship, "a")
        except Exception:
            self.continue_as_new(number + 1)


class InContextManager(Base):
    @asynccontextmanager
    async def charged(self, text: str) -> AsyncGenerator[str]:
        charged = await self.activity(charge, text)
        try:
            yield charged
        except BaseException:
            await self.activity(refund, text)
            raise

    async def run(self) -> Any:
        async with self.charged("a") as charged:
            self.slip()
            return await self.activity(ship, charged)


class InConstructor(Base):
    def __init__(self) -> None:
        self.slip()


class InRule(RuleSetWorkflow):
    name = "Order"
    slip: Slip

    @process_started
    def begin(self, event: Any, process: Process) -> Any:
        return ScheduleActivity(charge, "charge", input="a")

    @completed_activity(charge)
    def note(self, event: Any, process: Process) -> Any:
        return ScheduleActivity(ship, "b", input="b")

    @completed_activity(charge)
    def go_on(self, event: Any, process: Process) -> Any:
        self.slip()
        return ScheduleActivity(ship, "a", input="a")

    @completed_activity(ship)
    def end(self, event: Any, process: Process) -> Any:
        return None if process.unfinished_activities() else CompleteProcess()


class InDecider(Workflow):
    name = "Order"
    slip: Slip

    def decide(self, process: Process) -> Any:
        ended = len(process.history.find(ActivityEvent))
        if ended:
            self.slip()
        return (
            CompleteProcess()
            if ended == 2
            else ScheduleActivity((charge, ship)[ended], str(ended), input="a")
        )


class InHandlerOfEvent(DefaultWorkflow):
    name = "Order"
    slip: Slip

    def initiate(self, process: Process) -> Any:
        return ScheduleActivity(charge, "charge", input="a")

    def respond_to_completed_activity(self, process: Process, execution: Any, result: Any) -> Any:
        self.slip()
        if execution.activity == "ship":
            return CompleteProcess(result)
        return ScheduleActivity(ship, "ship", input=result)


def _in(base: Program) -> Callable[[Slip], Program]:
    def program(slip: Slip) -> Program:
        return type("Order", (base,), {"slip": staticmethod(slip), "name": "Order"})

    return program


def _is_shipped(event: Any) -> bool:
    return bool(event.activity_execution.activity == "ship" and event.result.result)


def _rule_filter(slip: Slip) -> Program:
    class Order(RuleSetWorkflow):
        @process_started
        def begin(self, event: Any, process: Process) -> Any:
            return ScheduleActivity(charge, "charge", input="a")

        @completed_activity(charge, result=lambda text: slip() or text == "a")
        def go_on(self, event: Any, process: Process) -> Any:
            return ScheduleActivity(ship, "a", input="a")

        @rule(_is_shipped)
        def end(self, event: Any, process: Process) -> Any:
            return CompleteProcess()

    return Order


def _graph(option: str) -> Callable[[Slip], Program]:
    """Return a graph of which a function, given as an option of a step, makes the mistake."""

    def program(slip: Slip) -> Program:
        made: dict[str, Any] = {
            "when": lambda given: slip() or True,
            "transform_input": lambda given: slip() or given,
            "choose": lambda given: slip() or ["end"],
            "for_each": lambda given: slip() or [given, given],
            "repeat_until": lambda given: slip() or True,
        }
        graph = GraphProgram("Order")
        first = graph.add(ActivityTask("first", charge, param="a"))
        graph.add(ActivityTask("beside", ship, param="b"))
        options: Any = {option: made[option]}
        middle = graph.add(ActivityTask("middle", charge, depends_on=[first], **options))
        last: Any = {"transform_input": lambda given: "c"}
        graph.add(ActivityTask("end", ship, depends_on=[middle], **last))
        return graph.as_workflow()

    return program


REPLAYED: dict[str, Callable[[Slip], Program]] = {
    base.__name__: _in(base)
    for base in (
        InRun,
        InSaga,
        CaughtAroundSaga,
        InCompensation,
        InSynchronousCompensation,
        InSideEffect,
        InHandler,
        InAsyncHandler,
        InCondition,
        InFirstCondition,
        InTaskGroup,
        InBodyOfTaskGroup,
        InGather,
        InRace,
        InTask,
        InCallback,
        BeforeFinally,
        BeforeExcept,
        BeforeSleep,
        BeforeContinuing,
        InContextManager,
        InConstructor,
    )
}
OTHERS: dict[str, Callable[[Slip], Program]] = {
    **{base.__name__: _in(base) for base in (InRule, InDecider, InHandlerOfEvent)},
    "in a filter of a rule": _rule_filter,
    **{
        f"{option} of a graph": _graph(option)
        for option in ("when", "transform_input", "choose", "for_each", "repeat_until")
    },
}


# -- the play ----------------------------------------------------------------------------------------------------------------------


class Ending(NamedTuple):
    """What is left of a process when it has ended."""

    result: Any
    executed: list[str]
    decisions: Sequence[Decision]
    parked: bool


def play(
    program: Callable[[Slip], Program], slip: Slip | None, backend: Backend, clock: FakeClock
) -> Ending:
    """Run a process to its end: with the mistake, if there is one, until it is parked, and then with the repaired code."""
    executed.clear()
    repaired = program(lambda: None)
    first = Runner(
        program(slip) if slip else repaired, activities=ACTIVITIES, backend=backend, clock=clock
    )
    first.manager.start_process(Process("Order", "p"))
    first.work()
    if hasattr(repaired, "pay"):
        first.manager.signal_process("p", "pay")
    with suppress(WaitsForeverError):
        first.finish("p")
    parked = first.manager.process_by_id("p").parked is not None
    if parked:
        first.manager.retry_process("p")
    last = Runner(repaired, activities=ACTIVITIES, backend=backend, clock=clock)
    process = last.finish("p")
    decisions = [e.decision for e in process.history if isinstance(e, DecisionEvent)]
    return Ending(process.result, list(executed), decisions, parked)
