"""Long polls, in threads of their own: a call waits for all its queues at once, and for nothing when it is told to stop.

A poll that SWF holds cannot be taken back. So nobody waits for it: what it brings later is handed to the next who asks for that queue, or given
back when the backend is closed.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from threading import Condition, Thread

from msgspec.structs import replace

from pyworkflow.backend.exchange import Poll
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.values import check_name

Task = ActivityTask | DecisionTask
Key = tuple[type, str, tuple[str, ...] | None]
Ask = Callable[[Poll], Task | None]

PATIENCE = 2.0
"""Seconds that somebody who does not want to wait waits all the same: SWF needs a moment to tell what is there."""


class _Call:
    """One long poll that is under way."""

    def __init__(self) -> None:
        self.done = False


class _NoCall(_Call):
    """What stands for the poll of somebody who has nothing to do tasks with."""

    def __init__(self) -> None:
        self.done = True


class _Line:
    """What is polled of one queue, for those who have the same workflows or activities."""

    def __init__(self) -> None:
        self.tasks: deque[Task] = deque()
        self.calls: list[_Call] = []
        self.waiting = 0
        # Why its last poll failed, until somebody who waits for this queue has been told.
        self.error: Exception | None = None


class Polling:
    """Polls queues.

    Args:
        ask: Makes one long poll.
        give_back: Lets somebody else have a task.
    """

    def __init__(self, ask: Ask, give_back: Callable[[Task], None]) -> None:
        self._ask = ask
        self._give_back = give_back
        self._changed = Condition()
        self._lines: dict[Key, _Line] = {}
        self.closed = False

    def wake(self) -> None:
        """Have every wait ask its `stop`."""
        with self._changed:
            self._changed.notify_all()

    def take(
        self, polls: Sequence[Poll], wait: float, stop: Callable[[], bool] | None = None
    ) -> list[Task]:
        """Return tasks; wait for them if there are none.

        Args:
            polls: What is wanted.
            wait: Seconds to wait at most; negative to take only what is there.
            stop: Ends the wait.

        Raises:
            BackendUnavailableError: A poll failed.
        """
        end = time.monotonic() + (wait if wait else PATIENCE)
        with self._changed:
            lines = [self._lines.setdefault(_key(poll), _Line()) for poll in polls]
            for line in lines:
                line.waiting += 1
            try:
                return self._wait(polls, lines, end, wait, stop)
            finally:
                for poll, line in zip(polls, lines, strict=True):
                    line.waiting -= 1
                    if not (line.waiting or line.calls or line.tasks):
                        self._lines.pop(_key(poll), None)

    def _wait(
        self,
        polls: Sequence[Poll],
        lines: list[_Line],
        end: float,
        wait: float,
        stop: Callable[[], bool] | None,
    ) -> list[Task]:
        calls: list[_Call | None] = [_NoCall() if p.names == () else None for p in polls]
        while True:
            found = [self._taken(poll) for poll in polls]
            stopped = self.closed or (stop is not None and stop())
            if any(found) or stopped:
                if not stopped:
                    self._go_on(polls, lines, found)
                return [task for tasks in found for task in tasks]
            _raise(lines)
            # Who does not wait asks each queue once; a task that another thread took first was no answer.
            if not wait and all(call is not None and call.done for call in calls):
                return []
            for number, (poll, line) in enumerate(zip(polls, lines, strict=True)):
                call = calls[number]
                if call is None or (call.done and wait and poll.names != ()):
                    calls[number] = self._call(poll, line)
            left = end - time.monotonic()
            if left <= 0 or wait < 0:
                return []
            self._changed.wait(left)

    def _taken(self, poll: Poll) -> list[Task]:
        """Take what is there for a poll: also what came for others who wanted tasks of its queue, and have left."""
        taken: list[Task] = []
        for (kind, category, _), line in self._lines.items():
            if (kind, category) == (poll.kind, poll.category):
                for task in [task for task in line.tasks if _fits(poll, task)]:
                    if len(taken) < poll.limit:
                        line.tasks.remove(task)
                        taken.append(task)
        return taken

    def _go_on(self, polls: Sequence[Poll], lines: list[_Line], found: list[list[Task]]) -> None:
        """Ask for what is still wanted while the caller works; it will come back for it."""
        for poll, line, tasks in zip(polls, lines, found, strict=True):
            if tasks and len(tasks) < poll.limit:
                self._call(poll, line)

    def _call(self, poll: Poll, line: _Line) -> _Call:
        """Begin a long poll, unless there is one for everybody who waits."""
        if len(line.calls) >= line.waiting:
            return line.calls[0]
        call = _Call()
        line.calls.append(call)
        name = f"pyworkflow-poll-{poll.category}"
        Thread(target=self._run, args=(poll, line, call), daemon=True, name=name).start()
        return call

    def _run(self, poll: Poll, line: _Line, call: _Call) -> None:
        task: Task | None = None
        error: Exception | None = None
        try:
            task = self._ask(poll)
        except Exception as raised:
            error = raised
        with self._changed:
            call.done = True
            line.calls.remove(call)
            late = self.closed and task is not None
            if task is not None and not late:
                line.tasks.append(task)
            if error is not None and not self.closed:
                line.error = error
            self._changed.notify_all()
        if late and task is not None:
            self._give_back(task)

    def close(self) -> None:
        """End all waits and give back what nobody has asked for."""
        with self._changed:
            self.closed = True
            left = [task for line in self._lines.values() for task in line.tasks]
            for line in self._lines.values():
                line.tasks.clear()
            self._changed.notify_all()
        for task in left:
            self._give_back(task)


def with_checked_names(poll: Poll) -> Poll:
    """Return a poll with each name once and in order: polls for the same names share what they bring.

    Raises:
        InvalidRequestError: A name is not acceptable.
    """
    if poll.names is None:
        return poll
    what = "workflow" if poll.kind is DecisionTask else "activity"
    return replace(poll, names=tuple(sorted({check_name(name, what) for name in poll.names})))


def _key(poll: Poll) -> Key:
    return poll.kind, poll.category, poll.names


def _fits(poll: Poll, task: Task) -> bool:
    """Tell whether a poller has the code for a task."""
    return poll.names is None or _name(task) in poll.names


def _name(task: Task) -> str:
    if isinstance(task, ActivityTask):
        return task.activity_execution.activity
    return task.process.workflow


def _raise(lines: list[_Line]) -> None:
    """Raise why a poll of one of some queues failed."""
    for line in lines:
        error, line.error = line.error, None
        if error is not None:
            raise error
