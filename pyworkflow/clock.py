"""The only place that reads the time.

An instant is an integer: microseconds since 1970-01-01T00:00:00 UTC. Integers compare, add and store without rounding and without
time zones; people see aware UTC datetimes, made by `to_datetime`.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Protocol

SECOND = 1_000_000
"""Microseconds in a second."""

FAR_SECONDS = 60.0
"""From here on, two clocks differ by more than drift explains: one is wrong."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@lru_cache(maxsize=1024)
def to_datetime(instant: int) -> datetime:
    """Return an instant as an aware UTC datetime."""
    return EPOCH + timedelta(microseconds=instant)


def to_instant(moment: datetime) -> int:
    """Return an aware datetime as an instant.

    Raises:
        ValueError: The datetime is naive: nobody can tell which instant it means.
    """
    if moment.tzinfo is None:
        raise ValueError(f"a datetime without a time zone is no instant: {moment!r}")
    return (moment - EPOCH) // timedelta(microseconds=1)


def microseconds(seconds: float) -> int:
    """Return a duration in seconds as whole microseconds."""
    return round(seconds * SECOND)


class Clock(Protocol):
    """What a backend reads the time from."""

    def now(self) -> int:
        """Return the present instant, in microseconds since the epoch, UTC."""
        ...

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back whenever the clock is set by hand, so that sleepers look again."""
        ...


class SystemClock:
    """The machine's wall clock."""

    def now(self) -> int:
        """Return the present instant, in microseconds since the epoch, UTC."""
        return time.time_ns() // 1000

    def on_change(self, callback: Callable[[], None]) -> None:
        """Do nothing: nobody sets this clock by hand."""
