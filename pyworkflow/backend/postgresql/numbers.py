"""New numbers for processes and activities, fetched some at a time."""

from collections import deque
from collections.abc import Iterable

from pyworkflow.backend.postgresql.rows import Values
from pyworkflow.backend.postgresql.session import Session

FEW = 16
"""Numbers of activities that are fetched at the least."""

MANY = 4096
"""Numbers that are fetched at once at the most."""


class Reserve:
    """Numbers of activities that one backend object has fetched and not used yet. Numbers may be left out, but never used twice."""

    def __init__(self) -> None:
        self.numbers: deque[int] = deque()


class Numbers:
    """The numbers that one transaction takes.

    Args:
        reserve: Where numbers of activities are kept from one transaction to the next.
    """

    def __init__(self, reserve: Reserve) -> None:
        self._reserve = reserve.numbers
        # Keys are not kept: they tell which process is older.
        self._keys: deque[int] = deque()
        self._fetched = FEW // 2

    def missing(self, wanted: int) -> int:
        """Return how many numbers of activities to fetch along with something else, where so many may be wanted."""
        return 0 if wanted <= len(self._reserve) else max(wanted - len(self._reserve), FEW)

    def keep_activities(self, found: Iterable[Values]) -> None:
        """Keep new numbers of activities."""
        self._reserve.extend(values[0] for values in found)

    def keep_keys(self, found: Iterable[Values]) -> None:
        """Keep new keys that were fetched for this transaction."""
        self._keys.extend(values[0] for values in found)

    def key(self, session: Session) -> int:
        """Return the key of a new process."""
        if not self._keys:
            self.keep_keys(session.rows("new_keys", count=1))
        return self._keys.popleft()

    def activity(self, session: Session) -> int:
        """Return the number of a new activity."""
        if not self._reserve:
            self._fetched = min(2 * self._fetched, MANY)
            self.keep_activities(session.rows("new_numbers", count=self._fetched))
        return self._reserve.popleft()
