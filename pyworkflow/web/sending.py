"""Sending events in batches: those that come while others are being recorded are recorded together, in one transaction."""

import asyncio
from collections import deque

from pyworkflow.process import Process
from pyworkflow.services import Services, Wanted
from pyworkflow.web.pool import BUSY, Pool
from pyworkflow.web.problems import Problem

MOST_AT_ONCE = 200


class Sender:
    """Records events for the requests of one event loop.

    Args:
        services: Whose events.
        pool: Where the backend is called.
        most: How many may wait.
    """

    def __init__(self, services: Services, pool: Pool, most: int) -> None:
        self._services = services
        self._pool = pool
        self._most = most
        self._waiting: deque[tuple[Wanted, asyncio.Future[Process]]] = deque()
        self._task: asyncio.Task[None] | None = None

    async def send(self, wanted: Wanted) -> Process:
        """Send an event; return its process.

        Raises:
            PyworkflowError: It is refused.
            Problem: The backend cannot be used now, or too many wait for it.
        """
        if len(self._waiting) >= self._most:
            raise Problem(503, "too many events wait to be recorded", headers=BUSY)
        future: asyncio.Future[Process] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._work())
        return await future

    async def _work(self) -> None:
        while self._waiting:
            count = min(len(self._waiting), MOST_AT_ONCE)
            batch = [self._waiting.popleft() for _ in range(count)]
            sent: list[Process | Exception]
            try:
                sent = [*await self._pool.run(self._services.send, [each[0] for each in batch])]
            except Exception as error:  # whatever it is, it is the answer to each of these requests
                sent = [error] * count
            for (_, future), result in zip(batch, sent, strict=True):
                _settle(future, result)


def _settle(future: "asyncio.Future[Process]", result: Process | Exception) -> None:
    if future.done():
        # Its client has hung up.
        return
    if isinstance(result, Process):
        future.set_result(result)
    else:
        future.set_exception(result)
