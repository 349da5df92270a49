"""Rule decorators for `RuleSetWorkflow`: which events a method handles.

Each filter is a value to be equal to, or a predicate; a predicate that raises does not match. A filter that is left out matches all;
``result=0`` or ``input=None`` are filters like any other.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from pyworkflow.decision import name_of
from pyworkflow.event import (
    ActivityEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.result import ActivityCompleted

Handler = TypeVar("Handler", bound=Callable[..., Any])
Match = Callable[[Event], bool]

RULES = "_pyworkflow_rules"
"""Attribute of a method that holds its rules."""


class Rule(NamedTuple):
    """One rule of a handler.

    Attributes:
        event: The class of the events that it is for; `Event` where a predicate alone decides.
        match: Tells whether the handler is called for an event. Never raises.
    """

    event: type[Event]
    match: Match

    def takes_all(self) -> bool:
        """Tell whether the rule takes every event, to log it say: such a handler responds to none in particular."""
        return self.event is Event and self.match(DecisionStartedEvent())


_ANY: Any = object()


def rule(match: Match) -> Callable[[Handler], Handler]:
    """Have a method ``(self, event, process)`` handle the events that a predicate accepts. Rules add up: any of them is enough."""
    return _rule(Event, match)


def _rule(
    kind: type[Event], match: Callable[[Any], bool] | None = None
) -> Callable[[Handler], Handler]:
    def safe(event: Event) -> bool:
        try:
            return isinstance(event, kind) and (match is None or bool(match(event)))
        except Exception:  # a predicate made for other events simply does not match
            return False

    def decorate(handler: Handler) -> Handler:
        setattr(handler, RULES, (*getattr(handler, RULES, ()), Rule(kind, safe)))
        return handler

    return decorate


def _fits(wanted: Any, value: Any) -> bool:
    if wanted is _ANY:
        return True
    if callable(wanted) and not isinstance(wanted, type) and not hasattr(wanted, "bind"):
        return bool(wanted(value))
    return bool(wanted == value)


def _name(wanted: Any) -> Any:
    """Return a filter for a name: a class or a decorated function stands for its name, a predicate for itself."""
    return name_of(wanted) if isinstance(wanted, type) or hasattr(wanted, "name") else wanted


def process_started(handler: Callable[..., Any] | None = None) -> Any:
    """Handle the start of the process; as ``@process_started`` or ``@process_started()``."""
    decorate = _rule(ProcessStartedEvent)
    return decorate if handler is None else decorate(handler)


def completed_activity(
    activity: Any = _ANY, input: Any = _ANY, result: Any = _ANY
) -> Callable[[Handler], Handler]:
    """Handle activities that completed.

    Args:
        activity: The activity class, function or name.
        input: Its input.
        result: What it returned.
    """
    name = _name(activity)
    return _rule(
        ActivityEvent,
        lambda event: (
            isinstance(event.result, ActivityCompleted)
            and _fits(name, event.activity_execution.activity)
            and _fits(input, event.activity_execution.input)
            and _fits(result, event.result.result)
        ),
    )


def interrupted_activity(activity: Any = _ANY, result: Any = _ANY) -> Callable[[Handler], Handler]:
    """Handle activities that failed, timed out or were canceled.

    Args:
        activity: The activity class, function or name.
        result: The result object, or its class.
    """
    name = _name(activity)

    def ended(outcome: object) -> bool:
        return isinstance(outcome, result) if isinstance(result, type) else _fits(result, outcome)

    return _rule(
        ActivityEvent,
        lambda event: (
            not isinstance(event.result, ActivityCompleted)
            and _fits(name, event.activity_execution.activity)
            and ended(event.result)
        ),
    )


def signal(name: Any = _ANY) -> Callable[[Handler], Handler]:
    """Handle signals of a name."""
    return _rule(SignalEvent, lambda event: _fits(name, event.signal.name))


def timer(data: Any = _ANY) -> Callable[[Handler], Handler]:
    """Handle timers with this data."""
    return _rule(TimerEvent, lambda event: _fits(data, event.timer.data))


def child_process_completed(
    workflow: Any = _ANY, tags: Any = _ANY, has_tag: Any = _ANY, result: Any = _ANY
) -> Callable[[Handler], Handler]:
    """Handle the end of child processes.

    Args:
        workflow: The workflow class or name.
        tags: All their tags, as a list or tuple.
        has_tag: One of their tags.
        result: The result object, for example ``ProcessCompleted(3)``.
    """
    name = _name(workflow)
    wanted = tuple(tags) if isinstance(tags, list) else tags
    return _rule(
        ChildProcessEvent,
        lambda event: (
            _fits(name, event.workflow)
            and _fits(wanted, event.tags)
            and (has_tag is _ANY or any(_fits(has_tag, tag) for tag in event.tags))
            and _fits(result, event.result)
        ),
    )


def cancel_requested(handler: Callable[..., Any] | None = None) -> Any:
    """Handle requests to cancel the process; as ``@cancel_requested`` or ``@cancel_requested()``."""
    decorate = _rule(CancelRequestedEvent)
    return decorate if handler is None else decorate(handler)


def decision_rejected(handler: Callable[..., Any] | None = None) -> Any:
    """Handle decisions that turned out to be impossible; as ``@decision_rejected`` or ``@decision_rejected()``."""
    decorate = _rule(DecisionRejectedEvent)
    return decorate if handler is None else decorate(handler)
