"""What the programs of all peers share: the input, the activity's result, and how figures are given back."""

import json
import statistics
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any

Json = dict[str, Any]


def order(number: int) -> Json:
    """Return the input of a process."""
    return {"order": number, "sku": "A-1001", "qty": 2}


def stepped(given: Json) -> Json:
    """Do what the activity of every workload does: nothing, and count."""
    return {"order": given["order"], "step": given.get("step", 0) + 1, "ok": True}


def percentiles(took: list[float]) -> Json:
    """Return the figures of W3 from the seconds of each process."""
    return {
        "median": statistics.median(took) * 1e3,
        "p99": statistics.quantiles(took, n=100, method="inclusive")[98] * 1e3,
    }


class Stopwatch:
    """Takes the seconds of a block."""

    def __enter__(self) -> "Stopwatch":
        self._began = perf_counter()
        return self

    def so_far(self) -> float:
        """Return the seconds up to now."""
        return perf_counter() - self._began

    def __exit__(self, *error: object) -> None:
        self.seconds = self.so_far()


def run(measure: Callable[[str, int, str], Json]) -> None:
    """Run one workload as the command line says, ``WORK COUNT URL``, and print its figures as the last line.

    Args:
        measure: Given the name of the workload, how many processes or activities, and where the store is.
    """
    work, count, url = sys.argv[1:]
    print(json.dumps(measure(work, int(count), url)), flush=True)
