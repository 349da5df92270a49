"""Whether a graph can run, told before it does."""

from collections.abc import Iterable, Sequence

from msgspec import UNSET

from pyworkflow.errors import InvalidRequestError
from pyworkflow.graph.errors import (
    CycleError,
    DuplicateStepError,
    GraphError,
    UnknownStepError,
    UnreachableStepError,
)
from pyworkflow.graph.model import (
    START,
    ActivityWork,
    After,
    ChildWork,
    Join,
    LambdaWork,
    NoWork,
    OnFailure,
    SignalWork,
    Step,
    TimerWork,
    Work,
)
from pyworkflow.values import check_name, check_payload, check_seconds

MAX_STEP_NAME = 100
"""Characters in a step's name: the ids of what it opens are made from it, and have a limit of their own."""


def validated(
    graph: str, given: Iterable[Step], output: str | Sequence[str] | None
) -> dict[str, Step]:
    """Return the steps by name, the start first.

    Raises:
        GraphError: They are no graph that can run.
    """
    steps = {START: Step(name=START, work=NoWork())}
    for step in given:
        if step.name in steps:
            raise DuplicateStepError(step.name, "the graph has two steps of this name")
        steps[step.name] = step
    for step in steps.values():
        _check_step(step)
        for name in step.depends_on:
            if name not in steps:
                raise UnknownStepError(step.name, f"depends on {name!r}, which the graph lacks")
            if steps[name].compensates is not None:
                raise GraphError(step.name, f"follows {name!r}, which only undoes something")
    for name in (output,) if isinstance(output, str) else output or ():
        if name not in steps:
            raise UnknownStepError(graph, f"the output is {name!r}, which the graph lacks", "graph")
        if steps[name].compensates is not None:
            told = f"the output is {name!r}, which does not run in a process that completes"
            raise GraphError(graph, told, "graph")
    _check_reachable(steps, _sorted(steps))
    return steps


def _check_step(step: Step) -> None:
    try:
        check_name(step.name, "name")
        if len(step.name) > MAX_STEP_NAME:
            raise InvalidRequestError("name", f"has more than {MAX_STEP_NAME} characters")
        _check_settings(step)
        _check_work(step.work)
    except GraphError:
        raise
    except InvalidRequestError as error:
        raise GraphError(step.name, str(error)) from error


def _check_settings(step: Step) -> None:
    for setting, kind in (("join", Join), ("after", After), ("on_failure", OnFailure)):
        value = getattr(step, setting)
        if value is not None and value not in list(kind):
            raise InvalidRequestError(setting, f"must be one of {', '.join(kind)}, not {value!r}")
    check_payload(None if step.param is UNSET else step.param, "param")
    if step.compensates is not None:
        _check_compensation(step)
    if step.for_each is not None and step.repeat is not None:
        raise InvalidRequestError("for_each", "does not go with repeat: use a graph of its own")
    if step.for_each is not None and isinstance(step.work, TimerWork | NoWork | SignalWork):
        raise InvalidRequestError("for_each", "needs an activity, a Lambda or a workflow to run")
    if step.repeat is not None and isinstance(step.work, NoWork):
        raise InvalidRequestError("repeat", "needs something to do")
    if isinstance(step.for_each, str) and step.for_each not in step.depends_on:
        raise UnknownStepError(step.name, f"for_each is {step.for_each!r}, no dependency of it")
    if step.concurrency is not None and (step.for_each is None or step.concurrency < 1):
        raise InvalidRequestError("concurrency", "must be 1 or more, and needs for_each")
    if step.repeat is not None:
        check_seconds(step.repeat.delay, "delay")
        if step.repeat.limit < 1:
            raise InvalidRequestError("limit", f"must be 1 or more, not {step.repeat.limit}")


def _check_compensation(step: Step) -> None:
    if step.compensates == START:
        raise InvalidRequestError(
            "compensates", "nothing is done at the start that could be undone"
        )
    if step.depends_on != (step.compensates,) or step.after is not After.SUCCESS:
        raise InvalidRequestError("compensates", "does not go with depends_on and after")


def _check_work(work: Work) -> None:
    match work:
        case ActivityWork():
            check_name(work.activity, "activity")
            if work.category is not None:
                check_name(work.category, "category")
            for setting in ("timeout", "scheduled_timeout", "heartbeat_timeout"):
                if (seconds := getattr(work, setting)) is not None:
                    check_seconds(seconds, setting, positive=True)
        case LambdaWork():
            check_name(work.function, "lambda_function")
            check_seconds(work.timeout, "timeout", positive=True)
        case ChildWork(workflow=name) | SignalWork(signal=name):
            check_name(name, "workflow" if isinstance(work, ChildWork) else "signal")
            if work.timeout is not None:
                check_seconds(work.timeout, "timeout", positive=True)
        case TimerWork(duration=duration):
            if not callable(duration):
                check_seconds(duration, "duration")
        case NoWork():
            pass


def _sorted(steps: dict[str, Step]) -> list[Step]:
    """Return the steps, each after those it depends on.

    Raises:
        CycleError: There is no such order.
    """
    waiting = {name: len(set(step.depends_on)) for name, step in steps.items()}
    followers: dict[str, list[str]] = {name: [] for name in steps}
    for step in steps.values():
        for name in dict.fromkeys(step.depends_on):
            followers[name].append(step.name)
    free = [name for name, count in waiting.items() if not count]
    for name in free:
        for follower in followers[name]:
            waiting[follower] -= 1
            if not waiting[follower]:
                free.append(follower)
    if len(free) < len(steps):
        raise CycleError(_cycle(steps, {name for name, count in waiting.items() if count}))
    return [steps[name] for name in free]


def _cycle(steps: dict[str, Step], stuck: set[str]) -> list[str]:
    """Return one cycle among steps of which each waits for another of them."""
    name = next(name for name in steps if name in stuck)
    path: list[str] = []
    while name not in path:
        path.append(name)
        name = next(other for other in steps[name].depends_on if other in stuck)
    return path[path.index(name) :]


def _check_reachable(steps: dict[str, Step], ordered: list[Step]) -> None:
    for step in ordered:
        can_fail = {After.FAILURE: _can_be_lost, After.CATCH: _can_fail}.get(step.after)
        if can_fail is not None and not any(can_fail(steps[name]) for name in step.rivals):
            reason = (
                f"follows the failure of {', '.join(map(repr, step.rivals))}, which cannot fail"
                if step.rivals
                else "follows a failure, but depends on nothing"
            )
            raise UnreachableStepError(step.name, reason)


def _can_be_lost(step: Step) -> bool:
    """Tell whether a step may fail, or be kept from running by a failure."""
    return _can_fail(step) or (bool(step.rivals) and step.rivals != (START,))


def _can_fail(step: Step) -> bool:
    """Tell whether a step may fail."""
    if step.repeat is not None:
        return True
    if isinstance(step.work, SignalWork) and step.work.timeout is not None:
        return True
    return not isinstance(step.work, TimerWork | NoWork | SignalWork)
