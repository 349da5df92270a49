"""A disk that fails when a test says so, and OS processes that work on it until it does."""

import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
from msgspec import Struct

from pyworkflow.backend.base import Backend, Completion, Poll
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.clock import Clock
from pyworkflow.codec import decode, encode
from pyworkflow.decision import CompleteProcess, Decision, ScheduleActivity, Timer
from pyworkflow.errors import ProcessClosedError, UnknownProcessError
from pyworkflow.event import ActivityEvent, DecisionEvent
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker import Worker
from tests.integration.program import manager

WEEK = 7 * 86_400
HOUR = 3600
POLLS = [Poll(DecisionTask, lease=HOUR), Poll(ActivityTask, lease=HOUR)]

# -- the disk ----------------------------------------------------------------------------------------------------------------------

Strike = Callable[["Disk", "DiskFile | None", bytes, int], None]
"""What happens at an operation, before it is done: the file, and what was to be written where, if it is a write."""


class DiskFile(apsw.VFSFile):
    """A file whose writes, syncs and truncations are counted."""

    def __init__(self, disk: "Disk", name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__(disk.inner, name, flags)
        self._disk = disk
        given = name.filename() if isinstance(name, apsw.URIFilename) else name
        self._path = None if given is None else Path(given)
        self._made = self._path is not None and self._path not in disk.durable
        if self._path is not None:
            disk.durable.setdefault(self._path, self._path.read_bytes())

    def write_through(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)

    def xWrite(self, data: Any, offset: int) -> None:
        self._disk.count_one(self, bytes(data), offset)
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:
        self._disk.count_one(self)
        super().xSync(flags)
        if self._path is not None:
            if self._made:
                # The first sync of a new file is one of its folder, too.
                self._disk.forget_deleted()
                self._made = False
            self._disk.durable[self._path] = self._path.read_bytes()

    def xTruncate(self, newsize: int) -> None:
        self._disk.count_one(self)
        super().xTruncate(newsize)


class Disk(apsw.VFS):
    """The machine's own files, as the default of SQLite until `unregister`.

    Attributes:
        count: How many operations there were.
        at: The operation from which on `strike` is called; 0 for never.
        strike: Raises an error, or ends the OS process.
        durable: By path, what a loss of power leaves of each file: its content at its last sync.
    """

    def __init__(self) -> None:
        self.inner = apsw.vfs_names()[0]
        self.count = self.at = 0
        self.strike: Strike = kill
        self.durable: dict[Path, bytes] = {}
        super().__init__("pyworkflow-faults", self.inner, makedefault=True)

    def fail(self, at: int, strike: Strike) -> None:
        self.count, self.at, self.strike = 0, at, strike

    def mend(self) -> None:
        self.at = 0

    def count_one(self, file: DiskFile | None, data: bytes = b"", offset: int = 0) -> None:
        self.count += 1
        if self.at and self.count >= self.at:
            self.strike(self, file, data, offset)

    def forget_deleted(self) -> None:
        self.durable = {path: kept for path, kept in self.durable.items() if path.exists()}

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> DiskFile:
        return DiskFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.count_one(None)
        super().xDelete(filename, syncdir)


def kill(disk: Disk, file: DiskFile | None, data: bytes, offset: int) -> None:
    """End this OS process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def tear(disk: Disk, file: DiskFile | None, data: bytes, offset: int) -> None:
    """End this OS process in the middle of a write."""
    if file is not None and data:
        file.write_through(data[: len(data) // 2], offset)
    kill(disk, file, data, offset)


def cut_power(disk: Disk, file: DiskFile | None, data: bytes, offset: int) -> None:
    """End this OS process, and lose all that was not synced."""
    for path, content in disk.durable.items():
        path.write_bytes(content)
    kill(disk, file, data, offset)


def full(disk: Disk, file: DiskFile | None, data: bytes, offset: int) -> None:
    """Have no room for what is written."""
    if data:
        raise apsw.FullError("database or disk is full")


def broken(disk: Disk, file: DiskFile | None, data: bytes, offset: int) -> None:
    """Neither write nor sync."""
    raise apsw.IOError("disk I/O error")


STRIKES: dict[str, Strike] = {f.__name__: f for f in (kill, tear, cut_power, full, broken)}

# -- the work ----------------------------------------------------------------------------------------------------------------------


def recorded(backend: Backend) -> list[dict[str, Any]]:
    """Return the history of the one process as JSON; nothing if it was not started."""
    try:
        events: list[dict[str, Any]] = decode(encode(list(backend.history("one"))))
    except UnknownProcessError:
        return []
    return events


def decisions(process: Process) -> list[Decision]:
    if process.history.find(ActivityEvent):
        return [CompleteProcess({"done": True})]
    if process.history.find(DecisionEvent):
        return []
    return [
        ScheduleActivity("pack", id="a", input={"order": 1}, scheduled_timeout=WEEK),
        Timer(WEEK, id="t"),
    ]


def work(path: Path, told: Callable[[Backend], None], clock: Clock | None = None) -> None:
    """Take the one process to its end, from wherever it stands; opens the file anew for each task.

    Args:
        path: The database.
        told: Called after each call that was acknowledged.
        clock: What the backend reads the time from.
    """
    with SQLiteBackend(path, clock=clock) as backend:
        backend.register_workflow("Order", decision_timeout=HOUR)
        told(backend)
        backend.register_activity("pack")
        told(backend)
        backend.start_process(Process("Order", id="one", input={"n": 1}, tags=["x"]))
        told(backend)
        with suppress(ProcessClosedError):
            backend.signal_process("one", "hurry", signal_id="s")
        told(backend)
    while True:
        with SQLiteBackend(path, clock=clock) as backend:
            if backend.process_by_id("one").status is not Status.OPEN:
                return
            tasks = backend.turn(polls=POLLS).tasks
            if not tasks:
                raise RuntimeError(f"nothing can be done: {backend.pending('one')}")
            for task in tasks:
                told(backend)
                if isinstance(task, ActivityTask):
                    backend.heartbeat_activity_task(task, {"half": True})
                    told(backend)
                    outcome: Any = ActivityCompleted({"packed": 1})
                else:
                    outcome = decisions(task.process)
                [error] = backend.turn([Completion(task, outcome)]).errors
                if error is not None:
                    raise error
                told(backend)


def work_and_tell(folder: Path, disk: Disk) -> None:
    """Do the work, with a line of what is recorded in ``told`` after each call, and in the end how often the disk was used."""
    lines = os.open(folder / "told", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    work(folder / "x.db", lambda backend: _line(lines, recorded(backend)))
    _line(lines, disk.count)


def _line(file: int, value: Any) -> None:
    os.write(file, encode(value) + b"\n")


# -- the OS processes --------------------------------------------------------------------------------------------------------------


def run_each(how: str, folder: Path, turns: list[int]) -> None:
    """For each number, work in a folder of that name until the operation of that number is struck."""
    for turn in turns:
        (folder / str(turn)).mkdir()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                disk = Disk()
                disk.fail(turn, STRIKES[how])
                work_and_tell(folder / str(turn), disk)
                code = 0
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, -signal.SIGKILL):
            sys.exit(f"turn {turn} ended with {status}")


def run_command(how: str, turn: int, words: list[str]) -> None:
    """Be the command line, on a disk that is struck."""
    from pyworkflow.cli import main as command

    disk = Disk()
    disk.fail(turn, STRIKES[how])
    sys.argv = ["pyworkflow", *words]
    command()


class Answer(Struct):
    """What the holder of a lease sees.

    Attributes:
        wall: The wall clock.
        held: Whether the lease is still held.
        fired: The timers that have fired.
        elapsed: The seconds since just before the timers were set, by a clock that does not jump.
    """

    wall: float
    held: bool
    fired: list[str]
    elapsed: float


def hold(path: Path, short: float) -> None:
    """Hold a lease and two timers, and answer each line of the standard input with what has become of them."""
    with SQLiteBackend(path) as backend:
        backend.register_workflow("Order", decision_timeout=HOUR)
        backend.register_activity("pack")
        backend.start_process(Process("Order", id="one"))
        [first] = backend.turn(polls=POLLS).tasks
        timers = [Timer(short, id="short"), Timer(HOUR, id="long")]
        began = time.monotonic()
        backend.turn([Completion(first, [ScheduleActivity("pack", id="a"), *timers])])
        [held] = backend.turn(polls=POLLS).tasks
        for line in sys.stdin:
            if line == "wait\n":
                [woken] = backend.turn(polls=POLLS, wait=60).tasks
                backend.turn([Completion(woken, [])])
            elif line == "finish\n":
                backend.turn([Completion(held, ActivityCompleted())])
                [last] = backend.turn(polls=POLLS).tasks
                backend.turn([Completion(last, [CompleteProcess()])])
            [kept] = backend.extend_leases([held], HOUR)
            events = recorded(backend)
            fired = [e["timer"]["id"] for e in events if e["type"] == "timer"]
            _line(1, Answer(time.time(), kept, fired, time.monotonic() - began))


def run_worker(path: Path, lease: float) -> None:
    """Be a worker for the workflows of the other program."""
    Worker(manager(str(path)), lease=lease, grace=5).run()


def main() -> None:
    what, how, where, *rest = sys.argv[1:]
    if what == "each":
        run_each(how, Path(where), [int(turn) for turn in rest])
    elif what == "command":
        run_command(how, int(where), rest)
    elif what == "worker":
        run_worker(Path(where), float(how))
    else:
        hold(Path(where), float(how))


if __name__ == "__main__":
    main()
