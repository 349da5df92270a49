"""procrastinate: jobs on PostgreSQL, each of which defers the next one. It keeps no history and no results: a task tells that it is done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from procrastinate import App, PsycopgConnector

from benchmarks.peers.programs.common import Json, Stopwatch, order, percentiles, run, stepped


class Countdown:
    """Lets a client wait until so many tasks have told that they are done."""

    def __init__(self) -> None:
        self._left = 0
        self._over = asyncio.Event()

    def begin(self, count: int) -> None:
        """Wait for so many from now on."""
        self._left = count
        self._over.clear()

    def one(self) -> None:
        """Count one."""
        self._left -= 1
        if self._left == 0:
            self._over.set()

    async def end(self) -> None:
        """Wait for the last."""
        await self._over.wait()


async def program(work: str, count: int, url: str) -> Json:
    """Measure one workload."""
    # As many jobs at a time as there are connections.
    app = App(connector=PsycopgConnector(conninfo=url, max_size=20))
    countdown = Countdown()

    @app.task()
    async def step(given: Json, steps: int) -> None:
        result = stepped(given)
        if result["step"] < steps:
            await step.defer_async(given=result, steps=steps)
        else:
            countdown.one()

    @asynccontextmanager
    async def working() -> AsyncIterator[None]:
        worker = asyncio.create_task(app.run_worker_async(concurrency=20, wait=True))
        yield
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        countdown.begin(count)
        if work == "w1":
            given = [{"given": order(number), "steps": 3} for number in range(count)]
            await step.batch_defer_async(*given)
            with Stopwatch() as watch:
                async with working():
                    await countdown.end()
                    took = watch.so_far()
            return {"rate": count / took}
        async with working():
            countdown.begin(1)
            await step.defer_async(given=order(0), steps=1)
            await countdown.end()
            countdown.begin(count)
            if work == "w2":
                with Stopwatch() as watch:
                    await step.batch_defer_async(*[{"given": order(1), "steps": 1}] * count)
                    await countdown.end()
                return {"each": watch.seconds / count * 1e6}
            latencies = []
            for number in range(count):
                countdown.begin(1)
                with Stopwatch() as watch:
                    await step.defer_async(given=order(number), steps=1)
                    await countdown.end()
                latencies.append(watch.seconds)
            return percentiles(latencies)


def measure(work: str, count: int, url: str) -> Json:
    """Measure one workload."""
    return asyncio.run(program(work, count, url))


if __name__ == "__main__":
    run(measure)
