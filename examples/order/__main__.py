"""Sell three things in each style, in one thread and without waiting: ``python -m examples.order``."""

from examples.order import STYLES, Order
from pyworkflow.codec import to_plain
from pyworkflow.event import ActivityEvent
from pyworkflow.testing.run import Runner

ORDERS = (Order("tea", 2), Order("gold", 1, fails_at="charge"), Order("glass", 3, fails_at="ship"))


def main() -> None:
    """Print how each order went."""
    runner = Runner(*STYLES)
    for workflow in STYLES:
        for order in ORDERS:
            process = runner.finish(runner.start(workflow, to_plain(order)))
            done = [
                event.activity_execution.activity
                for event in process.history
                if isinstance(event, ActivityEvent)
            ]
            print(f"{workflow.name}, {order.sku}: {process.status}, {', '.join(done)}")


if __name__ == "__main__":
    main()
