"""Undoing: only what has ended is undone, nothing that was done stays, nothing that never began is undone, and no process closes over what runs."""

from collections.abc import Callable
from typing import Any

import pytest

from pyworkflow.activity import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    activity,
)
from pyworkflow.backend.base import Backend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import CompleteProcess
from pyworkflow.errors import InvalidRequestError
from pyworkflow.event import DecisionEvent
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.replay import ReplayWorkflow, RunCache
from pyworkflow.replay.saga import Saga
from pyworkflow.task import ActivityTask
from pyworkflow.testing.clock import FakeClock
from pyworkflow.worker import DecisionWorker
from pyworkflow.workflow.following import follow
from tests.local_backends import LOCAL, local_backend

PAIRS = {"charge": "refund", "book": "free", "print_label": "shred", "ship": "recall"}


@activity
def charge(order: str) -> None: ...


@activity
def refund(order: str) -> None: ...


@activity
def book(order: str) -> None: ...


@activity
def free(order: str) -> None: ...


@activity
def print_label(order: str) -> None: ...


@activity
def shred(order: str) -> None: ...


@activity
def ship(order: str) -> None: ...


@activity
def recall(order: str) -> None: ...


@activity
def note(order: str) -> None: ...


class Order(ReplayWorkflow):
    """An order in a saga: a step, two beside each other, one that finishes whatever comes."""

    name = "Order"
    activities = (charge, refund, book, free, print_label, shred, ship, recall, note)
    cache = RunCache()

    async def run(self, order: str) -> str:
        async with self.saga() as saga:
            await saga.do(charge, order, undo=refund)
            await saga.gather(
                saga.do(book, order, undo=free),
                saga.do(print_label, order, undo=shred),
            )
            await saga.do(ship, order, undo=recall, options=self.options(on_cancel="finish"))
            await self.activity(note, order)
        return "shipped"


class Cold(Order):
    name = "Cold"
    cache = RunCache(0)


class InGroup(Order):
    """The same, in a group of tasks with a time limit."""

    name = "InGroup"

    async def run(self, order: str) -> str:
        async with self.saga() as saga:
            await saga.do(charge, order, undo=refund)
            await saga.gather(self._book(saga, order), self._label(saga, order))
            await self.wait_for(saga.do(ship, order, undo=recall), 1000)
        return "shipped"

    async def _book(self, saga: Saga, order: str) -> None:
        await saga.do(book, order, undo=free)
        await self.activity(note, order)

    async def _label(self, saga: Saga, order: str) -> None:
        await self.sleep(0)
        await saga.do(print_label, order, undo=shred)


STYLES = (Order, Cold, InGroup)

Answer = Callable[[str, bool], ActivityResult]
"""Returns how an activity ends, of its name and whether it was asked to cancel itself."""


def completes(name: str, asked: bool) -> ActivityResult:
    return ActivityCompleted()


def obeys(name: str, asked: bool) -> ActivityResult:
    return ActivityCanceled() if asked else ActivityCompleted()


def fails(broken: str) -> Answer:
    def answer(name: str, asked: bool) -> ActivityResult:
        return ActivityFailed("no") if name == broken else ActivityCompleted()

    return answer


class World:
    """Does the activities of one process, each in two steps, and writes down what began and what ended when."""

    def __init__(self, manager: Manager, clock: FakeClock, answer: Answer, newest: bool) -> None:
        self.manager = manager
        self.clock = clock
        self.answer = answer
        self.newest = newest
        self.ledger: list[str] = []
        self.running: list[ActivityTask] = []
        self.decider = DecisionWorker(manager)
        self.decider.abandons = False

    def step(self) -> bool:
        """Decide, begin or end something; tell whether there was anything to do."""
        if self.decider.step():
            return True
        task = self.manager.next_activity()
        if task is not None:
            self.running.append(task)
            self.ledger.append(f"{task.activity_execution.activity} begins")
            return True
        if not self.running:
            return False
        task = self.running.pop(-1 if self.newest else 0)
        name = task.activity_execution.activity
        result = self.answer(name, self.manager.heartbeat(task))
        self.manager.complete_task(task, result)
        self.ledger.append(f"{name} {result.type}")
        return True


