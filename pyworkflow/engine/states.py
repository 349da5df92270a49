"""The words that templates, reports and messages use: the first tukio's, as enumerations."""

from enum import StrEnum


class FutureState(StrEnum):
    """Where a task or a workflow stands."""

    pending = "pending"
    cancelled = "cancelled"
    exception = "exception"
    finished = "finished"
    skipped = "skipped"
    suspended = "suspended"
    timeout = "timeout"

    @property
    def is_done(self) -> bool:
        """Whether it ended in a way that is not gone back on when a workflow is rescued."""
        return self in _DONE


_DONE = frozenset(
    {FutureState.finished, FutureState.skipped, FutureState.exception, FutureState.timeout}
)


class OverrunPolicy(StrEnum):
    """What a new trigger means while workflows of the same template run."""

    SKIP = "skip"
    """Nothing starts."""
    START_NEW = "start-new"
    """Another one starts."""
    SKIP_UNTIL_UNLOCK = "skip-until-unlock"
    """Nothing starts until all that run have been unlocked."""
    ABORT_RUNNING = "abort-running"
    """Those that run are canceled; the new one starts when they are over."""


class WorkflowExecState(StrEnum):
    """The types of messages about workflows."""

    BEGIN = "workflow-begin"
    END = "workflow-end"
    ERROR = "workflow-error"
    PROGRESS = "workflow-progress"
    SUSPEND = "workflow-suspend"
    RESUME = "workflow-resume"


class TaskExecState(StrEnum):
    """The types of messages about tasks."""

    BEGIN = "task-begin"
    END = "task-end"
    ERROR = "task-error"
    SKIP = "task-skip"
    PROGRESS = "task-progress"
    TIMEOUT = "task-timeout"


class JoinStatus(StrEnum):
    """Where a join stands, as its reporting tells."""

    RUNNING = "running"
    DONE = "done"
    TIMEOUT = "timeout"
