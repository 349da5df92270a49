"""Looks after the OS processes of tasks: has them forked, reads what they say, and tells how each ended.

One thread waits for all of them, and works only when one has something to say.
"""

import fcntl
import os
import selectors
import signal
import socket
import struct
import subprocess
import sys
import termios
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from threading import Lock, Thread
from typing import Protocol

from pyworkflow.clock import SystemClock, to_datetime
from pyworkflow.codec import encode
from pyworkflow.errors import PayloadError
from pyworkflow.jobs.channel import (
    LONGEST_LINE,
    Asked,
    Assignment,
    Ended,
    Lines,
    Said,
    read_message,
)
from pyworkflow.jobs.eventbus.log import LogWriteEvent, Severity
from pyworkflow.jobs.forkserver import EXIT, FORK, REQUEST, Setting
from pyworkflow.jobs.shared import Answer, Changes, SharedStore
from pyworkflow.jobs.streams import said

PIECE = 65_536

PATIENCE = 10.0
"""Seconds that a task may take to read an answer: it asked for it, so only one that was stopped takes long."""

BOOT = (
    "import json, sys; fd, setting = sys.argv[1:]; sys.path[:] = json.loads(setting)['path'];"
    "from pyworkflow.jobs.forkserver import main; main(int(fd), setting.encode())"
)


class Report(Protocol):
    """Takes how an attempt ended, and what it wrote to the shared dictionary."""

    def __call__(self, ended: Ended, changes: Changes) -> None:
        """Called in the thread of the supervisor."""


class _Attempt:
    """An attempt that runs.

    Attributes:
        name: Of the task.
        number: Of its OS process; no other has the same.
        control: The channel to it.
        streams: What is read from it: the channel, its standard output and its standard error, each with the lines so far.
        ended: How it ended, by its own account.
    """

    def __init__(
        self, number: int, assignment: Assignment, report: Report, control: socket.socket
    ) -> None:
        self.number = number
        self.assignment = assignment
        self.name = assignment.metadata.name
        self.report = report
        self.control = control
        self.streams: dict[int, _Stream] = {}
        self.ended: Ended | None = None


class _Stream:
    def __init__(self, fd: int, attempt: _Attempt, severity: Severity | None) -> None:
        self.fd = fd
        self.attempt = attempt
        self.severity = severity
        self.lines = Lines(None if severity is None else LONGEST_LINE)


