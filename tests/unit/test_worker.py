"""What the worker's loop does with what is finished, where a decider keeps it waiting."""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from pyworkflow.activity import activity
from pyworkflow.backend.base import FeedEntry
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import (
    CompleteProcess,
    Decision,
    FailProcess,
    ScheduleActivity,
    SignalProcess,
)
from pyworkflow.event import DecisionFailedEvent, Event
from pyworkflow.graph import PassTask
from pyworkflow.graph import Workflow as Graph
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.result import ProcessCompleted
from pyworkflow.worker import DecisionWorker, Worker
from pyworkflow.worker import worker as loop
from pyworkflow.worker.simple import SimpleWorker
from pyworkflow.workflow import DefaultWorkflow, RuleSetWorkflow, Workflow, rules


@activity
def charge() -> str:
    return "charged"


def deciding(decide: Callable[[Process], Decision], timeout: float = 60) -> Manager:
    class Order(Workflow):
        name = "order"
        activities = (charge,)
        decision_timeout = timeout

        def decide(self, process: Process) -> Decision:
            return decide(process)

    return Manager(MemoryBackend(), workflows=[Order])


def events(of: Manager, process_id: str) -> list[str]:
    return [event.type for event in of.history(process_id)]


@contextmanager
def working(*workers: Worker | SimpleWorker) -> Generator[None]:
    """Have workers run in threads for as long as the block lasts."""
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    try:
        yield
        assert all(thread.is_alive() for thread in threads)
    finally:
        for worker in workers:
            worker.stop()
            worker.stop()
        for thread in threads:
            thread.join(60)


def test_what_is_finished_is_sent_even_if_its_decider_hangs_when_the_worker_is_stopped() -> None:
    release = threading.Event()

    def decide(process: Process) -> Decision:
        if len(process.history) == 2:
            return ScheduleActivity(charge)
        # As two signals do.
        worker.stop()
        worker.stop()
        assert release.wait(60)
        return CompleteProcess()

    of = deciding(decide)
    process_id = of.start_process(Process("order"))
    worker = Worker(of)

    worker.run()

    release.set()
    assert "activity" in events(of, process_id)


