"""Where activities run: in threads, or in one event loop."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import copy_context
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread
from typing import ClassVar

from pyworkflow.activity import ActivityMonitor
from pyworkflow.manager import Manager
from pyworkflow.task import ActivityTask
from pyworkflow.worker.execute import (
    ActivityOutcome,
    execute,
    execute_async,
    failure,
    is_async,
    outcome_of,
)

log = logging.getLogger("pyworkflow.worker")

Report = Callable[[ActivityTask, ActivityOutcome], None]


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
        self._threads: list[Thread] = []
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
                    try:
                        thread.start()
                    except RuntimeError:  # the system has no more of them
                        if not self._threads:
                            raise
                        log.warning("only %d threads can be started", len(self._threads))
                        return
                    self._threads.append(thread)

    def close(self) -> None:
        """Begin nothing any more, and end the threads that have nothing to do."""
        self._tasks.clear()
        for _ in self._threads:
            self._calls.put(False)

    def _run(self) -> None:
        while True:
            try:
                task = self._tasks.popleft()
            except IndexError:
                if not self._called():
                    return
                continue
            try:
                # What one activity sets in its context is not seen by the next.
                outcome = copy_context().run(self.execute, task)
            except BaseException as error:  # whatever it is, the task gets its outcome
                outcome = outcome_of(self.manager, task, error)
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


class AsyncPool(Pool):
    """Runs ``async def`` activities in one event loop, the others in threads."""

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._threads = ThreadPool(manager, size, report)
        self._threads.heartbeat = lambda *beat: self.heartbeat(*beat)
        self._running: dict[asyncio.Task[None], ActivityTask] = {}
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-loop")
        self._thread.start()

    def submit(self, tasks: Sequence[ActivityTask]) -> None:
        """Begin to execute tasks."""
        others: list[ActivityTask] = []
        for task in tasks:
            activity = self.manager.find_activity(task.activity_execution.activity)
            if activity is None or not is_async(activity):
                others.append(task)
                continue
            try:
                self._loop.call_soon_threadsafe(self._begin, task)
            except RuntimeError as error:  # an activity has closed the loop just now
                self.answer(task, failure(error))
        if others:
            self._threads.submit(others)

    def waiting(self) -> bool:
        """Tell whether a task waits for another to end, or for `spread`."""
        return self._threads.waiting()

    def spread(self) -> None:
        """Let no task wait for another."""
        self._threads.spread()

    def close(self) -> None:
        """Cancel the coroutines."""
        self._threads.close()
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(5)

    def _run(self) -> None:
        while not self._closing:
            asyncio.set_event_loop(self._loop)
            try:
                self._loop.run_forever()
            except BaseException as error:
                # asyncio stops the loop when a task of the user's own raises SystemExit; the other activities go on.
                log.exception("an activity tried to end the event loop")
                if self._loop.is_closed():
                    self._replace_loop(error)
        self._loop.close()

    def _replace_loop(self, error: BaseException) -> None:
        """Go on with a new loop; what ran in one that an activity has closed has failed."""
        lost, self._running = list(self._running.values()), {}
        self._loop = asyncio.new_event_loop()
        for task in lost:
            self.answer(task, failure(error))

    def _begin(self, task: ActivityTask) -> None:
        try:
            running = self._loop.create_task(self._execute(task))
        except BaseException as error:  # a task factory of the user's own
            self.answer(task, failure(error))
            return
        self._running[running] = task
        running.add_done_callback(lambda ended: self._running.pop(ended, None))

    async def _execute(self, task: ActivityTask) -> None:
        try:
            outcome = await execute_async(self.manager, task, self.monitor(task))
        except asyncio.CancelledError as error:
            if self._closing:
                raise
            outcome = failure(error)
        self.answer(task, outcome)

    def _end(self) -> None:
        self._closing = True
        for running in self._running:
            running.cancel()
        # One more round, in which the coroutines hear of it.
        self._loop.call_soon(self._loop.call_soon, self._loop.stop)
