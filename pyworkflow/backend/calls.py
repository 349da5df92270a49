"""What calls and answers tell of processes, for backends without a feed.

Calls tell what they did. What nobody called for (timers, timeouts, children, attempts) is told when a decider is shown it: once, by whoever
polled for the decision.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from datetime import datetime as DateTime
from threading import RLock

from pyworkflow.backend.exchange import FEED_START, FailedDecision, FeedEntry
from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    ActivityStartedEvent,
    AnyEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionEvent,
    Event,
    ProcessStartedEvent,
    ProcessTerminatedEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.process import Process
from pyworkflow.result import ActivityCanceled, ActivityCompleted, ActivityResult
from pyworkflow.signal import Signal
from pyworkflow.task import ActivityTask, DecisionTask

Told = tuple[FeedEntry, Process | None]

MAX_PROCESSES = 100_000
"""Processes of which is remembered how much was told."""


def _entry(
    process_id: str | None, event: AnyEvent, process: Process | None = None, seq: int = 0
) -> Told:
    run = 1 if process is None else process.run
    workflow = "" if process is None else process.workflow
    parent = None if process is None else process.parent
    return FeedEntry(FEED_START, str(process_id), run, workflow, seq, event, parent), process


def started(process: Process, process_id: str) -> Told:
    """Return what a start tells."""
    return _entry(process_id, ProcessStartedEvent(), process.copy_with_id(process_id))


def signaled(process_id: str, name: str, data: Json, signal_id: str | None) -> Told:
    """Return what a signal tells."""
    return _entry(process_id, SignalEvent(Signal(name, data, signal_id)))


def cancel_requested(process_id: str, details: Json) -> Told:
    """Return what a request to cancel tells."""
    return _entry(process_id, CancelRequestedEvent(details))


def terminated(process_id: str, reason: str | None, details: Json) -> Told:
    """Return what a termination tells."""
    return _entry(process_id, ProcessTerminatedEvent(reason, details))


def completed(
    task: ActivityTask | DecisionTask,
    outcome: ActivityResult | Sequence[Decision] | FailedDecision,
) -> Iterator[Told]:
    """Return what a completion tells. A failed activity may be tried again: that is told later."""
    if isinstance(task, ActivityTask):
        if isinstance(outcome, ActivityCompleted | ActivityCanceled):
            yield _entry(task.process_id, ActivityEvent(task.activity_execution, outcome))
    elif not isinstance(outcome, FailedDecision | ActivityResult):
        for decision in outcome:
            event = DecisionEvent(decision)  # type: ignore[arg-type]
            yield _entry(task.process.id, event, task.process)


class Shown:
    """Remembers what was told of the tasks that were polled, so that a decision that is handed out again tells nothing again."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._told: OrderedDict[tuple[str | None, int, DateTime | None], int] = OrderedDict()

    def polled(self, task: ActivityTask | DecisionTask) -> Iterator[Told]:
        """Return what a task tells that was not told before."""
        if isinstance(task, ActivityTask):
            started_event = ActivityStartedEvent(task.activity_execution, task.attempt)
            yield _entry(task.process_id, started_event)
            return
        process = task.process
        first = self._first(process)
        seen = process.history.seen()
        for index, event in enumerate(process.history[seen:], seen):
            if index >= first and _comes_by_itself(event, process):
                yield _entry(process.id, event, process, index + 1)  # type: ignore[arg-type]

    def _first(self, process: Process) -> int:
        key = process.id, process.run, process.started
        with self._lock:
            first = self._told.pop(key, 0)
            self._told[key] = max(first, len(process.history))
            if len(self._told) > MAX_PROCESSES:
                self._told.popitem(last=False)
        return first


def _comes_by_itself(event: Event, process: Process) -> bool:
    if isinstance(event, ProcessStartedEvent):
        return process.parent is not None
    if isinstance(event, ActivityEvent):
        return not isinstance(event.result, ActivityCompleted | ActivityCanceled)
    return isinstance(event, ActivityAttemptEvent | TimerEvent | ChildProcessEvent)
