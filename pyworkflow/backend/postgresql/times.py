"""What time it is for a transaction: the server decides, or a clock that was given."""

import time

from pyworkflow.clock import Clock


class Times:
    """The times of one backend object's transactions.

    Args:
        clock: What to read them from; the server's clock if it is None.
    """

    def __init__(self, clock: Clock | None) -> None:
        self._clock = clock
        self._latest = 0
        self._heard: tuple[int, int] | None = None

    def given(self) -> int | None:
        """Return the time of the clock that was given, which never goes back; None if the server's counts."""
        if self._clock is None:
            return None
        self._latest = max(self._latest, self._clock.now())
        return self._latest

    def of(self, server_time: int) -> int:
        """Return the time of a transaction to which the server has just told its own."""
        self._heard = server_time, time.monotonic_ns()
        given = self.given()
        return server_time if given is None else given

    def moment(self) -> int | None:
        """Return the time that a transaction of now would have, or somewhat less; None if the server has not been heard yet."""
        if self._clock is not None or self._heard is None:
            return self.given()
        server_time, heard = self._heard
        return server_time + (time.monotonic_ns() - heard) // 1000
