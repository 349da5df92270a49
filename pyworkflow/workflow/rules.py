"""Rule decorators for `RuleSetWorkflow`: which events a method handles.

Each filter is a value to be equal to, or a predicate; a predicate that cannot read an event or a value does not match. A filter that is
left out matches all; ``result=0`` or ``input=None`` are filters like any other.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple, TypeVar

from pyworkflow.activity import ActivityExecution
from pyworkflow.decision import Decision, Timer, name_of
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
from pyworkflow.mistakes import MISTAKES, is_mistake, parts
from pyworkflow.result import ActivityCompleted, ActivityResult, ProcessResult
from pyworkflow.signal import Signal

Handler = TypeVar("Handler", bound=Callable[..., Any])
Match = Callable[[Event], bool]

RULES = "_pyworkflow_rules"
"""Attribute of a method that holds its rules."""


class Rule(NamedTuple):
    """One rule of a handler.

    Attributes:
        event: The class of the events that it is for; `Event` where a predicate alone decides.
        match: Tells whether the handler is called for an event.
    """

    event: type[Event]
    match: Match

    def may_match(self, event: Event) -> bool:
        """Tell the same. Never raises: what a predicate needs may not be defined yet."""
        try:
            return self.match(event)
        except Exception:
            return False

    def takes_all(self) -> bool:
        """Tell whether the rule takes every event, to log it say: such a handler responds to none in particular."""
        return self.event is Event and self.may_match(DecisionStartedEvent())


_ANY: Any = object()


def rule(match: Match) -> Callable[[Handler], Handler]:
    """Have a method ``(self, event, process)`` handle the events that a predicate accepts. Rules add up: any of them is enough."""
    return _rule(Event, match)


def _rule(
    kind: type[Event], match: Callable[[Any], bool] | None = None
) -> Callable[[Handler], Handler]:
    def accepts(event: Event) -> bool:
        try:
            return isinstance(event, kind) and (match is None or bool(match(event)))
        except Exception as error:
            if is_mistake(error, _MISTAKES) or _is_misspelt(error):
                raise
            # A predicate made for other events or values simply does not match.
            return False

    def decorate(handler: Handler) -> Handler:
        setattr(handler, RULES, (*getattr(handler, RULES, ()), Rule(kind, accepts)))
        return handler

    return decorate


_MISTAKES = tuple(kind for kind in MISTAKES if kind not in (AttributeError, TypeError))
"""What is a mistake in a predicate: to read another event or value than it was made for is none."""


@cache
def _readable() -> frozenset[str]:
    """Return all attributes that some event or value has."""
    models: list[type] = [Event, ActivityResult, ProcessResult, Decision, Timer, Signal]
    classes: list[type] = [dict, list, str, int, float, bool, ActivityExecution]
    while models:
        classes.append(models[0])
        models += models.pop(0).__subclasses__()
    return frozenset(name for cls in classes for name in dir(cls))


def _is_misspelt(error: BaseException) -> bool:
    """Tell whether a predicate asks for an attribute that nothing in a history has."""
    names = [e.name for e in parts(error) if isinstance(e, AttributeError) and e.name is not None]
    return any(name not in _readable() for name in names)


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
