"""How long to wait before trying again."""

LONGEST_PAUSE = 30.0
"""Seconds between two tries, at most."""


LONGEST_OUTAGE_PAUSE = 1.5
"""Between two tries of a worker, or of an onlooker, whose backend cannot be reached: it goes on within two seconds of its return."""


class Backoff:
    """Pauses that double with each failure.

    Args:
        first: Seconds of the first pause.
        longest: Seconds of the longest.
    """

    def __init__(self, first: float = 0.1, longest: float = LONGEST_PAUSE) -> None:
        self._first = first
        self._longest = longest
        self._next = first

    def pause(self) -> float:
        """Return the seconds to wait after one more failure."""
        pause = self._next
        self._next = min(pause * 2 or 0.1, self._longest)
        return pause

    def succeed(self) -> None:
        """Begin anew."""
        self._next = self._first
