"""Asking for activities and child processes, typed: what is awaited has the type that the activity or workflow returns."""

from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Never, ParamSpec, Protocol, TypeVar, overload

from pyworkflow.activity import ActivityFunction
from pyworkflow.codec import Json
from pyworkflow.decision import ChildPolicy, Named, ScheduleActivity, StartChildProcess, name_of
from pyworkflow.errors import InvalidRequestError
from pyworkflow.failure import repr_of
from pyworkflow.process import Process
from pyworkflow.replay.arguments import input_of, plain, result_of, to_type
from pyworkflow.replay.commands import child_id
from pyworkflow.replay.operation import OnCancel, Operation
from pyworkflow.retry import Retry, check_retry
from pyworkflow.values import check_name, check_tags

if TYPE_CHECKING:
    from pyworkflow.replay.run import Run

P = ParamSpec("P")
T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class ExecutesLater(Protocol[T_co]):
    """An activity class whose ``execute`` is a coroutine function."""

    def execute(self) -> Coroutine[Any, Any, T_co]: ...  # noqa: D102


class Executes(Protocol[T_co]):
    """An activity class."""

    def execute(self) -> T_co: ...  # noqa: D102


class Runs(Protocol[T_co]):
    """A workflow class in this style."""

    def run(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, T_co]: ...  # noqa: D102


class Options:
    """How activities are scheduled, where that is not as their types say.

    Attributes:
        id: The id of the next operation.
        category: The queue.
        scheduled_timeout: Seconds an activity may wait for a worker.
        execution_timeout: Seconds one attempt may take.
        heartbeat_timeout: Seconds between two heartbeats.
        retry: When to try again.
        tags: The tags of a child process.
        child_policy: What becomes of a child process when this one closes.
        compare: Whether another input than the history holds is a mismatch.
        on_cancel: What canceling an activity means, one of `OnCancel`.
    """

    def __init__(
        self,
        *,
        id: str | None = None,
        category: str | None = None,
        scheduled_timeout: float | None = None,
        execution_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        retry: Retry | None = None,
        tags: tuple[str, ...] | list[str] = (),
        child_policy: str = ChildPolicy.ABANDON,
        compare: bool = True,
        on_cancel: str | None = None,
    ) -> None:
        self.id = id
        self.category = category
        self.scheduled_timeout = scheduled_timeout
        self.execution_timeout = execution_timeout
        self.heartbeat_timeout = heartbeat_timeout
        self.retry = retry
        check_retry(retry)
        self.tags = check_tags(tags)
        self.child_policy = child_policy
        self.compare = compare
        if on_cancel is not None and on_cancel not in OnCancel.ALL:
            raise InvalidRequestError(
                f"on_cancel {repr_of(on_cancel, 80)}", f"must be one of {', '.join(OnCancel.ALL)}"
            )
        self.on_cancel = on_cancel


class Calls:
    """Asks for activities and child processes."""

    def _asking(self) -> "tuple[Run, Options]":
        """Return the run that asks, and how."""
        raise RuntimeError("this workflow is not being run")

    # No Any in it: with one, pyright would take the next spelling for possible, too, and know nothing of the result.
    @overload
    def activity(
        self,
        activity: ActivityFunction[P, Coroutine[object, Never, T]],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Operation[T]: ...
    @overload
    def activity(
        self, activity: ActivityFunction[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> Operation[T]: ...
    @overload
    def activity(self, activity: type[ExecutesLater[T]], input: Any = ...) -> Operation[T]: ...
    @overload
    def activity(self, activity: type[Executes[T]], input: Any = ...) -> Operation[T]: ...
    @overload
    def activity(self, activity: str, input: Any = ...) -> Operation[Any]: ...
    def activity(self, activity: Any, *args: Any, **kwargs: Any) -> Operation[Any]:
        """Schedule an activity and return what to await for its result.

        It is scheduled by the call, not by awaiting: two calls run beside each other. Canceling what is awaited cancels the activity.

        Args:
            activity: A function decorated with ``activity``, an activity class, or a name.
            args: With a function, its arguments; otherwise the input, any JSON.
            kwargs: With a function, its arguments by name.

        Raises:
            ActivityFailed: (when awaited) It failed; the cause tells what it raised.
            ActivityTimedOut: (when awaited) It took too long.
            ActivityCanceled: (when awaited) It was canceled, or canceled itself.
            PayloadError: The input is not JSON.
        """
        run, options = self._asking()
        name = name_of(activity)
        what = f"input of activity {name!r}"
        given = plain(_given(activity, args, kwargs), what)
        operation_id = options.id or run.commands.next_id(name)
        decision = ScheduleActivity(
            name,
            operation_id,
            options.category,
            given,
            options.scheduled_timeout,
            options.execution_timeout,
            options.heartbeat_timeout,
            options.retry,
        )
        result = result_of(activity)
        return run.begin(
            "activity",
            operation_id,
            decision,
            result,
            compare=options.compare,
            on_cancel=options.on_cancel,
        )

    @overload
    def child(self, workflow: type[Runs[T]], input: Any = ...) -> Operation[T]: ...
    @overload
    def child(self, workflow: type[Named] | Named | str, input: Any = ...) -> Operation[Any]: ...
    def child(self, workflow: Any, input: Json = None) -> Operation[Any]:
        """Start a child process and return what to await for its result.

        Args:
            workflow: A workflow class of any style, or a name.
            input: Its input, any JSON.

        Raises:
            ChildFailed: (when awaited) It did not complete; the class tells how it ended.
            PayloadError: The input is not JSON.
        """
        run, options = self._asking()
        name = name_of(workflow)
        process = run.process
        number = run.commands.next_id(name)
        new_id = options.id or child_id(
            process.id or name, (process.id, process.run, process.started), number
        )
        new = Process(
            name,
            check_name(new_id, "process id"),
            plain(input, f"input of workflow {name!r}"),
            options.tags,
        )
        decision = StartChildProcess(new, options.child_policy)
        result = _result_of_child(workflow)
        return run.begin("child", new_id, decision, result, compare=options.compare)


class CallsWithOptions(Calls):
    """Asks with options."""

    def __init__(self, run: "Run", options: Options) -> None:
        self._run = run
        self._options = options

    def _asking(self) -> "tuple[Run, Options]":
        return self._run, self._options


def _given(activity: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Json:
    if isinstance(activity, ActivityFunction):
        return input_of(activity.function, args, kwargs)
    if kwargs and set(kwargs) != {"input"}:
        raise TypeError(f"activity {name_of(activity)!r} takes one input, not {sorted(kwargs)}")
    given = [*args, *kwargs.values()]
    if len(given) > 1:
        raise TypeError(f"activity {name_of(activity)!r} takes one input, not {len(given)}")
    return given[0] if given else None


def _result_of_child(workflow: object) -> Callable[[Any], Any] | None:
    convert = getattr(workflow, "result_type", None)
    return None if convert is None else to_type(convert(), f"result of {name_of(workflow)!r}")
