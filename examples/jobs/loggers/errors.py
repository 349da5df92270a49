"""A logger that keeps only what went wrong."""

from pathlib import Path

from pyworkflow.jobs.loggers.logger import (
    Logger,
    LogWriteEvent,
    SerializableLogEvent,
    Severity,
    logger,
)


@logger
class ErrorsOnly(Logger):
    """Writes the errors of all tasks into one file."""

    path: Path

    def update(self, evt: SerializableLogEvent) -> None:
        """Write an error down."""
        if isinstance(evt, LogWriteEvent) and evt.severity is Severity.ERROR:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{evt.name}: {evt.message}\n")