@pytest.mark.parametrize(("patience", "together"), [(60.0, 1), (-1.0, 0)])
def test_a_decider_that_has_been_slow_is_asked_after_the_result_is_recorded(
    patience: float, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide(process: Process) -> Decision:
        if len(process.history) == 2:
            return ScheduleActivity(charge)
        return CompleteProcess()

    monkeypatch.setattr(loop, "FORESIGHT_SECONDS", patience)
    of = deciding(decide)
    commits: list[list[str]] = []

    def note(entries: list[FeedEntry]) -> None:
        commits.append([entry.event.type for entry in entries])

    of.backend.observe(note)
    worker = Worker(of)
    thread = threading.Thread(target=worker.run)
    thread.start()
    of.wait_for_process(of.start_process(Process("order")), 60)
    worker.stop()
    thread.join(60)

    assert commits.count(["activity", "decision_started", "decision"]) == together


class Hangs:
    """A decider that does not return, of any style; it lets its threads go at the end of the test."""

    def __init__(self) -> None:
        self.release = threading.Event()

    def hang(self) -> None:
        assert self.release.wait(60)


def plain_style(hangs: Hangs) -> type[Workflow]:
    class Order(Workflow):
        decision_timeout = 4

        def decide(self, process: Process) -> Decision:
            if process.input == "hang":
                hangs.hang()
            return CompleteProcess("completed")

    return Order


def handlers_style(hangs: Hangs) -> type[Workflow]:
    class Order(DefaultWorkflow):
        decision_timeout = 4

        def initiate(self, process: Process) -> Decision:
            if process.input == "hang":
                hangs.hang()
            return CompleteProcess("completed")

    return Order


def rules_style(hangs: Hangs) -> type[Workflow]:
    class Order(RuleSetWorkflow):
        decision_timeout = 4

        @rules.process_started
        def begin(self, event: Event, process: Process) -> Decision:
            if process.input == "hang":
                hangs.hang()
            return CompleteProcess("completed")

    return Order


def replay_style(hangs: Hangs) -> type[Workflow]:
    class Order(ReplayWorkflow):
        blocked_after = 0.5

        async def run(self, order: str) -> str:
            if order == "hang":
                hangs.hang()
            return "completed"

    return Order


def graph_style(hangs: Hangs) -> type[Workflow]:
    def wanted(outputs: Any) -> bool:
        if outputs == "hang":
            hangs.hang()
        return True

    flow = Graph("Order", decision_timeout=4)
    flow.add(PassTask("first", depends_on=[flow.start_task], when=wanted))
    return flow.as_workflow()


STYLES = [plain_style, handlers_style, rules_style, replay_style, graph_style]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("kind", [Worker, DecisionWorker])
def test_a_decider_that_does_not_return_is_abandoned(
    style: Callable[[Hangs], type[Workflow]],
    kind: type[Worker] | type[DecisionWorker],
    caplog: pytest.LogCaptureFixture,
) -> None:
    hangs = Hangs()
    order = style(hangs)
    of = Manager(MemoryBackend(), workflows=[order])

    with working(kind(of)):
        of.start_process(Process(order, "hangs", "hang"))
        while "decision_failed" not in events(of, "hangs"):
            hangs.release.wait(0.01)
            # Where this machine was too busy to record it in time, the process may be parked.
            of.retry_process("hangs")
        ids = [of.start_process(Process(order, None, "go on")) for _ in range(20)]
        results = {of.wait_for_process(each, 60).result for each in ids}

    hangs.release.set()
    failed = next(e for e in of.history("hangs") if isinstance(e, DecisionFailedEvent))
    assert {type(result) for result in results} == {ProcessCompleted}
    assert "in hang" in str(failed.reason)
    assert "in hang" in caplog.text


def test_a_decider_that_hangs_holds_no_other_decision_up() -> None:
    hangs = Hangs()

    def decide(process: Process) -> Decision:
        if process.id == "hangs":
            hangs.hang()
        return CompleteProcess()

    # It is not abandoned before the end of the test.
    of = deciding(decide)
    of.start_process(Process("order", "hangs"))
    ids = [of.start_process(Process("order")) for _ in range(150)]

    with working(Worker(of)):
        results = {type(of.wait_for_process(each, 60).result) for each in ids}
        hung = of.process_by_id("hangs").is_open
        hangs.release.set()
        of.wait_for_process("hangs", 60)

    assert results == {ProcessCompleted}
    assert hung


def test_a_process_whose_decider_still_hangs_takes_no_second_thread() -> None:
    hangs = Hangs()
    calls: list[str] = []

    def decide(process: Process) -> Decision:
        calls.append("decide")
        hangs.hang()
        return CompleteProcess()

    of = deciding(decide, timeout=0.2)

    with working(Worker(of)):
        of.start_process(Process("order", "hangs"))
        while events(of, "hangs").count("decision_failed") < 3:
            hangs.release.wait(0.001)

    hangs.release.set()
    assert calls == ["decide"]


@pytest.mark.parametrize("pool", ["thread", "asyncio"])
def test_activities_do_not_share_a_context(pool: str) -> None:
    tenant: ContextVar[str | None] = ContextVar("tenant", default=None)

    @activity
    def enter() -> str | None:
        before = tenant.get()
        tenant.set("a")
        return before

    class Twice(ReplayWorkflow):
        activities = (enter,)

        async def run(self) -> list[str | None]:
            return [await self.activity("enter"), await self.activity("enter")]

    of = Manager(MemoryBackend(), workflows=[Twice])

    with working(Worker(of, pool=pool, concurrency=1)):
        result = of.wait_for_process(of.start_process(Process(Twice)), 60).result

    assert result == ProcessCompleted([None, None])


@pytest.mark.parametrize(
    "mistaken",
    [
        SignalProcess("other", "hurry"),  # type: ignore[arg-type]
        FailProcess(5),  # type: ignore[arg-type]
    ],
    ids=lambda decision: decision.type,
)
def test_a_decision_with_a_value_of_a_wrong_type_is_a_failure_of_its_decider(
    mistaken: Decision,
) -> None:
    of = deciding(lambda process: mistaken)
    process_id = of.start_process(Process("order"))
    worker = Worker(of)
    thread = threading.Thread(target=worker.run)
    thread.start()
    while "decision_failed" not in events(of, process_id):
        assert thread.is_alive()
        thread.join(0.001)
    worker.stop()
    thread.join(60)

    assert of.backend.check() == []
