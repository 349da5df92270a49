"""What type checkers make of the replay style; read by them only."""

import asyncio
from dataclasses import dataclass
from typing import assert_type

from pyworkflow.activity import Activity, activity
from pyworkflow.replay import (
    FunctionWorkflow,
    Operation,
    ReplayWorkflow,
    on_signal,
    query,
    workflow,
)
from pyworkflow.retry import Retry


@dataclass
class Order:
    """An input."""

    amount: int


@dataclass
class Receipt:
    """A result."""

    id: str


@activity
def charge(order: Order) -> Receipt:
    """Return a typed value."""
    return Receipt(str(order.amount))


@activity(retry=Retry(3))
async def ship(order: Order, express: bool = False) -> int:
    """Return a typed value, later."""
    return order.amount


class PackActivity(Activity):
    """An activity as a class."""

    def execute(self) -> str:
        """Return a typed value."""
        return "box"


class WrapActivity(Activity):
    """An activity as a class, with a coroutine."""

    async def execute(self) -> float:
        """Return a typed value, later."""
        return 1.0


@workflow
async def invoice(flow: ReplayWorkflow, order: Order) -> Receipt:
    """Return what an activity returned."""
    return await flow.activity(charge, order)


@workflow(name="Dunning", activities=[charge])
async def dunning(flow: ReplayWorkflow) -> None:
    """Return nothing."""
    await flow.sleep(1)


assert_type(invoice, type[FunctionWorkflow[Receipt]])
assert_type(dunning, type[FunctionWorkflow[None]])


class PartWorkflow(ReplayWorkflow):
    """A child."""

    async def run(self, order: Order) -> list[int]:
        """Return a typed value."""
        return [order.amount]


class OrderWorkflow(ReplayWorkflow):
    """A workflow that uses everything."""

    approved = False

    @on_signal
    def approve(self, who: str) -> None:
        """Take a signal."""
        self.approved = True

    @query
    def state(self) -> str:
        """Answer."""
        return "open"

    async def run(self, order: Order) -> Receipt:
        """Use everything."""
        assert_type(self.activity(charge, order), Operation[Receipt])
        assert_type(await self.activity(charge, order), Receipt)
        assert_type(await self.activity(ship, order, express=True), int)
        assert_type(await self.activity(PackActivity, order), str)
        assert_type(await self.activity(WrapActivity), float)
        assert_type(await self.options(retry=Retry(2)).activity(charge, order), Receipt)
        assert_type(await self.child(PartWorkflow, order), list[int])
        assert_type(await self.child(invoice, order), Receipt)
        assert_type(await self.signal("order", Order), Order)
        assert_type(self.side_effect(lambda: 3), int)
        both = await self.gather(self.activity(charge, order), self.activity(PackActivity))
        assert_type(both, tuple[Receipt, str])
        assert_type(await self.wait_for(self.activity(charge, order), 3), Receipt)
        assert_type(await self.race(self.activity(charge, order)), Receipt)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(self.activity(charge, order))
        assert_type(task.result(), Receipt)
        async with self.saga() as saga:
            saga.compensate(self.activity, charge, order)
        self.activity(charge, "no order")  # type: ignore[call-overload]
        return task.result()
