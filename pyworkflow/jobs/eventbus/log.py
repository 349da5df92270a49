"""What the tasks of a job say."""

from datetime import datetime as DateTime
from enum import StrEnum

from msgspec import Struct


class Severity(StrEnum):
    """How much a message matters."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


class SerializableLogEvent(Struct, frozen=True):
    """The base of what loggers are told.

    Attributes:
        name: The task, as the job file calls it.
    """

    name: str


class LogStartEvent(SerializableLogEvent, frozen=True):
    """An attempt of a task begins to log."""


class LogWriteEvent(SerializableLogEvent, frozen=True):
    """A task has said something.

    Attributes:
        severity: INFO for a line of standard output, ERROR for one of standard error and for tracebacks.
        message: The text, without a line feed at its end.
        timestamp: When it was said, aware UTC.
    """

    severity: Severity
    message: str
    timestamp: DateTime


class LogEndEvent(SerializableLogEvent, frozen=True):
    """An attempt of a task says no more."""
