"""Activities: units of work with an input and a result, as classes or as decorated functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    ParamSpec,
    TypeAlias,
    TypeVar,
    get_type_hints,
    overload,
)

from pyworkflow import codec
from pyworkflow.codec import Json, Payload, Value, payloads
from pyworkflow.errors import PayloadError
from pyworkflow.result import (
    ActivityAborted,
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
)
from pyworkflow.retry import Retry, check_retry

if TYPE_CHECKING:
    from pyworkflow.task import ActivityTask

__all__ = [
    "Activity",
    "ActivityAborted",
    "ActivityCanceled",
    "ActivityCompleted",
    "ActivityExecution",
    "ActivityFailed",
    "ActivityFunction",
    "ActivityMonitor",
    "ActivityResult",
    "ActivityTimedOut",
    "AnyActivity",
    "Retry",
    "activity",
    "current_activity",
]

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

YEAR = 365 * 86_400


@payloads(input=Any)
class ActivityExecution(Value, frozen=True, gc=False, omit_defaults=True):
    """One scheduled execution of an activity.

    Attributes:
        activity: The activity's name.
        id: Unique among the open activities of its process.
        input: Any JSON.
    """

    activity: str
    id: str
    input: Payload = None


class ActivityMonitor:
    """Passes an activity's signs of life on.

    Args:
        heartbeat_fn: Called with the details of each heartbeat; returns whether the activity has been asked to cancel itself. A function
            without parameters will do.
    """

    def __init__(self, heartbeat_fn: Callable[..., bool | None] | None = None) -> None:
        self._heartbeat = heartbeat_fn

    def heartbeat(self, details: Json = None) -> bool:
        """Tell that the activity is alive; return whether it has been asked to cancel itself."""
        if self._heartbeat is None:
            return False
        # Most activities give no sign of life: the function is looked at by the first.
        takes_details = _takes_argument(self._heartbeat)
        return bool(self._heartbeat(details) if takes_details else self._heartbeat())


def _takes_argument(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None)
    except (TypeError, ValueError):
        return False
    return True


_current: ContextVar[Activity | None] = ContextVar("pyworkflow_activity", default=None)


def current_activity() -> Activity:
    """Return the activity that this thread or coroutine is executing, for code that is handed no ``self``.

    Raises:
        RuntimeError: None is being executed here.
    """
    running = _current.get()
    if running is None:
        raise RuntimeError("no activity is being executed here")
    return running


class running:
    """Have `current_activity` return an activity for as long as the block lasts."""

    def __init__(self, activity: Activity) -> None:
        self._activity = activity

    def __enter__(self) -> None:
        self._token = _current.set(self._activity)

    def __exit__(self, *_: object) -> None:
        _current.reset(self._token)


class Activity:
    """A unit of work. Override `execute`; it may be ``async def``.

    ``execute`` returns any JSON value (or a dataclass, msgspec struct or pydantic model, which is converted), or an `ActivityResult`;
    it may raise `ActivityCanceled` or `ActivityFailed`, and any other exception is a failure with its traceback.

    A subclass may annotate ``input`` with a type: the input is converted to it before ``execute`` runs.

    Attributes:
        name: The name it is registered under: the class's, without the suffix ``Activity``, if not set.
        category: The queue its tasks wait in.
        scheduled_timeout: Seconds it may wait for a worker; None for as long as it takes.
        execution_timeout: Seconds one attempt may take.
        heartbeat_timeout: Seconds that may pass between two heartbeats.
        auto_heartbeat: Whether a `Worker` sends heartbeats for it while it runs, three per `heartbeat_timeout`.
        auto_complete: Whether a plain return value completes the activity. If not, somebody calls ``manager.complete_task`` later.
        retry: When a failed attempt is tried again before the decider hears of it; None for never.
        at_most_once: Whether losing the worker is an `ActivityTimedOut` for the decider. If not, another worker does the work again.
        description: One line for people.
    """

    name: ClassVar[str] = "Activity"
    category: ClassVar[str] = "default"
    scheduled_timeout: ClassVar[float | None] = None
    execution_timeout: ClassVar[float] = YEAR
    heartbeat_timeout: ClassVar[float] = YEAR
    auto_heartbeat: ClassVar[bool] = False
    auto_complete: ClassVar[bool] = True
    retry: ClassVar[Retry | None] = None
    at_most_once: ClassVar[bool] = False

    input: Any

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = default_name(cls.__name__, "Activity")
        check_retry(cls.retry)

    def __init__(self, task: ActivityTask, monitor: ActivityMonitor | None = None) -> None:
        self.task = task
        self.monitor = monitor
        self.input = task.activity_execution.input

    def execute(self) -> Any:
        """Do the work and return its result. Every activity overrides this."""
        raise ActivityFailed(f"activity {self.name!r} does not say what to execute")

    @property
    def idempotency_key(self) -> str:
        """What another system is told, so that it does the work of all attempts once: 32 hexadecimal digits.

        It is the same for every attempt, retry and worker, and another one if the activity is scheduled again or in another run.
        """
        return self.task.idempotency_key

    def heartbeat(self, details: Json = None) -> bool:
        """Give a sign of life; return whether the process has asked the activity to cancel itself.

        Args:
            details: Any JSON; the next attempt finds it in ``self.task.heartbeat_details``.

        Raises:
            StaleTaskError: The task is no longer this worker's: stop, nothing that is done now will count.
        """
        return False if self.monitor is None else self.monitor.heartbeat(details)

    @classmethod
    def bind(cls, task: ActivityTask, monitor: ActivityMonitor | None = None) -> Activity:
        """Return the activity ready to execute a task, its input converted to the annotated type.

        Raises:
            PayloadError: The input is not of the annotated type.
        """
        bound = cls(task, monitor)
        wanted = _input_type(cls)
        if wanted is not Any:
            bound.input = codec.convert(bound.input, wanted, f"input of activity {cls.name!r}")
        return bound


def default_name(class_name: str, suffix: str) -> str:
    """Return a class's name without the suffix, unless nothing would be left."""
    return class_name.removesuffix(suffix) or class_name


