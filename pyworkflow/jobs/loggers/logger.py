"""The base of loggers."""

from abc import ABC, abstractmethod
from collections.abc import Awaitable
from typing import TypeVar

from pyworkflow.jobs.eventbus.log import (
    LogEndEvent,
    LogStartEvent,
    LogWriteEvent,
    SerializableLogEvent,
    Severity,
)
from pyworkflow.jobs.lifecycle import Plugin
from pyworkflow.jobs.registry import Registry

__all__ = [
    "LOGGERS",
    "LogEndEvent",
    "LogStartEvent",
    "LogWriteEvent",
    "Logger",
    "SerializableLogEvent",
    "Severity",
    "logger",
]


class Logger(Plugin, ABC):
    """Takes what tasks say. An exception in a logger is told once, and never ends the job."""

    @abstractmethod
    def update(self, evt: SerializableLogEvent) -> Awaitable[None] | None:
        """Take an event; ``async def`` or plain."""


LOGGERS: Registry[Logger] = Registry("logger", Logger)  # type: ignore[type-abstract]

L = TypeVar("L", bound=Logger)


def logger(cls: type[L]) -> type[L]:
    """Make a logger known to job files, by the name of the class.

    Raises:
        TypeError: It is no subclass of `Logger`.
        JobError: Another class has the name.
    """
    LOGGERS.add(cls)
    return cls
