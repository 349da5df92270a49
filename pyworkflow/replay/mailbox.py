"""Signals that wait for somebody, and those who wait for signals."""

from collections import deque
from collections.abc import Callable
from typing import Any, TypeVar

from pyworkflow.codec import Json
from pyworkflow.errors import PayloadError
from pyworkflow.replay.operation import Operation

T = TypeVar("T")

Refuse = Callable[[str, PayloadError], None]
"""Is called with the name of a signal that is ignored, and why."""


def fitted(convert: Callable[[Json], T], data: Json) -> T:
    """Return what a signal's data is converted to. A signal that was sent without data has an empty object, which may stand for None.

    Raises:
        PayloadError: The data is of another type.
    """
    try:
        return convert(data)
    except PayloadError as error:
        if data != {}:
            raise
        try:
            return convert(None)
        except PayloadError:
            raise error from None


class Mailbox:
    """Hands each signal to one who asked for its name: both in the order of their coming.

    A signal comes from outside: one whose data is not of the type that was asked for is ignored, and the next one counts.

    Args:
        refuse: Reports a signal that is ignored.
    """

    def __init__(self, refuse: Refuse) -> None:
        self._refuse = refuse
        self._kept: dict[str, deque[Json]] = {}
        self._waiting: dict[str, deque[Operation[Any]]] = {}

    def put(self, name: str, data: Json) -> None:
        """Give a signal to whoever waits for it, or keep it."""
        waiting = self._open_waiters(name)
        if not waiting:
            self._kept.setdefault(name, deque()).append(data)
        elif self._hand(name, data, waiting[0]):
            waiting.popleft()

    def wanted(self) -> list[str]:
        """Return the names of the signals that somebody waits for."""
        return [name for name, asked in self._waiting.items() if any(not o.done() for o in asked)]

    def ask(self, name: str, operation: Operation[Any]) -> None:
        """End an operation with the next signal of a name, at once if one is kept."""
        kept = self._kept.get(name)
        while kept:
            if self._hand(name, kept.popleft(), operation):
                return
        self._open_waiters(name).append(operation)

    def _open_waiters(self, name: str) -> deque[Operation[Any]]:
        waiting = self._waiting.setdefault(name, deque())
        # Those that gave up would otherwise pile up until a signal comes.
        while waiting and waiting[0].done():
            waiting.popleft()
        return waiting

    def _hand(self, name: str, data: Json, operation: Operation[Any]) -> bool:
        """End an operation with a signal; return False if its data does not fit."""
        try:
            value = data if operation.convert is None else fitted(operation.convert, data)
        except PayloadError as error:
            self._refuse(name, error)
            return False
        operation.set_result(value)
        return True
