"""An order as plain async code: reserve, ask for the payment, charge, ship; and undo it all if it fails or is canceled."""

from dataclasses import dataclass

from pyworkflow.activity import activity
from pyworkflow.replay import ReplayWorkflow, on_signal, query
from pyworkflow.retry import Retry

DAY = 86_400


@dataclass
class Order:
    """What is ordered."""

    sku: str
    amount: int
    express: bool = False


@dataclass
class Receipt:
    """What was paid."""

    number: str
    total: int


@activity
def reserve(order: Order) -> str:
    """Keep the goods for the customer."""
    return f"{order.amount} {order.sku}"


@activity
def release(reservation: str) -> None:
    """Undo `reserve`."""


@activity(retry=Retry(max_attempts=3))
def charge(order: Order, address: str) -> Receipt:
    """Take the money."""
    if order.sku == "gold":
        raise ValueError("the card was declined")
    return Receipt(f"R-{order.sku}", order.amount * 10)


@activity
def refund(receipt: Receipt) -> None:
    """Undo `charge`."""


@activity
def ship(order: Order, address: str) -> str:
    """Send the goods."""
    return f"{order.amount} {order.sku} to {address}"


class OrderWorkflow(ReplayWorkflow):
    """Sells something."""

    activities = (reserve, release, charge, refund, ship)

    def __init__(self) -> None:
        self.state = "new"
        self.address: str | None = None

    @on_signal
    def deliver_to(self, address: str) -> None:
        """Learn where to."""
        self.address = address

    @query
    def status(self) -> str:
        """Tell how far it is."""
        return self.state

    async def run(self, order: Order) -> str:
        """Sell, or undo what was done."""
        async with self.saga() as saga:
            reservation = await self.activity(reserve, order)
            saga.compensate(self.activity, release, reservation)
            self.state = "reserved"

            await self.wait_until(lambda: self.address, timeout=7 * DAY)
            address = self.address or ""
            receipt = await self.activity(charge, order, address)
            saga.compensate(self.activity, refund, receipt)
            self.state = "paid"

            if not order.express:
                await self.sleep(2 * DAY)
            self.state = "shipping"
            return await self.activity(ship, order, address)
