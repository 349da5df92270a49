"""A worker's pool that runs nothing itself: it hands activities to the engine, in the thread of the engine's event loop."""

import asyncio
from collections.abc import Callable, Sequence

from pyworkflow.manager import Manager
from pyworkflow.task import ActivityTask
from pyworkflow.worker.pools import Pool, Report

Begin = Callable[[Sequence[ActivityTask]], None]


def post(loop: asyncio.AbstractEventLoop, call: Callable[..., object], *args: object) -> bool:
    """Have a loop call something, from another thread. Return False if it is closed."""
    try:
        loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        # A loop that is closed meanwhile says so in the same way as one that was before.
        return False
    return True


class LoopPool(Pool):
    """Hands activities on.

    Args:
        manager: Whose activities.
        size: How many at a time.
        report: Called with each task and its result.
        loop: The event loop.
        begin: What takes them there.
        lost: Called if the loop is closed.
    """

    def __init__(
        self,
        manager: Manager,
        size: int,
        report: Report,
        loop: asyncio.AbstractEventLoop,
        begin: Begin,
        lost: Callable[[], None],
    ) -> None:
        super().__init__(manager, size, report)
        self._loop = loop
        self._begin = begin
        self._lost = lost

    def submit(self, tasks: Sequence[ActivityTask]) -> None:
        """Hand tasks on."""
        if not post(self._loop, self._begin, tasks):
            self._lost()

    def waiting(self) -> bool:
        """Tell that no task waits for another."""
        return False

    def spread(self) -> None:
        """Do nothing: no task waits for another."""

    def close(self) -> None:
        """Do nothing: the engine ends what it began."""
