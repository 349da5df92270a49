"""Ends coroutines and async generators of a run, without a word to anybody."""

import asyncio
import gc
import logging
import threading
from asyncio import events
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import AsyncGeneratorType, CoroutineType
from typing import Any, Protocol
from weakref import WeakValueDictionary

from pyworkflow.watch import Dropped

log = logging.getLogger("pyworkflow.replay")

MAX_CLOSINGS = 100
"""Blocks that clean up in one coroutine, one around the other, that are left when it is let go."""

AnyGenerator = AsyncGenerator[Any, Any]


class Loop(Protocol):
    """The loop of a run."""

    over: bool

    def current(self) -> AbstractContextManager[None]:
        """Make it the running loop of this thread, for a block."""
        ...

    def create_task(self, coro: Any, /) -> object:
        """Begin a task."""


class _Collecting(threading.local):
    active = False


_collecting = _Collecting()


def _note_collection(phase: str, info: dict[str, int]) -> None:
    _collecting.active = phase == "start"


class Generators:
    """The async generators that code on one loop has begun, and has not ended.

    One that the code lets go of, as by ``break``, is closed by a task of the loop, as asyncio does it. When the collector finds one is a
    matter of chance, so that nothing may come of it: such a one is closed with the run.

    Args:
        loop: The loop.
    """

    __slots__ = ("_collected", "_count", "_loop", "_open")

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        # Most code has none.
        self._open: WeakValueDictionary[int, AnyGenerator] | None = None
        self._count = 0
        self._collected: list[AnyGenerator] = []

    @property
    def is_empty(self) -> bool:
        """Whether there is none."""
        return not self._open and not self._collected

    def add(self, generator: AnyGenerator) -> None:
        """Note that a generator begins."""
        if _note_collection not in gc.callbacks:
            gc.callbacks.append(_note_collection)
        if self._open is None:
            self._open = WeakValueDictionary()
        self._count += 1
        self._open[self._count] = generator

    def let_go(self, generator: AnyGenerator) -> None:
        """Close a generator that nobody holds any more."""
        if self._loop.over:
            with self._loop.current():
                close_generator(generator)
            return
        running: Any = events._get_running_loop()
        if running is self._loop and not _collecting.active:
            self._loop.create_task(_close(generator))
        else:
            self._collected.append(generator)

    def close(self) -> None:
        """Close all, the last first."""
        opened = {} if self._open is None else dict(self._open)
        last_first = [opened[number] for number in sorted(opened, reverse=True)]
        for generator in (*last_first, *self._collected):
            close_generator(generator)
        self._collected.clear()


async def _close(generator: AnyGenerator) -> None:
    await generator.aclose()


def close_task(task: "asyncio.Task[Any]") -> None:
    """Close the coroutine of a task and all that it awaits, the innermost first: none is left to be closed when it is collected."""
    chain: list[Any] = []
    awaited: Any = task.get_coro()
    while awaited is not None:
        chain.append(awaited)
        awaited = _awaited_by(awaited)
    with _as_current(task):
        for awaitable in reversed(chain):
            if isinstance(awaitable, CoroutineType):
                _close_coroutine(awaitable)
            elif _generator_of(awaitable) is not None:
                _throw(awaitable)


@contextmanager
def _as_current(task: "asyncio.Task[Any]") -> Generator[None]:
    """Have a task be the current one, if none is: a time limit in a block that cleans up asks for it, and leaves what it was to await behind."""
    loop = task.get_loop()
    if asyncio.current_task(loop) is not None:
        yield
        return
    asyncio.tasks._enter_task(loop, task)
    try:
        yield
    finally:
        asyncio.tasks._leave_task(loop, task)


def _awaited_by(awaitable: Any) -> Any:
    if isinstance(awaitable, CoroutineType):
        return awaitable.cr_await
    generator = _generator_of(awaitable)
    return None if generator is None else generator.ag_await


def _generator_of(step: Any) -> Any:
    """Return the generator of which something is one step, as ``__anext__`` and ``aclose`` return it; None if it is none."""
    if type(step).__name__ not in ("async_generator_asend", "async_generator_athrow"):
        return None
    # Nothing else tells.
    return next((r for r in gc.get_referents(step) if isinstance(r, AsyncGeneratorType)), None)


def close_generator(generator: AnyGenerator) -> None:
    """Close an async generator that nobody waits for."""
    step = generator.aclose()
    try:
        step.send(None)
    except BaseException as error:
        _log(error)
        return
    _throw(step)


def _throw(step: Any) -> None:
    """End a step of a generator, and the generator."""
    for _ in range(MAX_CLOSINGS):
        try:
            step.throw(GeneratorExit())
        except BaseException as error:
            _log(error)
            return


def _close_coroutine(coroutine: "CoroutineType[Any, Any, Any]") -> None:
    unbegun = list(_unbegun_in(coroutine))
    for _ in range(MAX_CLOSINGS):
        try:
            coroutine.close()
        except RuntimeError:
            # A block that cleans up awaits, although nobody will ever go on with it: on to the next one.
            continue
        except BaseException as error:
            _log(error)
        break
    for other in unbegun:
        other.close()


def _unbegun_in(coroutine: "CoroutineType[Any, Any, Any]") -> Iterator[Any]:
    """Yield coroutines that were made and not begun, and would be missed: those that a coroutine was to await."""
    frame = coroutine.cr_frame
    values = [] if frame is None else list(frame.f_locals.values())
    if _is_unbegun(coroutine):
        # A wrapper that has not begun may hold it in an object of its own.
        inner = gc.get_referents(*values)
        values += [*inner, *gc.get_referents(*(v for v in inner if type(v) is dict))]
    return (value for value in values if _is_unbegun(value))


def _is_unbegun(value: object) -> bool:
    if not isinstance(value, CoroutineType):
        return False
    return value.cr_frame is not None and not value.cr_suspended and not value.cr_running


def _log(error: BaseException) -> None:
    # Refused, or the end; or still executing, in a thread that nobody waits for.
    if not isinstance(
        error, Dropped | ValueError | GeneratorExit | StopIteration | StopAsyncIteration
    ):
        log.debug("code that was let go raised", exc_info=error)
