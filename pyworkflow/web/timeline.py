"""A history as spans on one time axis: activities with their attempts, timers, signals, children, decisions."""

from collections.abc import Iterable
from datetime import datetime as DateTime
from typing import Any

from msgspec import Struct, field

from pyworkflow.decision import (
    CancelTimer,
    Decision,
    RecordMarker,
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
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.graph import marks
from pyworkflow.graph.keys import read_key
from pyworkflow.graph.picture import in_words
from pyworkflow.process import Process

RUNNING, WAITING, DONE = "running", "waiting", "completed"


class Attempt(Struct, array_like=True):
    """One try: milliseconds since the process was started, and how it ended."""

    begin: float
    end: float | None = None
    state: str = RUNNING
    identity: str = ""


class Span(Struct, array_like=True):
    """Something that took time, or happened at once (``end`` is ``begin`` then).

    Attributes:
        kind: ``activity``, ``timer``, ``child``, ``signal``, ``decision``, ``marker`` or ``cancel``.
        name: What the rows of a kind are grouped by: a step of a graph is named as such.
        id: Which one it is.
        state: How it ended, or what it waits for.
        begin: Milliseconds since the process was started.
        end: The same for its end, if it has ended.
        seq: The number of the event it begins with.
        attempts: The tries of an activity.
    """

    kind: str
    name: str
    id: str
    state: str
    begin: float
    end: float | None
    seq: int
    attempts: list[Attempt] = field(default_factory=list[Attempt])


class Timeline(Struct):
    """The spans of a process, the earliest first.

    Attributes:
        started: The zero of the axis.
        end: Milliseconds from there to the process's end, or to the last event.
        open: Whether the process is, so that what runs goes on past the end.
        events: How many events there are.
        spans: The spans.
    """

    started: DateTime | None
    end: float
    open: bool
    events: int
    spans: list[Span]


def timeline(process: Process) -> Timeline:
    """Return the spans of a process."""
    drawn = _Drawing(process.started)
    drawn.add(process.history)
    if not process.is_open:
        drawn.close(drawn.at(process.closed))
    last = process.history[-1].datetime if len(process.history) else None
    end = drawn.at(process.closed or last)
    return Timeline(process.started, end, process.is_open, len(process.history), drawn.spans)


class _Drawing:
    def __init__(self, started: DateTime | None) -> None:
        self._started = started
        self.spans: list[Span] = []
        self._activities: dict[str, Span] = {}
        self._timers: dict[str, Span] = {}
        self._children: dict[str, Span] = {}
        self._decision: Span | None = None

    def at(self, moment: DateTime | None) -> float:
        if moment is None or self._started is None:
            return 0.0
        return round((moment - self._started).total_seconds() * 1000, 1)

    def add(self, events: Iterable[Event]) -> None:
        for seq, event in enumerate(events, 1):
            self._event(seq, self.at(event.datetime), event)

    def close(self, end: float) -> None:
        """End what was open when the process was closed."""
        for span in self.spans:
            if span.end is None:
                span.end, span.state = end, "abandoned"
                for attempt in span.attempts:
                    if attempt.end is None:
                        attempt.end, attempt.state = end, "abandoned"

    def _span(
        self, kind: str, name: str, id: str, state: str, at: float, seq: int, *, point: bool = False
    ) -> Span:
        span = Span(kind, name, id, state, at, at if point else None, seq)
        self.spans.append(span)
        return span

    def _event(self, seq: int, at: float, event: Event) -> None:
        if isinstance(event, DecisionEvent):
            self._end_decision(at, DONE)
            self._decided(seq, at, event.decision)
        elif isinstance(event, ActivityStartedEvent):
            if span := self._activities.get(event.activity_execution.id):
                span.state = RUNNING
                span.attempts.append(Attempt(at, identity=event.identity or ""))
        elif isinstance(event, ActivityAttemptEvent):
            if span := self._activities.get(event.activity_execution.id):
                span.state = WAITING
                _end_attempt(span, at, event.result.type)
        elif isinstance(event, ActivityEvent):
            if span := self._activities.pop(event.activity_execution.id, None):
                _end_attempt(span, at, event.result.type)
                span.end, span.state = at, event.result.type
        elif isinstance(event, TimerEvent):
            if span := self._timers.pop(event.timer.id, None):
                span.end, span.state = at, DONE
        elif isinstance(event, ChildProcessEvent):
            if span := self._children.pop(event.process_id, None):
                span.end, span.state = at, _tag(event.result)
        elif isinstance(event, SignalEvent):
            self._span("signal", event.signal.name, "", DONE, at, seq, point=True)
        elif isinstance(event, CancelRequestedEvent):
            self._span("cancel", "cancel requested", "", DONE, at, seq, point=True)
        else:
            self._decision_event(seq, at, event)

    def _decision_event(self, seq: int, at: float, event: Event) -> None:
        if isinstance(event, DecisionStartedEvent):
            # A decision that asked for nothing leaves no other trace than the next one's beginning.
            self._end_decision(at, DONE)
            self._decision = self._span("decision", "decisions", "", RUNNING, at, seq)
            self._decision.attempts.append(Attempt(at, identity=event.identity or ""))
        elif isinstance(event, DecisionFailedEvent | DecisionTimedOutEvent):
            failed = isinstance(event, DecisionFailedEvent)
            self._end_decision(at, "failed" if failed else "timedout")
        elif isinstance(event, DecisionRejectedEvent):
            self._rejected(at, event.decision)

    def _decided(self, seq: int, at: float, decision: Decision) -> None:
        if isinstance(decision, ScheduleActivity):
            name = _step(decision.id) or decision.activity
            span = self._span("activity", name, decision.id, WAITING, at, seq)
            self._activities[decision.id] = span
        elif isinstance(decision, ScheduleLambda):
            name = _step(decision.id) or decision.function
            span = self._span("activity", name, decision.id, WAITING, at, seq)
            self._activities[decision.id] = span
        elif isinstance(decision, Timer):
            name = f"timer {in_words(decision.delay)}"
            span = self._span("timer", name, decision.id, WAITING, at, seq)
            self._timers[decision.id] = span
        elif isinstance(decision, CancelTimer):
            if timer := self._timers.pop(decision.id, None):
                timer.end, timer.state = at, "canceled"
        elif isinstance(decision, StartChildProcess):
            child = decision.process
            span = self._span("child", child.workflow, child.id, RUNNING, at, seq)
            self._children[child.id] = span
        elif isinstance(decision, RecordMarker) and marks.read(decision) is None:
            self._span("marker", decision.name, "", DONE, at, seq, point=True)

    def _rejected(self, at: float, decision: Decision) -> None:
        span: Span | None = None
        if isinstance(decision, StartChildProcess):
            span = self._children.pop(decision.process.id, None)
        elif isinstance(decision, ScheduleActivity):
            span = self._activities.pop(decision.id, None)
        if span is not None:
            span.end, span.state = at, "failed"

    def _end_decision(self, at: float, state: str) -> None:
        span, self._decision = self._decision, None
        if span is not None:
            _end_attempt(span, at, state)
            span.end, span.state = at, state


def _step(id: str) -> str | None:
    """Return the step of a graph that an activity's id names: its author knows that name, not the activity's."""
    key = read_key(id)
    return None if key is None else key.step


def _end_attempt(span: Span, at: float, state: str) -> None:
    if span.attempts and span.attempts[-1].end is None:
        span.attempts[-1].end, span.attempts[-1].state = at, state


def _tag(result: Any) -> str:
    return str(result.type)
