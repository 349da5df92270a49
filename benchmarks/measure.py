"""Figures: medians of several runs, and the table that is made of them."""

import os
import platform
import sys
from collections.abc import Callable
from statistics import median

import apsw
from msgspec import Struct


class Figure(Struct, frozen=True):
    """One measured quantity.

    Attributes:
        work: The workload, ``W1`` to ``W7``.
        store: What it ran on.
        what: The quantity and its unit.
        ours: pyworkflow's median.
        limit: The hand-written loop's median in the same run, None where there is none to compare with.
        more_is_better: How to read the ratio.
    """

    work: str
    store: str
    what: str
    ours: float
    limit: float | None = None
    more_is_better: bool = True

    @property
    def ratio(self) -> float | None:
        """Our share of the limit: 1 is as fast as the hand-written loop."""
        if not self.limit or not self.ours:
            return None
        return self.ours / self.limit if self.more_is_better else self.limit / self.ours


def paired(
    ours: Callable[[], float], limit: Callable[[], float], repeat: int
) -> tuple[float, float]:
    """Measure both in turns, so that a slow minute of the machine slows both; return the medians."""
    mine: list[float] = []
    theirs: list[float] = []
    for _ in range(repeat):
        mine.append(ours())
        theirs.append(limit())
    return median(mine), median(theirs)


def table(figures: list[Figure]) -> str:
    """Return the figures as a Markdown table."""
    lines = [
        "| work | store | quantity | pyworkflow | raw loop | share of the limit |",
        "|---|---|---|---:|---:|---:|",
    ]
    for figure in figures:
        limit = "-" if figure.limit is None else f"{figure.limit:,.2f}"
        ratio = "-" if figure.ratio is None else f"{figure.ratio:.2f}"
        cells = (figure.work, figure.store, figure.what, f"{figure.ours:,.2f}", limit, ratio)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def machine() -> str:
    """Return a line that says where the figures come from."""
    python = ".".join(map(str, sys.version_info[:3]))
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    return f"Python {python}, SQLite {apsw.sqlite_lib_version()}, {system}, {os.cpu_count()} CPUs"
