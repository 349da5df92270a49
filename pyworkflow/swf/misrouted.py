"""Tasks that reached a worker without the code for them: SWF cannot filter by type, so they are given back and handed out again later.

A decision task is answered with a timer, an activity task with a failure that carries a mark. Neither is an attempt, and no decider is woken.
The pause grows with the time that has passed, and again as the history approaches SWF's limit of 25,000 events: such a round adds five
events for a decision, eleven for an activity.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.words import MAX_TIMER, MISROUTED

GROWTH = 1.05
"""From one pause to the next: each is about a twentieth of the time that has passed so far.

Where one worker of four has the code, one task in a hundred reaches the others sixteen times in a row.
"""

LONGEST_PAUSES = ((4_000, 600.0), (8_000, 3_600.0), (25_000, 21_600.0))
"""Seconds of the longest pause, by the number of events below which it applies: a year of waiting fits into a history."""

_CONTEXT = re.compile(rf"{re.escape(MISROUTED)} (\d{{1,9}})")


def pause(times: int, events: int) -> float:
    """Return the seconds until a task is handed out again.

    Args:
        times: How often in a row it had reached a worker without its code before.
        events: How many events the history has.
    """
    if times == 0:
        # Most likely another worker has the code, and takes it now.
        return 0.0
    longest = next((pause for limit, pause in LONGEST_PAUSES if events < limit), MAX_TIMER)
    # Whole seconds, as of SWF's timers. The exponent is bounded, so that the power is.
    return min(longest, float(int(GROWTH ** min(times - 1, 1_000))))


def pause_of_poller(times: int) -> float:
    """Return the seconds for which a worker leaves the queue to others that may have the code.

    Args:
        times: How many tasks in a row it had no code for.
    """
    return 0.0 if times == 0 else min(5.0, 0.5 * 2.0 ** min(times - 1, 10))


def context_of(times: int) -> str:
    """Return the execution context of a decision that was given back so often in a row."""
    return f"{MISROUTED} {times}"


def times_of(context: str | None) -> int:
    """Return how often in a row a decision was given back, as of an execution context."""
    found = _CONTEXT.fullmatch(context or "")
    return int(found[1]) if found else 0


def look_back(newest: Iterable[Mapping[str, Any]], payloads: Payloads) -> tuple[int, bool]:
    """Return how often a decision was given back before, and whether a timer will ask for it again anyway.

    Args:
        newest: The newest events of its history, newest first; a page of them is enough.
        payloads: How texts become values.
    """
    times: int | None = None
    fired: set[str] = set()
    is_timed = False
    for event in newest:
        if event["eventType"] == "DecisionTaskCompleted" and times is None:
            attributes = event["decisionTaskCompletedEventAttributes"]
            times = times_of(attributes.get("executionContext"))
        elif event["eventType"] == "TimerFired":
            fired.add(event["timerFiredEventAttributes"]["timerId"])
        elif event["eventType"] == "TimerStarted":
            attributes = event["timerStartedEventAttributes"]
            control = attributes.get("control") or ""
            if '"wake"' in control and attributes["timerId"] not in fired:
                is_timed = is_timed or bool(payloads.unpack(control).meta.get("wake"))
    return times or 0, is_timed
