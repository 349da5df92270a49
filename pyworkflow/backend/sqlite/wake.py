"""Hearing of the commits of other OS processes at once.

After each commit a byte is written to a file beside the database; sleepers of other OS processes watch that file with inotify. Where
there is no inotify they look at the database's change counter instead.
"""

import os
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread

POLL_SECONDS = 0.02
"""How often the change counter is looked at where there is no inotify."""


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
            self.touch()
        self._changes = changes
        self._thread: Thread | None = None
        self._stopped = Event()

    def touch(self) -> None:
        """Tell other OS processes that something was committed.

        If the file cannot be written they hear of it later, when they look by themselves: the commit stands all the same.
        """
        with suppress(OSError):
            os.pwrite(self._file, b"\1", 0)

    def watch(self, notify: Callable[[], None]) -> None:
        """Call back after commits of others from now on, in a thread of its own; a second call does nothing."""
        if self._thread is None:
            follow = self._inotify(notify) or self._counter(notify)
            self._thread = Thread(target=follow, daemon=True, name="pyworkflow-wake")
            self._thread.start()

    def close(self) -> None:
        """End the thread and let go of the file."""
        self._stopped.set()
        self.touch()
        if self._thread is not None:
            self._thread.join(1)
        os.close(self._file)

    def _inotify(self, notify: Callable[[], None]) -> Callable[[], None] | None:
        try:
            from inotify_simple import INotify, flags
        except ImportError:
            return None
        events = INotify()
        events.add_watch(self._path, flags.MODIFY)

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
