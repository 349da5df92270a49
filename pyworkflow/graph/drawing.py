"""What can be drawn: as an outline, as Mermaid, as DOT, as SVG, and by itself in a notebook."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from pyworkflow.process import Process

if TYPE_CHECKING:
    from pyworkflow.graph.model import Graph


class Drawn(ABC):
    """Something with a graph to draw. Given a process, each step is drawn with its state."""

    @abstractmethod
    def _graph_to_draw(self) -> Graph: ...

    # The drawing modules need the model, which needs this one: they come when asked for.

    def to_text(self, process: Process | None = None) -> str:
        """Return an outline to read in a terminal: a line for each step."""
        from pyworkflow.graph.picture import picture_of
        from pyworkflow.graph.text import outline

        return outline(picture_of(self._graph_to_draw(), process))

    def to_mermaid(self, process: Process | None = None) -> str:
        """Return a Mermaid flowchart, which GitHub and many editors show as a picture."""
        from pyworkflow.graph.picture import picture_of
        from pyworkflow.graph.text import mermaid

        return mermaid(picture_of(self._graph_to_draw(), process))

    def to_dot(self, process: Process | None = None) -> str:
        """Return the graph in the language of Graphviz."""
        from pyworkflow.graph.picture import picture_of
        from pyworkflow.graph.text import dot

        return dot(picture_of(self._graph_to_draw(), process))

    def to_svg(self, process: Process | None = None) -> str:
        """Return an SVG image, drawn here: it needs no other program."""
        from pyworkflow.graph.picture import picture_of
        from pyworkflow.graph.svg import svg

        return svg(picture_of(self._graph_to_draw(), process))

    def _repr_html_(self) -> str:
        return self.to_svg()


class Drawing(Drawn):
    """A graph in the state of one process, for notebooks: its last expression is shown as a picture.

    Args:
        graph: The graph, or the workflow that has it.
        process: The process.
    """

    def __init__(self, graph: Drawn, process: Process) -> None:
        self._graph = graph._graph_to_draw()
        self.process = process

    def _graph_to_draw(self) -> Graph:
        return self._graph

    def _repr_html_(self) -> str:
        return self.to_svg(self.process)
