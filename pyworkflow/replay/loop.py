"""An event loop whose only clock and only input are a history: what runs on it runs again the same way.

asyncio's own futures, tasks, locks, queues, task groups and timeouts work on it unchanged, because all they use of a loop is here. Delays
become durable timers. The rest of a loop is refused with advice.
"""

import asyncio
import inspect
import logging
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from math import inf
from typing import Any, Protocol, TypeVar

from pyworkflow.errors import BlockedDecisionError
from pyworkflow.mistakes import MISTAKES, is_mistake
from pyworkflow.replay.closing import Generators, close_task
from pyworkflow.replay.failures import refuse
from pyworkflow.replay.forbidden import LOOP, forbid
from pyworkflow.replay.operation import NumberedFuture, NumberedTask
from pyworkflow.watch import Dropped

T = TypeVar("T")

log = logging.getLogger("pyworkflow.replay")

MAX_TURNS = 1_000_000
"""Callbacks between two events of a history, after which code counts as going in circles."""

_TASKS_FILE = asyncio.tasks.__file__


class Timers(Protocol):
    """What starts and cancels durable timers for a loop."""

    def start_timer(self, handle: asyncio.TimerHandle, delay: float) -> None:
        """Have a handle run after some seconds."""

    def cancel_timer(self, handle: asyncio.TimerHandle) -> None:
        """Have a handle never run."""


class Condition:
    """A predicate that somebody waits for."""

    def __init__(self, holds: Callable[[], object], waiter: "asyncio.Future[None]") -> None:
        self.holds = holds
        self.waiter = waiter

    def settle(self, mistakes: tuple[type[BaseException], ...]) -> bool:
        """End the waiting if the predicate holds or raises; tell whether nobody waits any more.

        Raises:
            BaseException: The predicate has raised a mistake.
        """
        if not self.waiter.done():
            try:
                if self.holds():
                    self.waiter.set_result(None)
            except Exception as error:
                if is_mistake(error, mistakes):
                    raise
                self.waiter.set_exception(error)
        return self.waiter.done()


