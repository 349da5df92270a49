"""Signals that wait for somebody, and those who wait for signals."""

from collections import deque
from typing import Any

from pyworkflow.codec import Json
from pyworkflow.replay.operation import Operation


class Mailbox:
    """Hands each signal to one who asked for its name: both in the order of their coming."""

    def __init__(self) -> None:
        self._kept: dict[str, deque[Json]] = {}
        self._waiting: dict[str, deque[Operation[Any]]] = {}

    def put(self, name: str, data: Json) -> None:
        """Give a signal to whoever waits for it, or keep it."""
        waiting = self._waiting.get(name)
        while waiting:
            operation = waiting.popleft()
            if not operation.done():
                operation.succeed(data)
                return
        self._kept.setdefault(name, deque()).append(data)

    def wanted(self) -> list[str]:
        """Return the names of the signals that somebody waits for."""
        return [name for name, asked in self._waiting.items() if any(not o.done() for o in asked)]

    def ask(self, name: str, operation: Operation[Any]) -> None:
        """End an operation with the next signal of a name, at once if one is kept."""
        if kept := self._kept.get(name):
            operation.succeed(kept.popleft())
            return
        waiting = self._waiting.setdefault(name, deque())
        # Those that gave up would otherwise pile up until a signal comes.
        while waiting and waiting[0].done():
            waiting.popleft()
        waiting.append(operation)
