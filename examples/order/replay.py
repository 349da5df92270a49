"""The order as plain async code."""

from examples.order.activities import ACTIVITIES, Order, charge, refund, release, reserve, ship
from pyworkflow.replay import ReplayWorkflow


class ReplayOrderWorkflow(ReplayWorkflow):
    """Sells something."""

    name = "OrderByReplay"
    activities = ACTIVITIES

    async def run(self, order: Order) -> str:
        """Sell, or undo what was done."""
        async with self.saga() as saga:
            reservation = await self.activity(reserve, order)
            saga.compensate(self.activity, release, reservation)
            cents = await self.activity(charge, order)
            saga.compensate(self.activity, refund, cents)
            await self.activity(ship, order)
        return "sold"
