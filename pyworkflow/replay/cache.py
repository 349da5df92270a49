"""Runs that are kept alive between decisions, so that a step costs what is new and not what has been."""

from collections.abc import Hashable
from threading import Lock

from pyworkflow.cache import RUN_BYTES, SizedCache
from pyworkflow.forks import ForkAware, watch_forks
from pyworkflow.history import History
from pyworkflow.replay.run import Run

COROUTINE_BYTES = 8_000
"""About what a coroutine that waits takes, beside the history: measured."""


class RunCache(ForkAware):
    """The runs that were decided last. One that is taken out belongs to whoever took it, so no two threads ever drive the same.

    Args:
        limit: About how many bytes they may take, with their histories; 0 keeps none, and every decision replays.
    """

    def __init__(self, limit: int = RUN_BYTES) -> None:
        self._lock = Lock()
        self._runs: SizedCache[Hashable, Run] = SizedCache(limit)
        self._dropped: list[Run] = []
        watch_forks(self)

    def after_fork_in_child(self) -> None:
        """Replace the lock, which a thread of the parent may hold."""
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._runs)

    def take(self, key: Hashable, history: History) -> Run | None:
        """Return the run of a process if it has come along the beginning of a history; it is not kept any more."""
        with self._lock:
            run = self._runs.pop(key)
            if run is None:
                return None
        if len(history) > len(run.history) and history.continues(run.history):
            return run
        self._dropped.append(run)
        return None

    def keep(self, key: Hashable, run: Run) -> None:
        """Keep a run, and let go of those that were decided longest ago if they take too much."""
        with self._lock:
            if (before := self._runs.pop(key)) is not None:
                self._dropped.append(before)
            self._dropped += self._runs.put(key, run, COROUTINE_BYTES + run.size)

    def dropped(self) -> list[Run]:
        """Return the runs that have been let go, once. Whoever gets them drops them, which runs users' code."""
        with self._lock:
            dropped, self._dropped = self._dropped, []
        return dropped

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._dropped += self._runs.clear()
        for run in self.dropped():
            run.drop()
