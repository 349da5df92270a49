"""The base of checkpointers.

A job's history is its checkpoint, so it needs none of these. One that is configured is told the same all the same, for example for a
machine whose disk does not outlive the job.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from pyworkflow.codec import Json
from pyworkflow.jobs.errors import JobError
from pyworkflow.jobs.lifecycle import Plugin
from pyworkflow.jobs.registry import Registry


class NoCheckpointAvailableError(JobError):
    """There is nothing to restart from."""


@dataclass
class CheckpointContents:
    """What a job is restarted from. All of it is JSON, but for the sets.

    Attributes:
        name: The job.
        states: The tasks in each state, by the letters of `ExecutionState`.
        shared_dict: What the tasks have left for each other.
    """

    name: str
    states: dict[str, set[str]] = field(default_factory=dict)
    shared_dict: dict[str, Json] = field(default_factory=dict)


class Checkpointer(Plugin, ABC):
    """Keeps one checkpoint for each name. Its methods may be ``async def`` or plain."""

    @abstractmethod
    def write_checkpoint(self, name: str, content: CheckpointContents) -> Awaitable[None] | None:
        """Keep a checkpoint instead of the last one."""

    @abstractmethod
    def read_checkpoint(self, name: str) -> Awaitable[CheckpointContents] | CheckpointContents:
        """Return the checkpoint.

        Raises:
            NoCheckpointAvailableError: There is none.
        """

    @abstractmethod
    def clear_checkpoint(self, name: str) -> Awaitable[None] | None:
        """Forget the checkpoint, if there is one: the job has succeeded."""


CHECKPOINTERS: Registry[Checkpointer] = Registry("checkpointer", Checkpointer)  # type: ignore[type-abstract]

C = TypeVar("C", bound=Checkpointer)


def checkpointer(cls: type[C]) -> type[C]:
    """Make a checkpointer known to job files, by the name of the class.

    Raises:
        TypeError: It is no subclass of `Checkpointer`.
        JobError: Another class has the name.
    """
    CHECKPOINTERS.add(cls)
    return cls
