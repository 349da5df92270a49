"""Where activities run: in threads, or in one event loop."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from pyworkflow.activity import ActivityMonitor
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityResult
from pyworkflow.task import ActivityTask
from pyworkflow.worker.execute import execute, execute_async

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
    """Runs each activity in one of several threads."""

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._threads = ThreadPoolExecutor(size, "pyworkflow-activity")

    def submit(self, task: ActivityTask) -> None:
        self._threads.submit(self._execute, task)

    def _execute(self, task: ActivityTask) -> None:
        self.report(task, execute(self.manager, task, self.monitor(task)))

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)


class AsyncPool(Pool):
    """Runs ``async def`` activities in one event loop, the others in threads."""

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._loop = asyncio.new_event_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-loop")
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def submit(self, task: ActivityTask) -> None:
        self._loop.call_soon_threadsafe(self._begin, task)

    def _begin(self, task: ActivityTask) -> None:
        running = self._loop.create_task(self._execute(task))
        self._running.add(running)
        running.add_done_callback(self._running.discard)

    async def _execute(self, task: ActivityTask) -> None:
        self.report(task, await execute_async(self.manager, task, self.monitor(task)))

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._end)
        self._thread.join(5)

    def _end(self) -> None:
        for running in self._running:
            running.cancel()
        self._loop.call_soon(self._loop.stop)
