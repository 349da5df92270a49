"""A graph as a workflow class, which managers, workers and the command line take like any other."""

from collections.abc import Sequence
from typing import ClassVar

from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.graph.decider import decide
from pyworkflow.graph.model import Graph
from pyworkflow.graph.shape import shape_of
from pyworkflow.process import Process
from pyworkflow.workflow import Workflow


class GraphWorkflow(Workflow):
    """A workflow that a graph decides. Subclasses name the graph.

    Attributes:
        graph: The graph.
        children: The workflow classes that its steps run as child processes.
    """

    graph: ClassVar[Graph]
    children: ClassVar[Sequence[type[Workflow]]] = ()

    @classmethod
    def graph_shape(cls) -> Json:
        """Return what its graph looks like, for whoever has only that."""
        return shape_of(cls.graph)

    def decide(self, process: Process) -> list[Decision]:
        """Return what the graph does next."""
        return decide(self.graph, process)
