"""Tasks: classes that job files name. Each attempt of one runs in an OS process of its own."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Self, TypeVar

from msgspec import Struct
from pydantic import BaseModel, ConfigDict, PrivateAttr

from pyworkflow.codec import Json
from pyworkflow.jobs.eventbus.log import Severity
from pyworkflow.jobs.registry import Registry
from pyworkflow.jobs.shared import SharedDict, SharedStore


class TaskMetadata(Struct, frozen=True):
    """What a task may know of itself.

    Attributes:
        name: As the job file calls it.
        variant: The name of its class.
        depends_on: The tasks that it follows.
        attempt: The number of this attempt; 1 is the first.
        max_attempts: How many there are at most.
    """

    name: str
    variant: str
    depends_on: tuple[str, ...] = ()
    attempt: int = 1
    max_attempts: int = 1


class TaskLogger:
    """Sends messages to the loggers of the job.

    Args:
        write: Takes the severity and the text.
    """

    def __init__(self, write: Callable[[Severity, str], None]) -> None:
        self._write = write

    def debug(self, message: object) -> None:
        """Log for those who look for a mistake."""
        self._write(Severity.DEBUG, str(message))

    def info(self, message: object) -> None:
        """Log what happens."""
        self._write(Severity.INFO, str(message))

    def warning(self, message: object) -> None:
        """Log what may become a problem."""
        self._write(Severity.WARNING, str(message))

    def error(self, message: object) -> None:
        """Log what went wrong."""
        self._write(Severity.ERROR, str(message))

    def critical(self, message: object) -> None:
        """Log what must not wait."""
        self._write(Severity.CRITICAL, str(message))


class TaskContext:
    """What a task is given beside its parameters; outside a job, a dictionary of its own and a logger that prints."""

    def __init__(
        self,
        metadata: TaskMetadata,
        shared_dict: SharedDict | None = None,
        write: Callable[[Severity, str], None] | None = None,
    ) -> None:
        self.metadata = metadata
        self.shared_dict = SharedStore().view("task") if shared_dict is None else shared_dict
        self.logger = TaskLogger(write or _print)


def _print(severity: Severity, message: str) -> None:
    print(f"{severity.value} - {message}")  # noqa: T201 - whoever runs a task by hand reads along


class Task(BaseModel, ABC):
    """A task. Its fields are the parameters of the job file, checked before anything runs; unknown ones are refused.

    An attempt goes through `on_create`, `on_restart` (if the job goes on from a point of failure and the task had been running or had
    failed), `run`, `on_success` or `on_failure`, and `on_destroy`. If one of the first two raises, `run` and what follows it is left out.
    An exception in any of them fails the attempt. Methods may be ``async def``.
    """

    model_config = ConfigDict(extra="forbid", use_enum_values=True)

    _context: TaskContext | None = PrivateAttr(default=None)

    @classmethod
    def for_attempt(cls, parameters: Mapping[str, Json], context: TaskContext) -> Self:
        """Return the task of an attempt."""
        task = cls.model_validate(parameters)
        task._context = context
        return task

    @abstractmethod
    def run(self) -> object:
        """Do the work. Any exception is a failure; what is returned is not kept."""

    def on_create(self) -> object:
        """Prepare; called first."""

    def on_restart(self) -> object:
        """Clear up what an earlier run has left undone."""

    def on_success(self) -> object:
        """Called after `run` has succeeded."""

    def on_failure(self) -> object:
        """Called after `run` has raised."""

    def on_abort(self) -> object:
        """Called instead of the rest of `run` when the job is interrupted."""

    def on_destroy(self) -> object:
        """Called last, also after `on_abort`."""

    @property
    def shared_dict(self) -> SharedDict:
        """What tasks leave for each other."""
        return self._given.shared_dict

    @property
    def logger(self) -> TaskLogger:
        """Sends messages to the loggers of the job."""
        return self._given.logger

    @property
    def metadata(self) -> TaskMetadata:
        """What is to be known of this attempt."""
        return self._given.metadata

    @property
    def _given(self) -> TaskContext:
        if self._context is None:
            name = type(self).__name__
            self._context = TaskContext(TaskMetadata(name, name))
        return self._context


TASKS: Registry[Task] = Registry("task", Task)  # type: ignore[type-abstract]

T = TypeVar("T", bound=Task)


def task(cls: type[T]) -> type[T]:
    """Make a task known to job files, by the name of the class.

    Raises:
        TypeError: It is no subclass of `Task`.
        JobError: Another class has the name.
    """
    TASKS.add(cls)
    return cls
