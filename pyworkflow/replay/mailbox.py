"""Signals that wait for somebody, and those who wait for signals."""

from collections import deque
from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

from pyworkflow.codec import Json
from pyworkflow.errors import PayloadError
from pyworkflow.replay.operation import Operation
from pyworkflow.signal import Signal

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
        self._number = count()
        self._kept: dict[str, deque[tuple[int, Signal]]] = {}
        self._waiting: dict[str, deque[Operation[Any]]] = {}

    def put(self, signal: Signal) -> None:
        """Give a signal to whoever waits for it, or keep it."""
        waiting = self._open_waiters(signal.name)
        if not waiting:
            self.keep(signal)
        elif self._hand(signal, waiting[0]):
            waiting.popleft()

    def keep(self, signal: Signal) -> None:
        """Keep a signal for whoever asks for it later."""
        self._kept.setdefault(signal.name, deque()).append((next(self._number), signal))

    def left(self) -> list[Signal]:
        """Return the signals that nobody has asked for, in the order of their coming."""
        kept = (each for signals in self._kept.values() for each in signals)
        return [signal for _, signal in sorted(kept, key=lambda each: each[0])]

    def wanted(self) -> list[str]:
        """Return the names of the signals that somebody waits for."""
        return [name for name, asked in self._waiting.items() if any(not o.done() for o in asked)]

    def ask(self, name: str, operation: Operation[Any]) -> None:
        """End an operation with the next signal of a name, at once if one is kept."""
        kept = self._kept.get(name)
        while kept:
            if self._hand(kept.popleft()[1], operation):
                return
        self._open_waiters(name).append(operation)

    def _open_waiters(self, name: str) -> deque[Operation[Any]]:
        waiting = self._waiting.setdefault(name, deque())
        # Those that gave up would otherwise pile up until a signal comes.
        while waiting and waiting[0].done():
            waiting.popleft()
        return waiting

    def _hand(self, signal: Signal, operation: Operation[Any]) -> bool:
        """End an operation with a signal; return False if its data does not fit."""
        data = signal.data
        try:
            value = data if operation.convert is None else fitted(operation.convert, data)
        except PayloadError as error:
            self._refuse(signal.name, error)
            return False
        operation.set_result(value)
        return True
