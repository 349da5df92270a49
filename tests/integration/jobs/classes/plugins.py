"""Loggers, extensions and a checkpointer for tests. What they are told is kept in the class."""

from pathlib import Path
from typing import Any, ClassVar

from pyworkflow.codec import Json, decode, encode
from pyworkflow.jobs.checkpointer import (
    CheckpointContents,
    Checkpointer,
    NoCheckpointAvailableError,
    checkpointer,
)
from pyworkflow.jobs.extensions.extension import (
    Extension,
    SerializableExecutionEvent,
    extension,
)
from pyworkflow.jobs.loggers.logger import Logger, SerializableLogEvent, logger

HOOKS = ("on_create", "on_restart", "on_success", "on_failure", "on_abort", "on_destroy")


@logger
class Keep(Logger):
    """Keeps events and calls, asynchronously."""

    events: ClassVar[list[SerializableLogEvent]] = []
    calls: ClassVar[list[str]] = []

    async def update(self, evt: SerializableLogEvent) -> None:
        """Keep an event."""
        self.events.append(evt)

    async def on_create(self) -> None:
        """Keep a call."""
        self.events.clear()
        self.calls[:] = ["on_create"]

    async def on_restart(self) -> None:
        """Keep a call."""
        self.calls.append("on_restart")

    async def on_success(self) -> None:
        """Keep a call."""
        self.calls.append("on_success")

    async def on_failure(self) -> None:
        """Keep a call."""
        self.calls.append("on_failure")

    async def on_destroy(self) -> None:
        """Keep a call."""
        self.calls.append("on_destroy")


@extension
class Watch(Extension):
    """Keeps transitions."""

    events: ClassVar[list[Any]] = []

    def on_create(self) -> None:
        """Begin anew."""
        self.events.clear()

    def update(self, evt: SerializableExecutionEvent) -> None:
        """Keep an event."""
        self.events.append(evt)


@logger
class BrokenLogger(Logger):
    """Raises always."""

    def update(self, evt: SerializableLogEvent) -> None:
        """Raise."""
        raise RuntimeError("no room")

    def on_destroy(self) -> None:
        """Raise."""
        raise RuntimeError("no room at the end")


@extension
class BrokenExtension(Extension):
    """Raises always."""

    async def update(self, evt: SerializableExecutionEvent) -> None:
        """Raise."""
        raise RuntimeError("cannot look")


class Note:
    """Writes down which of its methods are called; for plugins of a driver that is another process."""

    note: Path

    def _note(self, what: str) -> None:
        with self.note.open("a", encoding="utf-8") as file:
            file.write(f"{type(self).__name__} {what}\n")

    def on_abort(self) -> None:
        """Note a call."""
        self._note("on_abort")

    def on_destroy(self) -> None:
        """Note a call."""
        self._note("on_destroy")


@logger
class NoteLogger(Note, Logger):
    """A logger that notes."""

    note: Path

    def update(self, evt: SerializableLogEvent) -> None:
        """Do nothing."""


@extension
class NoteExtension(Note, Extension):
    """An extension that notes."""

    note: Path

    def update(self, evt: SerializableExecutionEvent) -> None:
        """Do nothing."""


@checkpointer
class Jar(Checkpointer):
    """Keeps a checkpoint in a file, and counts."""

    file: Path
    calls: ClassVar[list[str]] = []

    async def write_checkpoint(self, name: str, content: CheckpointContents) -> None:
        """Write."""
        self.calls.append("write")
        states = {letter: sorted(names) for letter, names in content.states.items()}
        self.file.write_bytes(encode([name, states, content.shared_dict]))

    def read_checkpoint(self, name: str) -> CheckpointContents:
        """Read."""
        self.calls.append("read")
        if not self.file.exists():
            raise NoCheckpointAvailableError(name)
        kept: Json = decode(self.file.read_bytes())
        return CheckpointContents(kept[0], {k: set(v) for k, v in kept[1].items()}, kept[2])

    async def clear_checkpoint(self, name: str) -> None:
        """Clear."""
        self.calls.append("clear")
        self.file.unlink(missing_ok=True)

    def on_abort(self) -> None:
        """Note a call."""
        self.file.with_name("aborted").touch()
