"""Taking turns with the writers of other OS processes.

SQLite's own busy handler sleeps and tries again, so under load some writers starve. A file lock is handed on by the kernel at once.
"""

import fcntl
import os
from threading import Condition, Thread

from pyworkflow.errors import BackendOutageError
from pyworkflow.forks import drop_descriptor


class Ticket:
    """An exclusive lock on a file beside the database. One thread of this OS process at a time may use it.

    Args:
        path: The lock file.
        seconds: How long to wait for other OS processes.
    """

    def __init__(self, path: str, seconds: float) -> None:
        self._path = path
        self._file = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        self._seconds = seconds
        self._condition = Condition()
        self._waiting = False
        self._granted = False
        self._wanted = False

    def acquire(self) -> None:
        """Take the lock.

        Raises:
            BackendOutageError: Another OS process has kept it for too long, for example because it was stopped.
        """
        with self._condition:
            if not self._waiting:
                try:
                    fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    return
                except BlockingIOError:
                    self._waiting = True
                    # flock knows no time limit, so a thread of its own waits for it.
                    Thread(target=self._wait, daemon=True, name="pyworkflow-ticket").start()
            self._wanted = True
            if not self._condition.wait_for(lambda: self._granted, self._seconds):
                self._wanted = False
                raise BackendOutageError(
                    f"another process has held {self._path} for more than {self._seconds:g} s"
                )
            self._granted = self._wanted = False

    def _wait(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        with self._condition:
            self._waiting = False
            if self._wanted:
                self._granted = True
                self._condition.notify_all()
            else:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def release(self) -> None:
        """Give the lock to whoever has waited longest."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of the file."""
        os.close(self._file)

    def drop(self) -> None:
        """Leave the lock to the parent, in a child: it belongs to the open file, which both have."""
        drop_descriptor(self._file)