class Supervisor:
    """Runs attempts.

    Args:
        setting: For the fork server.
        shared: The shared dictionary; nobody else uses it while the supervisor runs.
        tell: Takes what tasks say.
        died: Takes what has ended the supervisor, if it was a mistake of its own.

    Attributes:
        aborting: Whether `abort` was called.
    """

    def __init__(
        self,
        setting: Setting,
        shared: SharedStore,
        tell: Callable[[LogWriteEvent], None],
        died: Callable[[BaseException], None],
    ) -> None:
        self._died = died
        self._setting = setting
        self._shared = shared
        self._tell = tell
        self._clock = SystemClock()
        self._attempts: dict[int, _Attempt] = {}
        self._count = 0
        self._selector = selectors.DefaultSelector()
        self._calls: deque[Callable[[], None]] = deque()
        self._wake, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        self._wake.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._called)
        self._closing = False
        self._ended = False
        self.aborting = False
        self._lock = Lock()
        self._server: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._exits = b""
        self._start_server()
        self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-tasks")
        self._thread.start()

    # -- from outside --------------------------------------------------------------------------------------------------------------

    def launch(self, assignment: Assignment, report: Report) -> None:
        """Begin an attempt."""
        self._call(lambda: self._launch(assignment, report))

    def abort(self) -> None:
        """Have all attempts go to their `on_abort`, and begin none any more."""
        self.aborting = True
        self._call(self._abort)

    def close(self) -> None:
        """End what runs by force, and stop."""
        with self._lock:
            if self._closing:
                return
            self._closing = True
        self._call(lambda: None)
        self._thread.join()

    def _call(self, function: Callable[[], None]) -> None:
        """Have the loop call a function; not after its end, which may come while somebody still aborts."""
        with self._lock:
            if self._ended:
                return
            self._calls.append(function)
            with suppress(BlockingIOError):  # it has enough to wake up from
                self._wake.send(b".")

    # -- the loop ------------------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                for key, _ in self._selector.select():
                    key.data()
        except BaseException as error:  # told to the driver, which would wait for ever
            self._died(error)
        finally:
            self._end()

    def _called(self) -> None:
        self._woken.recv(PIECE)
        while self._calls:
            self._calls.popleft()()

    def _end(self) -> None:
        """Let go of the server: it kills what it has forked, and ends."""
        if self._server is not None:
            self._server.close()
        if self._process is not None:
            self._process.wait()
        for attempt in list(self._attempts.values()):
            self._finish(attempt, "its process was ended with the job", clean=False)
        with self._lock:
            self._ended = True
            self._selector.close()
            self._wake.close()
            self._woken.close()

    # -- the server ----------------------------------------------------------------------------------------------------------------

    def _start_server(self) -> socket.socket:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter, and our own code
                # Unbuffered, for what is written through streams that were there before the fork.
                [
                    sys.executable,
                    "-u",
                    "-c",
                    BOOT,
                    str(theirs.fileno()),
                    encode(self._setting).decode(),
                ],
                pass_fds=(theirs.fileno(),),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd=self._setting.root,
                process_group=0,
            )
        self._selector.register(ours, selectors.EVENT_READ, self._exited)
        self._server = ours
        self._exits = b""
        return ours

    def _exited(self) -> None:
        """Read which processes have ended."""
        if self._server is None:
            return
        try:
            piece = self._server.recv(PIECE)
        except OSError:
            piece = b""
        if not piece:
            self._lose_server()
            return
        self._exits += piece
        whole = len(self._exits) // EXIT.size * EXIT.size
        exits, self._exits = self._exits[:whole], self._exits[whole:]
        for number, code in EXIT.iter_unpack(exits):
            if attempt := self._attempts.get(number):
                told = f"its process ended with {exit_of(code)}"
                self._finish(attempt, told, clean=code == 0)

    def _lose_server(self) -> None:
        """Give up what runs; the next attempt gets a new server."""
        if self._server is not None:
            self._selector.unregister(self._server)
            self._server.close()
            self._server = None
        code = None if self._process is None else self._process.wait()
        for attempt in list(self._attempts.values()):
            self._finish(attempt, f"the fork server ended with {exit_of(code)}", clean=False)

    def _request(self, number: int, wanted: int, fds: list[int]) -> None:
        server = self._server or self._start_server()
        socket.send_fds(server, [REQUEST.pack(number, wanted)], fds)

    def _abort(self) -> None:
        for attempt in self._attempts.values():
            try:
                self._request(attempt.number, signal.SIGTERM, [])
            except OSError:
                return  # the server is gone, and the attempts with it: that is about to be read

    # -- attempts ------------------------------------------------------------------------------------------------------------------

    def _launch(self, assignment: Assignment, report: Report) -> None:
        if self.aborting:
            report(Ended("aborted", "the job was interrupted"), {})
            return
        control, theirs = socket.socketpair()
        out, out_end = os.pipe()
        err, err_end = os.pipe()
        self._count += 1
        attempt = _Attempt(self._count, assignment, report, control)
        self._attempts[attempt.number] = attempt
        for fd, severity in ((control.fileno(), None), (out, Severity.INFO), (err, Severity.ERROR)):
            os.set_blocking(fd, False)
            stream = _Stream(fd, attempt, severity)
            attempt.streams[fd] = stream
            self._selector.register(fd, selectors.EVENT_READ, partial(self._read, stream))
        try:
            self._request(attempt.number, FORK, [theirs.fileno(), out_end, err_end])
            self._send(attempt, assignment)
        except OSError as error:
            self._say(attempt, Severity.ERROR, f"no OS process for the task: {error}")
            with suppress(OSError):  # if there is one all the same, this ends it
                control.shutdown(socket.SHUT_RDWR)
        finally:
            theirs.close()
            os.close(out_end)
            os.close(err_end)

    def _send(self, attempt: _Attempt, message: object) -> None:
        """Send a line to a task, which waits for it.

        Raises:
            OSError: It is gone, or does not read.
        """
        attempt.control.settimeout(PATIENCE)
        try:
            attempt.control.sendall(encode(message) + b"\n")
        finally:
            attempt.control.settimeout(0)

    def _read(self, stream: _Stream) -> int:
        """Read what a task has said; return how many bytes that were: none, if there is nothing now, or never again."""
        if stream.attempt.streams.get(stream.fd) is not stream:
            return 0  # it was closed after the selector had found it ready
        try:
            piece = os.read(stream.fd, PIECE)
        except BlockingIOError:
            return 0
        except ConnectionError:
            piece = b""
        if not piece:
            self._selector.unregister(stream.fd)
            del stream.attempt.streams[stream.fd]
            if stream.severity is not None:
                self._said(stream, stream.lines.rest())
                os.close(stream.fd)
            return 0
        for line in stream.lines.add(piece):
            if stream.severity is None:
                self._take(stream.attempt, line)
            else:
                self._said(stream, line)
        return len(piece)

    def _said(self, stream: _Stream, line: bytes) -> None:
        if stream.severity is not None and (text := said(line)):
            self._say(stream.attempt, stream.severity, text)

    def _take(self, attempt: _Attempt, line: bytes) -> None:
        try:
            message = read_message(line)
        except PayloadError as error:
            self._say(attempt, Severity.ERROR, f"the task wrote into its driver's channel: {error}")
            return
        match message:
            case Said(severity=severity, message=text, at=at):
                self._tell(LogWriteEvent(attempt.name, severity, text, to_datetime(at)))
            case Asked(ask=ask):
                self._shared.ask(str(attempt.number), ask, lambda said: self._answer(attempt, said))
            case Ended():
                attempt.ended = message

    def _answer(self, attempt: _Attempt, answer: Answer) -> None:
        try:
            self._send(attempt, answer)
        except OSError:
            with suppress(OSError):  # or the server is gone, and the task with it
                self._request(attempt.number, signal.SIGKILL, [])

    def _say(self, attempt: _Attempt, severity: Severity, text: str) -> None:
        now = to_datetime(self._clock.now())
        self._tell(LogWriteEvent(attempt.name, severity, text, now))

    def _finish(self, attempt: _Attempt, told: str, *, clean: bool) -> None:
        """Tell how an attempt ended whose process has ended, after all that it had said.

        Args:
            attempt: The attempt.
            told: How its process ended.
            clean: Whether that is as it should be.
        """
        for stream in list(attempt.streams.values()):
            # What is there now: something that it has left behind may go on writing for ever.
            left = _waiting(stream.fd)
            while left > 0 and (size := self._read(stream)):
                left -= size
        for stream in list(attempt.streams.values()):
            # Something that the task has started and left behind holds it open.
            self._selector.unregister(stream.fd)
            if stream.severity is not None:
                self._said(stream, stream.lines.rest())
                os.close(stream.fd)
        attempt.streams.clear()
        attempt.control.close()
        del self._attempts[attempt.number]
        ended = attempt.ended
        if ended is None or not clean:
            ended = Ended("failed", told, None, "ProcessDied")
            self._say(attempt, Severity.CRITICAL, f"{told}; on_destroy was not called")
        attempt.report(ended, self._shared.take(str(attempt.number)))


def _waiting(fd: int) -> int:
    """Return how many bytes there are to be read."""
    (size,) = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))
    return int(size)


def exit_of(code: int | None) -> str:
    """Return an exit code for people: ``exit status 3``, ``SIGKILL``."""
    if code is None or code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
