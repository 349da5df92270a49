"""Signals and the steps that wait for them: first come, first served, on both sides."""

from collections import deque
from collections.abc import Iterator

from pyworkflow.codec import Json
from pyworkflow.graph.keys import Key


class Signals:
    """The signals of a process that no step has taken, and the steps that wait for one."""

    def __init__(self) -> None:
        self._data: dict[str, deque[Json]] = {}
        self._waiting: dict[str, deque[Key]] = {}

    def came(self, name: str, data: Json) -> None:
        """Keep a signal."""
        self._data.setdefault(name, deque()).append(data)

    def wait(self, name: str, key: Key) -> None:
        """Have a step wait for a signal."""
        self._waiting.setdefault(name, deque()).append(key)

    def forget(self, name: str, step: str) -> None:
        """Have a step wait no more."""
        waiting = self._waiting.get(name, deque())
        for key in [key for key in waiting if key.step == step]:
            waiting.remove(key)

    def matches(self, name: str) -> Iterator[tuple[Key, Json]]:
        """Yield each step that gets a signal, with the data, as long as there are both."""
        data, waiting = self._data.get(name), self._waiting.get(name)
        while data and waiting:
            yield waiting.popleft(), data.popleft()
