"""A clock that the wall clock's jumps do not move.

The time of a database is anchored once per boot of the machine: a reading of the wall clock, and one of ``CLOCK_BOOTTIME``, which runs
evenly and through suspension. From then on all OS processes that share the file count from that anchor, so leases and timers hold
whatever is done to the wall clock. After a boot the anchor is made anew, never before the time that was reached. A person can set it back (`SQLiteBackend.set_clock_back`).
"""

import time
from collections.abc import Callable
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

Anchor = tuple[str, int, int]
"""Id of the boot, and its two readings in microseconds: since the boot, and UTC."""


class BootClock:
    """Counts from an anchor."""

    def __init__(self, anchor: Anchor) -> None:
        self.anchor = anchor
        _, since_boot, utc = anchor
        self._offset = utc - since_boot

    def now(self) -> int:
        """Return the present instant, in microseconds since the epoch, UTC."""
        return self._offset + since_boot()

    def on_change(self, callback: Callable[[], None]) -> None:
        """Do nothing: nobody sets this clock by hand."""


def since_boot() -> int:
    """Return microseconds since the machine was started, or since some fixed instant where that is not known."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime_ns(clock) // 1000


def boot_id() -> str:
    """Return what tells one boot of the machine from another; the empty text where nothing does."""
    try:
        return BOOT_ID.read_text(encoding="ascii").strip()
    except OSError:
        return ""


def right_anchor() -> Anchor:
    """Return the anchor of the wall clock's present time."""
    return boot_id(), since_boot(), time.time_ns() // 1000


def anchor(known: Anchor | None, reached: int) -> Anchor:
    """Return the anchor to count from: the known one while it is of this boot, else a new one.

    Args:
        known: What the database holds.
        reached: The latest instant that the database has seen.
    """
    boot = boot_id()
    if known is not None and known[0] == boot and boot:
        return known
    return boot, since_boot(), max(reached, time.time_ns() // 1000)