class DeterministicLoop(asyncio.AbstractEventLoop):
    """Runs callbacks in the order in which they became ready, until none is.

    A mistake in the code stops it, before anything comes of the mistake: where a task ends with one, and where code asks for anything
    while it handles one, in an ``except`` or ``finally`` block say.

    Args:
        timers: What makes delays durable.
        mistakes: The exceptions that are mistakes in the code.

    Attributes:
        turns: How many callbacks have run.
        error: What `run` raises as soon as the present callback returns.
        over: Whether the run is over.
        generators: The async generators of the code.
        outer_error: What was handled when the loop became the current one: it is none of the code's.
    """

    def __init__(
        self, timers: Timers, mistakes: tuple[type[BaseException], ...] = MISTAKES
    ) -> None:
        self._timers = timers
        self.generators = Generators(self)
        self._mistakes = mistakes
        self.outer_error: BaseException | None = None
        self._ready: deque[asyncio.Handle] = deque()
        self._tasks: dict[NumberedTask[Any], None] = {}
        self._numbers = 0
        self._conditions: list[Condition] = []
        self._now = 0.0
        self.turns = 0
        self.error: BaseException | None = None
        self.over = False

    # -- what is driven from outside -----------------------------------------------------------------------------------------------

    def run(self, now: float) -> None:
        """Run until nothing is ready. It has to be the `current` loop.

        Args:
            now: What the loop's time is meanwhile.

        Raises:
            BlockedDecisionError: It never comes to rest.
            BaseException: A mistake in the code, or what a callback raised.
        """
        self._now = now
        limit = self.turns + MAX_TURNS
        while True:
            self._run_ready(limit)
            if not self._check_conditions():
                return

    def current(self) -> "_Current":
        """Make it the running loop of this thread, for a block."""
        return _Current(self)

    def _run_ready(self, limit: int) -> None:
        ready = self._ready
        while ready:
            handle = ready.popleft()
            self.turns += 1
            if not handle.cancelled():
                handle._run()
            if self.error is not None:
                error, self.error = self.error, None
                raise error
            if self.over:
                refuse()
            if self.turns > limit:
                raise BlockedDecisionError(
                    f"the workflow never comes to rest: {MAX_TURNS} turns of its loop without waiting for anything"
                )

    def _check_conditions(self) -> bool:
        if not self._conditions:
            return False
        waiting = self._conditions
        self._conditions = [c for c in waiting if not c.settle(self._mistakes)]
        return len(self._conditions) < len(waiting)

    def until(self, condition: Condition) -> None:
        """Resolve a condition's waiter as soon as it holds when the loop comes to rest."""
        self._conditions.append(condition)

    def listen(self) -> None:
        """Refuse what the code asks for if the run is over, or if the code handles a mistake: nothing comes of that.

        Raises:
            Dropped: The run is over, or is abandoned.
        """
        self.check_handled()
        if self.over or self.error is not None:
            refuse()

    def check_handled(self) -> None:
        """Abandon the decision as soon as the present callback returns, if the code handles a mistake."""
        handled = sys.exception()
        # Whoever runs this loop may handle an exception of its own.
        if handled is None or handled is self.outer_error or self.error is not None:
            return
        if events._get_running_loop() is self and is_mistake(handled, self._mistakes):
            self.error = handled

    def refuse_mistake(self, error: BaseException) -> None:
        """Abandon the decision if an exception is a mistake.

        Raises:
            Dropped: It is one; `run` raises it.
        """
        if is_mistake(error, self._mistakes):
            self.error = self.error or error
            refuse()

    def fire(self, handle: asyncio.TimerHandle) -> None:
        """Have a timer's callback run next."""
        self._ready.append(handle)

    def drop(self) -> None:
        """Let go of all tasks and async generators. Their ``finally`` blocks run up to the first ``await``; whatever they ask for is refused."""
        self.over = True
        self._ready.clear()
        self._conditions.clear()
        if not self._tasks and self.generators.is_empty:
            return
        with self.current():
            for task in list(self._tasks):
                close_task(task)
            self.generators.close()
        self._tasks.clear()

    def tasks(self) -> "list[asyncio.Task[Any]]":
        """Return the tasks that have not ended, in the order in which they began."""
        return list(self._tasks)

    # -- what asyncio uses ---------------------------------------------------------------------------------------------------------

    def number(self) -> int:
        """Return the next place in the order of this loop."""
        self._numbers += 1
        return self._numbers

    def time(self) -> float:
        """Return the time of the history, in seconds since 1970."""
        return self._now

    def get_debug(self) -> bool:
        """Tell that it is not debugged."""
        return False

    def get_task_factory(self) -> None:
        """Tell that tasks are made by the loop itself."""
        return

    def get_exception_handler(self) -> None:
        """Tell that exceptions are handled by the loop itself."""
        return

    def is_running(self) -> bool:
        """Tell that it runs: only code on it can ask."""
        return True

    def is_closed(self) -> bool:
        """Tell whether the run is over."""
        return self.over

    def create_future(self) -> "asyncio.Future[Any]":
        """Return a new future."""
        return NumberedFuture(self.number(), self)

    def create_task(
        self,
        coro: "Coroutine[Any, Any, T] | Generator[Any, None, T] | asyncio.Future[T]",
        *,
        name: str | None = None,
        context: Context | None = None,
        **settings: Any,
    ) -> "asyncio.Task[T]":
        """Return a new task of a coroutine, or of something that has begun already.

        Raises:
            TypeError: For a generator, which asyncio takes on Python 3.11 and refuses later.
        """
        _refuse_set_order()
        if isinstance(coro, Generator):
            raise TypeError(f"a coroutine was expected, got {coro!r}")
        work = _awaiting(coro) if asyncio.isfuture(coro) else coro
        task = NumberedTask(self.number(), work, self, name, context)
        task.forget_quietly()
        if self.over:
            # A block that cleans up begins something: it gets a task that never runs.
            close_task(task)
            return task
        # Held until it is done: a task that only it itself knows of would vanish at some collection of garbage.
        self._tasks[task] = None
        asyncio.Task.add_done_callback(task, self._forget)
        self.check_handled()
        return task

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        assert isinstance(task, NumberedTask)  # noqa: S101 - the loop makes no others
        self._tasks.pop(task, None)
        # The method that returns it would count it as retrieved.
        error = task._exception
        if error is not None and not self.over and is_mistake(error, self._mistakes):
            self.error = self.error or error

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """Run a callback after those that are ready."""
        handle = asyncio.Handle(callback, args, self, context)
        if not self.over:
            self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback after a durable timer; never, after an infinite delay."""
        handle = asyncio.TimerHandle(self._now + delay, callback, args, self, context)
        if not self.over and delay != inf:
            self._timers.start_timer(handle, delay)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run a callback at a time of this loop."""
        # A sum and a difference of large floats: what is beyond microseconds is noise.
        delay = max(0.0, round(when - self._now, 6))
        return self.call_later(delay, callback, *args, context=context)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        if not self.over:
            self._timers.cancel_timer(handle)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Have the decision fail where a callback raised; log what else goes wrong."""
        error = context.get("exception")
        if self.over or isinstance(error, Dropped):
            return
        if isinstance(error, BaseException) and "handle" in context:
            self.error = self.error or error
            return
        # Tasks that nobody awaited end up here when they are collected, at any time and in any thread.
        log.error("%s", context.get("message"), exc_info=error)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Do the same."""
        self.call_exception_handler(context)


class _Current:
    """Makes a loop the running one of this thread; a class, because each decision begins so."""

    __slots__ = ("_before", "_hooks", "_loop")

    def __init__(self, loop: DeterministicLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        loop = self._loop
        self._before = events._get_running_loop()
        self._hooks = sys.get_asyncgen_hooks()
        events._set_running_loop(loop)
        loop.outer_error = sys.exception()
        sys.set_asyncgen_hooks(loop.generators.add, loop.generators.let_go)

    def __exit__(self, *error: object) -> None:
        sys.set_asyncgen_hooks(*self._hooks)
        events._set_running_loop(self._before)


def _forbidden(name: str) -> Callable[..., Any]:
    advice = LOOP.get(name, LOOP_OTHERS)

    def refused(self: DeterministicLoop, *args: Any, **kwargs: Any) -> Any:
        forbid(f"loop.{name}()", advice)

    refused.__name__ = name
    return refused


LOOP_OTHERS = (
    "this loop knows no files, sockets or pipes: do it in an activity, and await self.activity(...)"
)

for _name in dir(asyncio.AbstractEventLoop):
    if not _name.startswith("_") and _name not in vars(DeterministicLoop):
        setattr(DeterministicLoop, _name, _forbidden(_name))


async def _awaiting(future: "asyncio.Future[T]") -> T:
    return await future


def _refuse_set_order() -> None:
    """Refuse tasks that ``asyncio.as_completed`` makes of a set of bare coroutines: their order is that of their addresses."""
    frame = inspect.currentframe()
    for _ in range(5):
        frame = None if frame is None else frame.f_back
        if frame is None:
            return
        asked = frame.f_code.co_qualname.startswith(("as_completed", "_AsCompletedIterator"))
        if asked and frame.f_code.co_filename == _TASKS_FILE:
            forbid(
                "asyncio.as_completed() of bare coroutines",
                "it starts them in no particular order; make tasks of them first, with asyncio.create_task(...)",
            )
