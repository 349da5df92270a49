"""Whether code decides what a history holds; and if not, both side by side.

What counts is the kind of a decision, its id, its name and its payload. Options (timeouts, retries, the queue, the length of a delay) may
change under a running process: what was decided stays in force, and only later decisions use the new ones.
"""

from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Any

from msgspec import UNSET

from pyworkflow import codec
from pyworkflow.decision import (
    CancelProcess,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    RecordMarker,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)

PATCHED = "patched"
"""Name of the marker that says that a process runs changed code."""

SIDE_EFFECT = "side_effect"
"""Name of the marker that holds the result of a side effect."""

UNCONSUMED = "unconsumed_signals"
"""Name of the marker that counts the signals that the code did not take, by their names."""

_WIDTH = 56

_ADVICE = """\
A process that has begun must find its old path. Where the code was changed, keep both:
    if self.patched("what-changed"): the new code
    else: the code before
Where it was not, it decides by something that is not in the history: a clock, chance, a file, the order of a set of texts."""


def is_report(decision: Decision) -> bool:
    """Tell whether a decision only says something to people, and is not compared."""
    return isinstance(decision, RecordMarker) and decision.name == UNCONSUMED


Identity = tuple[Any, ...]
"""What a decision is, without its payload."""

Compares = Callable[[Decision], bool]
"""Tells whether the payload of a decision counts."""


def identity_of(decision: Decision) -> Identity:
    """Return what counts of a decision, except for its payload."""
    return (decision.type, *_parts(decision)[0])


def _substance(decision: Decision, compares: Compares) -> tuple[Any, ...]:
    """Return what counts of a decision."""
    identity, payload = _parts(decision)
    return (decision.type, *identity, *((payload,) if compares(decision) else ()))


def _parts(decision: Decision) -> tuple[tuple[Any, ...], Any]:
    match decision:
        case ScheduleActivity():
            return (decision.id, decision.activity), decision.input
        case ScheduleLambda():
            return (decision.id, decision.function), decision.input
        case Timer():
            return (decision.id,), None
        case StartChildProcess():
            return (decision.process.id, decision.process.workflow), decision.process.input
        case SignalProcess():
            return (decision.process_id, decision.signal.name), decision.signal.data
        case RecordMarker():
            return (decision.name, _place(decision)), None
        case CompleteProcess():
            return (), decision.result
        case FailProcess() | CancelProcess():
            # What an exception says of itself differs between releases of Python and of libraries.
            return (), None
        case ContinueProcess():
            return (decision.workflow,), None if decision.input is UNSET else decision.input
        case _:
            return (getattr(decision, "id", getattr(decision, "process_id", None)),), None


def _place(marker: RecordMarker) -> Any:
    return marker.details["id"] if marker.name == SIDE_EFFECT else marker.details


def differ(recorded: Sequence[Decision], made: Sequence[Decision], compares: Compares) -> bool:
    """Tell whether code decides something else than is recorded.

    Args:
        recorded: What the history holds.
        made: What the code decides.
        compares: Tells whose payloads count.
    """
    if len(recorded) == len(made) and all(map(_equal, recorded, made)):
        return False
    pairs = zip_longest(_counting(recorded, made), made)
    return any(a is None or b is None or not _alike(a, b, compares) for a, b in pairs)


def _alike(one: Decision, other: Decision, compares: Compares) -> bool:
    return _substance(one, compares) == _substance(other, compares)


def _equal(one: Decision, other: Decision) -> bool:
    return one == other


def _counting(recorded: Sequence[Decision], made: Sequence[Decision]) -> list[Decision]:
    """Return the recorded decisions, less the markers of patches that the code does not ask for any more: it always takes the new path."""
    asked = [d.details for d in made if isinstance(d, RecordMarker) and d.name == PATCHED]
    return [
        d
        for d in recorded
        if not (isinstance(d, RecordMarker) and d.name == PATCHED and d.details not in asked)
    ]


def side_by_side(
    workflow: str,
    number: int,
    recorded: Sequence[Decision],
    made: Sequence[Decision],
    places: Sequence[str],
    compares: Compares,
) -> str:
    """Return the decisions of history and of code in two columns, with the first difference marked.

    Args:
        workflow: The name of the workflow.
        number: The number of events in the history when the decision began.
        recorded: What the history holds.
        made: What the code decides.
        places: Where in the code each decision was made.
        compares: Tells whose payloads count.
    """
    lines = [
        f"the code of workflow {workflow!r} does not decide what the history holds, in the decision that began with event {number}",
        f"    {'history':<{_WIDTH}} │ code",
    ]
    found = False
    counting = _counting(recorded, made)
    for old, new, place in zip_longest(counting, made, places):
        if old is None and new is None:
            break
        same = old is not None and new is not None and _alike(old, new, compares)
        mark = "  " if same or found else "≠ "
        found = found or not same
        where = f"  ({place})" if place and not same else ""
        lines.append(f"  {mark}{_shown(old):<{_WIDTH}} │ {_shown(new)}{where}")
    return "\n".join([*lines, _ADVICE])


def _shown(decision: Decision | None) -> str:
    if decision is None:
        return "nothing"
    identity, payload = _parts(decision)
    words = [decision.type, *(str(word) for word in identity if word is not None)]
    if payload is not None:
        words.append(codec.encode(payload).decode())
    line = " ".join(words)
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
