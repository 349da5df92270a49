"""Where activities run: in threads, or in one event loop."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from queue import SimpleQueue
from threading import Thread

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
        return ActivityMonitor(lambda details: self.manager.heartbeat(task, details))

    @abstractmethod
    def submit(self, task: ActivityTask) -> None:
        """Begin to execute a task."""

    @abstractmethod
    def close(self) -> None:
        """Take no more tasks; do not wait for those that run."""


class ThreadPool(Pool):
    """Runs each activity in one of several threads. They are daemons: one that hangs does not hold up the end of the program."""

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._tasks: SimpleQueue[ActivityTask | None] = SimpleQueue()
        self._threads: list[Thread] = []

    def submit(self, task: ActivityTask) -> None:
        """Begin to execute a task."""
        if len(self._threads) < self.size:
            name = f"pyworkflow-activity-{len(self._threads)}"
            thread = Thread(target=self._run, daemon=True, name=name)
            self._threads.append(thread)
            thread.start()
        self._tasks.put(task)

    def close(self) -> None:
        """End the threads that have nothing to do."""
        for _ in self._threads:
            self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            self.report(task, self.execute(task))

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

    def submit(self, task: ActivityTask) -> None:
        """Begin to execute a task."""
        activity = self.manager.find_activity(task.activity_execution.activity)
        if activity is not None and is_async(activity):
            self._loop.call_soon_threadsafe(self._begin, task)
        else:
            self._threads.submit(task)

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
