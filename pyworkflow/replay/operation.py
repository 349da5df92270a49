"""What a replayed workflow awaits: futures and tasks that come in one order, whatever their addresses and hash seeds are."""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import TYPE_CHECKING, Any, TypeVar

T = TypeVar("T")

if TYPE_CHECKING:

    class _Awaitable(asyncio.Future[T], Coroutine[Any, Any, T]):
        """Both for a type checker, so that ``create_task`` accepts it; the loop makes that true."""

        def send(self, value: Any, /) -> Any: ...
        def throw(self, *args: Any) -> Any: ...
        def close(self) -> None: ...
else:
    _Awaitable = asyncio.Future


class NumberedFuture(_Awaitable[T]):
    """A future with a place in the order of its loop, so that sets of futures have one order in every replay."""

    def __init__(self, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class NumberedTask(asyncio.Task[T]):
    """A task with a place in the order of its loop."""

    _log_destroy_pending: bool

    def forget_quietly(self) -> None:
        """Have nothing logged when the task is let go before its end."""
        self._log_destroy_pending = False

    def __init__(
        self,
        number: int,
        coroutine: Coroutine[Any, Any, T],
        loop: asyncio.AbstractEventLoop,
        name: str | None,
        context: Context | None,
        check_cancel: Callable[[], None],
    ) -> None:
        # Before the constructor, which puts the task into a set.
        self.number = number
        self._check_cancel = check_cancel
        super().__init__(
            coroutine,
            loop=loop,
            name=f"Task-{number}" if name is None else name,
            context=context,
        )

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask the task to end. A task group that is left by a mistake cancels its tasks, and nothing may come of that."""
        if not self.done():
            self._check_cancel()
        return super().cancel(msg)

    def __hash__(self) -> int:
        return self.number

    def __eq__(self, other: object) -> bool:
        return self is other


class Operation(NumberedFuture[T]):
    """Something that was asked for and will end: an activity, a child process, a signal. Await it, or cancel it.

    It has begun as soon as it is made; awaiting is only for its result.

    Attributes:
        kind: What it is.
        id: Its id in the history.
    """

    def __init__(
        self,
        number: int,
        loop: asyncio.AbstractEventLoop,
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

    def cancel(self, msg: Any | None = None) -> bool:
        """Ask for it no longer; whoever awaits it gets a `CancelledError` at once."""
        if self.done():
            return False
        self._withdraw(self)
        return super().cancel(msg)

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
