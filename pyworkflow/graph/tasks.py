"""The steps of a graph as people write them: one class for each kind of work.

All take the same options, by keyword. ``depends_on`` names what a step follows, by the tasks themselves or by their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypedDict, Unpack, runtime_checkable

from pyworkflow.activity import AnyActivity
from pyworkflow.codec import Json
from pyworkflow.decision import ChildPolicy, name_of
from pyworkflow.errors import InvalidRequestError
from pyworkflow.graph.errors import GraphError
from pyworkflow.graph.model import (
    START,
    ActivityWork,
    ChildWork,
    LambdaWork,
    NoWork,
    Repeat,
    SignalWork,
    Step,
    TimerWork,
    Work,
)
from pyworkflow.retry import Retry
from pyworkflow.workflow import Workflow as AnyWorkflow

RETRY_INTERVAL = 30.0
"""Seconds between two attempts, if a task has retries and does not say how far apart."""


class Options(TypedDict, total=False):
    """What every task takes. `pyworkflow.graph.model.Step` says more of each.

    Attributes:
        depends_on: The tasks (or their names) that it follows.
        param: A constant input, any JSON.
        transform_input: Makes the input of the work from the standard one.
        num_retries: Attempts beside the first one.
        time_between_retries: Seconds between two of them. ``retry_interval`` is the same.
        retry: Both, with a growing delay and errors that are final; instead of them.
        join: ``all``, ``unskipped``, ``any`` or ``race``.
        after: ``success``, ``failure``, ``catch`` or ``end`` of what it follows.
        compensates: The task that it undoes when the process fails or is canceled, in place of ``depends_on``.
        when: Told the standard input; the step is skipped if it says no.
        choose: Told the output; returns the names of the dependents that run.
        for_each: The task whose output is a list, or what makes a list from the standard input.
        concurrency: Items of ``for_each`` at a time.
        repeat_until: Told each output; the work is done again until it says yes.
        repeat_limit: How often at most.
        repeat_delay: Seconds between two runs.
        repeat_with: Makes the input of the next run from the output of one.
        on_failure: ``fail``, ``continue`` or ``ignore``, if not what the workflow says.
        title: What people are shown instead of the name.
    """

    depends_on: Iterable[Task | str]
    param: Json
    transform_input: Callable[[Any], Json]
    num_retries: int
    time_between_retries: float
    retry_interval: float
    retry: Retry
    join: str
    after: str
    compensates: Task | str
    when: Callable[[Any], object]
    choose: Callable[[Any], Iterable[str] | None]
    for_each: Task | str | Callable[[Any], Sequence[Json]]
    concurrency: int
    repeat_until: Callable[[Any], object]
    repeat_limit: int
    repeat_delay: float
    repeat_with: Callable[[Any], Json]
    on_failure: str
    title: str


class ActivityOptions(Options, total=False):
    """What a function takes as well, as `ActivityTask` does."""

    task_list: str
    timeout: float
    scheduled_timeout: float
    heartbeat_timeout: float


_OPTIONS = Options.__optional_keys__
_AS_THEY_ARE = ("param", "transform_input", "join", "after", "when", "choose", "concurrency")


@runtime_checkable
class Registrable(Protocol):
    """What stands for several workflow classes: a graph with its sub-graphs."""

    registered_name: str

    def workflows(self) -> Sequence[type[AnyWorkflow]]:
        """Return the classes to register."""
        ...


class Task:
    """A step, as it is added to a workflow.

    Args:
        name: Unique in the workflow.
        work: What it does.
        options: See `Options`.

    Raises:
        GraphError: An option cannot be.
    """

    def __init__(self, name: str, work: Work, options: Options) -> None:
        unknown = sorted(set(options) - _OPTIONS)
        if unknown:
            raise TypeError(f"{type(self).__name__} {name!r} got unknown options: {unknown}")
        self.name = name
        self.work = work
        self.options = options
        self.collect: Callable[[Mapping[str, Json]], Json] | None = None
        self.activities: tuple[AnyActivity, ...] = ()
        self.workflows: tuple[type[AnyWorkflow], ...] = ()
        self.versions: dict[str, str] = {}
        undone = options.get("compensates")
        given = options.get("depends_on", ())
        self.depends_on: tuple[Task | str, ...] = tuple(given) or (
            () if undone is None else (undone,)
        )
        self.step()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def step(self) -> Step:
        """Return the step that it describes."""
        options = self.options
        settings: dict[str, Any] = {o: options[o] for o in _AS_THEY_ARE if o in options}  # type: ignore[literal-required]
        each, undone = options.get("for_each"), options.get("compensates")
        try:
            return Step(
                name=self.name,
                work=self.work,
                depends_on=tuple(map(task_name, self.depends_on)),
                collect=self.collect,
                compensates=None if undone is None else task_name(undone),
                for_each=each.name if isinstance(each, Task) else each,
                repeat=self._repeat(),
                retry=self._retry(),
                on_failure=options.get("on_failure"),  # type: ignore[arg-type]
                title=options.get("title"),
                **settings,
            )
        except InvalidRequestError as error:
            raise GraphError(self.name, str(error)) from error

    def _retry(self) -> Retry | None:
        options = self.options
        if (retry := options.get("retry")) is not None:
            return retry
        if (retries := options.get("num_retries")) is None:
            return None
        interval = options.get("retry_interval", RETRY_INTERVAL)
        interval = options.get("time_between_retries", interval)
        return Retry(retries + 1, initial=interval, backoff=1, maximum=interval)

    def _repeat(self) -> Repeat | None:
        options = self.options
        if (until := options.get("repeat_until")) is None:
            return None
        return Repeat(
            until=until,
            limit=options.get("repeat_limit", Repeat.limit),
            delay=options.get("repeat_delay", 0),
            feed=options.get("repeat_with"),
        )


def task_name(task: Task | str) -> str:
    """Return the name of a task that is given as itself or by its name."""
    return task if isinstance(task, str) else task.name


class StartTask(Task):
    """The start of a process. Its output is the input of the process."""

    def __init__(self) -> None:
        super().__init__(START, NoWork(), {})


class ActivityTask(Task):
    """Executes an activity.

    Args:
        name: Of the step.
        activity: The activity class, function or name. ``activity_name`` is the same.
        activity_version: Part of the name under which it is registered, ``name-version``, if given.
        task_list: The category of its tasks, if not that of its type.
        timeout: Seconds that an attempt may take; other timeouts are likewise those of its type where they are left out.
        scheduled_timeout: Seconds that it may wait for a worker.
        heartbeat_timeout: Seconds between two heartbeats.
        options: See `Options`.
    """

    def __init__(
        self,
        name: str,
        activity: AnyActivity | str | None = None,
        *,
        activity_name: str | None = None,
        activity_version: str | None = None,
        task_list: str | None = None,
        timeout: float | None = None,
        scheduled_timeout: float | None = None,
        heartbeat_timeout: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        wanted = activity or activity_name or name
        work = ActivityWork(
            activity=registered_name(name_of(wanted), activity_version),
            category=task_list,
            timeout=timeout,
            scheduled_timeout=scheduled_timeout,
            heartbeat_timeout=heartbeat_timeout,
        )
        super().__init__(name, work, options)
        self.versions = versions_of(work.activity, activity_version)
        if not isinstance(wanted, str):
            self.activities = (wanted,)


class LambdaTask(Task):
    """Executes a function of AWS Lambda.

    Args:
        name: Of the step.
        lambda_function: The name of the function. ``lambda_function_name`` is the same.
        timeout: Seconds that it may take.
        options: See `Options`.
    """

    def __init__(
        self,
        name: str,
        lambda_function: str | None = None,
        *,
        lambda_function_name: str | None = None,
        timeout: float = 300.0,
        **options: Unpack[Options],
    ) -> None:
        function = lambda_function or lambda_function_name or name
        super().__init__(name, LambdaWork(function=function, timeout=timeout), options)


class WorkflowTask(Task):
    """Runs another workflow as a child process; its result is the output.

    Args:
        name: Of the step.
        workflow: A graph, a workflow class, or the name of one. ``workflow_name`` is the same as a name.
        workflow_version: With a name: its version, if it has one.
        child_policy: What becomes of the child when the process closes, one of `ChildPolicy`.
        timeout: Seconds until the child is asked to cancel itself, and the step has timed out.
        tags: The child's tags.
        options: See `Options`.
    """

    def __init__(
        self,
        name: str,
        workflow: Registrable | type[AnyWorkflow] | str | None = None,
        *,
        workflow_name: str | None = None,
        workflow_version: str | None = None,
        child_policy: str = ChildPolicy.TERMINATE,
        timeout: float | None = None,
        tags: Iterable[str] = (),
        **options: Unpack[Options],
    ) -> None:
        wanted = workflow or workflow_name or name
        known = wanted.registered_name if isinstance(wanted, Registrable) else name_of(wanted)
        work = ChildWork(
            workflow=registered_name(known, workflow_version),
            child_policy=child_policy,
            timeout=timeout,
            tags=tuple(tags),
        )
        super().__init__(name, work, options)
        self.versions = versions_of(work.workflow, workflow_version)
        if isinstance(wanted, Registrable):
            self.workflows = tuple(wanted.workflows())
        elif isinstance(wanted, type):
            self.workflows = (wanted, *getattr(wanted, "children", ()))
        for workflow_class in self.workflows:
            self.versions |= workflow_class.versions


class SignalTask(Task):
    """Waits for a signal; its data is the output.

    Args:
        name: Of the step, and of the signal if that has no name of its own.
        signal_name: The signal's name.
        timeout: Seconds to wait at most; then the step has timed out.
        options: See `Options`.
    """

    def __init__(
        self,
        name: str,
        signal_name: str | None = None,
        *,
        timeout: float | None = None,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(name, SignalWork(signal=signal_name or name, timeout=timeout), options)


class TimerTask(Task):
    """Lets time pass. It has no output.

    Args:
        name: Of the step.
        duration: Seconds, or what tells them from the input.
        options: See `Options`.
    """

    def __init__(
        self, name: str, duration: float | Callable[[Any], float], **options: Unpack[Options]
    ) -> None:
        super().__init__(name, TimerWork(duration=duration), options)


class PassTask(Task):
    """Does nothing: its output is its input. It joins branches, or begins them with ``choose``.

    Args:
        name: Of the step.
        options: See `Options`.
    """

    def __init__(self, name: str, **options: Unpack[Options]) -> None:
        super().__init__(name, NoWork(), options)


def registered_name(name: str, version: str | None) -> str:
    """Return what a workflow or activity of a version is registered under: versions are types of their own, side by side."""
    return name if version is None else f"{name}-{version}"


def versions_of(registered: str, version: str | None) -> dict[str, str]:
    """Return the version of a registered name, as `Workflow.versions` of a workflow class has it."""
    return {} if version is None else {registered: version}
