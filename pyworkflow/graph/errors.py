"""What may be wrong with a graph. All of it is found before anything runs, and names the step.

InvalidRequestError
└── GraphError
    ├── CycleError             steps wait for each other
    ├── DuplicateStepError     two steps have one name
    ├── UnknownStepError       a step is named that the graph does not have
    └── UnreachableStepError   a step that can never run
"""

from collections.abc import Sequence

from pyworkflow.errors import InvalidRequestError


class GraphError(InvalidRequestError):
    """A step or a graph is not as it must be.

    Attributes:
        step: The name of the step at fault, or of the workflow if no single step is.
    """

    def __init__(self, step: str, reason: str, kind: str = "step") -> None:
        super().__init__(f"{kind} {step!r}", reason)
        self.step = step
        self.kind = kind

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # What makes the parent is not what makes this one.
        return type(self), (self.step, self.reason, self.kind)


class CycleError(GraphError):
    """Steps wait for each other.

    Attributes:
        cycle: Their names, each one waiting for the next, and the last for the first.
    """

    def __init__(self, cycle: Sequence[str]) -> None:
        path = " -> ".join(repr(name) for name in (*cycle, cycle[0]))
        super().__init__(cycle[0], f"waits for itself: {path}")
        self.cycle = tuple(cycle)

    def __reduce__(self) -> tuple[type, tuple[tuple[str, ...]]]:  # type: ignore[override]
        return type(self), (self.cycle,)


class DuplicateStepError(GraphError):
    """Two steps have one name."""


class UnknownStepError(GraphError):
    """A step is named that the graph does not have."""


class UnreachableStepError(GraphError):
    """A step can never run, whatever happens."""
