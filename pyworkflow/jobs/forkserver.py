"""Forks an OS process for each attempt of a task.

A program of its own, with one thread and the modules of the tasks imported once: forking it is quick, and safe, as forking the driver with
its threads is not. It ends with the driver, and what it has forked ends with it.

The driver sends requests of eight bytes; a request with signal number 0 is to fork, and brings the file descriptors of the new process.
It is sent eight bytes for each process that has ended.
"""

import gc
import os
import runpy
import selectors
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from msgspec import Struct

from pyworkflow.clock import SystemClock
from pyworkflow.codec import decode
from pyworkflow.jobs import child
from pyworkflow.jobs.find import find

REQUEST = struct.Struct("=ii")
"""The number that the driver has given a process, and a signal; 0 is to fork it."""

EXIT = struct.Struct("=ii")
"""The number of a process that has ended, and its exit code: negative is the signal that has killed it."""

FORK = 0

HANDED_OVER = 3
"""File descriptors of a new process: the channel to the driver, standard output, standard error."""


class Setting(Struct, frozen=True):
    """What the server needs to know.

    Attributes:
        path: ``sys.path`` of the driver.
        root: The project.
        directories: Further folders with tasks.
        packages: Packages with tasks.
        main: The program of the driver, if tasks are defined in it.
    """

    path: list[str]
    root: str
    directories: tuple[str, ...]
    packages: tuple[str, ...]
    main: str | None


class _Server:
    def __init__(self, driver: socket.socket) -> None:
        self._driver = driver
        self._children: dict[int, int] = {}
        self._numbers: dict[int, int] = {}
        self._clock = SystemClock()
        self._exits = b""

    def serve(self) -> None:
        """Fork and tell, until the driver is gone."""
        wake, woken = socket.socketpair()
        wake.setblocking(False)
        signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._driver, selectors.EVENT_READ)
            selector.register(woken, selectors.EVENT_READ)
            inside = [wake.fileno(), woken.fileno(), selector.fileno()]
            while True:
                for key, ready in selector.select():
                    if key.fileobj is woken:
                        woken.recv(4096)
                        self._reap()
                    elif ready & selectors.EVENT_READ and not self._request(inside):
                        return
                # The driver may be busy with sending: whoever waited for it here would wait for each other.
                unsent = selectors.EVENT_WRITE if self._tell() else 0
                selector.modify(self._driver, selectors.EVENT_READ | unsent)

    def kill(self) -> None:
        """End all that was forked, and what that has started."""
        for pid in self._children.values():
            _signal(pid, signal.SIGKILL)

    def _request(self, inside: list[int]) -> bool:
        """Do what the driver asks; return False if it is gone."""
        try:
            request, fds, _, _ = socket.recv_fds(self._driver, REQUEST.size, HANDED_OVER)
        except ConnectionError:
            return False
        if len(request) < REQUEST.size:
            return False
        number, wanted = REQUEST.unpack(request)
        if wanted == FORK:
            self._fork(number, fds, inside)
        elif number in self._children:
            _signal(self._children[number], wanted)
        return True

    def _fork(self, number: int, fds: list[int], inside: list[int]) -> None:
        server = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            os.write(fds[-1], f"no OS process for the task: {error}\n".encode())
            self._exits += EXIT.pack(number, os.EX_OSERR)
        else:
            if pid == 0:
                _be_child(server, fds, [self._driver.fileno(), *inside], self._clock)
            self._children[number] = pid
            self._numbers[pid] = number
        for fd in fds:
            os.close(fd)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            number = self._numbers.pop(pid, None)
            if number is None:
                continue  # a module that was imported has started it
            del self._children[number]
            code = os.waitstatus_to_exitcode(status)
            self._exits += EXIT.pack(number, code)

    def _tell(self) -> bytes:
        """Tell the driver which processes have ended; return what it cannot take now."""
        if self._exits:
            with suppress(
                BlockingIOError, ConnectionError
            ):  # without a driver, the next read tells
                sent = self._driver.send(self._exits, socket.MSG_DONTWAIT)
                self._exits = self._exits[sent:]
        return self._exits


def _signal(pid: int, number: int) -> None:
    """Send a signal to a process and what it has started, as Ctrl-C in a terminal does."""
    try:
        os.killpg(pid, number)
    except ProcessLookupError:
        # It has not made its group yet. That it has gone cannot be: it has not been waited for.
        os.kill(pid, number)


def _be_child(server: int, fds: list[int], inside: list[int], clock: SystemClock) -> NoReturn:
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # A terminal's Ctrl-C is for the driver, which then says what becomes of the tasks.
        os.setpgid(0, 0)
        child.end_with_parent(server)
        control, out, err = fds
        os.dup2(out, 1)
        os.dup2(err, 2)
        for fd in (out, err, *inside):
            os.close(fd)
        child.run(control, clock)
        code = 0
    except (EOFError, OSError):
        pass  # the driver is gone
    finally:
        os._exit(code)


def main(fd: int, setting: bytes) -> None:
    """Serve a driver.

    Args:
        fd: File descriptor of the socket to it.
        setting: A `Setting` as JSON.
    """
    server = _Server(socket.socket(fileno=fd))
    told: Setting = decode(setting, Setting)
    sys.path[:] = told.path
    find(Path(told.root), told.directories, told.packages)
    if told.main is not None:
        # As multiprocessing does: under a name that keeps it from starting the job again.
        runpy.run_path(told.main, run_name="__mp_main__")
    # What is there now stays for ever, and is not to be copied because the collector has touched it.
    gc.collect()
    gc.freeze()
    try:
        server.serve()
    finally:
        server.kill()
