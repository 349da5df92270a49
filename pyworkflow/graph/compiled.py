"""A graph as a workflow class, which managers, workers and the command line take like any other."""

from collections.abc import Sequence
from typing import Any, ClassVar

from pyworkflow.decision import Decision
from pyworkflow.graph.decider import decide
from pyworkflow.graph.model import Graph
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

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "graph" in cls.__dict__ and "handles_cancel" not in cls.__dict__:
            # Without anything to undo, canceling closes a process at once.
            cls.handles_cancel = bool(cls.graph.compensations)

    def decide(self, process: Process) -> list[Decision]:
        """Return what the graph does next."""
        return decide(self.graph, process)
