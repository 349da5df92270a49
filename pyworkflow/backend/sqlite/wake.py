"""Hearing of the commits of other OS processes at once.

After each commit a byte is written to a file beside the database, if anybody else listens: sleepers watch that file with inotify, and
hold a lock on it that says so. Where there is no inotify, or no more of it, they look at the database's change counter instead.
"""

import fcntl
import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from threading import Event, RLock, Thread

from pyworkflow.forks import drop_descriptor

if sys.platform == "linux":
    # Here and not where it is used: Python may drop a Ctrl-C that comes in the middle of an import.
    from inotify_simple import INotify, flags

POLL_SECONDS = 0.02
"""How often the change counter is looked at where there is no inotify."""


_FLOCK = "hhqqi4x"
_LOCKS: bool = hasattr(fcntl, "F_OFD_GETLK") and sys.maxsize > 2**32
"""Whether the system has locks that belong to an open file, and not to a whole OS process."""


def _lock(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 1, 0)


class WakeFile:
    """The file that commits touch.

    Args:
        path: The file.
        changes: Returns the database's change counter, for systems without inotify.
    """

    def __init__(self, path: str, changes: Callable[[], int]) -> None:
        self._path = path
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if os.fstat(self._file).st_size == 0:
            # The byte has its place from now on, so that later touches need none of a disk that has filled up.
            with suppress(OSError):
                os.pwrite(self._file, b"\1", 0)
        self._changes = changes
        self._thread: Thread | None = None
        self._events: INotify | None = None
        self._starting = RLock()
        self._stopped = Event()

    def touch(self) -> None:
        """Tell other OS processes that something was committed.

        If the file cannot be written they hear of it later, when they look by themselves: the commit stands all the same.
        """
        with suppress(OSError):
            if self._others_listen():
                os.pwrite(self._file, b"\1", 0)

    def _others_listen(self) -> bool:
        """Tell whether another object, in this OS process or not, holds the lock that listeners share."""
        if not _LOCKS:
            return True
        try:
            found = fcntl.fcntl(self._file, fcntl.F_OFD_GETLK, _lock(fcntl.F_WRLCK))
        except OSError:
            return True
        return bool(struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK)

    def watch(self, notify: Callable[[], None]) -> bool:
        """Call back after commits of others from now on, in a thread of its own; return False if that has begun before."""
        with self._starting:
            if self._thread is not None:
                return False
            follow = self._inotify(notify) or self._counter(notify)
            if _LOCKS:
                with suppress(OSError):
                    fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, _lock(fcntl.F_RDLCK))
            thread = Thread(target=follow, daemon=True, name="pyworkflow-wake")
            thread.start()
            self._thread = thread
        return True

    def close(self) -> None:
        """End the thread and let go of the file."""
        self._stopped.set()
        with suppress(OSError):
            os.pwrite(self._file, b"\1", 0)
        if self._thread is not None:
            self._thread.join(1)
        os.close(self._file)

    def drop(self) -> None:
        """Leave the files to the parent, in a child: locks and events belong to open files, which both have."""
        drop_descriptor(self._file)
        if self._events is not None:
            drop_descriptor(self._events.fd)

    def _inotify(self, notify: Callable[[], None]) -> Callable[[], None] | None:
        if sys.platform != "linux":
            return None
        try:
            events = INotify()
            try:
                events.add_watch(self._path, flags.MODIFY)
            except OSError:
                events.close()
                raise
        except OSError:
            # There may be as many as the system allows one user.
            return None

        self._events = events

        def follow() -> None:
            with events:
                while not self._stopped.is_set():
                    events.read()
                    notify()

        return follow

    def _counter(self, notify: Callable[[], None]) -> Callable[[], None]:
        def follow() -> None:
            seen = self._changes()
            while not self._stopped.wait(POLL_SECONDS):
                if (now := self._changes()) != seen:
                    seen = now
                    notify()

        return follow
