"""The workflow of all events: what it does is in the definition that the event was sent to."""

from typing import ClassVar

from pyworkflow.codec import convert
from pyworkflow.decision import CompleteProcess, Decision, FailProcess
from pyworkflow.errors import InvalidRequestError
from pyworkflow.graph.decider import decide
from pyworkflow.process import Process
from pyworkflow.services.activity import CATEGORY
from pyworkflow.services.errors import DefinitionConflictError, UnknownDefinitionError
from pyworkflow.services.flow import EventInput, Flow
from pyworkflow.services.registry import Registry
from pyworkflow.workflow import Workflow

EVENT = "services.event"
"""The name of the workflow."""


class EventWorkflow(Workflow):
    """Decides events by their definitions. `Services` makes a subclass that knows them."""

    name = EVENT
    category = CATEGORY

    registry: ClassVar[Registry]

    def decide(self, process: Process) -> list[Decision]:
        """Return what the event does next."""
        try:
            event, flow = flow_of(self.registry, process)
            flow.checked(event.data)
        except (InvalidRequestError, UnknownDefinitionError, DefinitionConflictError) as error:
            # Somebody started the process by another way than `Services`; nothing will mend it.
            return [FailProcess(f"this is no event: {error}")]
        decisions = decide(flow.graph, process)
        if decisions and isinstance(last := decisions[-1], CompleteProcess):
            decisions[-1] = _closing(flow, event, last)
        return decisions


def _closing(flow: Flow, event: EventInput, last: CompleteProcess) -> Decision:
    try:
        return CompleteProcess(flow.outputs(event, last.result))
    except InvalidRequestError as error:
        return FailProcess(f"workflow {flow.definition.name!r} gave wrong outputs: {error}")


def event_input(process: Process) -> EventInput:
    """Return what the process of an event was given.

    Raises:
        PayloadError: It is the process of no event.
    """
    return convert(process.input, EventInput, f"input of process {process.id!r}")


def flow_of(registry: Registry, process: Process) -> tuple[EventInput, Flow]:
    """Return what an event brings, and the workflow it was sent to, as that was then.

    Raises:
        PayloadError: The process is no event.
        UnknownDefinitionError: There never was such a workflow.
        DefinitionConflictError: It did not go with the services.
    """
    event = event_input(process)
    return event, registry.flow(event.workflow, event.revision)
