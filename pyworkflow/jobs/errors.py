"""What can be wrong with a job.

::

    JobError                      a job cannot be run, or its run ended badly
    ├── JobDefinitionError        (also an InvalidRequestError) its file is not what it should be
    └── UnknownPluginError        no class of that name was registered
"""

from msgspec import Struct

from pyworkflow.errors import InvalidRequestError, PyworkflowError


class JobError(PyworkflowError):
    """A job cannot be run, or its run ended badly."""


class Problem(Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong with a job file.

    Attributes:
        message: What it is.
        path: The key at fault, as ``tasks.cleanup.max_attempts``; empty if it is none.
        file: The file, relative to the root of the project where it is below that.
        line: In the file; 1 is the first.
        column: In the line; 1 is the first.
    """

    message: str
    path: str = ""
    file: str | None = None
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.path, self.message) if part)


class JobDefinitionError(JobError, InvalidRequestError):
    """A job file is not what it should be; the message says file, line and path of the key.

    Attributes:
        problems: All that is wrong, in the order in which it was found.
    """

    def __init__(self, *problems: Problem | str) -> None:
        self.problems = tuple(Problem(p) if isinstance(p, str) else p for p in problems)
        super().__init__("job definition", "\n".join(map(str, self.problems)))
        # What makes the parent is not what makes this one; these are pickled and copied.
        self.args = problems

    def __str__(self) -> str:
        return self.reason


class UnknownPluginError(JobError):
    """No class of that name was registered as a task, logger, extension or checkpointer."""


class JobFailedError(JobError):
    """A job has run, and not all of its tasks have completed."""
