"""Events: the entries of a process history, in the past tense. Two events are equal when the same happened, whenever and through whom."""

from datetime import datetime as DateTime
from typing import TYPE_CHECKING, Any, TypeAlias

from msgspec.structs import force_setattr

from pyworkflow.activity import ActivityExecution
from pyworkflow.codec import Payload, Value, payloads
from pyworkflow.decision import AnyDecision, Timer
from pyworkflow.result import ActivityResult, AnyProcessResult, TypeTag
from pyworkflow.signal import Signal

if TYPE_CHECKING:
    Result: TypeAlias = ActivityResult
else:
    Result = Payload


class Event(Value, frozen=True, gc=False, kw_only=True, tag_field="type", omit_defaults=True):
    """The base of all events.

    Attributes:
        datetime: When it was recorded, aware UTC; never earlier than the event before it. Not compared.
    """

    type = TypeTag()
    not_compared = frozenset({"datetime", "identity"})
    wakes = False
    """Whether the event calls for a decision."""

    datetime: DateTime | None = None


class ProcessStartedEvent(Event, frozen=True, gc=False, tag="process_started"):
    """The process was started. Always the first event, and only that."""

    wakes = True


class DecisionStartedEvent(Event, frozen=True, gc=False, tag="decision_started"):
    """A decider was handed the process.

    Attributes:
        identity: What the worker calls itself. Not compared.
    """

    identity: str | None = None


class DecisionEvent(Event, frozen=True, gc=False, kw_only=False, tag="decision"):
    """A decision was applied."""

    decision: AnyDecision


@payloads(details=Any)
class DecisionFailedEvent(Event, frozen=True, gc=False, kw_only=False, tag="decision_failed"):
    """A decider failed; what it was shown is unseen again.

    Attributes:
        reason: One line.
        details: More, for example a traceback.
    """

    reason: str | None = None
    details: Payload = None


class DecisionTimedOutEvent(Event, frozen=True, gc=False, tag="decision_timed_out"):
    """A decider was not heard of in time; what it was shown is unseen again."""


class DecisionRejectedEvent(Event, frozen=True, gc=False, kw_only=False, tag="decision_rejected"):
    """A recorded decision turned out to be impossible, for a reason that its decider could not know.

    Attributes:
        decision: The decision.
        reason: Why.
    """

    wakes = True

    decision: AnyDecision
    reason: str


class ActivityStartedEvent(Event, frozen=True, gc=False, kw_only=False, tag="activity_started"):
    """A worker was handed an activity.

    Attributes:
        activity_execution: Which.
        attempt: The number of this try; 1 is the first.
        identity: What the worker calls itself. Not compared.
    """

    activity_execution: ActivityExecution
    attempt: int = 1
    identity: str | None = None


@payloads(result=ActivityResult)
class ActivityAttemptEvent(Event, frozen=True, gc=False, kw_only=False, tag="activity_attempt"):
    """An attempt ended without a result for the decider: the activity is tried again.

    Attributes:
        activity_execution: Which.
        result: How the attempt ended.
        attempt: Its number.
        delay: Seconds until the next attempt may start.
    """

    activity_execution: ActivityExecution
    result: Result
    attempt: int = 1
    delay: float = 0.0


@payloads(result=ActivityResult)
class ActivityEvent(Event, frozen=True, gc=False, kw_only=False, tag="activity"):
    """An activity ended.

    Attributes:
        activity_execution: Which.
        result: How.
    """

    wakes = True

    activity_execution: ActivityExecution
    result: Result


class SignalEvent(Event, frozen=True, gc=False, kw_only=False, tag="signal"):
    """The process was signaled."""

    wakes = True

    signal: Signal


class TimerEvent(Event, frozen=True, gc=False, kw_only=False, tag="timer"):
    """A timer fired."""

    wakes = True

    timer: Timer


class ChildProcessEvent(Event, frozen=True, gc=False, kw_only=False, tag="child_process"):
    """A child process ended.

    Attributes:
        process_id: Its id.
        result: How it ended.
        workflow: The name of its workflow.
        tags: Its tags.
    """

    wakes = True

    process_id: str
    result: AnyProcessResult
    workflow: str | None = None
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if type(self.tags) is not tuple:
            force_setattr(self, "tags", tuple(self.tags))


@payloads(details=Any)
class CancelRequestedEvent(Event, frozen=True, gc=False, kw_only=False, tag="cancel_requested"):
    """Somebody asked the process to cancel itself.

    Attributes:
        details: Why, any JSON.
    """

    wakes = True

    details: Payload = None


class ProcessTimedOutEvent(Event, frozen=True, gc=False, tag="process_timed_out"):
    """The process was open for too long and is closed."""


@payloads(details=Any)
class ProcessTerminatedEvent(Event, frozen=True, gc=False, kw_only=False, tag="process_terminated"):
    """The process was ended by force.

    Attributes:
        reason: One line.
        details: More, any JSON.
    """

    reason: str | None = None
    details: Payload = None


AnyEvent = (
    ProcessStartedEvent
    | DecisionStartedEvent
    | DecisionEvent
    | DecisionFailedEvent
    | DecisionTimedOutEvent
    | DecisionRejectedEvent
    | ActivityStartedEvent
    | ActivityAttemptEvent
    | ActivityEvent
    | SignalEvent
    | TimerEvent
    | ChildProcessEvent
    | CancelRequestedEvent
    | ProcessTimedOutEvent
    | ProcessTerminatedEvent
)
"""Every event, as a type to decode."""
