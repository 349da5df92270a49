"""Temporal: a workflow class and an activity, with the SDK's default worker on the development server."""

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Replayer, Worker

with workflow.unsafe.imports_passed_through():
    from benchmarks.peers.programs.common import Json, Stopwatch, order, percentiles, run, stepped

QUEUE = "bench"


@activity.defn
def step(given: Json) -> Json:
    """Do one activity."""
    return stepped(given)


async def execute(given: Json) -> Json:
    """Have the activity done."""
    result: Json = await workflow.execute_activity(
        step, given, start_to_close_timeout=timedelta(seconds=60)
    )
    return result


@workflow.defn
class Steps:
    """Does some activities one after the other."""

    @workflow.run
    async def run(self, given: Json) -> Json:
        """Do them."""
        result = given
        for _ in range(given["steps"]):
            result = await execute(result)
        return result


@workflow.defn
class Fan:
    """Does many activities at once."""

    @workflow.run
    async def run(self, given: Json) -> Json:
        """Do them."""
        await asyncio.gather(*(execute(given) for _ in range(given["count"])))
        return {"ok": True}


async def program(work: str, count: int, url: str) -> Json:
    """Measure one workload."""
    client = await Client.connect(url.removeprefix("temporal://"))

    async def start(kind: Any, number: int, **extra: int) -> Any:
        given = {**order(number), **extra}
        return await client.start_workflow(kind.run, given, id=f"{work}-{number}", task_queue=QUEUE)

    with ThreadPoolExecutor(100) as threads:
        worker = Worker(
            client,
            task_queue=QUEUE,
            workflows=[Steps, Fan],
            activities=[step],
            activity_executor=threads,
        )
        if work == "w1":
            handles = [await start(Steps, number, steps=3) for number in range(count)]
            with Stopwatch() as watch:
                async with worker:
                    await asyncio.gather(*(handle.result() for handle in handles))
                    took = watch.so_far()
            return {"rate": count / took}
        async with worker:
            await (await start(Steps, -1, steps=1)).result()
            if work == "w2":
                with Stopwatch() as watch:
                    await (await start(Fan, 1, count=count)).result()
                return {"each": watch.seconds / count * 1e6}
            if work == "w7":
                handle = await start(Steps, 1, steps=count)
                await handle.result()
                history = await handle.fetch_history()
                with Stopwatch() as watch:
                    await Replayer(workflows=[Steps]).replay_workflow(history)
                return {"replay": watch.seconds * 1e3}
            latencies = []
            for number in range(count):
                with Stopwatch() as watch:
                    await (await start(Steps, number, steps=1)).result()
                latencies.append(watch.seconds)
            return percentiles(latencies)


def measure(work: str, count: int, url: str) -> Json:
    """Measure one workload."""
    return asyncio.run(program(work, count, url))


if __name__ == "__main__":
    # The sandbox imports the module of a workflow by its name.
    sys.modules.setdefault("benchmarks.peers.programs.temporal_program", sys.modules["__main__"])
    run(measure)
