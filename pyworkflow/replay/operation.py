"""What a replayed workflow awaits: futures and tasks that come in one order, whatever their addresses and hash seeds are."""

import asyncio
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pyworkflow.result import ActivityCompleted, ActivityResult

T = TypeVar("T")

if TYPE_CHECKING:
    from pyworkflow.replay.loop import DeterministicLoop

    _Base = asyncio.Future

    class _Awaitable(asyncio.Future[T], Coroutine[Any, Any, T]):
        """Both for a type checker, so that ``create_task`` accepts it; the loop makes that true."""

        def send(self, value: Any, /) -> Any: ...
        def throw(self, *args: Any) -> Any: ...
        def close(self) -> None: ...
else:
    _Base = Generic
    _Awaitable = asyncio.Future


class OnCancel:
    """What canceling an activity means to whoever awaits it."""

    ASK = "ask"
    """It is asked to cancel itself, and waited for."""
    FINISH = "finish"
    """It is not asked, and waited for."""
    ABANDON = "abandon"
    """It is asked, and nobody waits for it: a saga and the end of the process neither."""

    ALL = (ASK, FINISH, ABANDON)


class _Numbered(_Base[T]):
    """Has a place in the order of its loop, so that sets have one order in every replay. Nobody waits for it while a mistake is handled."""

    number: int
    _order: "DeterministicLoop"

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other

    def __await__(self) -> Generator[Any, None, T]:
        self._order.check_handled()
        return super().__await__()

    def add_done_callback(
        self, fn: Callable[..., object], *, context: Context | None = None
    ) -> None:
        """Have a function called at its end: so `asyncio.gather` and `asyncio.wait` wait."""
        self._order.check_handled()
        super().add_done_callback(fn, context=context)


class NumberedFuture(_Numbered[T], _Awaitable[T]):
    """A future of replayed code."""

    def __init__(self, number: int, loop: "DeterministicLoop") -> None:
        self.number = number
        self._order = loop
        super().__init__(loop=loop)


class NumberedTask(_Numbered[T], asyncio.Task[T]):
    """A task of replayed code."""

    _log_destroy_pending: bool

    def __init__(
        self,
        number: int,
        coroutine: Coroutine[Any, Any, T],
        loop: "DeterministicLoop",
        name: str | None,
        context: Context | None,
    ) -> None:
        # Before the constructor, which puts the task into a set.
        self.number = number
        self._order = loop
        super().__init__(
            coroutine,
            loop=loop,
            name=f"Task-{number}" if name is None else name,
            context=context,
        )

    def forget_quietly(self) -> None:
        """Have nothing logged when the task is let go before its end."""
        self._log_destroy_pending = False

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask the task to end. A task group that is left by a mistake cancels its tasks, and nothing may come of that."""
        if not self.done():
            self._order.check_handled()
        return super().cancel(msg)


class Operation(NumberedFuture[T]):
    """Something that was asked for and will end: an activity, a child process, a signal. Await it, or cancel it.

    It has begun as soon as it is made; awaiting is only for its result.

    To ask for its end and to have ended are two things: an activity that is asked to cancel itself may go on, and complete.

    Attributes:
        kind: What it is.
        id: Its id in the history.
        on_cancel: What canceling it means, one of `OnCancel`; None: it is asked, and whoever awaits it goes on at once.
        ended: Whether it has ended, or never began.
        outcome: How an activity ended; None if it has not, or never began.
    """

    on_cancel: str | None = None
    ended = False
    outcome: ActivityResult | None = None

    def __init__(
        self,
        number: int,
        loop: "DeterministicLoop",
        kind: str,
        id: str,
        withdraw: "Callable[[Operation[Any]], None]",
        convert: Callable[[Any], T] | None = None,
    ) -> None:
        super().__init__(number, loop)
        self.kind = kind
        self.id = id
        self.convert = convert
        self._withdraw = withdraw
        self._canceled = False
        self._end: asyncio.Future[None] | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask for it no longer; whoever awaits it gets a `CancelledError`: at once, or when it has ended, as `on_cancel` says."""
        if self.done():
            return False
        if not self._canceled and self.on_cancel != OnCancel.FINISH:
            self._withdraw(self)
        self._canceled = True
        if self.on_cancel in (OnCancel.ASK, OnCancel.FINISH) and not self.ended:
            return True
        return super().cancel(msg)

    def conclude(self, result: ActivityResult | None) -> None:
        """Take note of the end of an activity: how it ended, or None if it never began."""
        self.ended, self.outcome = True, result
        if self._end is not None and not self._end.done():
            self._end.set_result(None)
        if self._canceled and not self.done():
            super().cancel()

    def known_result(self) -> T | None:
        """Return the result of an activity that has completed, whoever has canceled it; else None."""
        if not isinstance(self.outcome, ActivityCompleted):
            return None
        value: Any = self.outcome.result
        return value if self.convert is None else self.convert(value)

    async def end(self) -> None:
        """Wait until an activity has ended, whoever has canceled it."""
        if not self.ended:
            if self._end is None:
                self._end = NumberedFuture(self._order.number(), self._order)
            await asyncio.shield(self._end)

    def succeed(self, value: Any) -> None:
        """End it with a value, converted to the type that was promised."""
        if self.done():
            return
        try:
            self.set_result(value if self.convert is None else self.convert(value))
        except Exception as error:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """End it with an exception."""
        if not self.done():
            self.set_exception(error)
            # It is in the history: a result that nobody awaits is no reason to write to the log.
            self._log_traceback = False
