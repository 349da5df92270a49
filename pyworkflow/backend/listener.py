"""Hearing what other OS processes do: blinker signals from the feed, in order, at least once, across restarts."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Protocol

from pyworkflow.backend.base import FEED_START, Backend, FeedEntry
from pyworkflow.backend.cursors import place_of
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.errors import BackendUnavailableError, InvalidRequestError

log = logging.getLogger("pyworkflow.blinker")


class Cursor(Protocol):
    """Keeps the place in the feed."""

    def load(self) -> str:
        """Return the cursor that was saved last, `FEED_START` if none was."""
        ...

    def save(self, cursor: str) -> None:
        """Keep a cursor."""
        ...


class CursorFile:
    """Keeps the place in a small file, replaced as a whole.

    Args:
        path: The file.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def load(self) -> str:
        """Return the cursor that was saved last, `FEED_START` if none was.

        Raises:
            InvalidRequestError: The file holds something else.
        """
        try:
            text = self.path.read_text(encoding="ascii")
            place_of(text)
        except FileNotFoundError:
            return FEED_START
        except ValueError:
            raise InvalidRequestError(
                f"cursor file {str(self.path)!r}", "holds no cursor: remove it to begin anew"
            ) from None
        return text

    def save(self, cursor: str) -> None:
        """Keep a cursor."""
        beside = self.path.with_name(f"{self.path.name}.new")
        with beside.open("w", encoding="ascii") as file:
            file.write(cursor)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(self.path)


class Listener:
    """Follows the feed of a backend from where it stopped last.

    The cursor is saved after the events were passed on, so a listener that is killed in between passes them on again. Use a backend of its
    own for a listener in an OS process that also works: a wrapper tells of its own commits already.

    Args:
        backend: Whose feed to follow.
        tell: What passes the events on, for example ``BlinkerBackend(backend).tell``.
        cursor: Keeps the place.
    """

    def __init__(
        self, backend: Backend, tell: Callable[[list[FeedEntry]], None], cursor: Cursor
    ) -> None:
        self._backend = backend
        self._tell = tell
        self._cursor = cursor
        self._at = cursor.load()
        self._stopped = Event()

    def step(self, wait: float = 0) -> int:
        """Pass on what is new; return how many events that were.

        Args:
            wait: Seconds to wait for something new at most.

        Raises:
            StaleCursorError: As `run` does.
        """
        entries = self._backend.feed(self._at, wait=wait)
        self._pass_on(entries)
        return len(entries)

    def run(self) -> None:
        """Pass events on until `stop` is called.

        An exception of what passes them on is logged, and the same events are passed on again after a pause: nothing behind them is until
        they are taken.

        Raises:
            BackendUnavailableError: The backend has been closed. While it cannot be reached, it is tried again.
            StaleCursorError: A backup was restored: the subscribers have heard of events that never happened. Repair what they keep, save
                the cursor from which to go on, and make a new listener.
        """
        backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        while not self._stopped.is_set():
            try:
                entries = self._backend.feed(self._at, wait=1)
            except BackendUnavailableError as error:
                if self._backend.closed:
                    raise
                log.warning("the feed cannot be read: %s", error)
                self._stopped.wait(backoff.pause())
                continue
            try:
                self._pass_on(entries)
                backoff.succeed()
            except Exception:
                log.exception("events after cursor %s are passed on again", self._at)
                self._stopped.wait(backoff.pause())

    def _pass_on(self, entries: list[FeedEntry]) -> None:
        if entries:
            self._tell(entries)
            self._cursor.save(entries[-1].cursor)
            self._at = entries[-1].cursor

    def stop(self) -> None:
        """Have `run` return."""
        self._stopped.set()
        self._backend.wake()
