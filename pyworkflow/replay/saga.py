"""Undoing what was done, when the rest fails or is canceled."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import ParamSpec, Self

from pyworkflow.failure import describe
from pyworkflow.mistakes import ControlFlow, parts
from pyworkflow.replay.loop import DeterministicLoop

P = ParamSpec("P")

_NOTHING_FAILED = (ControlFlow, GeneratorExit)


class Saga:
    """Compensations, run in reverse order when the block of ``async with`` is left by an exception or by cancellation.

    Each runs, whatever becomes of the others; what they raise is added to the exception that began it, as notes. The exception goes on.
    Nothing interrupts them: who cancels the process, or this task, meanwhile finds them done. A mistake in the code undoes nothing, in the
    block and in a compensation: it parks the process.

    Args:
        loop: The loop of the process.
    """

    def __init__(self, loop: DeterministicLoop) -> None:
        self._loop = loop
        self._compensations: list[Callable[[], Awaitable[object]]] = []

    def compensate(
        self, undo: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Add what undoes the step before.

        Args:
            undo: Called with the arguments, and awaited: ``self.activity``, for example, with an activity.
            args: Its arguments.
            kwargs: Its arguments by name.
        """
        self._compensations.append(lambda: undo(*args, **kwargs))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if error is None or any(isinstance(part, _NOTHING_FAILED) for part in parts(error)):
            return
        self._loop.refuse_mistake(error)
        for failure in await self.undo():
            error.add_note(f"a compensation failed: {describe(failure).line}")

    async def undo(self) -> list[Exception]:
        """Run the compensations now, the last first; return what they raised."""
        failures: list[Exception] = []
        while self._compensations:
            compensation = self._compensations.pop()
            try:
                await _finished(compensation())
            except Exception as error:
                self._loop.refuse_mistake(error)
                failures.append(error)
        return failures

    def __len__(self) -> int:
        return len(self._compensations)


async def _finished(undoing: Awaitable[object]) -> None:
    future = asyncio.ensure_future(undoing)
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    future.result()
