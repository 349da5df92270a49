"""What awaiting raises in a replayed workflow, besides `ActivityFailed` and its family."""

from typing import Any, NoReturn

from pyworkflow.activity import ActivityExecution
from pyworkflow.codec import Json
from pyworkflow.decision import ContinueProcess
from pyworkflow.mistakes import ControlFlow, parts
from pyworkflow.result import (
    ActivityCanceled,
    ActivityFailed,
    ActivityResult,
    ActivityTimedOut,
    ProcessCanceled,
    ProcessResult,
    ProcessTerminated,
    ProcessTimedOut,
)
from pyworkflow.watch import Dropped


class OriginalError(Exception):
    """What an activity raised where it ran: the cause of an `ActivityFailed`.

    Attributes:
        type_name: The name of its class there.
        shown: Its traceback, as text.
    """

    def __init__(self, type_name: str, shown: Json = None) -> None:
        super().__init__(type_name, shown)
        self.type_name = type_name
        self.shown = shown

    def __str__(self) -> str:
        return self.type_name if self.shown is None else f"{self.type_name}\n\n{self.shown}"


class ChildFailed(Exception):
    """A child process did not complete. The subclasses tell how it ended.

    Attributes:
        process_id: The id of the child.
        workflow: The name of its workflow.
        result: How it ended; None if it never began.
        reason: One line.
    """

    def __init__(
        self, process_id: str, workflow: str, result: ProcessResult | None, reason: str
    ) -> None:
        super().__init__(process_id, workflow, result, reason)
        self.process_id = process_id
        self.workflow = workflow
        self.result = result
        self.reason = reason

    def __str__(self) -> str:
        return f"child process {self.process_id!r} ({self.workflow}): {self.reason}"


class ChildCanceled(ChildFailed):
    """A child process was canceled, or canceled itself."""


class ChildTimedOut(ChildFailed):
    """A child process was open for too long."""


class ChildTerminated(ChildFailed):
    """A child process was ended by force."""


class ChildNotStarted(ChildFailed):
    """A child process could not be started."""


class SideEffectFailed(Exception):
    """The function of a side effect raised an exception; only its text is recorded."""


class ContinueAsNew(ControlFlow):
    """Ends a run of `ReplayWorkflow.continue_as_new`.

    Attributes:
        decision: What is decided.
    """

    def __init__(self, decision: ContinueProcess) -> None:
        super().__init__(decision)
        self.decision = decision


def continuing(error: BaseException) -> ContinueAsNew | None:
    """Return the request to continue as new, also out of the group that a task group makes of it."""
    return next((part for part in parts(error) if isinstance(part, ContinueAsNew)), None)


def raised(result: ActivityResult, execution: ActivityExecution) -> BaseException:
    """Return the outcome of an activity as a new exception: the one in the history is shared, and would collect tracebacks."""
    error: BaseException
    if isinstance(result, ActivityFailed):
        error = ActivityFailed(result.reason, result.details, result.type_name)
        if result.type_name is not None:
            error.__cause__ = OriginalError(result.type_name, result.details)
    elif isinstance(result, ActivityTimedOut):
        error = ActivityTimedOut(result.details)
    else:
        error = ActivityCanceled(getattr(result, "details", None))
    error.add_note(f"in activity {execution.activity!r}, id {execution.id!r}")
    return error


_CHILD_FAILURES: dict[type[ProcessResult], type[ChildFailed]] = {
    ProcessCanceled: ChildCanceled,
    ProcessTimedOut: ChildTimedOut,
    ProcessTerminated: ChildTerminated,
}


def child_failure(process_id: str, workflow: str, result: ProcessResult) -> ChildFailed:
    """Return the exception for the end of a child process that did not complete."""
    told: Any = result
    reason = next(
        (str(v) for n in ("reason", "details") if (v := getattr(told, n, None)) is not None),
        "",
    )
    kind = _CHILD_FAILURES.get(type(result), ChildFailed)
    return kind(process_id, workflow, result, f"{result.type}: {reason}" if reason else result.type)


def refuse() -> NoReturn:
    """Have a run that is over go no further."""
    raise Dropped
