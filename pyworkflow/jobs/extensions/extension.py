"""The base of extensions."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import TypeVar

from pyworkflow.jobs.eventbus.execution import (
    ExecutionState,
    ExecutionStateTransition,
    SerializableExecutionEvent,
)
from pyworkflow.jobs.eventbus.log import SerializableLogEvent
from pyworkflow.jobs.lifecycle import Plugin
from pyworkflow.jobs.registry import Registry

__all__ = [
    "EXTENSIONS",
    "ExecutionState",
    "ExecutionStateTransition",
    "Extension",
    "SerializableExecutionEvent",
    "extension",
]


class Extension(Plugin, ABC):
    """Is told where tasks stand. An exception in an extension is told once, and never ends the job."""

    @abstractmethod
    def update(self, evt: SerializableExecutionEvent) -> Awaitable[None] | None:
        """Take an event; ``async def`` or plain."""

    def on_log(self, evt: SerializableLogEvent) -> Awaitable[None] | None:
        """Take what a task has said; most extensions have no use for it."""


EXTENSIONS: Registry[Extension] = Registry("extension", Extension)  # type: ignore[type-abstract]

E = TypeVar("E", bound=Extension)


def extension(cls: type[E]) -> type[E]:
    """Make an extension known to job files, by the name of the class.

    Raises:
        TypeError: It is no subclass of `Extension`.
        JobError: Another class has the name.
    """
    EXTENSIONS.add(cls)
    return cls
