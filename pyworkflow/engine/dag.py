"""Directed graphs without cycles, in the order in which they are declared."""

from collections.abc import Hashable, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Generic, TypeVar

from pyworkflow.engine.errors import DAGValidationError, TemplateError

N = TypeVar("N", bound=Hashable)


def check_acyclic(graph: Mapping[N, Iterable[N]], what: str) -> None:
    """See whether there is a cycle.

    Args:
        graph: The successors of each node.
        what: What to call it in an error.

    Raises:
        DAGValidationError: There is one; the message shows it.
    """
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        # Told the other way round, because the sorter takes successors for predecessors.
        path = " -> ".join(map(repr, reversed(error.args[1])))
        raise DAGValidationError(what, f"has a cycle: {path}") from None


class DAG(Generic[N]):
    """Nodes and the edges between them.

    Attributes:
        graph: The successors of each node, in the order of the edges.
    """

    def __init__(self) -> None:
        self.graph: dict[N, list[N]] = {}

    @classmethod
    def from_dict(cls, graph: Mapping[N, Iterable[N]]) -> "DAG[N]":
        """Return the graph of an adjacency list.

        Raises:
            TemplateError: A node is named that is no key.
            DAGValidationError: There is a cycle.
        """
        dag = cls()
        for node in graph:
            dag.add_node(node)
        for node, successors in graph.items():
            if isinstance(successors, str):
                raise TemplateError(f"node {node!r}", "needs a list of successors, not a text")
            for successor in successors:
                dag.add_edge(node, successor)
        dag.validate()
        return dag

    def add_node(self, node: N) -> None:
        """Add a node.

        Raises:
            TemplateError: It is there.
        """
        if node in self.graph:
            raise TemplateError(f"node {node!r}", "is there already")
        self.graph[node] = []

    def delete_node(self, node: N) -> None:
        """Remove a node with its edges.

        Raises:
            TemplateError: There is none.
        """
        self._check(node)
        del self.graph[node]
        for successors in self.graph.values():
            if node in successors:
                successors.remove(node)

    def add_edge(self, predecessor: N, successor: N) -> None:
        """Add an edge; nothing happens if it is there.

        Raises:
            TemplateError: One of the nodes is not there.
        """
        self._check(predecessor)
        self._check(successor)
        if successor not in self.graph[predecessor]:
            self.graph[predecessor].append(successor)

    def delete_edge(self, predecessor: N, successor: N) -> None:
        """Remove an edge.

        Raises:
            TemplateError: There is none.
        """
        if successor not in self.successors(predecessor):
            raise TemplateError(f"node {predecessor!r}", f"has no edge to {successor!r}")
        self.graph[predecessor].remove(successor)

    def predecessors(self, node: N) -> list[N]:
        """Return the nodes with an edge to a node.

        Raises:
            TemplateError: There is no such node.
        """
        self._check(node)
        return [other for other, successors in self.graph.items() if node in successors]

    def successors(self, node: N) -> list[N]:
        """Return the nodes that a node has an edge to.

        Raises:
            TemplateError: There is no such node.
        """
        self._check(node)
        return list(self.graph[node])

    def edges(self) -> list[tuple[N, N]]:
        """Return all edges."""
        return [(node, other) for node, successors in self.graph.items() for other in successors]

    def leaves(self) -> list[N]:
        """Return the nodes without successors."""
        return [node for node, successors in self.graph.items() if not successors]

    def root_nodes(self) -> list[N]:
        """Return the nodes without predecessors."""
        led_to = {other for _, other in self.edges()}
        return [node for node in self.graph if node not in led_to]

    def validate(self) -> None:
        """See whether there is a cycle.

        Raises:
            DAGValidationError: There is one; the message shows it.
        """
        check_acyclic(self.graph, "graph")

    def is_valid(self) -> bool:
        """Tell whether there is no cycle."""
        try:
            self.validate()
        except DAGValidationError:
            return False
        return True

    def copy(self) -> "DAG[N]":
        """Return a graph of the same nodes and edges."""
        other: DAG[N] = DAG()
        other.graph = {node: list(successors) for node, successors in self.graph.items()}
        return other

    def _check(self, node: N) -> None:
        if node not in self.graph:
            raise TemplateError(f"node {node!r}", "is not in the graph")
