"""Figures: what was measured, and medians of runs that are taken in turns."""

import os
import platform
import sys
from collections.abc import Callable, Iterable
from statistics import median
from typing import TextIO

import apsw
from msgspec import Struct

OURS = "pyworkflow"
LIMIT = "hand-written loop"

Values = dict[str, float]
"""Figures by the name of their quantity."""


class Quantity(Struct, frozen=True):
    """What a figure tells.

    Attributes:
        text: The quantity and its unit.
        more_is_better: How to read a ratio.
    """

    text: str
    more_is_better: bool = True

    def gain(self, ours: float, theirs: float) -> float:
        """Return how many times as good ours is."""
        return ours / theirs if self.more_is_better else theirs / ours


QUANTITIES = {
    "rate": Quantity("processes/s"),
    "rate_with_starts": Quantity("processes/s, starts included"),
    "cpu": Quantity("CPU s per 1,000 activities", more_is_better=False),
    "each": Quantity("µs an activity", more_is_better=False),
    "growth": Quantity("an activity of ten times as many / an activity", more_is_better=False),
    "median": Quantity("ms from start to end, median", more_is_better=False),
    "p99": Quantity("ms from start to end, 99th percentile", more_is_better=False),
    "starts": Quantity("starts/s, from 8 threads"),
    "decisions": Quantity("first decisions/s of one worker"),
    "memory": Quantity("bytes of memory an open process", more_is_better=False),
    "disk": Quantity("bytes of disk an open process", more_is_better=False),
    "signals": Quantity("signals and ends/s"),
    "claim_p99": Quantity("ms a claim, 99th percentile", more_is_better=False),
    "page": Quantity("ms a page of 100 of the list, median", more_is_better=False),
    "page_p99": Quantity("ms a page of 100 of the list, 99th percentile", more_is_better=False),
    "rss": Quantity("MB of memory of the worker, at most", more_is_better=False),
    "step": Quantity("µs a step, at the start", more_is_better=False),
    "late": Quantity("a step at 10,000 events / a step at the start", more_is_better=False),
    "decision": Quantity("µs a decision without a store, at the start", more_is_better=False),
    "late_decision": Quantity(
        "a decision at 10,000 events / one at the start", more_is_better=False
    ),
    "replay": Quantity("ms to replay 2,500 activities, one after the other", more_is_better=False),
    "gathered": Quantity("µs an activity of many gathered", more_is_better=False),
    "gathered_growth": Quantity(
        "an activity of ten times as many gathered / an activity", more_is_better=False
    ),
    "crew_1": Quantity("processes/s of one worker OS process"),
    "crew_2": Quantity("processes/s of two"),
    "crew_4": Quantity("processes/s of four"),
}


class Contestant(Struct, frozen=True):
    """One that is measured.

    Attributes:
        system: pyworkflow, the hand-written loop or a peer.
        store: What it runs on.
        run: Does the work once and returns the figures.
    """

    system: str
    store: str
    run: Callable[[], Values]


class Result(Struct, frozen=True):
    """A figure.

    Attributes:
        system: Whose.
        store: On what.
        quantity: Its name in `QUANTITIES`.
        runs: The figure of every run.
    """

    system: str
    store: str
    quantity: str
    runs: list[float]

    @property
    def value(self) -> float:
        """The median of the runs."""
        return median(self.runs)


def gain(ours: Result, theirs: Result) -> float:
    """Return how many times as good ours is: the median over the turns, because both had the same minute of the machine in one."""
    quantity = QUANTITIES[ours.quantity]
    if len(ours.runs) != len(theirs.runs):
        return quantity.gain(ours.value, theirs.value)
    return median(map(quantity.gain, ours.runs, theirs.runs))


class Missing(Struct, frozen=True):
    """One that could not be measured, and why."""

    system: str
    store: str
    reason: str


def in_turns(
    contestants: Iterable[Contestant],
    repeat: int,
    *,
    may_fail: tuple[type[Exception], ...] = (),
    log: TextIO | None = None,
) -> tuple[list[Result], list[Missing]]:
    """Measure all in turns, so that a slow minute of the machine slows all alike.

    Args:
        contestants: Who takes part.
        repeat: Runs of each.
        may_fail: Errors for which one is left out from then on and named as missing.
        log: Where to tell how it goes.
    """
    taken: dict[tuple[str, str, str], list[float]] = {}
    missing: dict[tuple[str, str], Missing] = {}
    lineup = list(contestants)
    for turn in range(repeat):
        for one in lineup:
            if (one.system, one.store) in missing:
                continue
            try:
                values = one.run()
            except may_fail as error:
                missing[one.system, one.store] = Missing(one.system, one.store, str(error))
                values = {}
            for quantity, value in values.items():
                taken.setdefault((one.system, one.store, quantity), []).append(value)
                if log:
                    told = f"{one.system}, {one.store}: {value:,.2f} {QUANTITIES[quantity].text}"
                    print(f"  {turn + 1}/{repeat} {told}", file=log, flush=True)
    complete = [
        Result(*key, runs) for key, runs in taken.items() if (key[0], key[1]) not in missing
    ]
    return complete, list(missing.values())


def machine() -> str:
    """Return a line that says where the figures come from."""
    python = ".".join(map(str, sys.version_info[:3]))
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"Python {python}, SQLite {apsw.sqlite_lib_version()}, {system}, {os.cpu_count()} CPUs"
