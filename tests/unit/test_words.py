"""Events in words: every kind has its own, and data cannot drive the terminal."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyworkflow.activity import ActivityExecution
from pyworkflow.cli.words import describe
from pyworkflow.decision import (
    CompleteProcess,
    FailProcess,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    ActivityStartedEvent,
    AnyEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
)
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityFailed, ActivityTimedOut, ProcessCompleted
from pyworkflow.signal import Signal
from tests.unit.test_model import of

CHARGE = ActivityExecution("charge", "1", {"amount": 3})
MADE_UP = "1ea95cc962c1aea1d731188bd56a1873"


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (ProcessStartedEvent(), ""),
        (DecisionStartedEvent(identity="w1"), "by w1"),
        (DecisionEvent(ScheduleActivity("charge", "1", input=[3])), "schedule charge 1 [3]"),
        (DecisionEvent(ScheduleActivity("charge", MADE_UP)), "schedule charge 1ea95cc9"),
        (DecisionEvent(Timer(90, id="t")), "timer t 90 s"),
        (DecisionEvent(CompleteProcess(0)), "complete 0"),
        (DecisionEvent(FailProcess("no stock")), "fail no stock"),
        (
            DecisionEvent(StartChildProcess(Process("Ship", id="s1", input="x"))),
            'start child Ship s1 "x"',
        ),
        (DecisionFailedEvent("KeyError: 'a'", "Traceback"), "KeyError: 'a'"),
        (ActivityStartedEvent(CHARGE, 1, "w1"), "charge 1 by w1"),
        (ActivityStartedEvent(CHARGE, 2), "charge 1 attempt 2"),
        (ActivityEvent(CHARGE, ActivityCompleted({"ok": True})), 'charge 1 completed {"ok": true}'),
        (ActivityEvent(CHARGE, ActivityFailed("no card", "Trace")), "charge 1 failed no card"),
        (
            ActivityAttemptEvent(CHARGE, ActivityTimedOut("lease"), 1, 2.5),
            "charge 1 timedout lease again in 2.5 s",
        ),
        (SignalEvent(Signal("hello\x1b[2J", 0)), "hello\\x1b[2J 0"),
        (ChildProcessEvent("s1", ProcessCompleted(1), "Ship"), "Ship s1 completed 1"),
    ],
)
def test_an_event_is_told_in_words(event: Event, words: str) -> None:
    assert describe(event) == words


@given(st.data())
def test_every_event_has_its_words_on_one_line(data: st.DataObject) -> None:
    event = data.draw(of(data.draw(st.sampled_from(get_args(AnyEvent)))))

    told = describe(event)

    assert told.isprintable()
    assert len(told) < 2000
