# pyright: reportMissingImports=false
"""Processes of three activities by garcon: ``python -m benchmarks.swf_peers.garcon_program DOMAIN COUNT``."""

import sys
from types import SimpleNamespace
from typing import Any

from garcon import activity, decider, runner

from benchmarks.swf_peers import counting


def step(context: Any, activity: Any) -> dict[str, int]:
    """Count on."""
    return {"step": int(context.get("step", 0)) + 1}


def main() -> None:
    """Start, decide and work until all is done."""
    domain, count = sys.argv[1], int(sys.argv[2])
    client = counting.client()
    create = activity.create(client, domain, "order")
    flow = SimpleNamespace(domain=domain, name="order", client=client, version="1.0")
    before: list[Any] = []
    for number in range(3):
        one = create(name=f"step{number}", requires=before, tasks=runner.Sync(step))
        setattr(flow, f"step{number}", one)
        before = [one]
    decides = decider.DeciderWorker(flow)
    counting.count()
    for number in range(count):
        client.start_workflow_execution(
            domain=domain,
            workflowId=f"p{number}",
            workflowType={"name": "order", "version": "1.0"},
            taskList={"name": "order"},
            input="{}",
            executionStartToCloseTimeout="3600",
            taskStartToCloseTimeout="60",
            childPolicy="TERMINATE",
        )
        for index in range(3):
            decides.run()
            getattr(flow, f"step{index}").run()
        decides.run()
    if counting.is_open(domain, count):
        sys.exit("not all processes are completed")
    counting.report()


if __name__ == "__main__":
    main()
