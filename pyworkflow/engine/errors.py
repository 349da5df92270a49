"""What may be wrong with a template, and how a workflow may end badly.

PyworkflowError
├── InvalidRequestError
│   └── TemplateError              a template is not as it must be
│       ├── DAGValidationError     its tasks wait for each other
│       └── WorkflowRootTaskError  it has no single first task
├── UnknownResourceError
│   ├── UnknownTaskName            no task is registered under a name (also a KeyError)
│   └── UnknownTemplateError       no template of this id is loaded (also a KeyError)
└── WorkflowError                  a workflow ended badly
    └── RescueError                a report that nothing can be made of

`SkipTask` and `TukioTaskError` are raised by tasks to say how they end.
"""

from pyworkflow.codec import Json
from pyworkflow.errors import InvalidRequestError, PyworkflowError, UnknownResourceError


class TemplateError(InvalidRequestError):
    """A template is not as it must be; the message names the culprit."""


class DAGValidationError(TemplateError):
    """The tasks of a template wait for each other."""


class WorkflowRootTaskError(TemplateError):
    """A template has no task to begin with, or several.

    Attributes:
        found: How many.
    """

    def __init__(self, template: str, found: int) -> None:
        super().__init__(f"template {template!r}", f"expected one root task, found {found}")
        self.template = template
        self.found = found

    def __reduce__(self) -> tuple[type, tuple[str, int]]:
        # What makes the parent is not what makes this one.
        return type(self), (self.template, self.found)


class UnknownTaskName(UnknownResourceError, KeyError):
    """No task is registered under this name."""

    kind = "task"


class UnknownTemplateError(UnknownResourceError, KeyError):
    """No template of this id is loaded."""

    kind = "template"


class WorkflowError(PyworkflowError):
    """A workflow ended badly.

    Attributes:
        uid: The id of its execution.
        reason: Why.
    """

    def __init__(self, uid: str, reason: str) -> None:
        super().__init__(uid, reason)
        self.uid = uid
        self.reason = reason

    def __str__(self) -> str:
        return f"workflow {self.uid!r}: {self.reason}"


class RescueError(WorkflowError):
    """A workflow cannot be resumed from a report."""


class SkipTask(Exception):
    """Raised by a task that has nothing to do: the next tasks get what it was given.

    Attributes:
        reason: Why.
    """

    def __init__(self, reason: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason


class TukioTaskError(Exception):
    """Raised by a task that fails and has something to report all the same.

    Attributes:
        task_outputs: Any JSON; it becomes the output of the task.
    """

    def __init__(self, output: Json) -> None:
        super().__init__(output)
        self.task_outputs = output