def _order(
    backend: Backend,
    clock: FakeClock,
    style: type[ReplayWorkflow],
    answer: Answer,
    cancel_at: int | None,
    newest: bool,
) -> World:
    """Run an order to its end, asked to cancel itself before a step."""
    world = World(Manager(backend, [style]), clock, answer, newest)
    name = f"{style.name}-{answer.__name__}-{cancel_at}-{newest}"
    world.manager.start_process(Process(style, name, "tea"))
    number = 0
    while (process := world.manager.process_by_id(name)).is_open:
        if number == cancel_at:
            world.manager.cancel_process(name)
        number += 1
        if not world.step():
            clock.advance(2000)
        assert process.parked is None, process.parked
    _judge(world, process.status)
    assert world.running == [], "the process has closed over what runs"
    return world


def _judge(world: World, status: Status) -> None:
    ledger = world.ledger
    for done, undo in PAIRS.items():
        is_done = f"{done} completed" in ledger and status is not Status.COMPLETED
        assert ledger.count(f"{undo} completed") == is_done, (done, ledger)
        if is_done:
            ended = ledger.index(f"{done} completed")
            assert ledger.index(f"{undo} begins") > ended, ledger
    undone = [each for each in ledger if each.split()[0] in PAIRS.values()]
    if undone:
        first = ledger.index(undone[0])
        begun = [each for each in ledger[first:] if each.split()[0] in PAIRS]
        assert begun == [], "something ran while another was undone"


ALL = pytest.mark.slow
"""Each point on each store; by default, each in memory and some on the others."""


@pytest.mark.parametrize(
    ("kind", "every"),
    [
        ("memory", 1),
        ("sqlite", 7),
        ("postgresql", 7),
        *(pytest.param(kind, 1, marks=ALL) for kind in ("sqlite", "postgresql")),
    ],
)
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
@pytest.mark.parametrize("answer", [completes, obeys])
def test_an_order_is_undone_wherever_it_is_canceled(
    answer: Answer,
    style: type[ReplayWorkflow],
    kind: str,
    every: int,
    request: pytest.FixtureRequest,
) -> None:
    clock = FakeClock()
    with local_backend(kind, request, clock) as backend:
        ends = set()
        for newest in (False, True):
            for cancel_at in range(24) if every == 1 else range(2, 24, every):
                _order(backend, clock, style, answer, cancel_at, newest)
                name = f"{style.name}-{answer.__name__}-{cancel_at}-{newest}"
                ends.add(backend.process_by_id(name).status)
        assert {Status.CANCELED, Status.COMPLETED} == ends
        assert backend.check() == []


@pytest.mark.parametrize("kind", LOCAL)
@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_an_order_is_undone_wherever_it_fails(
    style: type[ReplayWorkflow], kind: str, request: pytest.FixtureRequest
) -> None:
    clock = FakeClock()
    with local_backend(kind, request, clock) as backend:
        for newest in (False, True):
            for broken in PAIRS:
                _order(backend, clock, style, fails(broken), None, newest)
        assert backend.check() == []


