"""Values that are of a wrong type, out of every range, or cannot be stored: what tests of the front doors bring."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from pyworkflow.backend.base import Poll
from pyworkflow.decision import Timer
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted
from pyworkflow.retry import Retry
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask


class Name(StrEnum):
    ORDER = "order"


def _cycle() -> list[Any]:
    cycle: list[Any] = []
    cycle.append(cycle)
    return cycle


def _deep() -> list[Any]:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    return deep


ODD: list[Any] = [
    *(None, True, 0, -1, 0.005, float("nan"), float("inf"), 10**30, 2**63 - 1),
    *("", "x" * 300, "a\0b", "\ud800", "a:b", "a:" + "9" * 30, "arn", b"x", Name.ORDER),
    *([], [1], {}, {"a": 1}, {1: 2}, (), (object(),), {1}, ["\ud800"], ["a\0"], _cycle(), _deep()),
    *(
        object(),
        object,
        ValueError("x"),
        timedelta(milliseconds=5),
        datetime.fromisoformat("2026-01-01"),
        len,
    ),
    *(Signal("s"), Timer(1), Process("order"), Retry(), ActivityCompleted(1), Poll(ActivityTask)),
]
"""No datetime with a zone, and no callable that fits: they are right somewhere, and a call of `purge` would remove what is to be read."""
