"""Where activities run: in threads, or in one event loop."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from queue import SimpleQueue
from threading import Lock, Thread

from pyworkflow.activity import ActivityMonitor
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityResult
from pyworkflow.task import ActivityTask
from pyworkflow.worker.execute import execute, execute_async, failure, is_async

log = logging.getLogger("pyworkflow.worker")

Report = Callable[[ActivityTask, ActivityResult | None], None]


class Pool(ABC):
    """Executes activities beside each other.

    Args:
        manager: Whose activities.
        size: How many at a time.
        report: Called with each task and its result, from any thread.
    """

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        self.manager = manager
        self.size = size
        self.report = report

    def monitor(self, task: ActivityTask) -> ActivityMonitor:
        """Return what passes the heartbeats of a task on."""
        return ActivityMonitor(partial(self.manager.heartbeat, task))

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
        """Begin to execute tasks."""
        self._tasks.extend(tasks)
        self._call(1)

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
                    self._threads.append(thread)
                    thread.start()

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
            self.report(task, self.execute(task))

    def _called(self) -> bool:
        """Wait until there may be a task; return False at the end."""
        with self._lock:
            if self._tasks:
                return True
            self._idle += 1
        return self._calls.get()

    def execute(self, task: ActivityTask) -> ActivityResult | None:
        """Execute a task in the present thread."""
        return execute(self.manager, task, self.monitor(task))


class AsyncPool(Pool):
    """Runs ``async def`` activities in one event loop, the others in threads."""

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._threads = ThreadPool(manager, size, report)
        self._running: set[asyncio.Task[None]] = set()
        self._closing = False
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-loop")
        self._thread.start()

    def submit(self, tasks: Sequence[ActivityTask]) -> None:
        """Begin to execute tasks."""
        others: list[ActivityTask] = []
        for task in tasks:
            activity = self.manager.find_activity(task.activity_execution.activity)
            if activity is not None and is_async(activity):
                self._loop.call_soon_threadsafe(self._begin, task)
            else:
                others.append(task)
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
        asyncio.set_event_loop(self._loop)
        while not self._closing:
            try:
                self._loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # asyncio stops the loop when a task of the user's own raises one of these; the other activities go on.
                log.exception("an activity tried to end the event loop")
        self._loop.close()

    def _begin(self, task: ActivityTask) -> None:
        running = self._loop.create_task(self._execute(task))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _execute(self, task: ActivityTask) -> None:
        try:
            result = await execute_async(self.manager, task, self.monitor(task))
        except asyncio.CancelledError as error:
            if self._closing:
                raise
            result = failure(error)
        self.report(task, result)

    def _end(self) -> None:
        self._closing = True
        for running in self._running:
            running.cancel()
        # One more round, in which the coroutines hear of it.
        self._loop.call_soon(self._loop.call_soon, self._loop.stop)