def _declared_input(cls: type[Activity]) -> Any:
    declared = any("input" in inspect.get_annotations(base) for base in _below(cls))
    return get_type_hints(cls).get("input", Any) if declared else Any


# The type checker takes the hash of a class for that of its instances.
_input_type: Callable[[Any], Any] = cache(_declared_input)


def check_input(activity: AnyActivity, input: Json) -> None:
    """Refuse an input that an activity cannot take.

    Raises:
        PayloadError: It is not of the type that the activity wants, or does not fit its parameters.
    """
    if isinstance(activity, ActivityFunction):
        activity.arguments(input)
    elif (wanted := _input_type(activity)) is not Any:
        codec.convert(input, wanted, f"input of activity {activity.name!r}")


def _below(cls: type[Activity]) -> list[type]:
    return [base for base in cls.__mro__ if base not in Activity.__mro__]


class ActivityFunction(Generic[P, R_co]):
    """A function that is an activity: pass it wherever an activity class goes, or call it as the plain function that it is.

    A function of one parameter gets the whole input (or its default, if the input is None). One of several gets a list's items by position, or an object's values by name.
    Parameters annotated with a type get their values converted to it.
    """

    def __init__(self, function: Callable[P, R_co], **settings: Any) -> None:
        self.function = function
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.__module__ = function.__module__
        self.__qualname__ = function.__qualname__
        self.name: str = settings.pop("name", None) or function.__name__
        self.category: str = settings.pop("category", Activity.category)
        self.scheduled_timeout: float | None = settings.pop(
            "scheduled_timeout", Activity.scheduled_timeout
        )
        self.execution_timeout: float = settings.pop(
            "execution_timeout", Activity.execution_timeout
        )
        self.heartbeat_timeout: float = settings.pop(
            "heartbeat_timeout", Activity.heartbeat_timeout
        )
        self.auto_heartbeat: bool = settings.pop("auto_heartbeat", False)
        self.auto_complete: bool = settings.pop("auto_complete", True)
        self.retry: Retry | None = settings.pop("retry", None)
        check_retry(self.retry)
        self.at_most_once: bool = settings.pop("at_most_once", False)
        if settings:
            raise TypeError(f"activity {self.name!r} has no setting {', '.join(settings)}")
        self._parameters = list(inspect.signature(function).parameters.values())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Call the plain function."""
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<activity {self.name!r}>"

    def __reduce__(self) -> str:
        # As a function is: by the name it has in its module.
        return self.__qualname__

    def bind(self, task: ActivityTask, monitor: ActivityMonitor | None = None) -> Activity:
        """Return the activity ready to execute a task, its input made into the function's arguments.

        Raises:
            PayloadError: The input does not fit the function's parameters.
        """
        return _BoundFunction(self, task, monitor)

    def arguments(self, given: Json) -> tuple[list[Any], dict[str, Any]]:
        """Return the positional and named arguments that an input stands for.

        Raises:
            PayloadError: The input does not fit the function's parameters.
        """
        hints = get_type_hints(self.function)
        what = f"input of activity {self.name!r}"
        if len(self._parameters) == 1 and self._parameters[0].kind in _POSITIONAL:
            only = self._parameters[0]
            if given is None and only.default is not only.empty:
                return [], {}
            return [codec.convert(given, hints.get(only.name, Any), what)], {}
        args, kwargs = _spread(given)
        try:
            bound = inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as error:
            raise PayloadError(what, str(error)) from None
        for name, value in bound.arguments.items():
            if name in hints:
                bound.arguments[name] = codec.convert(value, hints[name], f"{what}, {name}")
        return list(bound.args), bound.kwargs


_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def _spread(given: Json) -> tuple[list[Any], dict[str, Any]]:
    if given is None:
        return [], {}
    if isinstance(given, dict):
        return [], given
    return (given, {}) if isinstance(given, list) else ([given], {})


class _BoundFunction(Activity):
    def __init__(
        self,
        function: ActivityFunction[..., Any],
        task: ActivityTask,
        monitor: ActivityMonitor | None,
    ) -> None:
        super().__init__(task, monitor)
        self._function = function
        self.function = function.function
        self._args, self._kwargs = function.arguments(self.input)

    @property
    def auto_complete(self) -> bool:  # type: ignore[override]
        return self._function.auto_complete

    def execute(self) -> Any:
        """Call the function."""
        return self._function.function(*self._args, **self._kwargs)


@overload
def activity(function: Callable[P, R], /) -> ActivityFunction[P, R]: ...


@overload
def activity(
    *,
    name: str | None = None,
    category: str = ...,
    scheduled_timeout: float | None = ...,
    execution_timeout: float = ...,
    heartbeat_timeout: float = ...,
    auto_heartbeat: bool = ...,
    auto_complete: bool = ...,
    retry: Retry | None = ...,
    at_most_once: bool = ...,
) -> Callable[[Callable[P, R]], ActivityFunction[P, R]]: ...


def activity(function: Callable[..., Any] | None = None, /, **settings: Any) -> Any:
    """Make a function an activity, bare or with settings: the attributes of `Activity`, as keywords."""
    if function is not None:
        return ActivityFunction(function)

    def decorate(decorated: Callable[..., Any]) -> ActivityFunction[..., Any]:
        return ActivityFunction(decorated, **settings)

    return decorate


AnyActivity: TypeAlias = type[Activity] | ActivityFunction[..., Any]
"""What a manager registers and a decider schedules: a subclass of `Activity`, or a function decorated with `activity`."""
