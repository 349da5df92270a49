"""The part of the port for those who look on and those who keep house. No backend must have any of it but `close`."""

from collections.abc import Callable
from datetime import datetime as DateTime
from types import TracebackType
from typing import Self

from pyworkflow.backend.exchange import FEED_START, Diagnosis, FeedEntry, Poller, Queue
from pyworkflow.errors import UnsupportedByBackendError
from pyworkflow.ledger.checks.record import Violation


class Observable:
    """What a backend lets people see, and have it do, besides its work."""

    name: str = "backend"

    # -- looking on ----------------------------------------------------------------------------------------------------------------

    def feed(self, cursor: str = FEED_START, limit: int = 1000, wait: float = 0) -> list[FeedEntry]:
        """Return the events of all processes after a cursor, in the order of their recording.

        Args:
            cursor: The cursor of the last entry that was handled; `FEED_START` for the beginning, `feed_end` for what comes now.
            limit: How many entries at most, more or less: the events of one transition stay together.
            wait: Seconds to wait for entries at most, if there are none at once.

        Raises:
            StaleCursorError: The store does not hold the events that the cursor stands for: a backup was restored, or it is another store.
        """
        raise self._unsupported("feed")

    def feed_end(self) -> str:
        """Return the cursor of the newest entry of the feed, `FEED_START` if there is none."""
        raise self._unsupported("feed_end")

    def queues(self) -> list[Queue]:
        """Return the state of every queue that has tasks or pollers."""
        raise self._unsupported("queues")

    def pollers(self, within: float = 86_400) -> list[Poller]:
        """Return who has polled which queue, in the order of identities.

        Args:
            within: Only those seen in the last so many seconds.
        """
        raise self._unsupported("pollers")

    def observe(self, observer: Callable[[list[FeedEntry]], None]) -> None:
        """Call back after each commit of this backend object, in one of its threads, with what was recorded.

        An observer that raises is logged; nothing else comes of it.
        """
        raise self._unsupported("observe")

    # -- keeping house -------------------------------------------------------------------------------------------------------------

    def diagnose(self) -> Diagnosis:
        """Return the state of the store. Reads little, and changes nothing."""
        raise self._unsupported("diagnose")

    def set_clock_back(self) -> float:
        """Set a store's clock that is ahead to the wall clock of this machine; return by how many seconds, 0 if it is not ahead.

        Open work moves along, so that nothing becomes due early. Histories stay as they are: the times of a process go on from its last event.
        """
        raise self._unsupported("set_clock_back")

    def check(self, progress: Callable[[int, int], None] | None = None) -> list[Violation]:
        """Return every invariant that does not hold; an empty list is good news. Changes nothing and does not hold up others.

        Args:
            progress: Called with the number of processes checked and their total.
        """
        raise self._unsupported("check")

    def purge(self, closed_before: DateTime, limit: int = 1000) -> int:
        """Remove processes that closed before an instant, with their histories; return how many.

        Args:
            closed_before: Aware datetime.
            limit: How many at most in this call, so that others are not held up.
        """
        raise self._unsupported("purge")

    def close(self) -> None:
        """Let go of files and connections. Calls that wait end; later ones raise `BackendUnavailableError`."""

    @property
    def closed(self) -> bool:
        """Whether `close` has been called."""
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _unsupported(self, call: str) -> UnsupportedByBackendError:
        return UnsupportedByBackendError(f"the {self.name} backend has no {call}")
