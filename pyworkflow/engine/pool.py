"""A worker's pool that runs nothing itself: it hands activities to the engine, in the thread of the engine's event loop."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from pyworkflow.manager import Manager
from pyworkflow.task import ActivityTask
from pyworkflow.worker.pools import Pool, Report

Begin = Callable[[Sequence[ActivityTask]], None]


def post(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> None:
    """Have a loop call something, from another thread. Nothing happens if it is closed."""
    # A loop that is closed meanwhile says so in the same way as one that was before.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(call, *args)


class LoopPool(Pool):
    """Hands activities on.

    Args:
        manager: Whose activities.
        size: How many at a time.
        report: Called with each task and its result.
        loop: The event loop.
        begin: What takes them there.
    """

    def __init__(
        self,
        manager: Manager,
        size: int,
        report: Report,
        loop: asyncio.AbstractEventLoop,
        begin: Begin,
    ) -> None:
        super().__init__(manager, size, report)
        self._loop = loop
        self._begin = begin

    def submit(self, tasks: Sequence[ActivityTask]) -> None:
        """Hand tasks on."""
        post(self._loop, self._begin, tasks)

    def waiting(self) -> bool:
        """Tell that no task waits for another."""
        return False

    def spread(self) -> None:
        """Do nothing: no task waits for another."""

    def close(self) -> None:
        """Do nothing: the engine ends what it began."""
