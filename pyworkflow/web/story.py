"""A history in words: a line for each event, what failed, which children there are."""

import json
from typing import Any

from msgspec import Struct

from pyworkflow.activity import ActivityExecution
from pyworkflow.codec import Json, fields, to_plain
from pyworkflow.decision import Decision, StartChildProcess
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
    DecisionTimedOutEvent,
    Event,
    ProcessTerminatedEvent,
    ProcessTimedOutEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.graph import marks
from pyworkflow.history import History
from pyworkflow.process import Process
from pyworkflow.result import ActivityFailed, ActivityTimedOut

NOISE = (DecisionStartedEvent,)
"""Events that tell how the engine works, not what the process does."""
MOST_FAILURES = 5


class Row(Struct):
    """An event for people.

    Attributes:
        seq: Its number.
        event: The event.
        title: What happened, in a few words.
        about: Who or what it is about.
        state: What colour it has: a status, or empty.
    """

    seq: int
    event: Event
    title: str
    about: str
    state: str = ""


class Failure(Struct):
    """Something that failed.

    Attributes:
        seq: The number of the event, None for the process itself.
        what: What failed.
        reason: Why, in a line.
        text: More, such as a traceback.
    """

    seq: int | None
    what: str
    reason: str
    text: str


class Child(Struct):
    """A child process, as its parent's history tells of it."""

    id: str
    workflow: str
    state: str


def row(seq: int, event: Event) -> Row:
    """Return an event in words."""
    if isinstance(event, DecisionEvent):
        return Row(seq, event, _words(event.decision.type), _decided(event.decision), "decision")
    if isinstance(event, ActivityStartedEvent):
        execution = event.activity_execution
        tried = f", attempt {event.attempt}" if event.attempt > 1 else ""
        about = f"{_called(execution)}{tried} on {event.identity or 'a worker'}"
        return Row(seq, event, "activity started", about)
    if isinstance(event, ActivityAttemptEvent | ActivityEvent):
        return _activity_row(seq, event)
    title, about, state = _words(event.type), "", ""
    match event:
        case SignalEvent():
            about, state = event.signal.name, "signal"
        case TimerEvent():
            title, about = "timer fired", event.timer.id
        case ChildProcessEvent():
            title = f"child {_words(event.result.type)}"
            about, state = event.process_id, event.result.type
        case DecisionStartedEvent():
            about = f"on {event.identity}" if event.identity else ""
        case DecisionFailedEvent() | ProcessTerminatedEvent():
            about, state = event.reason or "", "failed"
        case DecisionRejectedEvent():
            about, state = f"{_words(event.decision.type)}: {event.reason}", "failed"
        case DecisionTimedOutEvent() | ProcessTimedOutEvent():
            state = "timedout"
        case CancelRequestedEvent():
            state = "canceled"
        case _:
            pass
    return Row(seq, event, title, about, state)


def _activity_row(seq: int, event: ActivityAttemptEvent | ActivityEvent) -> Row:
    execution, result = event.activity_execution, event.result
    title = f"activity {_words(result.type)}"
    about = _called(execution)
    if isinstance(result, ActivityFailed):
        about += f": {result.reason}"
    if isinstance(event, ActivityAttemptEvent):
        title = f"attempt {event.attempt} {_words(result.type)}"
        about += f", again in {event.delay:g} s"
    return Row(seq, event, title, about, result.type)


def _called(execution: ActivityExecution) -> str:
    """Return an activity's name, with its id where that says more."""
    name, id = execution.activity, execution.id
    return name if name == id else f"{name} ({id})"


def _words(kind: str) -> str:
    return {"timedout": "timed out"}.get(kind, kind.replace("_", " "))


def _decided(decision: Decision) -> str:
    if isinstance(decision, StartChildProcess):
        return f"{decision.process.workflow} ({decision.process.id})"
    if (mark := marks.read(decision)) is not None:
        return f"graph: {mark['step']} ({mark['did']})"
    told = fields(decision)
    name = next(
        (told[key] for key in ("activity", "function", "name", "reason") if told.get(key)), ""
    )
    id = told.get("id") or told.get("process_id") or ""
    if name and id and name != id:
        return f"{name} ({id})"
    return str(name or id)


def rows(history: History, since: int, limit: int, noise: bool) -> tuple[list[Row], int | None]:
    """Return a page of rows, and after which event the next page begins."""
    found: list[Row] = []
    for seq in range(since + 1, len(history) + 1):
        event = history[seq - 1]
        if not noise and isinstance(event, NOISE):
            continue
        if len(found) == limit:
            return found, found[-1].seq
        found.append(row(seq, event))
    return found, None


def failures(process: Process) -> list[Failure]:
    """Return what failed: the process itself, then its last failed decisions and activities, the newest first."""
    found: list[Failure] = []
    result: Any = process.result
    if result is not None and process.status.value in ("failed", "timedout", "terminated"):
        reason = getattr(result, "reason", None) or _words(process.status.value)
        found.append(Failure(None, "process", reason, _text(result.details)))
    for seq in range(len(process.history), 0, -1):
        if len(found) == MOST_FAILURES:
            break
        event = process.history[seq - 1]
        if isinstance(event, DecisionFailedEvent):
            failed = Failure(seq, "decider", event.reason or "failed", _text(event.details))
            # A decider that fails over and over tells the same each time.
            if not any(f.what == failed.what and f.text == failed.text for f in found):
                found.append(failed)
        elif isinstance(event, ActivityEvent) and isinstance(
            event.result, ActivityFailed | ActivityTimedOut
        ):
            execution, ended = event.activity_execution, event.result
            reason = ended.reason if isinstance(ended, ActivityFailed) else "timed out"
            found.append(Failure(seq, _called(execution), str(reason), _text(ended.details)))
    return found


def _text(details: Json) -> str:
    if details is None:
        return ""
    return details if isinstance(details, str) else pretty(details)


def children(history: History) -> list[Child]:
    """Return the child processes, the first first."""
    found: dict[str, Child] = {}
    for event in history:
        if isinstance(event, DecisionEvent) and isinstance(event.decision, StartChildProcess):
            child = event.decision.process
            found[child.id] = Child(child.id, child.workflow, "open")
        elif isinstance(event, ChildProcessEvent) and event.process_id in found:
            found[event.process_id].state = event.result.type
        elif isinstance(event, DecisionRejectedEvent) and isinstance(
            event.decision, StartChildProcess
        ):
            found[event.decision.process.id].state = "failed"
    return list(found.values())


def pretty(value: object) -> str:
    """Return a value of the model as JSON for people."""
    return json.dumps(to_plain(value), indent=2, ensure_ascii=False, default=str)
