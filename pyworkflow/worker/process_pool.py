"""Activities in OS processes of their own: one that crashes its process is a failed activity, not a dead worker."""

import multiprocessing
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Thread
from typing import Any

from pyworkflow.activity import ActivityMonitor, AnyActivity
from pyworkflow.codec import Json
from pyworkflow.errors import PyworkflowError
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityFailed, ActivityResult
from pyworkflow.task import ActivityTask
from pyworkflow.worker.execute import execute, failure
from pyworkflow.worker.pools import Pool, Report

_spawn = multiprocessing.get_context("spawn")


class _Bench:
    """What `execute` needs of a manager, inside a child process: just the activities."""

    def __init__(self, activities: dict[str, AnyActivity]) -> None:
        self._activities = activities

    def activity_for_task(self, task: ActivityTask, monitor: ActivityMonitor | None) -> Any:
        return self._activities[task.activity_execution.activity].bind(task, monitor)


def _child(pipe: Connection, activities: dict[str, AnyActivity]) -> None:
    """Execute what comes through the pipe, until it closes."""
    bench: Any = _Bench(activities)

    def heartbeat(details: Json) -> bool:
        pipe.send(("heartbeat", details))
        told = pipe.recv()
        if isinstance(told, PyworkflowError):
            raise told
        return bool(told)

    while True:
        try:
            task = pipe.recv()
        except (EOFError, KeyboardInterrupt):
            return
        pipe.send(("result", execute(bench, task, ActivityMonitor(heartbeat))))


class ProcessPool(Pool):
    """Runs each activity in one of several OS processes, which are kept and used again.

    A process that dies, of whatever cause, fails the one activity it was executing and is replaced.
    """

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._tasks: SimpleQueue[ActivityTask | None] = SimpleQueue()
        self._activities = {activity.name: activity for activity in manager.activities}
        self._threads = [Thread(target=self._run, daemon=True) for _ in range(size)]
        for thread in self._threads:
            thread.start()

    def submit(self, task: ActivityTask) -> None:
        self._tasks.put(task)

    def close(self) -> None:
        for _ in self._threads:
            self._tasks.put(None)

    def _run(self) -> None:
        """Drive one child process after the other."""
        child: _Child | None = None
        while (task := self._tasks.get()) is not None:
            if task.activity_execution.activity not in self._activities:
                self.report(task, ActivityFailed("this program does not have the activity"))
                continue
            try:
                child = child or _Child(self._activities)
                result = child.execute(task, self.monitor(task))
            except Exception as error:  # a class that cannot be sent to a process, for example
                result = failure(error)
            if child is not None and not child.alive:
                child = None
            self.report(task, result)
        if child is not None:
            child.close()


class _Child:
    """A child process and the pipe to it."""

    def __init__(self, activities: dict[str, AnyActivity]) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_child, args=(theirs, activities), daemon=True)
        self._process.start()
        theirs.close()
        self.alive = True

    def execute(self, task: ActivityTask, monitor: ActivityMonitor) -> ActivityResult | None:
        """Have a task executed and return its result."""
        try:
            self._pipe.send(task)
            while True:
                kind, value = self._pipe.recv()
                if kind == "result":
                    result: ActivityResult | None = value
                    return result
                self._pipe.send(_beat(monitor, value))
        except (EOFError, OSError):
            self.alive = False
            self._process.join()
            code = self._process.exitcode
            return ActivityFailed(f"its process ended with exit code {code}", None, "ProcessDied")

    def close(self) -> None:
        """End the process."""
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()


def _beat(monitor: ActivityMonitor, details: Json) -> bool | PyworkflowError:
    try:
        return monitor.heartbeat(details)
    except PyworkflowError as error:
        return error
