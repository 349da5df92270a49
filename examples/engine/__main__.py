"""Run it with ``python -m examples.engine``, or on a file: ``python -m examples.engine sqlite:///engine.db``.

On a file it first takes up what an earlier run left behind, if that was killed.
"""

import asyncio
import sys
from typing import Any, cast

from pyworkflow.engine import Engine, Event, TukioTask, WorkflowTemplate, register


@register("my-task1")
async def task1(event: Event) -> dict[str, Any]:
    """Send a whole new event to the next tasks."""
    tid = cast("TukioTask", asyncio.current_task()).template.uid
    print(f"In task1 ({tid}): {event.data}", flush=True)
    return {tid: "data from task1"}


@register("my-task2")
async def task2(event: Event) -> Event:
    """Append to what it was given."""
    tid = cast("TukioTask", asyncio.current_task()).template.uid
    print(f"In task2 ({tid}): {event.data}", flush=True)
    event.data[tid] = "data from task2"
    return event


WORKFLOW = {
    "title": "workflow #1",
    "tasks": [
        {"id": "f1", "name": "my-task2"},
        {"id": "f2", "name": "my-task2"},
        {"id": "f3", "name": "my-task1"},
        {"id": "f4", "name": "my-task1"},
        {"id": "f5", "name": "my-task2"},
        {"id": "f6", "name": "my-task1"},
    ],
    "graph": {
        "f1": ["f2"],
        "f2": ["f3", "f4"],
        "f3": ["f5"],
        "f4": ["f6"],
        "f5": [],
        "f6": [],
    },
}


async def main(backend: str | None) -> None:
    """Take up what was left behind, start one workflow, and wait for the end of all."""
    async with Engine(backend=backend, lease=5) as engine:
        await engine.load(WorkflowTemplate.from_dict(WORKFLOW))
        workflows = await engine.rescue()
        workflows += await engine.data_received({"initial": "data"}) or []
        await asyncio.wait(workflows)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else None))
