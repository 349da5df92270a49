"""The workflows whose histories are in ``tests/histories``. They never change: `python -m tests.unit.replay_golden` records those that are missing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pyworkflow.activity import activity
from pyworkflow.manager import Manager
from pyworkflow.replay import ActivityFailed, ChildFailed, ReplayWorkflow, on_signal
from pyworkflow.testing.replay import record
from pyworkflow.testing.run import Runner

FOLDER = Path(__file__).parents[1] / "histories"


@dataclass
class Order:
    sku: str
    amount: int


@activity
def reserve(order: Order) -> str:
    return f"reserved {order.sku}"


@activity
def release(order: Order) -> str:
    return f"released {order.sku}"


@activity
def charge(order: Order) -> int:
    if order.amount > 100:
        raise ValueError("card declined")
    return order.amount * 3


class OrderWorkflow(ReplayWorkflow):
    activities = (reserve, release, charge)

    async def run(self, order: Order) -> dict[str, Any]:
        async with self.saga() as saga:
            await self.activity(reserve, order)
            saga.compensate(self.activity, release, order)
            try:
                paid = await asyncio.wait_for(self.signal("paid"), 3600)
            except TimeoutError:
                paid = None
            total = await self.activity(charge, order)
        return {"paid": paid, "total": total, "id": str(self.uuid4()), "now": self.now()}


class ParallelWorkflow(ReplayWorkflow):
    activities = (reserve, release, charge)

    async def run(self, amounts: list[int]) -> list[Any]:
        limit = self.semaphore(2)

        async def one(amount: int) -> int:
            async with limit:
                await asyncio.sleep(amount)
                return await self.activity(charge, Order("tea", amount))

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(amount)) for amount in amounts]
        first = await self.race(self.sleep(9), self.activity(reserve, Order("cup", 1)))
        done, pending = await asyncio.wait(
            [asyncio.create_task(one(5)), asyncio.create_task(one(2))],
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in pending:
            task.cancel()
        seen = [await each for each in asyncio.as_completed([self.activity(charge, Order("x", 1))])]
        return [[task.result() for task in tasks], first, len(done), seen]


class TalkWorkflow(ReplayWorkflow):
    activities = (reserve, release, charge)

    def __init__(self) -> None:
        self.said: list[str] = []

    @on_signal
    def say(self, text: str) -> None:
        self.said.append(text)

    async def run(self, left: int = 1) -> Any:
        flag = self.side_effect(lambda: "on")
        if self.patched("charge first"):
            await self.activity(charge, Order("tea", 1))
        try:
            await self.child(OrderWorkflow, Order("tea", 101))
        except ChildFailed as error:
            self.said.append(type(error).__name__)
        try:
            await self.activity(charge, Order("tea", 200))
        except ActivityFailed as error:
            self.said.append(str(error.reason))
        await self.wait_until(lambda: "bye" in self.said, timeout=60)
        self.signal_process("nobody", "hello", self.said)
        if left:
            self.continue_as_new(left - 1)
        return [flag, self.said, self.random.random()]


Act = Callable[[Manager], object]

CASES: dict[str, tuple[type[ReplayWorkflow], Any, list[Act]]] = {
    "order_paid": (
        OrderWorkflow,
        {"sku": "tea", "amount": 2},
        [lambda m: m.signal_process("p", "paid", True)],
    ),
    "order_late": (OrderWorkflow, {"sku": "tea", "amount": 2}, []),
    "order_declined": (
        OrderWorkflow,
        {"sku": "tea", "amount": 101},
        [lambda m: m.signal_process("p", "paid", 1)],
    ),
    "order_canceled": (
        OrderWorkflow,
        {"sku": "tea", "amount": 2},
        [lambda m: m.cancel_process("p", "no")],
    ),
    "parallel": (ParallelWorkflow, [3, 1, 2], []),
    "parallel_failed": (ParallelWorkflow, [3, 101, 2], []),
    "talk": (
        TalkWorkflow,
        0,
        [
            lambda m: m.signal_process("p", "say", "hi"),
            lambda m: m.signal_process("p", "say", "bye"),
        ],
    ),
    "talk_continued": (TalkWorkflow, 1, [lambda m: m.signal_process("p", "say", "bye")]),
}


def main() -> None:
    """Record the histories that are not there yet."""
    for name, (workflow, given, acts) in CASES.items():
        path = FOLDER / f"{name}.json"
        if path.exists():
            continue
        runner = Runner(workflow, *({OrderWorkflow} - {workflow}))
        runner.start(workflow, given, id="p")
        for act in acts:
            act(runner.manager)
            runner.work()
        runner.finish("p")
        record(runner.manager.process_by_id("p:1"), path)


if __name__ == "__main__":
    main()
