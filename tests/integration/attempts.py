"""A record outside of the store of who did what: it tells which results in a history came from a holder whose time was over."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pyworkflow.event import ActivityEvent, ActivityStartedEvent
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask

VARIABLE = "PYWORKFLOW_TEST_ATTEMPTS"
"""Names the file to the OS processes of the workers."""

BEGINS = "begins"
ANSWERS = "answers"

STALE = "has the result of attempt"
"""In what is wrong: the words for a stale result that counts."""

Activity = tuple[str, str]
"""A process and an activity of it, by their ids."""


class Line(NamedTuple):
    """An attempt that has begun, or that has ended and is answered now."""

    kind: str
    process_id: str
    activity_id: str
    attempt: int
    pid: int
    answer: Any

    @property
    def activity(self) -> Activity:
        return self.process_id, self.activity_id


class LateAnswers(NamedTuple):
    """How many answers came after a later attempt had begun, and how many of them while that one was still at work."""

    all: int
    contested: int


class Attempts:
    """A file to which each attempt of an activity adds a line as it begins, and one right before it answers.

    Another attempt is handed out only when the lease of the one before is over. So whatever an attempt answers after a later one has begun
    must be refused: in a history that names such an attempt, a stale result counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    def lines(self) -> Iterator[Line]:
        *whole, _ = self.path.read_text(encoding="utf-8").split("\n")
        for line in whole:
            yield Line(*json.loads(line))

    def latest(self) -> dict[Activity, int]:
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
                if line.kind == BEGINS:
                    held[line.activity] = line.attempt
                else:
                    held.pop(line.activity, None)
        return held

    def late(self) -> LateAnswers:
        """Count the answers that the store must refuse because a later attempt had begun before."""
        latest: dict[Activity, Line] = {}
        late = contested = 0
        for line in self.lines():
            last = latest.get(line.activity, line)
            if line.attempt >= last.attempt:
                latest[line.activity] = line
            elif line.kind == ANSWERS:
                late += 1
                contested += last.kind == BEGINS
        return LateAnswers(late, contested)

    def wrong(self, processes: Iterable[Process]) -> list[str]:
        """Return the results in histories that a later attempt should have kept from counting, and those that no attempt has answered."""
        latest = self.latest()
        answers = {
            (*line.activity, line.attempt): line.answer
            for line in self.lines()
            if line.kind == ANSWERS
        }
        wrong: list[str] = []
        for process in processes:
            # Of an attempt that was handed out, and whose worker was killed before it began, the history alone knows.
            for activity_id, attempt, last, result in _results(process):
                activity = str(process.id), activity_id
                last = max(last, latest.get(activity, 0))
                title = f"{process.id}: activity {activity_id}"
                if attempt < last:
                    wrong.append(f"{title} {STALE} {attempt}; {last} was handed out before")
                if answers.get((*activity, attempt)) != result:
                    wrong.append(f"{title} has a result that attempt {attempt} did not answer")
        return wrong

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
            latest = self.latest()
            if any(latest[activity] > attempt for activity, attempt in held.items()):
                break
            time.sleep(0.01)
        worker.send_signal(signal.SIGCONT)


def note(kind: str, task: ActivityTask, answer: Any = None) -> None:
    """Add a line, if there is a file for it: `BEGINS` or `ANSWERS`."""
    path = os.environ.get(VARIABLE)
    if path:
        activity_id = task.activity_execution.id
        line = [kind, task.process_id, activity_id, task.attempt, os.getpid(), answer]
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:
            # One write: the lines of many OS processes do not mix.
            os.write(file, (json.dumps(line) + "\n").encode())
        finally:
            os.close(file)


def _results(process: Process) -> Iterator[tuple[str, int, int, Any]]:
    """Yield the activities of a history that have a result: the attempt that it names, the last that was handed out before, the result."""
    latest: dict[str, int] = {}
    for event in process.history:
        if isinstance(event, ActivityStartedEvent):
            latest[event.activity_execution.id] = event.attempt
        elif isinstance(event, ActivityEvent) and isinstance(event.result, ActivityCompleted):
            name, result = event.activity_execution.id, event.result.result
            yield name, int(result["attempt"]), latest[name], result
