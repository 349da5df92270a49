"""What happened, as a picture: which worker did how many activities at a time, over time."""

from collections.abc import Iterable
from datetime import datetime as DateTime

from msgspec import Struct

from pyworkflow.backend.base import FeedEntry
from pyworkflow.event import ActivityAttemptEvent, ActivityEvent, ActivityStartedEvent

WIDTH = 60
SHADES = " .:-=+*#"
LOST = "x"


class Attempt(Struct, frozen=True):
    """One execution of an activity: by whom, from when to when, and whether its worker was lost on the way."""

    worker: str
    begin: DateTime
    end: DateTime
    lost: bool


def attempts(entries: Iterable[FeedEntry]) -> list[Attempt]:
    """Return the attempts that the events tell of."""
    running: dict[tuple[str, str], tuple[str, DateTime]] = {}
    found: list[Attempt] = []
    for entry in entries:
        event = entry.event
        if not isinstance(event, ActivityStartedEvent | ActivityEvent | ActivityAttemptEvent):
            continue
        key, time = (entry.process_id, event.activity_execution.id), event.datetime
        if time is None:
            continue
        if isinstance(event, ActivityStartedEvent):
            running[key] = (event.identity or "somebody", time)
        elif key in running:
            worker, begin = running.pop(key)
            found.append(Attempt(worker, begin, time, isinstance(event, ActivityAttemptEvent)))
    return found


def timeline(entries: Iterable[FeedEntry]) -> list[str]:
    """Return a line for each worker, in columns of equal time: the darker, the more it did; ``x`` where it was lost."""
    told = attempts(entries)
    if not told:
        return []
    begin, end = min(a.begin for a in told), max(a.end for a in told)
    span = max((end - begin).total_seconds(), 0.001)

    def column(time: DateTime) -> int:
        return min(WIDTH - 1, int((time - begin).total_seconds() / span * WIDTH))

    lines: list[str] = []
    for worker in sorted({a.worker for a in told}):
        own = [a for a in told if a.worker == worker]
        counts = [0] * WIDTH
        for attempt in own:
            # Of what was lost, only the beginning is known; its end is when somebody noticed.
            last = column(attempt.begin if attempt.lost else attempt.end)
            for at in range(column(attempt.begin), last + 1):
                counts[at] += 1
        bar = [SHADES[-(-count * (len(SHADES) - 1) // max(counts))] for count in counts]
        for attempt in own:
            if attempt.lost:
                bar[column(attempt.begin)] = LOST
        lost = sum(a.lost for a in own)
        note = f", {lost} lost with it and done again by others" if lost else ""
        lines.append(f"{worker:>15} |{''.join(bar)}| {len(own) - lost} activities{note}")
    lines.append(f"{'seconds':>15} |0{f'{span:.1f}':>{WIDTH - 1}}|")
    return lines
