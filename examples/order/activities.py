"""What is done for an order, whatever the style of its workflow."""

from dataclasses import dataclass

from pyworkflow.activity import AnyActivity, activity


@dataclass
class Order:
    """What is ordered.

    Attributes:
        sku: What.
        amount: How many.
        fails_at: The activity that does not succeed, for trying out what happens then.
    """

    sku: str
    amount: int
    fails_at: str | None = None


def _see_to_failure(order: Order, step: str) -> None:
    if order.fails_at == step:
        raise RuntimeError(f"cannot {step} {order.amount} {order.sku}")


@activity
def reserve(order: Order) -> str:
    """Keep the goods for the customer."""
    _see_to_failure(order, "reserve")
    return f"{order.amount} {order.sku} on shelf 7"


@activity
def charge(order: Order) -> int:
    """Take the money, in cents."""
    _see_to_failure(order, "charge")
    return order.amount * 250


@activity
def ship(order: Order) -> str:
    """Send the goods."""
    _see_to_failure(order, "ship")
    return f"parcel of {order.amount} {order.sku}"


@activity
def release(reservation: str) -> str:
    """Undo `reserve`."""
    return f"released {reservation}"


@activity
def refund(cents: int) -> str:
    """Undo `charge`."""
    return f"refunded {cents}"


STEPS: tuple[AnyActivity, ...] = (reserve, charge, ship)
UNDO: dict[str, AnyActivity] = {reserve.name: release, charge.name: refund}
ACTIVITIES = (*STEPS, *UNDO.values())
