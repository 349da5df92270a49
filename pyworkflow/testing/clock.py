"""A clock that stands still until a test moves it."""

from collections.abc import Callable
from datetime import UTC, timedelta
from datetime import datetime as DateTime
from threading import Lock

from pyworkflow.clock import microseconds, to_datetime, to_instant

START = DateTime(2026, 1, 1, tzinfo=UTC)
"""What a `FakeClock` shows at first, if not told otherwise."""


class FakeClock:
    """A `Clock` for tests: days pass in no time, and nothing passes by itself.

    Args:
        start: Aware datetime that it shows at first.
    """

    def __init__(self, start: DateTime = START) -> None:
        self._now = to_instant(start)
        self._lock = Lock()
        self._callbacks: list[Callable[[], None]] = []

    def now(self) -> int:
        """Return the instant that it shows."""
        return self._now

    def datetime(self) -> DateTime:
        """Return what it shows as an aware datetime."""
        return to_datetime(self._now)

    def advance(self, seconds: float | timedelta) -> None:
        """Move it on; a negative duration sets it back."""
        if isinstance(seconds, timedelta):
            seconds = seconds.total_seconds()
        self._move(self._now + microseconds(seconds))

    def set(self, moment: DateTime) -> None:
        """Set it to an aware datetime."""
        self._move(to_instant(moment))

    def on_change(self, callback: Callable[[], None]) -> None:
        """Call back whenever it is moved."""
        self._callbacks.append(callback)

    def _move(self, instant: int) -> None:
        with self._lock:
            self._now = instant
        for callback in list(self._callbacks):
            callback()
