"""A record outside of the store of who did what: it tells which results in a history came from a holder whose time was over."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from pyworkflow.event import ActivityEvent
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask

VARIABLE = "PYWORKFLOW_TEST_ATTEMPTS"
"""Names the file to the OS processes of the workers."""

Activity = tuple[str, str]
"""A process and an activity of it, by their ids."""


class Line(NamedTuple):
    """An attempt that has begun, or that has ended and is answered now."""

    what: str
    process_id: str
    activity_id: str
    attempt: int
    pid: int

    @property
    def activity(self) -> Activity:
        return self.process_id, self.activity_id


class Attempts:
    """A file to which each attempt of an activity adds a line as it begins, and one right before it answers.

    Another attempt is handed out only when the lease of the one before is over. So whatever an attempt answers after a later one has begun
    must be refused: in a history that names such an attempt, a stale result counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> Iterator[Line]:
        for line in self.path.read_text(encoding="utf-8").splitlines():
            what, process_id, activity_id, attempt, pid = line.split()
            yield Line(what, process_id, activity_id, int(attempt), int(pid))

    def begun(self) -> dict[Activity, int]:
        """Return the latest attempt of each activity."""
        latest: dict[Activity, int] = {}
        for line in self.lines():
            latest[line.activity] = max(line.attempt, latest.get(line.activity, 0))
        return latest

    def held_by(self, pid: int) -> dict[Activity, int]:
        """Return what an OS process has begun and not answered, with the attempts."""
        held: dict[Activity, int] = {}
        for line in self.lines():
            if line.pid == pid:
                if line.what == "begins":
                    held[line.activity] = line.attempt
                else:
                    held.pop(line.activity, None)
        return held

    def late(self) -> int:
        """Return how many answers were given after a later attempt had begun."""
        latest: dict[Activity, int] = {}
        late = 0
        for line in self.lines():
            if line.what == "begins":
                latest[line.activity] = max(line.attempt, latest.get(line.activity, 0))
            else:
                late += line.attempt < latest[line.activity]
        return late

    def stale(self, processes: Iterable[Process]) -> list[str]:
        """Return the results in histories that a later attempt should have kept from counting."""
        latest = self.begun()
        return [
            f"{process.id}: activity {activity_id} has the result of attempt {attempt}; {last} had begun"
            for process in processes
            for activity_id, attempt in _counted(process)
            if (last := latest[str(process.id), activity_id]) > attempt
        ]

    def stall(self, worker: "subprocess.Popen[bytes]") -> None:
        """Stop a worker while it holds an activity until another one has begun with that; then let it go on, and answer."""
        end = time.monotonic() + 20
        while True:
            worker.send_signal(signal.SIGSTOP)
            held = self.held_by(worker.pid)
            if held or time.monotonic() > end:
                break
            worker.send_signal(signal.SIGCONT)
            time.sleep(0.01)
        while time.monotonic() < end:
            latest = self.begun()
            if any(latest[activity] > attempt for activity, attempt in held.items()):
                break
            time.sleep(0.01)
        worker.send_signal(signal.SIGCONT)


def note(what: str, task: ActivityTask) -> None:
    """Add a line, if there is a file for it: "begins" or "answers"."""
    path = os.environ.get(VARIABLE)
    if path:
        line = (
            f"{what} {task.process_id} {task.activity_execution.id} {task.attempt} {os.getpid()}\n"
        )
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            # One write: the lines of many OS processes do not mix.
            os.write(file, line.encode())
        finally:
            os.close(file)


def _counted(process: Process) -> Iterator[tuple[str, int]]:
    """Yield the activities of a history that have a result, and the attempts that it names."""
    for event in process.history:
        if isinstance(event, ActivityEvent) and isinstance(event.result, ActivityCompleted):
            yield event.activity_execution.id, int(event.result.result["attempt"])
