"""A graph as a workflow class, which managers, workers and the command line take like any other."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pyworkflow.activity import check_input
from pyworkflow.codec import Json, decode
from pyworkflow.decision import Decision
from pyworkflow.graph.decider import decide, states
from pyworkflow.graph.inputs import given_to
from pyworkflow.graph.model import START, ActivityWork, Graph
from pyworkflow.graph.shape import shape_of
from pyworkflow.process import Process
from pyworkflow.values import check_payload
from pyworkflow.workflow import Workflow
from pyworkflow.workflow.following import Follower


class GraphWorkflow(Workflow):
    """A workflow that a graph decides. Subclasses name the graph.

    Attributes:
        graph: The graph.
        children: The workflow classes that its steps run as child processes.
    """

    graph: ClassVar[Graph]
    children: ClassVar[Sequence[type[Workflow]]] = ()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "graph" in cls.__dict__ and "handles_cancel" not in cls.__dict__:
            # Without anything to undo, canceling closes a process at once.
            cls.handles_cancel = bool(cls.graph.compensations)

    @classmethod
    def graph_shape(cls) -> Json:
        """Return what its graph looks like, for whoever has only that."""
        return shape_of(cls.graph)

    @classmethod
    def check_input(cls, input: Json) -> None:
        """Refuse an input that an activity which is given just that does not take."""
        activities = {activity.name: activity for activity in cls.activities}
        plain = decode(check_payload(input, "input"))
        for step in cls.graph.steps.values():
            work = step.work
            direct = step.depends_on == (START,) and step.compensates is None
            certain = step.when is None and step.for_each is None and step.transform_input is None
            if (
                direct
                and certain
                and isinstance(work, ActivityWork)
                and work.activity in activities
            ):
                check_input(activities[work.activity], given_to(step, {START: plain}))

    def decide(self, process: Process) -> list[Decision]:
        """Return what the graph does next."""
        return decide(self.graph, process)

    def follower(self) -> Follower:
        """Return what decides along a recorded history and tells where each step stands."""
        return GraphFollower(self)


class GraphFollower(Follower):
    """Decides along the history of a graph's process."""

    def __init__(self, workflow: GraphWorkflow) -> None:
        super().__init__(workflow)
        self._graph = workflow.graph

    def state(self, process: Process) -> dict[str, Json]:
        """Return the state of each step after a decision: what the decision itself settles is among it."""
        return {"steps": states(self._graph, process)}
