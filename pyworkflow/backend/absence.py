"""When the store could not be reached. Leases and heartbeats that ran out meanwhile say nothing about their holders."""

from time import monotonic

from pyworkflow.clock import SECOND
from pyworkflow.ledger.grace import GRACE

ABSENT_SECONDS = 1.0
"""A commit that waits longer for its turn was kept waiting by the store."""


class Absence:
    """Follows the commits of one backend object, of which one is under way at a time."""

    def __init__(self) -> None:
        self._reached = self._began = monotonic()
        self._failed = False
        self._since = self._until = 0.0

    def begin(self) -> None:
        """Note that a commit begins."""
        self._began = monotonic()

    def fail(self) -> None:
        """Note that a commit could not reach the store."""
        self._failed = True

    def succeed(self) -> None:
        """Note that a commit is over."""
        self._reached = monotonic()
        self._failed = False

    def since(self, now: int) -> int | None:
        """Return the store's time when it was last reached before the absence that has just ended, None if there was none.

        Args:
            now: The store's time.
        """
        moment = monotonic()
        if self._failed:
            self._since, self._until = self._reached, moment + GRACE / SECOND
        elif moment - self._began > ABSENT_SECONDS:
            self._since, self._until = self._began, moment + GRACE / SECOND
        if moment > self._until:
            return None
        return now - int((moment - self._since) * SECOND)