@pytest.mark.parametrize("style", STYLES, ids=lambda style: style.name)
def test_the_judge_finds_a_saga_that_does_not_wait(
    style: type[ReplayWorkflow], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def at_once(saga: Saga) -> None:
        return None

    monkeypatch.setattr(Saga, "_ends", at_once)
    found = 0
    for cancel_at in range(24):
        clock = FakeClock()
        with MemoryBackend(clock) as backend:
            try:
                _order(backend, clock, style, completes, cancel_at, newest=False)
            except AssertionError:
                found += 1
    assert found > 3


class Loose(ReplayWorkflow):
    """Ends while activities run: one that nobody awaits, and one that is abandoned."""

    name = "Loose"
    activities = (charge, ship, note)
    cache = RunCache()

    async def run(self, order: str) -> str:
        self.activity(charge, order)
        self.options(on_cancel="abandon").activity(ship, order)
        await self.activity(note, order)
        if order == "bad":
            raise ValueError("no")
        return "done"


@pytest.mark.parametrize(("order", "status"), [("good", Status.COMPLETED), ("bad", Status.FAILED)])
def test_a_process_closes_when_what_it_began_has_ended(order: str, status: Status) -> None:
    clock = FakeClock()
    with MemoryBackend(clock) as backend:
        world = World(Manager(backend, [Loose]), clock, completes, newest=False)
        name = world.manager.start_process(Process(Loose, input=order))
        world.decider.step()
        tasks = {t.activity_execution.activity: t for t in iter(world.manager.next_activity, None)}
        world.manager.complete_task(tasks["note"], ActivityCompleted())
        world.decider.step()
        assert world.manager.process_by_id(name).is_open
        assert world.manager.heartbeat(tasks["charge"]) is (order == "bad")

        world.manager.complete_task(tasks["charge"], ActivityCompleted())
        world.decider.step()

        assert world.manager.process_by_id(name).status is status
        assert backend.check() == []


class Waits(ReplayWorkflow):
    """Awaits an activity whose end is waited for, or not, within a time limit."""

    name = "Waits"
    activities = (ship,)
    cache = RunCache()

    async def run(self, on_cancel: str) -> list[str]:
        said = []
        try:
            await self.wait_for(self.options(on_cancel=on_cancel).activity(ship, "tea"), 10)
        except TimeoutError:
            said.append("late")
        await self.sleep(10)
        return said


@pytest.mark.parametrize(
    ("on_cancel", "waits", "asks"),
    [("ask", True, True), ("finish", True, False), ("abandon", False, True)],
)
def test_whoever_awaits_goes_on_as_the_options_say(on_cancel: str, waits: bool, asks: bool) -> None:
    clock = FakeClock()
    with MemoryBackend(clock) as backend:
        world = World(Manager(backend, [Waits]), clock, completes, newest=False)
        name = world.manager.start_process(Process(Waits, input=on_cancel))
        world.decider.step()
        task = world.manager.next_activity()
        assert task is not None
        for _ in range(2):
            clock.advance(10)
            world.decider.step()
        timers = [e for e in world.manager.history(name) if e.type == "timer"]
        assert (len(timers), world.manager.heartbeat(task) if waits else True) == (
            1 if waits else 2,
            asks,
        )
        if waits:
            world.manager.complete_task(task, ActivityCompleted())
            world.decider.step()
            clock.advance(10)
            world.decider.step()

        process = world.manager.process_by_id(name)
        assert getattr(process.result, "result", None) == ["late"]


def test_an_unknown_way_to_cancel_is_refused() -> None:
    class Odd(ReplayWorkflow):
        name = "Odd"
        parks_on = ()

        async def run(self) -> Any:
            try:
                self.options(on_cancel="maybe")
            except InvalidRequestError as error:
                return str(error)

    [decided] = Odd().decide(Process("Odd", "p"))

    assert "on_cancel 'maybe': must be one of ask, finish, abandon" in str(decided)


def test_what_earlier_releases_closed_over_is_a_history_still() -> None:
    clock = FakeClock()
    with MemoryBackend(clock) as backend:
        manager = Manager(backend, [Loose])
        name = manager.start_process(Process(Loose, input="good"))
        decider = DecisionWorker(manager)
        decider.step()
        tasks = {t.activity_execution.activity: t for t in iter(manager.next_activity, None)}
        manager.complete_task(tasks["note"], ActivityCompleted())
        task = manager.next_decision()
        assert task is not None
        manager.complete_task(task, [CompleteProcess("done")])

        history = manager.history(name)
        assert isinstance(history[-1], DecisionEvent)
        assert not any(step.differs for step in follow(Loose(), manager.process_by_id(name)))
