"""Where activities run, and the threads that they mostly run in."""

import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread, current_thread
from typing import ClassVar

from pyworkflow.activity import ActivityMonitor
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityFailed
from pyworkflow.task import ActivityTask
from pyworkflow.watch import Dropped, drop
from pyworkflow.worker.execute import ActivityOutcome, execute, outcome_of

log = logging.getLogger("pyworkflow.worker")

Report = Callable[[ActivityTask, ActivityOutcome], None]


def name_of(task: ActivityTask) -> str:
    """Return what the log calls a task."""
    return f"activity {task.activity_execution.activity} of {task.process_id}"


class Pool(ABC):
    """Executes activities beside each other.

    Args:
        manager: Whose activities.
        size: How many at a time.
        report: Called with each task and its result, from any thread.

    Attributes:
        isolates: Whether an activity that crashes takes nothing else along.
        heartbeat: Records the heartbeats of a task; a worker sets one that rides out outages.
    """

    isolates: ClassVar[bool] = False

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        self.manager = manager
        self.size = size
        self.report = report
        self.heartbeat: Callable[..., bool] = manager.heartbeat

    def answer(self, task: ActivityTask, outcome: ActivityOutcome) -> None:
        """Report the outcome of a task. Raises nothing: the thread that calls it has other tasks."""
        try:
            self.report(task, outcome)
        except Exception:
            log.exception("the outcome of %s cannot be reported", task.activity_execution.activity)

    def answer_abandoned(self, task: ActivityTask, stack: str = "") -> None:
        """Report that a task was abandoned, and log where it was."""
        place = f". It was here:\n{stack}" if stack else ""
        log.error("%s has lost its lease and is abandoned%s", name_of(task), place)
        self.answer(task, ActivityFailed("it was abandoned: its lease had ended"))

    def monitor(self, task: ActivityTask) -> ActivityMonitor:
        """Return what passes the heartbeats of a task on."""
        return ActivityMonitor(partial(self.heartbeat, task))

    @abstractmethod
    def submit(self, tasks: Sequence[ActivityTask]) -> None:
        """Begin to execute tasks; some may wait for each other until `spread` is called."""

    @abstractmethod
    def waiting(self) -> bool:
        """Tell whether a task waits for another to end, or for `spread`."""

    @abstractmethod
    def spread(self) -> None:
        """Let no task wait for another."""

    def able(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of some activities could begin at once."""
        return names

    def abandon(self, task: ActivityTask) -> None:
        """End a task whose outcome counts no more, and report one for it, so that its place is free; from any thread.

        A pool that cannot do that lets it run to its end.
        """
        log.warning("%s has lost its lease and runs on", name_of(task))

    @abstractmethod
    def close(self) -> None:
        """Take no more tasks; do not wait for those that run."""


class ThreadPool(Pool):
    """Runs activities in threads. They are daemons: one that hangs does not hold up the end of the program.

    What is submitted together goes to one thread first: activities that are over at once cost no switch between threads each. `spread`
    gives every other one a thread of its own.
    """

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._tasks: deque[ActivityTask] = deque()
        self._calls: SimpleQueue[bool] = SimpleQueue()
        self._threads: dict[Thread, ActivityTask | None] = {}
        self._lock = Lock()
        self._idle = 0

    def submit(self, tasks: Sequence[ActivityTask]) -> None:
        """Begin to execute tasks.

        Raises:
            RuntimeError: No thread can be started; none of the tasks is begun.
        """
        self._tasks.extend(tasks)
        try:
            self._call(1)
        except RuntimeError:
            self._tasks.clear()
            raise

    def waiting(self) -> bool:
        """Tell whether a task waits for another to end, or for `spread`."""
        return bool(self._tasks)

    def spread(self) -> None:
        """Let no task wait for another."""
        self._call(len(self._tasks))

    def _call(self, threads: int) -> None:
        with self._lock:
            for _ in range(threads):
                if self._idle:
                    self._idle -= 1
                    self._calls.put(True)
                elif len(self._threads) < self.size:
                    name = f"pyworkflow-activity-{len(self._threads)}"
                    thread = Thread(target=self._run, daemon=True, name=name)
                    self._threads[thread] = None
                    try:
                        thread.start()
                    except RuntimeError:  # the system has no more of them
                        del self._threads[thread]
                        if not self._threads:
                            raise
                        log.warning("only %d threads can be started", len(self._threads))
                        return

    def close(self) -> None:
        """Begin nothing any more, and end the threads that have nothing to do."""
        self._tasks.clear()
        for _ in self._threads:
            self._calls.put(False)

    def abandon(self, task: ActivityTask) -> None:
        """Have the thread of a task end as soon as it can, and another one take its place."""
        with self._lock:
            thread = next((t for t, own in self._threads.items() if own is task), None)
            if thread is None:
                return
            del self._threads[thread]
            stack = drop(thread)
        self.answer_abandoned(task, stack)

    def _run(self) -> None:
        me = current_thread()
        # What ends an abandoned thread may come when its activity has ended by itself.
        with suppress(Dropped):
            while True:
                try:
                    task = self._threads[me] = self._tasks.popleft()
                except IndexError:
                    if not self._called():
                        return
                    continue
                try:
                    outcome = self.execute(task)
                except BaseException as error:  # whatever it is, the task gets its outcome
                    outcome = outcome_of(self.manager, task, error)
                with self._lock:
                    if me not in self._threads:
                        return
                    self._threads[me] = None
                self.answer(task, outcome)

    def _called(self) -> bool:
        """Wait until there may be a task; return False at the end."""
        with self._lock:
            if self._tasks:
                return True
            self._idle += 1
        return self._calls.get()

    def execute(self, task: ActivityTask) -> ActivityOutcome:
        """Execute a task in the present thread."""
        return execute(self.manager, task, self.monitor(task))
