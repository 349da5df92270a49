"""Workflows: code that decides what a process does next."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeGuard, overload

from pyworkflow.activity import Activity, ActivityFunction, AnyActivity, default_name
from pyworkflow.codec import Json
from pyworkflow.decision import Decision, ScheduleActivity
from pyworkflow.errors import InvalidDecisionError, InvalidRequestError
from pyworkflow.failure import repr_of
from pyworkflow.process import Process

if TYPE_CHECKING:
    from pyworkflow.workflow.following import Follower

Decidable = Any
"""What `Workflow.decide` may return: nothing, a decision, an activity, or an iterable of those."""


class Workflow:
    """A type of process. Override `decide`.

    Attributes:
        name: The name it is registered under: the class's, without the suffix ``Workflow``, if not set.
        activities: The activity classes and functions that its decisions schedule.
        category: The queue of its decision tasks.
        timeout: Seconds a process may be open.
        decision_timeout: Seconds a decider may take.
        handles_cancel: Whether `decide` answers a `CancelRequestedEvent`. If not, canceling a process closes it at once.
        versions: Which names (its own, of its activities and children) end in a hyphen and a version, for an engine that keeps
            versions apart: ``{"Order-2": "2"}`` is version 2 of ``Order`` on Amazon SWF.
    """

    name: ClassVar[str] = "Workflow"
    activities: ClassVar[Sequence[AnyActivity]] = ()
    category: ClassVar[str] = "default"
    timeout: ClassVar[float] = 365 * 86_400
    decision_timeout: ClassVar[float] = 60
    handles_cancel: ClassVar[bool] = False
    versions: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = default_name(cls.__name__, "Workflow")

    def decide(self, process: Process) -> Decidable:
        """Return what the process does next. Every workflow overrides this.

        An activity class or function stands for scheduling it with the input of the process. The process is read-only, and what is
        returned is recorded, never worked out again: a decider may read the clock, a database or a flag.
        """
        raise TypeError(f"workflow {self.name!r} does not say what to decide")

    def follower(self) -> "Follower":
        """Return what decides along a recorded history and tells where the workflow stands."""
        from pyworkflow.workflow.following import Follower

        return Follower(self)

    @classmethod
    def graph_shape(cls) -> Json:
        """Return what its graph looks like, for people who watch its processes; None if it has none."""
        return None

    @classmethod
    def check_input(cls, input: Json) -> None:
        """Refuse an input that no process of this workflow can do anything with. A manager asks before it starts one.

        Raises:
            PayloadError: The input is not what the workflow takes.
        """

    def answer(self, process: Process, question: str, *arguments: Json) -> Json:
        """Answer a question about a process from its history, without deciding anything.

        Raises:
            InvalidRequestError: The workflow does not know the question.
        """
        raise InvalidRequestError(
            f"query {question!r}", f"workflow {self.name!r} answers no queries"
        )


@overload
def workflow(function: Callable[[Process], Decidable], /) -> type[Workflow]: ...


@overload
def workflow(
    *,
    name: str | None = None,
    activities: Sequence[AnyActivity] = (),
    category: str = ...,
    timeout: float = ...,
    decision_timeout: float = ...,
    handles_cancel: bool = ...,
) -> Callable[[Callable[[Process], Decidable]], type[Workflow]]: ...


def workflow(function: Callable[[Process], Decidable] | None = None, /, **settings: Any) -> Any:
    """Make a function ``(process) -> decisions`` a workflow class, bare or with settings: the attributes of `Workflow`, as keywords."""
    if function is None:
        return partial(_class_of, settings=settings)
    return _class_of(function, {})


def _class_of(decider: Callable[[Process], Decidable], settings: dict[str, Any]) -> type[Workflow]:
    def decide(self: Workflow, process: Process) -> Decidable:
        return decider(process)

    named = {"name": settings.get("name") or decider.__name__}
    told = {"__doc__": decider.__doc__, "__module__": decider.__module__, "decide": decide}
    return type(decider.__name__, (Workflow,), settings | named | told)


def decisions_of(returned: Decidable, process: Process) -> list[Decision]:
    """Return what `Workflow.decide` returned as a list of decisions.

    Raises:
        InvalidDecisionError: Something in it is no decision and stands for none.
    """
    if type(returned) is list:
        return [_decision(item, process) for item in returned if item]
    if _is_one(returned):
        return [_decision(returned, process)]
    if not returned:
        return []
    if isinstance(returned, Iterable) and not isinstance(returned, str | bytes | dict | type):
        return [_decision(item, process) for item in returned if item]
    raise _no_decision(returned)


def _is_one(thing: object) -> bool:
    return isinstance(thing, Decision) or is_activity(thing)


def is_activity(thing: object) -> TypeGuard[AnyActivity]:
    """Tell whether a thing is an activity class or function."""
    return isinstance(thing, ActivityFunction) or (
        isinstance(thing, type) and issubclass(thing, Activity)
    )


def _decision(thing: object, process: Process) -> Decision:
    if isinstance(thing, Decision):
        return thing
    if is_activity(thing):
        return ScheduleActivity(thing, input=process.input)
    raise _no_decision(thing)


def _no_decision(thing: object) -> InvalidDecisionError:
    reason = repr_of(thing, 80)
    if isinstance(thing, type) and issubclass(thing, Decision):
        reason += f": did you mean {thing.__name__}(...)?"
    elif isinstance(thing, Activity):
        reason += f": did you mean the class, {type(thing).__name__} without ()?"
    elif callable(thing) and not isinstance(thing, type):
        reason += ": did you forget @activity?"
    return InvalidDecisionError("Invalid decision type", reason)
