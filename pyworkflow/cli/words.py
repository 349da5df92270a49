"""Events and decisions in words, on one line."""

import re
from collections.abc import Callable
from typing import Any

from pyworkflow.cli.output import safe, short
from pyworkflow.codec import Json, to_plain
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    ActivityStartedEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    Event,
    ProcessTerminatedEvent,
    SignalEvent,
    TimerEvent,
)

_MADE_UP = re.compile(r"[0-9a-f]{32}")
"""An id that nobody chose; its beginning is enough to tell it from others."""


def _id(name: str | None) -> str:
    text = name or ""
    return text[:8] if _MADE_UP.fullmatch(text) else text


def _json(value: Json) -> str:
    return "" if value in (None, {}) else short(to_plain(value), 80)


def _outcome(result: Any) -> str:
    """Return how an activity or a process ended: the kind of its result, and what it says."""
    told = [getattr(result, name, None) for name in ("result", "reason", "details")]
    value = next((value for value in told if value is not None), None)
    # Of a traceback, the last line says most.
    text = value.strip().splitlines()[-1:] if isinstance(value, str) else [_json(value)]
    return " ".join([result.type, *text])


_DECISIONS: dict[type, Callable[[Any], list[object]]] = {
    ScheduleActivity: lambda d: ["schedule", d.activity, _id(d.id), _json(d.input)],
    CancelActivity: lambda d: ["cancel activity", _id(d.id)],
    ScheduleLambda: lambda d: ["schedule lambda", d.function, _id(d.id), _json(d.input)],
    Timer: lambda d: ["timer", _id(d.id), f"{d.delay:g} s", _json(d.data)],
    CancelTimer: lambda d: ["cancel timer", _id(d.id)],
    StartChildProcess: lambda d: [
        "start child",
        d.process.workflow,
        _id(d.process.id),
        _json(d.process.input),
    ],
    SignalProcess: lambda d: ["signal", _id(d.process_id), d.signal.name, _json(d.signal.data)],
    RequestCancelProcess: lambda d: ["ask to cancel", _id(d.process_id), _json(d.details)],
    RecordMarker: lambda d: ["marker", d.name, _json(d.details)],
    CompleteProcess: lambda d: ["complete", _json(d.result)],
    CancelProcess: lambda d: ["cancel", _json(d.details)],
    FailProcess: lambda d: ["fail", d.reason, _json(d.details)],
    ContinueProcess: lambda d: ["continue as new"],
}


def decided(decision: Decision) -> str:
    """Return a decision in words."""
    return _joined(_DECISIONS[type(decision)](decision))


_EVENTS: dict[type, Callable[[Any], list[object]]] = {
    DecisionStartedEvent: lambda e: [_by(e.identity)],
    DecisionEvent: lambda e: [decided(e.decision)],
    DecisionFailedEvent: lambda e: [e.reason],
    DecisionRejectedEvent: lambda e: [f"{decided(e.decision)}:", e.reason],
    ActivityStartedEvent: lambda e: [*_named(e), *_attempt(e.attempt), _by(e.identity)],
    ActivityAttemptEvent: lambda e: [
        *_named(e),
        *_attempt(e.attempt),
        _outcome(e.result),
        f"again in {e.delay:g} s",
    ],
    ActivityEvent: lambda e: [*_named(e), _outcome(e.result)],
    SignalEvent: lambda e: [e.signal.name, _json(e.signal.data)],
    TimerEvent: lambda e: [_id(e.timer.id), f"after {e.timer.delay:g} s", _json(e.timer.data)],
    ChildProcessEvent: lambda e: [e.workflow, _id(e.process_id), _outcome(e.result)],
    CancelRequestedEvent: lambda e: [_json(e.details)],
    ProcessTerminatedEvent: lambda e: [e.reason, _json(e.details)],
}


def _named(event: Any) -> list[object]:
    return [event.activity_execution.activity, _id(event.activity_execution.id)]


def _attempt(number: int) -> list[object]:
    return [] if number == 1 else [f"attempt {number}"]


def _by(identity: str | None) -> str:
    return f"by {identity}" if identity else ""


def _joined(words: list[object]) -> str:
    return " ".join(str(word) for word in words if word not in (None, ""))


def describe(event: Event) -> str:
    """Return what an event says beside its type; the whole of it is in the JSON."""
    tell = _EVENTS.get(type(event))
    return "" if tell is None else safe(_joined(tell(event)))
