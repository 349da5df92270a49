"""Workflows of the engine as processes: any backend keeps them, and the graph decider decides them."""

from functools import lru_cache
from typing import Any

from msgspec import structs

from pyworkflow.codec import Json, decode, encode
from pyworkflow.decision import Decision, ScheduleActivity
from pyworkflow.engine.compiled import YEARS
from pyworkflow.engine.errors import TemplateError
from pyworkflow.engine.event import Event, EventSource
from pyworkflow.engine.template import WorkflowTemplate
from pyworkflow.graph import Graph
from pyworkflow.graph.decider import decide
from pyworkflow.process import Process
from pyworkflow.workflow import Workflow

TEMPLATES_KEPT = 256
"""Graphs that are kept; any other is made again from the input of its process."""


class EngineWorkflow(Workflow):
    """The type of all these processes: each brings its template in its input, so that no later version reaches it."""

    name = "engine"
    timeout = YEARS

    def decide(self, process: Process) -> list[Decision]:
        """Return what the graph of the template does next, in the category of the process."""
        return [
            structs.replace(decision, category=process.category)
            if isinstance(decision, ScheduleActivity)
            else decision
            for decision in decide(graph_of(process), process)
        ]


def graph_of(process: Process) -> Graph:
    """Return the graph that decides a process.

    Raises:
        TemplateError: Its input holds no template.
    """
    given = process.input
    if not isinstance(given, dict) or "template" not in given:
        raise TemplateError(f"process {process.id!r}", "was started without a template")
    return _graph(encode(given["template"]))


@lru_cache(maxsize=TEMPLATES_KEPT)
def _graph(template: bytes) -> Graph:
    return WorkflowTemplate.from_dict(decode(template)).compiled().graph


def process_input(template: WorkflowTemplate, event: Event) -> Json:
    """Return the input of the process of a workflow."""
    return {"template": template.as_dict(), "event": {"data": event.data, "topic": event.topic}}


def template_of(process: Process) -> WorkflowTemplate:
    """Return the template that a process was started with.

    Raises:
        TemplateError: Its input does not hold one that can be read, and an event.
    """
    given = process.input
    if not isinstance(given, dict) or not given.keys() >= {"template", "event"}:
        raise TemplateError(f"process {process.id!r}", "was started without a template")
    return WorkflowTemplate.from_dict(given["template"])


def event_of(given: dict[str, Any], template: str, workflow: str) -> Event:
    """Return what the input of an activity gives to a task."""
    parent = given.get("from")
    source = None if parent is None else EventSource(template, workflow, parent, given["id"])
    return Event.thawed(encode(given["data"]), given.get("topic"), source)
