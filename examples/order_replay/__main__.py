"""Sell three things, in one thread and without waiting: ``python -m examples.order_replay``."""

from examples.order_replay import Order, OrderWorkflow
from pyworkflow.codec import to_plain
from pyworkflow.event import ActivityEvent
from pyworkflow.process import Process
from pyworkflow.testing.run import Runner


def main() -> None:
    """Print how each order went."""
    runner = Runner(OrderWorkflow)
    manager = runner.manager
    for sku in ("tea", "gold", "cup"):
        manager.start_process(Process(OrderWorkflow, sku, to_plain(Order(sku, 2))))
        runner.work()
        manager.signal_process(sku, "deliver_to", "Berlin")
    runner.work()
    manager.cancel_process("cup", "changed my mind")
    print("tea is", manager.query("tea", "status"))
    for sku in ("tea", "gold", "cup"):
        process = runner.finish(sku)
        done = [
            event.activity_execution.activity
            for event in process.history
            if isinstance(event, ActivityEvent)
        ]
        print(f"{sku}: {process.status}, {', '.join(done)}")


if __name__ == "__main__":
    main()
