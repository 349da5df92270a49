"""Where the tasks of a job stand, and how that changes."""

from enum import StrEnum

from msgspec import Struct


class ExecutionState(StrEnum):
    """Where a task stands; the values are the letters of logs and checkpoints."""

    INIT = "_"
    PENDING = "P"
    """It waits: for its dependencies, for a free place, or for its next attempt."""
    RUNNING = "R"
    COMPLETED = "C"
    FAILED = "F"
    """Its last attempt failed."""
    DEFAULTED = "D"
    """It never ran, because something it depends on has failed or was aborted."""
    ABORTED = "A"
    """It was running when the job was interrupted."""
    SKIP = "S"
    """It was not chosen for this run."""

    @property
    def word(self) -> str:
        """The state for people."""
        return _WORDS[self]


_WORDS = {
    ExecutionState.INIT: "waiting",
    ExecutionState.PENDING: "waiting",
    ExecutionState.RUNNING: "running",
    ExecutionState.COMPLETED: "completed",
    ExecutionState.FAILED: "failed",
    ExecutionState.DEFAULTED: "not run",
    ExecutionState.ABORTED: "aborted",
    ExecutionState.SKIP: "skipped",
}

UNSUCCESSFUL = frozenset({ExecutionState.FAILED, ExecutionState.DEFAULTED, ExecutionState.ABORTED})


class SerializableExecutionEvent(Struct, frozen=True):
    """The base of what extensions are told."""


class ExecutionStateTransition(SerializableExecutionEvent, frozen=True):
    """A task has come from one state to another.

    Attributes:
        name: The task, as the job file calls it.
        from_state: Where it stood.
        to_state: Where it stands now.
    """

    name: str
    from_state: ExecutionState
    to_state: ExecutionState
