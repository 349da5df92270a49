"""How long to wait before trying again."""

import time
from collections.abc import Callable
from typing import TypeVar

from pyworkflow.errors import BackendFullError, BackendOutageError, BackendUnavailableError

T = TypeVar("T")

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


def ride_out(
    call: Callable[[], T],
    report: Callable[[BackendUnavailableError], None],
    patience: float = float("inf"),
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Call until the store answers.

    Args:
        call: What may be called again after it has failed.
        report: Called with the first error.
        patience: Seconds after the first error in which to call again.
        sleep: Pauses.

    Raises:
        BackendUnavailableError: The store does not come back in time, or not by itself.
    """
    backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
    waited, failed = 0.0, None
    while True:
        try:
            return call()
        except (BackendOutageError, BackendFullError) as error:
            failed = failed or time.monotonic()
            pause = backoff.pause()
            # A call may itself take long, when it waits for a lock.
            if max(waited, time.monotonic() - failed) + pause > patience:
                raise
            if not waited:
                report(error)
            sleep(pause)
            waited += pause
