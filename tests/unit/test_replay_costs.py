"""What replayed code costs as its process grows, counted in calls of functions: no clock is asked."""

import gc
import sys
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from benchmarks import replayed
from pyworkflow.event import DecisionStartedEvent, ProcessStartedEvent
from pyworkflow.history import History
from pyworkflow.process import Process
from pyworkflow.replay import RunCache
from pyworkflow.replay.operation import Operation
from pyworkflow.replay.requests import Requests


def calls(work: Callable[[], object]) -> int:
    """Return how many functions are called, those of the interpreter included."""
    counted = 0

    def count(frame: FrameType, event: str, argument: object) -> None:
        nonlocal counted
        counted += event.endswith("call")

    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
    return counted


@pytest.fixture(autouse=True)
def in_this_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for workflow in (replayed.ChainWorkflow, replayed.FanWorkflow):
        monkeypatch.setattr(workflow, "blocked_after", None)
        monkeypatch.setattr(workflow, "cache", RunCache())


def chain(activities: int) -> History:
    """Return the history of a process of activities one after the other, up to a decision."""
    history = History([ProcessStartedEvent(), DecisionStartedEvent()])
    for _ in range(activities):
        decisions = replayed.ChainWorkflow().decide(Process("Chain", "p", 9_999, history=history))
        history = history.extended(replayed.answers(decisions))
    return history


def test_ten_times_as_many_gathered_take_ten_times_the_work() -> None:
    replayed.fan(10)  # what is worked out once is no cost of the next

    few, many = calls(lambda: replayed.fan(1_000)), calls(lambda: replayed.fan(10_000))

    assert many < 10.5 * few


def test_ten_times_the_history_takes_ten_times_the_work_to_replay() -> None:
    def again(activities: int) -> int:
        history = History(list(chain(activities)))
        replayed.ChainWorkflow.cache.clear()
        process = Process("Chain", "p", 9_999, history=history)
        return calls(lambda: replayed.ChainWorkflow().decide(process))

    assert again(1_000) < 10.5 * again(100)


def test_a_step_costs_the_same_however_long_the_process() -> None:
    def step(after: int) -> int:
        history = chain(after)
        return calls(
            lambda: replayed.ChainWorkflow().decide(Process("Chain", "p", 9_999, history=history))
        )

    assert step(1_000) <= step(100) * 1.1


def test_who_gave_up_waiting_for_a_signal_is_forgotten() -> None:
    requests = Requests(lambda name, error: None)
    given_up: Operation[Any] = requests.wait_for_signal("paid", None)
    given_up.cancel()
    known = weakref.ref(given_up)
    del given_up

    still_waiting: Operation[Any] = requests.wait_for_signal("paid", None)
    gc.collect()

    assert known() is None
    assert not still_waiting.done()
