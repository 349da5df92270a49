"""Standard output and standard error of a task: each line is a message for the loggers."""

import io
from collections.abc import Callable
from threading import RLock
from typing import TYPE_CHECKING

from pyworkflow.jobs.channel import LONGEST_LINE, Lines

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _Sink(io.BufferedIOBase):
    """Takes bytes, and passes lines on.

    Args:
        fd: What the stream is for the programs that the task starts.
        tell: Takes a line.
    """

    def __init__(self, fd: int, tell: Callable[[str], None]) -> None:
        self.name = fd
        self._fd = fd
        self._tell = tell
        self._lines = Lines(LONGEST_LINE)
        # The collector may call a `__del__` that prints while a line is being taken.
        self._lock = RLock()

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._fd

    def write(self, piece: "ReadableBuffer", /) -> int:
        data = bytes(piece)
        with self._lock:
            lines = self._lines.add(data)
        for line in lines:
            self._say(line)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            with self._lock:
                rest = self._lines.rest()
            self._say(rest)
        super().close()

    def _say(self, line: bytes) -> None:
        if text := said(line):
            self._tell(text)


def said(line: bytes) -> str:
    """Return a line as text; nothing for one that holds nothing but white space."""
    return line.decode("utf-8", "replace").rstrip() if line.strip() else ""


def stream(fd: int, tell: Callable[[str], None]) -> io.TextIOWrapper:
    """Return a text stream that passes on each line that is written."""
    return io.TextIOWrapper(
        _Sink(fd, tell),
        encoding="utf-8",
        errors="backslashreplace",
        write_through=True,
    )
