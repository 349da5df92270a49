"""Activities, timers and children, as a history tells of them."""

from collections.abc import Callable, Mapping
from datetime import datetime as DateTime
from datetime import timedelta

from msgspec import Struct

from pyworkflow.activity import ActivityExecution
from pyworkflow.clock import to_datetime
from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    Decision,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    ActivityStartedEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionRejectedEvent,
    Event,
    TimerEvent,
)
from pyworkflow.ledger.checks.record import Violated
from pyworkflow.result import ActivityCanceled, ActivityTimedOut, AnyProcessResult

Children = Mapping[str, StartChildProcess | None]
"""By id, the decision that started each; None if that is not known."""


class OpenActivity:
    """An activity that has not ended: what was decided, and how far it has got."""

    def __init__(self, execution: ActivityExecution) -> None:
        self.execution = execution
        self.attempt = 0
        self.running = False
        self.lost = 0
        self.cancel_requested = False


class OpenTimer(Struct, frozen=True):
    """A timer that has neither fired nor been canceled."""

    timer: Timer
    since: DateTime | None


class Items:
    """Follows what the decisions of one history have opened.

    Attributes:
        inherited: Children that the run before this one has left to it; None if that is not known.
        set_back: The latest time that the store showed before its clock was set back; 0 if it never was.
        ended: Children that have ended, and how.
    """

    def __init__(self, inherited: Children | None, violated: Violated, set_back: int = 0) -> None:
        self._set_back = to_datetime(set_back)
        self.violated = violated
        self.inherited = inherited
        self.activities: dict[str, OpenActivity] = {}
        self.timers: dict[str, OpenTimer] = {}
        self.children: dict[str, StartChildProcess | None] = dict(inherited or {})
        self.ended: dict[str, AnyProcessResult] = {}
        self._last: Decision | None = None
        self._owed: Callable[[Event | None], bool] | None = None
        self._was_open = False

    def follow(self, seq: int, event: Event | None) -> None:
        """Take notice of the next event, or of the end."""
        if self._owed is not None and not self._owed(event):
            self.violated("I10", f"the decision of event {seq - 1} is without its effect")
        self._owed = None
        if isinstance(event, DecisionRejectedEvent):
            self._rejected(seq, event.decision)
        elif isinstance(event, ActivityStartedEvent | ActivityAttemptEvent | ActivityEvent):
            self._about_activity(seq, event)
        elif isinstance(event, TimerEvent):
            self._fires(seq, event)
        elif isinstance(event, ChildProcessEvent):
            self._child_ends(seq, event)
        self._last = None
        if isinstance(event, DecisionEvent):
            self._last = event.decision
            self._decided(seq, event.decision, event.datetime)

    def _decided(self, seq: int, decision: Decision, time: DateTime | None) -> None:
        match decision:
            case ScheduleActivity(activity=name) | ScheduleLambda(function=name):
                if decision.id in self.activities:
                    self.violated("I12", f"event {seq} opens activity {decision.id!r} once more")
                execution = ActivityExecution(name, decision.id, decision.input)
                self.activities[decision.id] = OpenActivity(execution)
            case CancelActivity(id=wanted):
                self._canceled(wanted)
            case Timer():
                if decision.id in self.timers:
                    self.violated("I17", f"event {seq} opens timer {decision.id!r} once more")
                self.timers[decision.id] = OpenTimer(decision, time)
            case CancelTimer(id=wanted):
                self._was_open = self.timers.pop(wanted, None) is not None
                if not self._was_open:
                    self._owed = _is_rejection
            case StartChildProcess(process=child):
                self._was_open = child.id in self.children
                if self._was_open:
                    self._owed = _is_rejection
                else:
                    self.children[child.id] = decision
            case _:
                pass

    def _canceled(self, wanted: str) -> None:
        activity = self.activities.get(wanted)
        self._was_open = activity is not None
        if activity is None:
            self._owed = _is_rejection
        elif activity.running:
            activity.cancel_requested = True
        else:
            self._owed = lambda event: _cancels(event, wanted)

    def _rejected(self, seq: int, decision: Decision) -> None:
        if decision != self._last:
            self.violated("I10", f"event {seq} rejects a decision other than the one before it")
        elif isinstance(decision, StartChildProcess):
            # A child that is open already cannot be started again, and stays open.
            if not self._was_open:
                self.children.pop(decision.process.id, None)
        elif isinstance(decision, CancelActivity | CancelTimer) and self._was_open:
            self.violated("I10", f"event {seq} rejects the cancelation of what was open")

    def _about_activity(
        self, seq: int, event: ActivityStartedEvent | ActivityAttemptEvent | ActivityEvent
    ) -> None:
        item = event.activity_execution.id
        activity = self.activities.get(item)
        if activity is None:
            self.violated("I12", f"event {seq} is about activity {item!r}, which is not open")
            return
        if event.activity_execution != activity.execution:
            self.violated("I12", f"event {seq} tells of activity {item!r} what was not decided")
        if isinstance(event, ActivityStartedEvent):
            if activity.running:
                self.violated("I12", f"event {seq} starts {item!r}, which is running")
            if event.attempt != activity.attempt + 1:
                self.violated(
                    "I14",
                    f"event {seq} starts attempt {event.attempt} of {item!r} after {activity.attempt}",
                )
            activity.attempt = event.attempt
            activity.running = True
        elif isinstance(event, ActivityAttemptEvent):
            if not activity.running and event.result == _WAITED:
                # No worker took this attempt.
                activity.attempt += 1
            elif not activity.running or event.attempt != activity.attempt:
                self.violated(
                    "I12", f"event {seq} ends attempt {event.attempt} of {item!r}, not running"
                )
            activity.running = False
            activity.lost += event.result in (
                ActivityTimedOut("lease"),
                ActivityTimedOut("released"),
            )
        else:
            if not (activity.running or self._ends_waiting(event)):
                self.violated("I12", f"event {seq} is a result of {item!r}, which was not running")
            del self.activities[item]

    def _ends_waiting(self, event: ActivityEvent) -> bool:
        if isinstance(self._last, CancelActivity):
            return _cancels(event, self._last.id)
        return event.result == _WAITED

    def _fires(self, seq: int, event: TimerEvent) -> None:
        timer = self.timers.pop(event.timer.id, None)
        if timer is None:
            self.violated("I17", f"event {seq} is of timer {event.timer.id!r}, which is not open")
            return
        if event.timer != timer.timer:
            self.violated("I17", f"event {seq} is not of the timer that was decided")
        if timer.since is not None and event.datetime is not None:
            left = timer.since + timedelta(seconds=timer.timer.delay) - event.datetime
            # The delay was rounded to a microsecond. A history's time stands still until a clock that was set back has caught up.
            if left > timedelta(microseconds=1) and event.datetime > self._set_back:
                self.violated("I17", f"event {seq} came {left} before its time")

    def _child_ends(self, seq: int, event: ChildProcessEvent) -> None:
        child = event.process_id
        if child not in self.children and (self.inherited is not None or child in self.ended):
            self.violated("I19", f"event {seq} ends child {child!r}, which is not open")
        self.children.pop(child, None)
        self.ended[child] = event.result


_WAITED = ActivityTimedOut("schedule_to_start")


def _is_rejection(event: Event | None) -> bool:
    return isinstance(event, DecisionRejectedEvent)


def _cancels(event: Event | None, wanted: str) -> bool:
    return (
        isinstance(event, ActivityEvent)
        and event.activity_execution.id == wanted
        and isinstance(event.result, ActivityCanceled)
    )
