"""Workflows written as plain async code, replayed from the history of their process."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import datetime as DateTime
from datetime import timedelta
from random import Random
from typing import Any, ClassVar, NoReturn, TypeVar, get_type_hints, overload
from uuid import UUID

from msgspec import UNSET

from pyworkflow.codec import Json
from pyworkflow.decision import (
    ChildPolicy,
    ContinueProcess,
    Decision,
    Named,
    RequestCancelProcess,
    SignalProcess,
)
from pyworkflow.errors import BlockedDecisionError, InvalidRequestError, PyworkflowError
from pyworkflow.event import DecisionStartedEvent
from pyworkflow.process import Process
from pyworkflow.replay.arguments import plain, to_type
from pyworkflow.replay.cache import RunCache
from pyworkflow.replay.calls import Calls, CallsWithOptions, Options
from pyworkflow.replay.failures import ContinueAsNew
from pyworkflow.replay.forbidden import guarded
from pyworkflow.replay.handlers import queries, signal_handlers
from pyworkflow.replay.info import Info
from pyworkflow.replay.operation import Operation
from pyworkflow.replay.realtime import check_code
from pyworkflow.replay.run import Run, StaleRunError
from pyworkflow.replay.saga import Saga
from pyworkflow.replay.watch import watched
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.workflow import Workflow

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")

BLOCKED_AFTER = 5.0
"""Seconds that code may run without coming back to its event loop."""

_PLAIN = Options()

_cache = RunCache()
_log = logging.getLogger("pyworkflow.replay")


class ReplayWorkflow(Workflow, Calls):
    """A workflow as an async method ``run``. Override it; what it returns completes the process, what it raises fails it.

    Between two decisions the coroutine is kept alive where it waits. A worker that has not got it makes it again: it runs the code from
    the beginning, with the results that the history holds. So the code must do the same each time, and leave everything else to activities.

    Attributes:
        blocked_after: Seconds that the code may run without awaiting; None for as long as it takes (for a debugger).
        parks_on: Exceptions that leave the process open, parked with the traceback, until the code is mended: mistakes in the
            code. Any other exception fails the process.
        compare_payloads: Whether code that passes another input than the history holds is a mismatch.
        cache: Where the coroutines of waiting processes are kept.
    """

    handles_cancel: ClassVar[bool] = True
    blocked_after: ClassVar[float | None] = BLOCKED_AFTER
    parks_on: ClassVar[tuple[type[BaseException], ...]] = (
        PyworkflowError,
        NameError,
        AttributeError,
        ImportError,
        TypeError,
        AssertionError,
    )
    compare_payloads: ClassVar[bool] = True
    cache: ClassVar[RunCache] = _cache

    _signal_handlers: ClassVar[dict[str, str]] = {}
    _queries: ClassVar[dict[str, str]] = {}
    _run: Run | None = None

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._signal_handlers = signal_handlers(cls)
        cls._queries = queries(cls)

    def run(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Do what the process is for. Every workflow overrides this with an ``async def`` of its own parameters.

        One parameter gets the whole input; several get a list's items by position, or an object's values by name. Values are converted to
        the annotated types.
        """
        raise TypeError(f"workflow {self.name!r} does not say what to run")

    # -- deciding ------------------------------------------------------------------------------------------------------------------

    def decide(self, process: Process) -> list[Decision]:
        """Run the code as far as the history goes, and return what it decides there.

        Raises:
            NondeterminismError: The code does not decide what the history holds.
            BlockedDecisionError: The code does not come back to its event loop.
        """
        job = _Job(self, process)
        key = (type(self), process.id, process.run)
        decisions = watched(job.decide, key, self.blocked_after, job.turns)
        for run in self.cache.dropped():
            self._drop(run)
        return decisions

    def _drop(self, run: Run) -> None:
        try:
            watched(run.drop, id(run), self.blocked_after, lambda: 0)
        except BlockedDecisionError as error:
            _log.warning("code that was let go blocks its thread: %s", error)

    def answer(self, process: Process, question: str, *arguments: Json) -> Json:
        """Answer a query from a process's history, open or closed."""
        if question not in self._queries:
            known = ", ".join(sorted(self._queries)) or "none"
            raise InvalidRequestError(
                f"query {question!r}", f"workflow {self.name!r} does not have it; it has: {known}"
            )
        job = _Job(self, process)
        return watched(
            lambda: job.answer(self._queries[question], arguments),
            (type(self), process.id, "query"),
            self.blocked_after,
            job.turns,
        )

    def handler_of(self, signal: str) -> Callable[..., Any] | None:
        """Return the method that handles a signal, if one does."""
        method = self._signal_handlers.get(signal)
        return None if method is None else getattr(self, method)

    def attach(self, run: Run) -> None:
        """Have the code of this object decide for a run."""
        self._run = run

    @classmethod
    def result_type(cls) -> Any:
        """Return the type that `run` is annotated to return."""
        try:
            return get_type_hints(cls.run).get("return", Any)
        except (NameError, TypeError):
            return Any

    def _running(self) -> Run:
        if self._run is None:
            raise RuntimeError(
                "this workflow is not being run: start a process, and let a worker decide it"
            )
        return self._run

    def _asking(self) -> tuple[Run, Options]:
        return self._running(), _PLAIN

    # -- what the code may ask for -------------------------------------------------------------------------------------------------

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
        return Saga()

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


class _Job:
    """One decision or query, in the thread that does it."""

    def __init__(self, workflow: ReplayWorkflow, process: Process) -> None:
        self._workflow = workflow
        self._process = process
        self._run: Run | None = None

    def turns(self) -> int:
        """Return a number that changes with progress."""
        return 0 if self._run is None else id(self._run) + self._run.loop.turns

    def decide(self) -> list[Decision]:
        """Return the decisions, with the kept run if it can go on from where it is."""
        process, cache = self._process, self._workflow.cache
        key = (type(self._workflow), process.id, process.run)
        self._run = cache.take(key, process.history)
        try:
            decisions = self._advance()
        except StaleRunError:
            self._drop()
            decisions = self._advance()
        run = self._run
        if run is None or run.finished or not _ends_open(process):
            self._drop()
        else:
            cache.keep(key, run)
        return decisions

    def _advance(self, *, beyond: bool = False) -> list[Decision]:
        if self._run is None:
            check_code(type(self._workflow))
            self._run = Run(self._workflow, self._process)
            self._workflow.attach(self._run)
        try:
            with guarded():
                return self._run.advance(self._process.history, beyond=beyond)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._run is not None:
            self._run.drop()
            self._run = None

    def answer(self, method: str, arguments: tuple[Json, ...]) -> Json:
        """Return what a method returns after all that has happened."""
        self._advance(beyond=True)
        try:
            with guarded():
                return plain(getattr(self._workflow, method)(*arguments), "answer")
        finally:
            self._drop()


def _ends_open(process: Process) -> bool:
    """Tell whether a history ends with the beginning of a decision, as every decision task's does."""
    history = process.history
    return len(history) > 0 and isinstance(history[-1], DecisionStartedEvent)
