"""From events to blinker signals: one table for the process that made them and for those that listen."""

from collections.abc import Callable
from typing import Any

from pyworkflow.activity import ActivityExecution
from pyworkflow.backend.base import FeedEntry
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    CompleteProcess,
    ContinueProcess,
    FailProcess,
    ScheduleActivity,
    ScheduleLambda,
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
    ProcessStartedEvent,
    ProcessTerminatedEvent,
    ProcessTimedOutEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)

Told = tuple[str, dict[str, Any]]
"""The name of a blinker signal and its keywords, but for ``process_id`` and ``process``."""

WITH_PROCESS = frozenset(
    {
        "on_process_started",
        "on_process_completed",
        "on_process_canceled",
        "on_process_failed",
        "on_process_continued",
        "on_activity_scheduled",
        "on_activity_cancel_requested",
        "on_timer_started",
        "on_child_process_started",
    }
)
"""Signals that have the process as a keyword."""


def _started(entry: FeedEntry, event: ProcessStartedEvent) -> list[Told]:
    parent = {} if entry.parent is None else {"parent_process_id": entry.parent}
    return [("on_process_started", parent)]


def _ended(event: ActivityEvent) -> list[Told]:
    told: dict[str, Any] = {"activity_execution": event.activity_execution}
    return [(name, told | more) for name, more in _outcome(event.result)]


def _outcome(result: ActivityResult) -> list[Told]:
    if isinstance(result, ActivityCompleted):
        return [("on_activity_completed", {"result": result.result})]
    if isinstance(result, ActivityCanceled):
        details = {"details": result.details}
        return [("on_activity_canceled", details), ("on_activity_aborted", details)]
    if isinstance(result, ActivityFailed):
        return [("on_activity_failed", {"reason": result.reason, "details": result.details})]
    if isinstance(result, ActivityTimedOut):
        return [("on_activity_timedout", {"details": result.details})]
    return []


def _decided(event: DecisionEvent) -> list[Told]:
    tell = _DECISIONS.get(type(event.decision))
    return [] if tell is None else [tell(event.decision)]


def _scheduled(name: str, decision: ScheduleActivity | ScheduleLambda) -> Told:
    execution = ActivityExecution(name, decision.id, decision.input)
    return "on_activity_scheduled", {"activity_execution": execution}


_DECISIONS: dict[type, Callable[[Any], Told]] = {
    ScheduleActivity: lambda d: _scheduled(d.activity, d),
    ScheduleLambda: lambda d: _scheduled(d.function, d),
    CancelActivity: lambda d: ("on_activity_cancel_requested", {"activity_id": d.id}),
    Timer: lambda d: ("on_timer_started", {"timer": d}),
    CancelTimer: lambda d: ("on_timer_canceled", {"timer_id": d.id}),
    StartChildProcess: lambda d: ("on_child_process_started", {"child_id": d.process.id}),
    CompleteProcess: lambda d: ("on_process_completed", {"result": d.result}),
    CancelProcess: lambda d: ("on_process_canceled", {"details": d.details}),
    FailProcess: lambda d: ("on_process_failed", {"reason": d.reason, "details": d.details}),
    ContinueProcess: lambda d: ("on_process_continued", {}),
}

_EVENTS: dict[type, Callable[[FeedEntry, Any], list[Told]]] = {
    ProcessStartedEvent: _started,
    DecisionEvent: lambda _, e: _decided(e),
    ActivityStartedEvent: lambda _, e: [
        (
            "on_activity_started",
            {"activity_execution": e.activity_execution, "attempt": e.attempt},
        )
    ],
    ActivityAttemptEvent: lambda _, e: [
        (
            "on_activity_attempt_failed",
            {
                "activity_execution": e.activity_execution,
                "result": e.result,
                "attempt": e.attempt,
                "delay": e.delay,
            },
        )
    ],
    ActivityEvent: lambda _, e: _ended(e),
    SignalEvent: lambda _, e: [
        ("on_process_signaled", {"signal": e.signal.name, "data": e.signal.data})
    ],
    TimerEvent: lambda _, e: [("on_timer_fired", {"timer": e.timer})],
    ChildProcessEvent: lambda _, e: [
        (
            "on_child_process_closed",
            {
                "child_id": e.process_id,
                "result": e.result,
                "workflow": e.workflow,
                "tags": e.tags,
            },
        )
    ],
    CancelRequestedEvent: lambda _, e: [("on_process_cancel_requested", {"details": e.details})],
    ProcessTimedOutEvent: lambda _, e: [("on_process_timedout", {})],
    ProcessTerminatedEvent: lambda _, e: [
        ("on_process_terminated", {"reason": e.reason, "details": e.details})
    ],
}


def signals_of(entry: FeedEntry) -> list[Told]:
    """Return what an event is told as."""
    tell = _EVENTS.get(type(entry.event))
    if tell is None:
        return []
    return [
        (name, {"process_id": entry.process_id} | told) for name, told in tell(entry, entry.event)
    ]
