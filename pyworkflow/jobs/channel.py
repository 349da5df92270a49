"""What goes between the driver of a job and the OS process of a task: JSON, a line each, through a socket."""

import socket
from collections.abc import Callable, Iterator
from threading import RLock, current_thread, main_thread

from msgspec import Struct

from pyworkflow.codec import Json, encode, reader
from pyworkflow.jobs.eventbus.log import Severity
from pyworkflow.jobs.shared import Answer, Ask
from pyworkflow.jobs.task import TaskMetadata


class Assignment(Struct, frozen=True):
    """What an OS process is to do: the first line that it is sent.

    Attributes:
        metadata: Of the task.
        parameters: From the job file.
        restarted: Whether to call `Task.on_restart`.
    """

    metadata: TaskMetadata
    parameters: dict[str, Json]
    restarted: bool


def sayable(text: str) -> str:
    """Return a text that UTF-8 can carry: the names of files may hold lone surrogates, and so messages about them."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


class Said(Struct, frozen=True, tag="said"):
    """A message for the loggers; `at` is the instant in microseconds."""

    severity: Severity
    message: str
    at: int


class Asked(Struct, frozen=True, tag="asked"):
    """A question to the shared dictionary; an `Answer` is sent back."""

    ask: Ask


class Ended(Struct, frozen=True, tag="ended", omit_defaults=True):
    """How the attempt ended: the last line that is sent.

    Attributes:
        how: ``completed``, ``failed`` or ``aborted``.
        reason: Of a failure, in one line.
        details: Of a failure: the traceback.
        type_name: Of a failure: the exception's class.
    """

    how: str
    reason: str | None = None
    details: str | None = None
    type_name: str | None = None


Message = Said | Asked | Ended

# Made here, once, and not in each new process.
read_assignment: Callable[[bytes], Assignment] = reader(Assignment)
read_answer: Callable[[bytes], Answer] = reader(Answer)
read_message: Callable[[bytes], Message] = reader(Message)


LONGEST_LINE = 1024 * 1024
"""Bytes of a line that is printed; a longer one is taken for several."""


class Lines:
    """Makes lines of the bytes that come in pieces.

    Args:
        longest: Bytes of a line at most; None for any length.
    """

    def __init__(self, longest: int | None = None) -> None:
        self._rest: list[bytes] = []
        self._size = 0
        self._longest = longest

    def add(self, piece: bytes) -> list[bytes]:
        """Return the lines that are whole now."""
        # What is not whole yet is not copied for each piece: a line may come in thousands.
        whole = list[bytes]()
        for number, part in enumerate(piece.split(b"\n")):
            if number:
                whole.append(self.rest())
            self._rest.append(part)
            self._size += len(part)
        if (longest := self._longest) is None:
            return whole
        if self._size > longest:
            whole.append(self.rest())
        return [
            line[at : at + longest] for line in whole for at in range(0, len(line) or 1, longest)
        ]

    def rest(self) -> bytes:
        """Return what came after the last line feed, and forget it."""
        rest = b"".join(self._rest)
        self._rest, self._size = [], 0
        return rest


class TaskEnd:
    """The end of the channel that the OS process of a task has. Safe for several threads.

    Args:
        connection: To the driver.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = RLock()
        self._received = self._lines()
        self._busy = 0
        self._late: BaseException | None = None

    def assignment(self) -> Assignment:
        """Return what to do."""
        return read_assignment(next(self._received))

    def send(self, message: Message) -> None:
        """Send a message; whoever aborts the task waits for that."""
        self._exchange(message)

    def ask(self, question: Ask) -> Answer:
        """Ask the shared dictionary."""
        return read_answer(self._exchange(Asked(question)))

    def _exchange(self, message: Message) -> bytes:
        in_main = current_thread() is main_thread()
        self._busy += in_main
        try:
            with self._lock:
                self._connection.sendall(encode(message) + b"\n")
                return next(self._received) if isinstance(message, Asked) else b""
        finally:
            self._busy -= in_main
            if in_main and not self._busy and self._late is not None:
                late, self._late = self._late, None
                raise late

    def interrupt(self, error: BaseException) -> None:
        """Raise an exception in the handler of a signal; if a line is being sent or answered there, when that is done.

        Half a line would leave the other side with nonsense. To block the signal is not enough: another thread takes it then.
        """
        if not self._busy:
            raise error
        self._late = error

    def _lines(self) -> Iterator[bytes]:
        lines = Lines()
        while piece := self._connection.recv(65_536):
            yield from lines.add(piece)
        raise EOFError("the driver of the job is gone")
