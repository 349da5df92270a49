"""What a graph looks like, as JSON: enough to draw it, and to tell from a history where its steps stand; not enough to decide.

A program registers it with the workflow, so that others can show its processes without having its code.
"""

from typing import NoReturn

from msgspec import Struct, ValidationError, convert

from pyworkflow.codec import Json, decode, encode
from pyworkflow.graph.errors import GraphError
from pyworkflow.graph.model import (
    START,
    ActivityWork,
    After,
    ChildWork,
    Graph,
    Join,
    LambdaWork,
    NoWork,
    OnFailure,
    Repeat,
    SignalWork,
    Step,
    TimerWork,
    Work,
)
from pyworkflow.retry import Retry

MOST_STEPS = 500
"""Of a larger graph no shape is kept: nobody could read the picture."""


class StepShape(Struct, frozen=True, omit_defaults=True):
    """A step. What is a callable in the graph is only told to be there.

    Attributes:
        name: Of the step.
        kind: ``activity``, ``lambda``, ``workflow``, ``signal``, ``timer`` or ``pass``.
        work: The name of the activity, function, workflow or signal.
        seconds: Of a timer, None if they are computed; of a signal, after which it is not waited for any longer.
    """

    name: str
    kind: str
    work: str = ""
    seconds: float | None = None
    depends_on: tuple[str, ...] = ()
    join: Join = Join.ALL
    after: After = After.SUCCESS
    compensates: str | None = None
    condition: bool = False
    for_each: bool = False
    concurrency: int | None = None
    repeat: bool = False
    choose: bool = False
    retry: Retry | None = None
    on_failure: OnFailure | None = None
    title: str | None = None


class Shape(Struct, frozen=True, omit_defaults=True):
    """A graph: its steps in their order, without the start."""

    name: str
    steps: tuple[StepShape, ...]
    on_failure: OnFailure = OnFailure.FAIL


def shape_of(graph: Graph) -> Json:
    """Return the shape of a graph; None if it has too many steps for a picture."""
    steps = [step for step in graph.steps.values() if step.name != START]
    if len(steps) > MOST_STEPS:
        return None
    shape = Shape(graph.name, tuple(map(_step_shape, steps)), graph.on_failure)
    # By way of JSON, so that it equals what a store gives back.
    return decode(encode(shape))


def graph_of(shape: Json) -> Graph:
    """Return the graph of a shape: it can be drawn, with a process too, and cannot decide.

    How a step ended is taken from the history alone, since a ``judge`` is code.

    Raises:
        GraphError: It is no shape of a graph.
    """
    try:
        told = convert(shape, Shape)
    except ValidationError as error:
        raise GraphError("graph", f"is no shape: {error}", "graph") from error
    return Graph(told.name, map(_step, told.steps), on_failure=told.on_failure)


def _step_shape(step: Step) -> StepShape:
    return StepShape(
        step.name,
        *_told(step.work),
        step.depends_on,
        step.join,
        step.after,
        step.compensates,
        step.when is not None,
        step.for_each is not None,
        step.concurrency,
        step.repeat is not None,
        step.choose is not None,
        step.retry,
        step.on_failure,
        step.title,
    )


def _told(work: Work) -> tuple[str, str, float | None]:
    match work:
        case ActivityWork(activity=name):
            return "activity", name, None
        case LambdaWork(function=name):
            return "lambda", name, None
        case ChildWork(workflow=name):
            return "workflow", name, None
        case SignalWork(signal=name, timeout=seconds):
            return "signal", name, seconds
        case TimerWork(duration=duration):
            return "timer", "", None if callable(duration) else duration
        case NoWork():
            return "pass", "", None


def _step(shape: StepShape) -> Step:
    return Step(
        name=shape.name,
        work=_work(shape),
        depends_on=shape.depends_on,
        join=shape.join,
        after=shape.after,
        compensates=shape.compensates,
        when=_code if shape.condition else None,
        for_each=_code if shape.for_each else None,
        concurrency=shape.concurrency,
        repeat=Repeat(until=_code) if shape.repeat else None,
        choose=_code if shape.choose else None,
        retry=shape.retry,
        on_failure=shape.on_failure,
        title=shape.title,
    )


def _work(shape: StepShape) -> Work:
    match shape.kind:
        case "activity":
            return ActivityWork(activity=shape.work)
        case "lambda":
            return LambdaWork(function=shape.work)
        case "workflow":
            return ChildWork(workflow=shape.work)
        case "signal":
            return SignalWork(signal=shape.work, timeout=shape.seconds)
        case "timer":
            return TimerWork(duration=_code if shape.seconds is None else shape.seconds)
        case "pass":
            return NoWork()
        case _:
            raise GraphError(shape.name, f"is of the unknown kind {shape.kind!r}")


def _code(given: Json) -> NoReturn:
    """Stand for code that another program has."""
    raise GraphError("graph", "only its shape is known here: it cannot decide", "graph")
