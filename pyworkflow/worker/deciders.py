"""Where a worker decides: in threads that are abandoned when a decider does not return."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from threading import Event, Lock

from pyworkflow.manager import Manager
from pyworkflow.task import DecisionTask
from pyworkflow.watch import Limit, StepThread, check_stuck, limited, return_thread, take_thread
from pyworkflow.worker.execute import (
    DecisionOutcome,
    decide,
    decision_key,
    decision_limit,
    failed_decision,
)

log = logging.getLogger("pyworkflow.worker")

MOST_THREADS = 16
"""Decisions that a worker makes beside each other, at most. Quick deciders need one thread."""

Report = Callable[[DecisionTask, DecisionOutcome], None]


class Batch:
    """Decisions that were submitted together.

    Args:
        size: How many.
        report: Called with each task and its outcome, from any thread.
    """

    __slots__ = ("_over", "open", "report")

    def __init__(self, size: int, report: Report) -> None:
        self.open = size
        self.report = report
        self._over = Event()

    def close_one(self, task: DecisionTask, outcome: DecisionOutcome) -> None:
        """Report an outcome."""
        self.report(task, outcome)
        self.open -= 1
        if not self.open:
            self._over.set()

    def wait(self, seconds: float) -> bool:
        """Wait until each has its outcome; return whether each has."""
        return self._over.wait(max(0.0, seconds))


class _Lane:
    """One thread and the decision that it is making."""

    __slots__ = ("batch", "began", "limit", "task", "thread")

    def __init__(self) -> None:
        self.thread: StepThread = take_thread()
        self.task: DecisionTask | None = None
        self.batch: Batch | None = None
        self.limit: Limit | None = None
        self.began = 0.0


class Deciders:
    """Makes decisions, one after the other as long as they are quick.

    Args:
        manager: Whose workflows.

    Attributes:
        seconds: What the last decision of each workflow took, by its name.
    """

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._tasks: deque[tuple[DecisionTask, Batch]] = deque()
        self._lanes: list[_Lane] = []
        self._lock = Lock()
        self.seconds: dict[str, float] = {}

    @property
    def busy(self) -> bool:
        """Whether a task has no outcome yet."""
        return bool(self._lanes or self._tasks)

    @property
    def has_room(self) -> bool:
        """Whether a further decision would begin at once."""
        return len(self._lanes) < MOST_THREADS and not self._tasks

    def submit(self, tasks: Sequence[DecisionTask], report: Report) -> Batch:
        """Begin to decide tasks."""
        batch = Batch(len(tasks), report)
        with self._lock:
            self._tasks.extend((task, batch) for task in tasks)
            self._add_lanes(1)
        return batch

    def remaining(self) -> float:
        """Return the seconds until `tend` has to be called; infinity if nothing is being decided."""
        with self._lock:
            limits = [lane.limit.remaining() for lane in self._lanes if lane.limit is not None]
        return min(limits, default=float("inf"))

    def tend(self) -> None:
        """Have no decision wait for a slow one, and abandon those that take too long."""
        with self._lock:
            for lane in list(self._lanes):
                limit = None if lane.limit is None else lane.limit.exceeded()
                if limit is not None:
                    self._abandon(lane, limit)
            self._add_lanes(len(self._tasks))

    def clear(self) -> list[DecisionTask]:
        """Begin no further decision; return the tasks that were not begun."""
        with self._lock:
            tasks = [task for task, _ in self._tasks]
            self._tasks.clear()
        return tasks

    def _add_lanes(self, wanted: int) -> None:
        """Start threads for tasks that wait; called under the lock."""
        idle = sum(lane.task is None for lane in self._lanes)
        for _ in range(min(wanted - idle, MOST_THREADS - len(self._lanes))):
            lane = _Lane()
            self._lanes.append(lane)
            lane.thread.begin(partial(self._run, lane))

    def _abandon(self, lane: _Lane, limit: Limit) -> None:
        """Answer for a decision that does not end; called under the lock."""
        task, batch = lane.task, lane.batch
        assert task is not None  # noqa: S101 - the lane has a limit
        assert batch is not None  # noqa: S101
        self._lanes.remove(lane)
        self.seconds[task.process.workflow] = time.monotonic() - lane.began
        error = limit.error(lane.thread.abandon(decision_key(self._manager, task)))
        log.error("the decider of %s is abandoned: %s", task.process.id, error)
        batch.close_one(task, failed_decision(error))

    def _run(self, lane: _Lane) -> None:
        while (taken := self._next(lane)) is not None:
            task, batch = taken
            try:
                outcome = self._decide(lane, task)
            except Exception as error:  # whatever it is, the task gets its outcome
                outcome = failed_decision(error)
            with self._lock:
                if lane not in self._lanes:
                    # Abandoned: the task has its outcome.
                    return
                self.seconds[task.process.workflow] = time.monotonic() - lane.began
                lane.task = lane.batch = lane.limit = None
                batch.close_one(task, outcome)

    def _next(self, lane: _Lane) -> tuple[DecisionTask, Batch] | None:
        with self._lock:
            if not self._tasks:
                self._lanes.remove(lane)
                return_thread(lane.thread)
                return None
            lane.task, lane.batch = taken = self._tasks.popleft()
            lane.began = time.monotonic()
            lane.limit = decision_limit(self._manager, taken[0])
            return taken

    def _decide(self, lane: _Lane, task: DecisionTask) -> DecisionOutcome:
        check_stuck(decision_key(self._manager, task))
        assert lane.limit is not None  # noqa: S101 - set with the task
        with limited(lane.limit):
            return decide(self._manager, task)
