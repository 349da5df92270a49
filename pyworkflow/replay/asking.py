"""What replayed code may ask for, besides activities and child processes."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime as DateTime
from datetime import timedelta
from random import Random
from typing import Any, ClassVar, NoReturn, TypeVar, overload
from uuid import UUID

from msgspec import UNSET

from pyworkflow.codec import Json
from pyworkflow.decision import (
    ChildPolicy,
    ContinueProcess,
    Named,
    RequestCancelProcess,
    SignalProcess,
)
from pyworkflow.errors import InvalidRequestError
from pyworkflow.replay.arguments import plain, to_type
from pyworkflow.replay.calls import Calls, CallsWithOptions, Options
from pyworkflow.replay.failures import ContinueAsNew
from pyworkflow.replay.info import Info
from pyworkflow.replay.operation import Operation
from pyworkflow.replay.run import Run
from pyworkflow.replay.saga import Saga
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

_PLAIN = Options()


class Asking(Calls):
    """The methods that the code of a workflow calls on itself.

    Attributes:
        name: The name of the workflow.
    """

    name: ClassVar[str]
    _signal_handlers: ClassVar[dict[str, str]] = {}
    _run: Run | None = None

    def _running(self) -> Run:
        if self._run is None:
            raise RuntimeError(
                "this workflow is not being run: start a process, and let a worker decide it"
            )
        return self._run

    def _asking(self) -> tuple[Run, Options]:
        return self._running(), _PLAIN

    def options(
        self,
        *,
        id: str | None = None,
        category: str | None = None,
        scheduled_timeout: float | None = None,
        execution_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        retry: Retry | None = None,
        tags: tuple[str, ...] | list[str] = (),
        child_policy: str = ChildPolicy.ABANDON,
        compare: bool = True,
        on_cancel: str | None = None,
    ) -> CallsWithOptions:
        """Return what asks for activities and child processes with options, as in ``self.options(retry=…).activity(charge, order)``.

        Args:
            id: The id in the history, for one call.
            category: The queue.
            scheduled_timeout: Seconds an activity may wait for a worker.
            execution_timeout: Seconds one attempt may take.
            heartbeat_timeout: Seconds between two heartbeats.
            retry: When to try again.
            tags: The tags of a child process.
            child_policy: What becomes of a child process when this one closes, one of ``ChildPolicy``.
            compare: Whether another input than the history holds is a mismatch: False for one that holds a time or a random id.
            on_cancel: What canceling an activity means: ``"ask"`` asks it to cancel itself and waits for its end, ``"finish"`` lets it run and
                waits, ``"abandon"`` asks it and never waits, nor does a saga. If left out, it is asked, whoever awaits it goes on at once, and a
                saga waits.
        """
        options = Options(
            id=id,
            category=category,
            scheduled_timeout=scheduled_timeout,
            execution_timeout=execution_timeout,
            heartbeat_timeout=heartbeat_timeout,
            retry=retry,
            tags=tags,
            child_policy=child_policy,
            compare=compare,
            on_cancel=on_cancel,
        )
        return CallsWithOptions(self._running(), options)

    async def sleep(self, delay: float | timedelta) -> None:
        """Wait for some time, with a durable timer. ``asyncio.sleep`` does the same."""
        seconds = delay.total_seconds() if isinstance(delay, timedelta) else delay
        await asyncio.sleep(seconds)

    @overload
    def signal(self, name: str) -> Operation[Any]: ...
    @overload
    def signal(self, name: str, kind: type[T]) -> Operation[T]: ...
    def signal(self, name: str, kind: Any = Any) -> Operation[Any]:
        """Return what to await for the data of the next signal of a name. Those that came before it was asked for count, in their order.

        Args:
            name: The name of the signal; not one that has a handler.
            kind: What to convert the data to.
        """
        if name in self._signal_handlers:
            raise InvalidRequestError(f"signal {name!r}", "has a handler, which gets all of them")
        return self._running().wait_for_signal(name, to_type(kind, f"data of signal {name!r}"))

    async def signals(self, name: str) -> AsyncIterator[Any]:
        """Yield the data of all signals of a name, as they come; for ``async for``."""
        while True:
            yield await self.signal(name)

    async def wait_until(
        self, holds: Callable[[], object], timeout: float | timedelta | None = None
    ) -> None:
        """Wait until a predicate holds: for example, until a signal handler has set an attribute.

        Raises:
            TimeoutError: It did not hold in time.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        async with asyncio.timeout(seconds):
            await self._running().wait_until(holds)

    # A list of one type may stand for a tuple of two: nobody who unpacks it can tell.
    @overload
    def gather(  # pyright: ignore[reportOverlappingOverload]
        self, one: Awaitable[A], two: Awaitable[B], /
    ) -> "asyncio.Future[tuple[A, B]]": ...
    @overload
    def gather(
        self, one: Awaitable[A], two: Awaitable[B], three: Awaitable[C], /
    ) -> "asyncio.Future[tuple[A, B, C]]": ...
    @overload
    def gather(self, *each: Awaitable[T]) -> "asyncio.Future[list[T]]": ...
    def gather(self, *each: Awaitable[Any]) -> "asyncio.Future[Any]":
        """Return what to await for the results of all, in their order. ``asyncio.gather`` does the same, and has more settings.

        The first exception is raised at once, and the others go on; in an ``asyncio.TaskGroup`` they are canceled.
        """
        return asyncio.gather(*each)

    async def wait_for(self, each: Awaitable[T], timeout: float | timedelta | None) -> T:
        """Wait for some time at most; then cancel what was waited for.

        Raises:
            TimeoutError: It did not end in time.
        """
        seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else timeout
        async with asyncio.timeout(seconds):
            return await each

    def semaphore(self, value: int) -> asyncio.Semaphore:
        """Return a semaphore of this process; ``async with`` it to have so many at a time."""
        return asyncio.Semaphore(value)

    @overload
    async def race(self, one: Awaitable[A], two: Awaitable[B], /) -> A | B: ...
    @overload
    async def race(self, *contenders: Awaitable[T]) -> T: ...
    async def race(self, *contenders: Awaitable[Any]) -> Any:
        """Return the result of what ends first, or raise its exception; the others are canceled.

        Of those that end at once, the first one given counts.
        """
        racing = [asyncio.ensure_future(contender) for contender in contenders]
        try:
            await asyncio.wait(racing, return_when=asyncio.FIRST_COMPLETED)
            winner = next(contender for contender in racing if contender.done())
        finally:
            losers = [contender for contender in racing if not contender.done()]
            for loser in losers:
                loser.cancel()
            # Their cleaning up is part of the race.
            await asyncio.gather(*losers, return_exceptions=True)
        return winner.result()

    def saga(self) -> Saga:
        """Return an ``async with`` block that undoes its steps if it fails or is canceled."""
        return Saga(self._running(), self)

    def now(self) -> DateTime:
        """Return the time at which the present decision began, aware UTC; the same in every replay."""
        return self._running().now

    @property
    def random(self) -> Random:
        """Random numbers that are this process's own, and the same in every replay."""
        return self._running().random

    def uuid4(self) -> UUID:
        """Return a random UUID, the same in every replay."""
        return UUID(int=self._running().uuids.getrandbits(128), version=4)

    @overload
    def side_effect(self, function: Callable[[], T]) -> T: ...
    @overload
    def side_effect(self, function: Callable[[], Any], kind: type[T]) -> T: ...
    def side_effect(self, function: Callable[[], Any], kind: Any = Any) -> Any:
        """Call a function once, and return in every replay what it returned then. It is for short looks at the world: a flag, a setting.

        If the worker dies before the decision is recorded, it is called again.

        Args:
            function: Returns any JSON.
            kind: What to convert the value to.

        Raises:
            SideEffectFailed: It raised.
        """
        return self._running().side_effect(function, to_type(kind, "value of a side effect"))

    def patched(self, change: str) -> bool:
        """Tell whether this process takes a changed path: true for those that come here for the first time, false for those that came by before the change.

        A process keeps the answer to its first question. When no old process is left, the call can be taken out together with the old path.

        Args:
            change: A name for the change, never used before.
        """
        return self._running().patched(change)

    def continue_as_new(
        self,
        input: Json = UNSET,
        *,
        workflow: type[Named] | Named | str | None = None,
        tags: tuple[str, ...] | list[str] | None = None,
    ) -> NoReturn:
        """End this run, and begin again under the same id with a fresh history.

        Args:
            input: The input of the new run; this run's if left out.
            workflow: Its workflow, if not this one.
            tags: Its tags, if not this run's.
        """
        self._running().listen()
        given = input if input is UNSET else plain(input, "input")
        raise ContinueAsNew(ContinueProcess(given, workflow, tags))

    def signal_process(self, process_id: str, name: str, data: Json = None) -> None:
        """Signal another process. If it is unknown or closed, nothing happens."""
        run = self._running()
        signal_id = f"{run.seed('signal')[:16]}-{run.commands.next_id('signal')}"
        given: Json = {} if data is None else plain(data, "data")
        run.decide(SignalProcess(process_id, Signal(name, given, signal_id)))

    def cancel_process(self, process_id: str, details: Json = None) -> None:
        """Ask another process to cancel itself. If it is unknown or closed, nothing happens."""
        self._running().decide(RequestCancelProcess(process_id, plain(details, "details")))

    @property
    def info(self) -> Info:
        """What the code may know of its process."""
        return self._running().info()

    @property
    def log(self) -> "logging.LoggerAdapter[logging.Logger]":
        """A logger that is silent while the code is replayed."""
        return _Log(logging.getLogger(f"pyworkflow.replay.{self.name}"), self._running())


class _Log(logging.LoggerAdapter[logging.Logger]):
    def __init__(self, logger: logging.Logger, run: Run) -> None:
        super().__init__(logger, {"process_id": run.process.id})
        self._run = run

    def isEnabledFor(self, level: int) -> bool:
        """Tell whether to write anything."""
        return not self._run.info().replaying and super().isEnabledFor(level)
