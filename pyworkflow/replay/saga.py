"""Undoing what was done, when the rest fails or is canceled."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar, overload

from pyworkflow.activity import ActivityFunction
from pyworkflow.failure import describe
from pyworkflow.mistakes import ControlFlow, parts
from pyworkflow.replay.calls import Calls
from pyworkflow.replay.operation import OnCancel, Operation
from pyworkflow.replay.requests import Requests, scope
from pyworkflow.result import ActivityCompleted, ActivityTimedOut

P = ParamSpec("P")
T = TypeVar("T")

_NOTHING_FAILED = (ControlFlow, GeneratorExit)

_NEVER_BEGUN = "schedule_to_start"
"""The details of the time-out of an activity that no worker has begun."""


class Saga:
    """Compensations, run in reverse order when the block of ``async with`` is left by an exception or by cancellation.

    Nothing is undone while it may still be done: the activities that were begun in the block are asked to cancel themselves first, and have
    ended before the first compensation begins. The block is left only when all of them have ended, also where nothing failed.

    Each compensation runs, whatever becomes of the others; what they raise is added to the exception that began it, as notes. The exception goes on.
    Nothing interrupts them: who cancels the process, or this task, meanwhile finds them done. A mistake in the code undoes nothing, in the
    block and in a compensation: it parks the process.

    Args:
        run: The run of the process.
        calls: Asks for activities.
    """

    def __init__(self, run: Requests, calls: Calls) -> None:
        self._run = run
        self._calls = calls
        self._scope = scope()
        self._compensations: list[
            tuple[Callable[[], Awaitable[object]], Operation[Any] | None]
        ] = []

    @overload
    def do(
        self,
        activity: ActivityFunction[..., Coroutine[Any, Any, T]],
        *args: Any,
        undo: Any,
        options: Calls | None = None,
        **kwargs: Any,
    ) -> Operation[T]: ...
    @overload
    def do(
        self,
        activity: ActivityFunction[..., T],
        *args: Any,
        undo: Any,
        options: Calls | None = None,
        **kwargs: Any,
    ) -> Operation[T]: ...
    @overload
    def do(
        self,
        activity: Any,
        *args: Any,
        undo: Any,
        options: Calls | None = None,
        **kwargs: Any,
    ) -> Operation[Any]: ...
    def do(
        self,
        activity: Any,
        *args: Any,
        undo: Any,
        options: Calls | None = None,
        **kwargs: Any,
    ) -> Operation[Any]:
        """Schedule an activity together with the one that undoes it; return what to await for its result.

        It is undone if it has completed, or may have: if it timed out once a worker had it, or is abandoned. One that failed or was canceled
        is not, nor one that never began.

        Args:
            activity: As for ``self.activity``.
            args: Its arguments.
            undo: The activity that undoes it, called with the same arguments; or a function of its result that returns what to await, called
                with None where the result is not known.
            options: What ``self.options(…)`` returns, for the activity.
            kwargs: Its arguments by name.
        """
        operation = (options or self._calls).activity(activity, *args, **kwargs)

        def compensation() -> Awaitable[object]:
            if isinstance(undo, ActivityFunction | type | str):
                return self._calls.activity(undo, *args, **kwargs)
            undoing: Awaitable[object] = undo(operation.known_result())
            return undoing

        self._compensations.append((compensation, operation))
        return operation

    def compensate(
        self, undo: Callable[P, Awaitable[object]], *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Add what undoes the step before, whatever has become of that.

        Args:
            undo: Called with the arguments, and awaited: ``self.activity``, for example, with an activity.
            args: Its arguments.
            kwargs: Its arguments by name.
        """
        self._compensations.append((lambda: undo(*args, **kwargs), None))

    async def gather(self, *each: Awaitable[T]) -> list[T]:
        """Return the results of all, in their order. If one fails, the others are canceled, and have ended before it is raised."""
        futures = [asyncio.ensure_future(one) for one in each]
        try:
            return list(await asyncio.gather(*futures))
        finally:
            left = [future for future in futures if not future.done()]
            for future in left:
                future.cancel()
            if left:
                await _finished(asyncio.wait(left))

    async def __aenter__(self) -> Self:
        self._scope.__enter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._scope.__exit__()
        if error is None:
            try:
                await self._ends()
            except asyncio.CancelledError as canceled:
                await self._fail(canceled)
                raise
        elif not any(isinstance(part, _NOTHING_FAILED) for part in parts(error)):
            self._run.loop.refuse_mistake(error)
            await self._fail(error)

    async def _fail(self, error: BaseException) -> None:
        for failure in await self.undo():
            error.add_note(f"a compensation failed: {describe(failure).line}")

    async def _ends(self) -> None:
        """Wait until the activities that were begun in the block have ended."""
        for operation in self._scope.operations:
            if operation.on_cancel != OnCancel.ABANDON:
                await operation.end()

    async def undo(self) -> list[Exception]:
        """Run the compensations now, the last first; return what they raised. Activities that still run are canceled, and have ended before."""
        for operation in self._scope.operations:
            operation.cancel()
        await _finished(self._ends())
        failures: list[Exception] = []
        while self._compensations:
            compensation, undone = self._compensations.pop()
            if undone is not None and not _may_be_done(undone):
                continue
            try:
                await _finished(compensation())
            except Exception as error:
                self._run.loop.refuse_mistake(error)
                failures.append(error)
        return failures

    def __len__(self) -> int:
        return len(self._compensations)


def _may_be_done(operation: Operation[Any]) -> bool:
    outcome: object = operation.outcome
    if not operation.ended or isinstance(outcome, ActivityCompleted):
        return True
    return isinstance(outcome, ActivityTimedOut) and outcome.details != _NEVER_BEGUN


async def _finished(undoing: Awaitable[object]) -> None:
    future = asyncio.ensure_future(undoing)
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])
    future.result()
