"""Runs that are kept alive between decisions, so that a step costs what is new and not what has been."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from pyworkflow.forks import ForkAware, watch_forks
from pyworkflow.history import History
from pyworkflow.replay.run import Run

MAX_RUNS = 1_000
"""Processes whose code one OS process keeps alive."""

MAX_EVENTS = 500_000
"""Events in the histories of those, all together."""


class RunCache(ForkAware):
    """The runs that were decided last. One that is taken out belongs to whoever took it, so no two threads ever drive the same.

    Args:
        runs: How many to keep; 0 keeps none, and every decision replays.
        events: How many events their histories may have, all together.
    """

    def __init__(self, runs: int = MAX_RUNS, events: int = MAX_EVENTS) -> None:
        self._limit = runs
        self._events_limit = events
        self._lock = Lock()
        self._runs: OrderedDict[Hashable, Run] = OrderedDict()
        self._events = 0
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
            run = self._runs.pop(key, None)
            if run is None:
                return None
            self._events -= len(run.history)
        if len(history) > len(run.history) and history.continues(run.history):
            return run
        self._dropped.append(run)
        return None

    def keep(self, key: Hashable, run: Run) -> None:
        """Keep a run, and let go of those that were decided longest ago if there are too many."""
        with self._lock:
            if (before := self._runs.pop(key, None)) is not None:
                self._let_go(before)
            self._runs[key] = run
            self._events += len(run.history)
            while self._runs and (
                len(self._runs) > self._limit or self._events > self._events_limit
            ):
                self._let_go(self._runs.popitem(last=False)[1])

    def _let_go(self, run: Run) -> None:
        self._events -= len(run.history)
        self._dropped.append(run)

    def dropped(self) -> list[Run]:
        """Return the runs that have been let go, once. Whoever gets them drops them, which runs users' code."""
        with self._lock:
            dropped, self._dropped = self._dropped, []
        return dropped

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            while self._runs:
                self._let_go(self._runs.popitem()[1])
        for run in self.dropped():
            run.drop()
