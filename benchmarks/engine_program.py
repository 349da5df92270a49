"""``python -m benchmarks.engine_program MODULE COUNT``: one program for both, the event engine and the first tukio, whose name MODULE is.

Prints workflows per second of processor time as JSON (both work in one thread and wait for nothing, and the machine may be busy): ``begun``, until all have begun and none has ended; ``whole``, from the first start to the last end.
It has to run on Python 3.8, the last one that tukio runs on.
"""

import asyncio
import gc
import json
import sys
import time
from importlib import import_module
from typing import Any

engine_module: Any = import_module(sys.argv[1])
register: Any = import_module(sys.argv[2]).register
count = int(sys.argv[3])


class Gate:
    """What the first tasks wait for, if they are to, and how many of them have begun."""

    begun = 0
    open: Any = None


@register("bench-step")
async def step(event: Any) -> Any:
    """Return the number of the step."""
    order = event.data
    return {"order": order["order"], "step": order.get("step", 0) + 1, "ok": True}


@register("bench-first")
async def first(event: Any) -> Any:
    """Wait, then do the same."""
    Gate.begun += 1
    if Gate.open is not None:
        await Gate.open.wait()
    return await step(event)


TEMPLATE = {
    "policy": "start-new",
    "tasks": [
        {"id": "a", "name": "bench-first"},
        {"id": "b", "name": "bench-step"},
        {"id": "c", "name": "bench-step"},
    ],
    "graph": {"a": ["b"], "b": ["c"], "c": []},
}


async def measured(wait: bool) -> float:
    """Return workflows per second: until all have begun, or until all have ended."""
    engine = engine_module.Engine(loop=asyncio.get_running_loop())
    template = engine_module.WorkflowTemplate.from_dict(TEMPLATE)
    await engine.load(template)
    Gate.begun, Gate.open = 0, asyncio.Event() if wait else None
    # What the measurement before has left is none of this one's work.
    gc.collect()
    start = time.process_time()
    workflows = [
        await engine.trigger(template.uid, {"order": number, "sku": "A-1001", "qty": 2})
        for number in range(count)
    ]
    if wait:
        while Gate.begun < count:
            await asyncio.sleep(0)
        spent = time.process_time() - start
        Gate.open.set()
        await asyncio.wait(workflows)
        return count / spent
    await asyncio.wait(workflows)
    return count / (time.process_time() - start)


async def main() -> None:
    """Warm up, measure, print."""
    await measured(False)
    figures = {"begun": await measured(True), "whole": await measured(False)}
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
