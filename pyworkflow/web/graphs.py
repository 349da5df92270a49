"""The graph of a workflow, and where the steps of one process stand in it."""

from collections.abc import Mapping

from msgspec import Struct

from pyworkflow.backend.base import Capability
from pyworkflow.codec import Json
from pyworkflow.decision import (
    Decision,
    RecordMarker,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.engine.decider import EngineWorkflow
from pyworkflow.engine.decider import graph_of as template_graph
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import DecisionEvent
from pyworkflow.graph import Graph, GraphError, GraphWorkflow, marks
from pyworkflow.graph.keys import Key, child_prefix, read_key, read_timer_id
from pyworkflow.graph.picture import Box, Picture, picture_of
from pyworkflow.graph.shape import graph_of
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.services import Services
from pyworkflow.services.workflow import EVENT, flow_of

MOST_BOXES = 120
"""Steps of a graph that is drawn within a page; a larger one has a page of its own."""


class StepRow(Struct, frozen=True):
    """A step in words.

    Attributes:
        box: What the picture says of it.
        after: The steps that it follows, by name.
        seq: The number of the event that began it last, if it has begun.
    """

    box: Box
    after: tuple[str, ...]
    seq: int | None


def graph_of_workflow(manager: Manager, workflow: str) -> Graph | None:
    """Return the graph of a workflow, if it has one that is known here.

    The program's own is the best, since it has the code too; else it is what some worker registered.
    """
    for known in manager.workflows:
        if known.name == workflow:
            return known.graph if issubclass(known, GraphWorkflow) else None
    if Capability.TYPES not in manager.backend.capabilities:
        return None
    for registered in manager.backend.workflows():
        if registered.name == workflow and registered.graph is not None:
            return _drawn(registered.graph)
    return None


def _drawn(shape: Json) -> Graph | None:
    try:
        return graph_of(shape)
    except GraphError:
        # Of a later version, perhaps: the rest of the page is right without it.
        return None


def step_rows(picture: Picture, begun: Mapping[str, int]) -> list[StepRow]:
    """Return the steps of a picture in words, in its order."""
    return [
        StepRow(
            box,
            tuple(a.source for a in picture.arrows if a.target == box.name),
            begun.get(box.name),
        )
        for box in picture.boxes
    ]


def graph_of_process(services: Services, process: Process) -> Graph | None:
    """Return the graph of a process: that of its workflow, or the one that its own input leads to."""
    try:
        if process.workflow == EVENT:
            return flow_of(services.registry, process)[1].picture
        if process.workflow == EngineWorkflow.name:
            return template_graph(process)
    except PyworkflowError:
        # What it was started with is no definition: it has failed, and says so itself.
        return None
    return graph_of_workflow(services.manager, process.workflow)


def process_picture(services: Services, process: Process) -> tuple[Picture | None, list[StepRow]]:
    """Return the graph of a process with the state of each step, as a picture and in words; nothing if it has none."""
    graph = graph_of_process(services, process)
    if graph is None:
        return None, []
    picture = picture_of(graph, process)
    return picture, step_rows(picture, begun(process))


def begun(process: Process) -> dict[str, int]:
    """Return the number of the event that began each step last, by the step's name."""
    children = child_prefix(process)
    found: dict[str, int] = {}
    for seq, event in enumerate(process.history, 1):
        if isinstance(event, DecisionEvent) and (name := _step(event.decision, children)):
            found[name] = seq
    return found


def _step(decision: Decision, children: str) -> str | None:
    """Return the name of the step that a decision begins."""
    key: Key | None = None
    match decision:
        case ScheduleActivity(id=name) | ScheduleLambda(id=name):
            key = read_key(name)
        case Timer(id=name):
            kind, found = read_timer_id(name)
            key = found if kind == "timer" else None
        case StartChildProcess(process=child) if child.id and child.id.startswith(children):
            key = read_key(child.id.removeprefix(children))
        case RecordMarker():
            mark = marks.read(decision)
            return None if mark is None else str(mark["step"])
        case _:
            pass
    return None if key is None else key.step
