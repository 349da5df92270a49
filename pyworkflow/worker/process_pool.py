"""Activities in OS processes of their own: one that crashes its process is a failed activity, not a dead worker."""

import multiprocessing
import signal
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any

from pyworkflow.activity import ActivityMonitor, AnyActivity
from pyworkflow.codec import Json, decode, encode
from pyworkflow.errors import PyworkflowError
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityCompleted, ActivityFailed, ActivityResult
from pyworkflow.task import ActivityTask
from pyworkflow.values import check_payload
from pyworkflow.worker.execute import ActivityOutcome, Postponed, execute, failure
from pyworkflow.worker.pools import Report, ThreadPool, log, name_of

_spawn = multiprocessing.get_context("spawn")


class _Bench:
    """What `execute` needs of a manager, inside a child process: just the activities."""

    def __init__(self, activities: dict[str, AnyActivity]) -> None:
        self._activities = activities

    def activity_for_task(self, task: ActivityTask, monitor: ActivityMonitor | None) -> Any:
        return self._activities[task.activity_execution.activity].bind(task, monitor)

    def find_activity(self, name: str) -> AnyActivity | None:
        return self._activities.get(name)


def _child(pipe: Connection, activities: dict[str, AnyActivity]) -> None:
    """Execute what comes through the pipe, until it closes."""
    # Ctrl-C and service managers signal the whole group; only the worker decides what becomes of an activity. Handlers that do nothing,
    # and not SIG_IGN, which the programs that an activity starts would inherit.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda _number, _frame: None)
    bench: Any = _Bench(activities)

    def heartbeat(details: Json) -> bool:
        pipe.send(("heartbeat", check_payload(details, "heartbeat details")))
        told = pipe.recv()
        if isinstance(told, PyworkflowError):
            raise told
        return bool(told)

    while True:
        try:
            task = pipe.recv()
        except EOFError:
            return
        pipe.send(("outcome", _encoded(execute(bench, task, ActivityMonitor(heartbeat)))))


# Outcomes cross the pipe as JSON: a pickle of the users' classes could fail, or run their code, in the worker.


def _encoded(outcome: ActivityOutcome) -> bytes:
    if outcome is None or isinstance(outcome, Postponed):
        return encode(outcome and outcome.reason)
    try:
        if isinstance(outcome, ActivityCompleted):
            check_payload(outcome.result, "result")
        return encode(outcome)
    except PyworkflowError as error:
        return encode(failure(error))


def _decoded(data: bytes) -> ActivityOutcome:
    value = decode(data)
    if isinstance(value, dict):
        return ActivityResult.from_json(value)
    return None if value is None else Postponed(str(value))


class ProcessPool(ThreadPool):
    """Runs each activity in one of several OS processes, which are kept and used again; a thread drives each.

    A process that dies, of whatever cause, fails the one activity it was executing and is replaced.
    """

    isolates = True

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._children = Lock()
        self._ready: list[_Child] = []
        self._busy: dict[_Child, ActivityTask] = {}

    def execute(self, task: ActivityTask) -> ActivityOutcome:
        """Have a task executed by a child process."""
        try:
            child = self._take(task)
        except Exception as error:  # a class that cannot be sent to a process, for example
            return failure(error)
        try:
            return child.execute(task, self.monitor(task))
        finally:
            with self._children:
                self._busy.pop(child, None)
                if child.alive:
                    self._ready.append(child)

    def close(self) -> None:
        """End the child processes, those that are busy by force."""
        super().close()
        with self._children:
            ready, busy = self._ready, self._busy
            self._ready, self._busy = [], {}
        for child in busy:
            child.kill()
        for child in ready:
            child.close()

    def abandon(self, task: ActivityTask) -> None:
        """Kill the process of a task; the thread that drives it reports that."""
        with self._children:
            for child, own in self._busy.items():
                if own is task:
                    log.error("%s has lost its lease and its process is killed", name_of(task))
                    child.kill()

    def _take(self, task: ActivityTask) -> "_Child":
        with self._children:
            child = self._ready.pop() if self._ready else None
        if child is not None and child.names != self.manager.activity_names:
            # It was started before the program had registered what may be wanted now.
            child.close()
            child = None
        if child is None:
            child = _Child({activity.name: activity for activity in self.manager.activities})
        with self._children:
            self._busy[child] = task
        return child


class _Child:
    """A child process and the pipe to it."""

    def __init__(self, activities: dict[str, AnyActivity]) -> None:
        self._pipe, theirs = _spawn.Pipe()
        self._process = _spawn.Process(target=_child, args=(theirs, activities), daemon=True)
        self._process.start()
        theirs.close()
        self.names = tuple(sorted(activities))
        self.alive = True

    def execute(self, task: ActivityTask, monitor: ActivityMonitor) -> ActivityOutcome:
        """Have a task executed and return its outcome."""
        try:
            self._pipe.send(task)
            while True:
                kind, data = self._pipe.recv()
                if kind == "outcome":
                    return _decoded(data)
                self._pipe.send(_beat(monitor, decode(data)))
        except (EOFError, OSError):
            self.alive = False
            self._process.join()
            code = self._process.exitcode
            return ActivityFailed(f"its process ended with exit code {code}", None, "ProcessDied")
        except BaseException:
            # Nobody knows what it does now.
            self.alive = False
            self.kill()
            raise

    def kill(self) -> None:
        """End the process at once."""
        self._process.kill()

    def close(self) -> None:
        """End the process, which has nothing to do."""
        self._pipe.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()


def _beat(monitor: ActivityMonitor, details: Json) -> bool | PyworkflowError:
    try:
        return monitor.heartbeat(details)
    except PyworkflowError as error:
        return error
