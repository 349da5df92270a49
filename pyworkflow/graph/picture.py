"""What a drawing shows: boxes and arrows, before they have a place."""

from dataclasses import dataclass

from pyworkflow.graph.model import (
    START,
    ActivityWork,
    After,
    ChildWork,
    Graph,
    Join,
    LambdaWork,
    SignalWork,
    Step,
    TimerWork,
)
from pyworkflow.graph.run import fold
from pyworkflow.graph.state import StepState, StepStatus
from pyworkflow.process import Process


@dataclass(frozen=True)
class Box:
    """One step.

    Attributes:
        name: Of the step.
        title: What to write, large.
        lines: What to write below, small.
        kind: ``start``, ``activity``, ``lambda``, ``workflow``, ``signal``, ``timer`` or ``pass``.
        status: Where it stands; None without a process.
        reason: Why it failed or did not run.
    """

    name: str
    title: str
    lines: tuple[str, ...]
    kind: str
    status: StepStatus | None
    reason: str | None


@dataclass(frozen=True)
class Arrow:
    """One dependency.

    Attributes:
        source: The step that is followed.
        target: The step that follows it.
        label: When, if not on success.
        taken: Whether the target has begun after it; None without a process.
    """

    source: str
    target: str
    label: str
    taken: bool | None


@dataclass(frozen=True)
class Picture:
    """A graph to draw."""

    name: str
    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def picture_of(graph: Graph, process: Process | None) -> Picture:
    """Return what a drawing of a graph shows, with the state of its steps in a process if one is given."""
    states = None if process is None else fold(graph, process).flow.states
    shown = {name for step in graph.steps.values() for name in step.depends_on}
    boxes = tuple(
        _box(step, None if states is None else states[step.name])
        for step in graph.steps.values()
        if step.name != START or START in shown
    )
    arrows = tuple(
        _arrow(step, name, states) for step in graph.steps.values() for name in step.depends_on
    )
    return Picture(graph.name, boxes, arrows)


def _box(step: Step, state: StepState | None) -> Box:
    kind, told = _kind(step)
    lines = [told] if told and told != step.name else []
    lines += _options(step)
    status = reason = None
    if state is not None:
        status = state.status
        reason = None if state.outcome is None else state.outcome.reason
        lines.append(_progress(state))
    title = step.title or ("start" if step.name == START else step.name)
    return Box(step.name, title, tuple(lines), kind, status, reason)


def _kind(step: Step) -> tuple[str, str]:
    match step.work:
        case ActivityWork(activity=name):
            return "activity", name
        case LambdaWork(function=name):
            return "lambda", f"λ {name}"
        case ChildWork(workflow=name):
            return "workflow", name
        case SignalWork(signal=name):
            return "signal", f"signal {name}"
        case TimerWork(duration=duration):
            return "timer", "a computed time" if callable(duration) else in_words(duration)
        case _:
            return ("start" if step.name == START else "pass"), ""


def in_words(seconds: float) -> str:
    """Return a duration in the largest unit that it is a whole number of."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s"


def _options(step: Step) -> list[str]:
    told: list[str] = []
    if step.when is not None:
        told.append("if …")
    if step.for_each is not None:
        told.append("for each" + (f", {step.concurrency} at a time" if step.concurrency else ""))
    if step.repeat is not None:
        told.append("repeated")
    if step.retry is not None and step.retry.max_attempts > 1:
        told.append(f"up to {step.retry.max_attempts} attempts")
    if step.join is not Join.ALL:
        told.append("the first of these" if step.join is Join.RACE else "any of these")
    return told


def _progress(state: StepState) -> str:
    told = state.status.value
    if state.items is not None:
        told += f" {state.finished}/{len(state.items)}"
    elif state.attempts > 1:
        told += f", {state.attempts} attempts"
    return told


def _arrow(step: Step, dependency: str, states: dict[str, StepState] | None) -> Arrow:
    label = "" if step.after is After.SUCCESS or dependency == START else f"on {step.after.value}"
    label = "undone by" if step.compensates is not None else label
    taken = None
    if states is not None:
        begun = states[step.name].started is not None or bool(states[step.name].parts)
        taken = begun and states[dependency].is_ended
    return Arrow(dependency, step.name, label, taken)
