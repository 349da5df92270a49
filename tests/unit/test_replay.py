"""Workflows as plain async code, on memory with a clock that skips."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from pyworkflow.activity import Activity, activity
from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    CompleteProcess,
    ScheduleActivity,
    Timer,
)
from pyworkflow.errors import InvalidRequestError, PayloadError
from pyworkflow.event import ActivityEvent, DecisionEvent, DecisionFailedEvent
from pyworkflow.process import Process, Status
from pyworkflow.replay import (
    ActivityFailed,
    ActivityTimedOut,
    ChildFailed,
    ChildNotStarted,
    ChildTerminated,
    OriginalError,
    ReplayWorkflow,
    SideEffectFailed,
    on_signal,
    query,
    workflow,
)
from pyworkflow.result import (
    ActivityCompleted,
    ProcessCanceled,
    ProcessCompleted,
    ProcessFailed,
)
from pyworkflow.retry import Retry
from pyworkflow.testing.run import Runner, WaitsForeverError, run_to_end

done: list[str] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


@dataclass
class Order:
    sku: str
    amount: int = 1


@dataclass
class Receipt:
    sku: str
    total: int


@activity
def charge(order: Order) -> Receipt:
    done.append(f"charge {order.sku}")
    return Receipt(order.sku, order.amount * 10)


@activity
async def add(one: int, two: int = 0) -> int:
    return one + two


@activity
def note(text: str) -> str:
    done.append(text)
    return text


@activity
def refuse(text: str) -> None:
    raise ValueError(f"no {text}")


class CountActivity(Activity):
    input: list[int]

    def execute(self) -> int:
        return len(self.input)


ACTIVITIES = (charge, add, note, refuse, CountActivity)


def flow(run: Callable[..., Any], **attributes: Any) -> type[ReplayWorkflow]:
    """Return a workflow class with this `run` and these attributes."""
    body = {"name": "Flow", "activities": ACTIVITIES, "run": run, **attributes}
    return type("Flow", (ReplayWorkflow,), body)


def result(run: Callable[..., Any], input: Any = None, **attributes: Any) -> Any:
    """Run to the end and return what the process returned; replaying the whole history must give the same end."""
    cls = flow(run, **attributes)
    process = run_to_end(cls, input)
    assert cls().decide(process) == [process.history[-1].decision]  # type: ignore[attr-defined]
    assert process.history.find(DecisionFailedEvent) == []
    assert isinstance(process.result, ProcessCompleted), process.result
    return process.result.result


def decided(process: Process, kind: type[Any]) -> list[Any]:
    found = [e.decision for e in process.history if isinstance(e, DecisionEvent)]
    return [decision for decision in found if isinstance(decision, kind)]


# -- activities --------------------------------------------------------------------------------------------------------------------


def test_activities_take_and_return_typed_values() -> None:
    async def run(self: ReplayWorkflow, order: Order) -> Any:
        receipt = await self.activity(charge, order)
        assert isinstance(receipt, Receipt)
        total = await self.activity(add, receipt.total, two=5)
        return [
            total,
            await self.activity(CountActivity, [1, 2, 3]),
            await self.activity("note", "x"),
        ]

    assert result(run, {"sku": "tea", "amount": 2}) == [25, 3, "x"]


def test_ids_count_by_name_and_are_readable() -> None:
    async def run(self: ReplayWorkflow) -> None:
        await self.gather(self.activity(note, "a"), self.activity(add, 1), self.activity(note, "b"))
        await self.options(id="mine").activity(note, "c")
        await self.sleep(1)

    process = run_to_end(flow(run))

    assert [d.id for d in decided(process, ScheduleActivity)] == [
        "note-1",
        "add-1",
        "note-2",
        "mine",
    ]
    assert [d.id for d in decided(process, Timer)] == ["timer-1"]


def test_options_reach_the_decision() -> None:
    async def run(self: ReplayWorkflow) -> None:
        ask = self.options(category="gpu", execution_timeout=7, retry=Retry(3))
        ask.activity(note, "a")

    [scheduled] = flow(run)().decide(Process("Flow", "p"))

    assert isinstance(scheduled, ScheduleActivity)
    assert (scheduled.category, scheduled.execution_timeout) == ("gpu", 7)
    assert scheduled.retry == Retry(3)


def test_a_failed_activity_raises_with_its_cause() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        try:
            await self.activity(refuse, "money")
        except ActivityFailed as error:
            cause = error.__cause__
            shown = isinstance(cause, OriginalError) and "in refuse" in str(cause)
            return [error.reason, error.type_name, shown, error.__notes__]
        finally:
            await self.activity(note, "after all")

    assert result(run) == [
        "no money",
        "ValueError",
        True,
        ["in activity 'refuse', id 'refuse-1'"],
    ]
    assert done == ["after all"]


def test_an_activity_that_is_too_late_raises_its_timeout() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        try:
            await self.options(category="nobody", scheduled_timeout=5).activity(note, "a")
        except ActivityTimedOut as error:
            return error.details

    assert result(run) == "schedule_to_start"


def test_the_exception_of_an_activity_that_nobody_catches_fails_the_process() -> None:
    async def run(self: ReplayWorkflow) -> None:
        await self.activity(refuse, "money")

    failed = run_to_end(flow(run)).result

    assert isinstance(failed, ProcessFailed)
    assert failed.reason == "ActivityFailed: no money"
    assert "ValueError" in failed.details


def test_any_exception_of_the_code_fails_the_process_but_a_mistake_parks_it() -> None:
    async def fails(self: ReplayWorkflow) -> None:
        raise ValueError("sold out")

    async def mistaken(self: ReplayWorkflow) -> None:
        self.activty(note)  # type: ignore[attr-defined]

    assert run_to_end(flow(fails)).status is Status.FAILED
    with pytest.raises(WaitsForeverError, match="AttributeError"):
        run_to_end(flow(mistaken))


def test_an_input_that_is_not_json_is_refused_where_it_is_given() -> None:
    async def run(self: ReplayWorkflow) -> str:
        try:
            self.activity("note", {1, 2})
        except PayloadError as error:
            return str(error)
        return "taken"

    assert "set" in result(run)


def test_an_input_is_taken_as_it_is_when_asked_and_not_as_it_is_made_later() -> None:
    async def run(self: ReplayWorkflow) -> int:
        items = [1]
        counting = self.activity(CountActivity, items)
        items.append(2)
        return await counting

    assert result(run) == 1


# -- control flow ------------------------------------------------------------------------------------------------------------------


def test_gather_runs_beside_and_returns_in_order() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        return await self.gather(*(self.activity(add, n) for n in range(20)))

    assert result(run) == list(range(20))


def test_the_primitives_of_asyncio_work() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        queue: asyncio.Queue[int] = asyncio.Queue()
        gate, lock = asyncio.Event(), asyncio.Lock()
        order: list[int] = []
        limit = self.semaphore(2)
        running = 0
        most = 0

        async def produce(n: int) -> None:
            nonlocal running, most
            async with limit:
                running += 1
                most = max(most, running)
                await queue.put(await self.activity(add, n))
                running -= 1

        async def consume() -> None:
            await gate.wait()
            for _ in range(4):
                async with lock:
                    order.append(await queue.get())

        async with asyncio.TaskGroup() as group:
            for n in range(4):
                group.create_task(produce(n))
            group.create_task(consume())
            direct = group.create_task(self.activity(add, 7))
            gate.set()
        finished, waiting = await asyncio.wait(
            [asyncio.create_task(asyncio.sleep(n)) for n in (9, 1, 5)],
            return_when=asyncio.FIRST_COMPLETED,
        )
        late: list[int] = []
        for first in asyncio.as_completed(list(waiting)):
            await first
            late.append(self.now().second)
        return [sorted(order), most, direct.result(), len(finished), late]

    assert result(run) == [[0, 1, 2, 3], 2, 7, 1, [5, 9]]


@pytest.mark.parametrize("own", [True, False])
def test_waiting_for_some_time_cancels_what_it_waited_for(own: bool) -> None:
    async def run(self: ReplayWorkflow) -> Any:
        wait_for: Any = self.wait_for if own else asyncio.wait_for
        began = self.now()
        try:
            await wait_for(self.options(category="nobody").activity(note, "a"), 30)
        except TimeoutError:
            return (self.now() - began).total_seconds()

    cls = flow(run)
    process = run_to_end(cls)

    assert process.result == ProcessCompleted(30)
    assert decided(process, CancelActivity) == [CancelActivity("note-1")]


def test_what_comes_in_time_cancels_the_timer() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        async with asyncio.timeout(30):
            return await self.activity(add, 1)

    process = run_to_end(flow(run))

    assert process.result == ProcessCompleted(1)
    assert decided(process, Timer) == [Timer(30, None, "timer-1")]
    assert decided(process, CancelTimer) == [CancelTimer("timer-1")]


def test_a_race_has_one_winner_and_cancels_the_rest() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        slow = self.options(category="nobody").activity(note, "slow")
        return await self.race(slow, self.signal("never"), self.activity(note, "fast"))

    process = run_to_end(flow(run))

    assert process.result == ProcessCompleted("fast")
    assert decided(process, CancelActivity) == [CancelActivity("note-1")]


def test_what_is_canceled_before_it_was_decided_is_not_decided() -> None:
    async def run(self: ReplayWorkflow) -> None:
        self.activity(note, "never").cancel()
        sleeping = asyncio.create_task(self.sleep(9))
        await asyncio.sleep(0)
        sleeping.cancel()
        await self.activity(note, "once")

    process = run_to_end(flow(run))

    assert [d.id for d in decided(process, ScheduleActivity)] == ["note-2"]
    assert decided(process, Timer) == decided(process, CancelTimer) == []


def test_sleep_skips_and_now_tells_the_time_of_the_history() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        before = self.now()
        await self.sleep(timedelta(days=30))
        await asyncio.sleep(1.5)
        loop = asyncio.get_running_loop()
        assert loop.time() == self.now().timestamp()
        return (self.now() - before).total_seconds()

    assert result(run) == 30 * 86_400 + 1.5


# -- signals and queries -----------------------------------------------------------------------------------------------------------


def test_signals_wait_for_those_who_ask_in_the_order_of_their_coming() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        first = await self.signal("line")
        await self.sleep(5)
        got = [first]
        async for line in self.signals("line"):
            if line == "end":
                return [*got, await self.signal("order", Order)]
            got.append(line)

    cls = flow(run)
    runner = Runner(cls)
    runner.manager.start_process(Process(cls, "p"))
    for data in ("early", "second"):
        runner.manager.signal_process("p", "line", data)
    runner.work()
    runner.manager.signal_process("p", "line", "third")
    runner.manager.signal_process("p", "order", {"sku": "tea", "amount": 1})
    runner.manager.signal_process("p", "line", "end")

    assert runner.finish("p").result == ProcessCompleted(
        ["early", "second", "third", {"sku": "tea", "amount": 1}]
    )


def test_signal_handlers_run_as_signals_come_and_conditions_see_it() -> None:
    class ApprovalWorkflow(ReplayWorkflow):
        activities = ACTIVITIES

        def __init__(self) -> None:
            self.by: list[str] = []

        @on_signal
        def approve(self, who: str) -> None:
            self.by.append(who)

        @on_signal(name="remark")
        async def remember(self, order: Order) -> None:
            self.by.append(await self.activity(note, order.sku))

        @query
        def approved_by(self, prefix: str = "") -> list[str]:
            return [who for who in self.by if who.startswith(prefix)]

        async def run(self) -> list[str]:
            await self.wait_until(lambda: len(self.by) == 3)
            try:
                await self.wait_until(lambda: len(self.by) == 4, timeout=60)
            except TimeoutError:
                self.by.append("late")
            return self.by

    runner = Runner(ApprovalWorkflow)
    runner.start(ApprovalWorkflow, id="p")
    runner.manager.signal_process("p", "approve", "ann")
    # Asked before any worker has seen the signal, and without one.
    assert runner.manager.query("p", "approved_by") == ["ann"]
    runner.manager.signal_process("p", "remark", {"sku": "hm"})
    runner.work()
    runner.manager.signal_process("p", "approve", "bob")

    assert runner.finish("p").result == ProcessCompleted(["ann", "hm", "bob", "late"])
    assert runner.manager.query("p", "approved_by", "b") == ["bob"]
    with pytest.raises(InvalidRequestError, match="it has: approved_by"):
        runner.manager.query("p", "unknown")


def test_a_handler_that_fails_fails_the_process() -> None:
    class FragileWorkflow(ReplayWorkflow):
        @on_signal
        def hit(self, data: Any) -> None:
            raise ValueError("broken")

        async def run(self) -> None:
            await self.signal("never")

    runner = Runner(FragileWorkflow)
    runner.start(FragileWorkflow, id="p")
    runner.manager.signal_process("p", "hit")

    failed = runner.finish("p").result

    assert isinstance(failed, ProcessFailed)
    assert failed.reason == "ValueError: broken"


def test_a_query_changes_nothing() -> None:
    class AskedWorkflow(ReplayWorkflow):
        activities = ACTIVITIES
        step = 0

        @query
        def where(self) -> int:
            return self.step

        async def run(self) -> None:
            for self.step in range(1, 4):
                await self.activity(note, str(self.step))

    runner = Runner(AskedWorkflow)
    process_id = runner.manager.start_process(Process(AskedWorkflow))

    assert runner.manager.query(process_id, "where") == 1
    assert len(runner.manager.process_by_id(process_id).history) == 1
    runner.finish(process_id)
    assert runner.manager.query(process_id, "where") == 3
    assert done == ["1", "2", "3"]


# -- children and other processes --------------------------------------------------------------------------------------------------


class PartWorkflow(ReplayWorkflow):
    activities = ACTIVITIES

    async def run(self, order: Order) -> Receipt:
        if order.amount == 0:
            raise ValueError("nothing to do")
        if order.amount < 0:
            await self.signal("never")
        return await self.activity(charge, order)


@pytest.mark.parametrize("cached", [True, False])
def test_children_return_typed_values_and_raise_how_they_ended(cached: bool) -> None:
    async def run(self: ReplayWorkflow) -> Any:
        receipt = await self.child(PartWorkflow, Order("tea", 3))
        assert isinstance(receipt, Receipt)
        ends = [str(receipt.total)]
        try:
            await self.child(PartWorkflow, Order("tea", 0))
        except ChildFailed as error:
            ends.append(error.reason)
        stuck = self.options(id="stuck").child(PartWorkflow, Order("tea", -1))
        await self.sleep(1)
        try:
            await self.options(id="stuck").child("Part")
        except ValueError as error:
            ends.append(str(error))
        try:
            await stuck
        except ChildTerminated as error:
            ends.append(error.reason)
        try:
            await self.options(id="stuck").child("Part")
        except ChildNotStarted as error:
            ends.append(error.reason)
        return ends

    cls = flow(run)
    runner = Runner(cls, PartWorkflow)
    process_id = runner.start(cls, id="p")
    runner.clock.advance(1)
    runner.work()
    if not cached:
        cls.cache.clear()
    runner.manager.terminate_process("stuck", "enough")

    assert runner.finish(process_id).result == ProcessCompleted(
        [
            "30",
            "failed: ValueError: nothing to do",
            "child 'stuck' is open already",
            "terminated: enough",
            "process 'stuck' already exists: it is terminated",
        ]
    )
    assert {p.id for p in runner.manager.processes("Part", status=None) if p.id != "stuck"} == {
        d.process.id
        for d in decided(runner.manager.process_by_id("p"), object)
        if hasattr(d, "process")
    } - {"stuck"}


def test_ids_of_children_differ_between_runs() -> None:
    async def run(self: ReplayWorkflow, left: int) -> int:
        await self.child(PartWorkflow, Order("tea"))
        if left:
            self.continue_as_new(left - 1)
        return left

    cls = flow(run)
    runner = Runner(cls, PartWorkflow)

    assert runner.finish(runner.start(cls, 2, id="p")).result == ProcessCompleted(0)
    assert len(runner.manager.processes("Part", status=None)) == 3


def test_processes_signal_and_cancel_each_other() -> None:
    class WaiterWorkflow(ReplayWorkflow):
        async def run(self) -> Any:
            return [await self.signal("hello"), await self.signal("hello")]

    async def run(self: ReplayWorkflow) -> str:
        waiting = self.options(id="w").child(WaiterWorkflow)
        await self.sleep(1)
        self.signal_process("w", "hello", 1)
        self.signal_process("nobody", "hello")
        self.cancel_process("nobody")
        await self.sleep(1)
        self.cancel_process("w", "enough")
        try:
            await waiting
        except ChildFailed as error:
            return type(error).__name__
        return "completed"

    cls = flow(run)
    runner = Runner(cls, WaiterWorkflow)

    assert runner.finish(runner.start(cls)).result == ProcessCompleted("ChildCanceled")


# -- cancellation ------------------------------------------------------------------------------------------------------------------


async def booking(self: ReplayWorkflow, fail: bool) -> str:
    async with self.saga() as saga:
        await self.activity(note, "hotel")
        saga.compensate(self.activity, note, "no hotel")
        await self.activity(note, "flight")
        saga.compensate(self.activity, refuse, "refund")
        saga.compensate(self.activity, note, "no flight")
        if fail:
            await self.activity(refuse, "car")
        await self.options(category="nobody").activity(note, "pay")
    return "booked"


def test_a_failure_runs_the_compensations_backwards_and_goes_on() -> None:
    failed = run_to_end(flow(booking), True).result

    assert isinstance(failed, ProcessFailed)
    assert failed.reason == "ActivityFailed: no car"
    assert "a compensation failed: ActivityFailed: no refund" in failed.details
    assert done == ["hotel", "flight", "no flight", "no hotel"]


@pytest.mark.parametrize("cached", [True, False])
def test_canceling_a_process_runs_the_compensations(cached: bool) -> None:
    cls = flow(booking)
    runner = Runner(cls)
    runner.start(cls, False, id="p")
    if not cached:
        cls.cache.clear()
    runner.manager.cancel_process("p", "no time")
    runner.manager.cancel_process("p", "said twice")

    process = runner.finish("p")

    assert process.result == ProcessCanceled("no time")
    assert done == ["hotel", "flight", "no flight", "no hotel"]
    assert decided(process, CancelActivity) == [CancelActivity("note-3")]


@pytest.mark.parametrize("cached", [True, False])
def test_a_request_to_cancel_does_not_interrupt_compensations(cached: bool) -> None:
    async def run(self: ReplayWorkflow) -> None:
        async def both() -> None:
            await self.activity(note, "no flight")
            await self.options(category="later").activity(note, "no seat")

        async with self.saga() as saga:
            saga.compensate(self.activity, note, "no hotel")
            saga.compensate(both)
            await self.activity(refuse, "car")

    cls = flow(run)
    runner = Runner(cls)
    runner.start(cls, id="p")
    if not cached:
        cls.cache.clear()
    runner.manager.cancel_process("p")
    runner.work()
    task = runner.manager.next_activity(category="later")
    assert task is not None
    runner.manager.complete_task(task, ActivityCompleted("no seat"))

    result = runner.finish("p").result
    assert isinstance(result, ProcessFailed)
    assert result.reason == "ActivityFailed: no car"
    assert done == ["no flight", "no hotel"]


def test_a_process_that_is_canceled_before_its_first_decision_does_nothing() -> None:
    cls = flow(booking)
    runner = Runner(cls)
    runner.manager.start_process(Process(cls, "p", False))
    runner.manager.cancel_process("p")

    assert runner.finish("p").result == ProcessCanceled()
    assert done == []


def test_a_process_may_answer_a_cancel_request_with_a_result() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        try:
            await self.sleep(1000)
        except asyncio.CancelledError:
            await self.sleep(1)
            return [self.info.cancel_requested, self.info.tags]

    cls = flow(run)
    runner = Runner(cls)
    runner.start(cls, id="p")
    runner.manager.cancel_process("p")

    assert runner.finish("p").result == ProcessCompleted([True, []])


def test_a_shield_keeps_an_activity_from_being_canceled() -> None:
    async def run(self: ReplayWorkflow) -> str:
        kept = self.activity(note, "kept")
        try:
            await asyncio.wait_for(asyncio.shield(kept), 0.001)
        except TimeoutError:
            return await kept
        return "in time"

    cls = flow(run)
    runner = Runner(cls)
    runner.manager.start_process(Process(cls, "p"))
    decider = runner.workers[0]
    decider()
    runner.clock.advance(1)

    process = runner.finish("p")

    assert process.result == ProcessCompleted("kept")
    assert decided(process, CancelActivity) == []


def test_an_activity_that_ends_while_it_is_canceled_is_no_error() -> None:
    async def run(self: ReplayWorkflow) -> str:
        try:
            return await self.activity(note, "a")
        except asyncio.CancelledError:
            return "canceled"

    cls = flow(run)
    runner = Runner(cls)
    runner.manager.start_process(Process(cls, "p"))
    decider, worker = runner.workers
    decider()
    # Both are new to the next decision: the request first, then the result.
    runner.manager.cancel_process("p")
    worker()

    process = runner.finish("p")

    assert process.result == ProcessCompleted("canceled")
    assert decided(process, CancelActivity) == []


# -- what is recorded --------------------------------------------------------------------------------------------------------------


def test_chance_is_the_processs_own_and_always_the_same() -> None:
    async def run(self: ReplayWorkflow) -> Any:
        first = [self.random.random(), str(self.uuid4())]
        await self.sleep(1)
        return [*first, self.random.randint(0, 10**9), str(self.uuid4())]

    cls = flow(run)
    one, other = run_to_end(cls), run_to_end(cls)

    assert cls().decide(one) == [CompleteProcess(one.result.result)]  # type: ignore[union-attr]
    assert one.result != other.result


def test_a_side_effect_happens_once_and_is_remembered() -> None:
    asked: list[int] = []

    async def run(self: ReplayWorkflow) -> Any:
        def ask() -> int:
            asked.append(1)
            return len(asked)

        def fail() -> int:
            raise ValueError("no flag")

        value = self.side_effect(ask)
        order = self.side_effect(lambda: {"sku": "tea"}, Order)
        assert isinstance(order, Order)
        try:
            self.side_effect(fail)
        except SideEffectFailed as error:
            await self.sleep(1)
            return [value, order.sku, str(error)]

    assert result(run) == [1, "tea", "ValueError: no flag"]
    assert asked == [1]


def test_continue_as_new_begins_again_with_a_fresh_history() -> None:
    async def run(self: ReplayWorkflow, left: int = 2) -> Any:
        async with asyncio.TaskGroup():
            await self.sleep(1)
            if left:
                self.continue_as_new(left - 1, tags=["again"])
        return [self.info.run, self.info.tags]

    process = run_to_end(flow(run))

    assert process.result == ProcessCompleted([3, ["again"]])
    assert len(process.history) < 10


def test_the_decorator_makes_a_workflow_of_a_function() -> None:
    @workflow(name="Invoice", activities=ACTIVITIES)
    async def invoice(flow: ReplayWorkflow, order: Order, factor: int = 1) -> int:
        receipt = await flow.activity(charge, order)
        return receipt.total * factor

    @workflow
    async def simple(flow: ReplayWorkflow) -> str:
        return flow.info.workflow

    process = run_to_end(invoice, {"order": {"sku": "tea"}, "factor": 3})

    assert (process.workflow, process.result) == ("Invoice", ProcessCompleted(30))
    assert run_to_end(simple).result == ProcessCompleted("simple")


def test_info_and_log_know_whether_the_code_is_replayed(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[bool] = []

    async def run(self: ReplayWorkflow) -> int:
        seen.append(self.info.replaying)
        self.log.warning("begun")
        await self.sleep(1)
        self.log.warning("slept")
        return self.info.events

    cls = flow(run)
    process = run_to_end(cls)
    cls().decide(process)

    assert seen == [False, True]
    assert [record.getMessage() for record in caplog.records] == ["begun", "slept"]
    assert process.result == ProcessCompleted(5)


def test_outside_of_a_process_a_workflow_says_that_it_is_not_run() -> None:
    with pytest.raises(RuntimeError, match="not being run"):
        flow(booking)().now()


def test_completed_activities_are_shown_once(caplog: pytest.LogCaptureFixture) -> None:
    async def run(self: ReplayWorkflow) -> int:
        return await self.activity(add, 1, 1)

    process = run_to_end(flow(run))

    assert len(process.history.find(ActivityEvent)) == 1
    assert caplog.records == []
