"""What happened, as a picture: the events of all processes over time."""

from collections import Counter

from pyworkflow.backend.base import FeedEntry
from pyworkflow.event import ActivityAttemptEvent, ActivityEvent, ActivityStartedEvent, Event

WIDTH = 60


def timeline(entries: list[FeedEntry]) -> list[str]:
    """Return lines: activities begun, ended, and done again, in columns of equal time."""
    times = [e.event.datetime for e in entries if e.event.datetime is not None]
    if not times:
        return []
    begin, end = min(times), max(times)
    span = max((end - begin).total_seconds(), 0.001)
    rows: dict[str, type[Event]] = {
        "begun": ActivityStartedEvent,
        "ended": ActivityEvent,
        "lost, done again": ActivityAttemptEvent,
    }
    lines = []
    for name, kind in rows.items():
        columns = Counter(
            min(WIDTH - 1, int((e.event.datetime - begin).total_seconds() / span * WIDTH))
            for e in entries
            if isinstance(e.event, kind) and e.event.datetime is not None
        )
        lines.append(f"{name:>17} |{_bar(columns)}| {columns.total()}")
    lines.append(f"{'seconds':>17} |0{f'{span:.1f}':>{WIDTH - 1}}|")
    return lines


def _bar(columns: "Counter[int]") -> str:
    most = max(columns.values(), default=1)
    shades = " .:-=+*#"
    return "".join(shades[-(-columns[n] * (len(shades) - 1) // most)] for n in range(WIDTH))
