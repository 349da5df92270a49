"""What an engine has recorded of its workflows, besides the ends of tasks: in the order in which it was said, however long that takes."""

import logging
from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread

from pyworkflow.backend.base import Backend
from pyworkflow.backoff import LONGEST_OUTAGE_PAUSE, Backoff
from pyworkflow.errors import BackendUnavailableError, ProcessClosedError, PyworkflowError

log = logging.getLogger("pyworkflow.engine")

Note = Callable[[], object]


class Notes:
    """Has notes recorded in a thread of its own, one after the other. What cannot be recorded now is tried again until it can.

    Args:
        backend: What records them.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._notes: SimpleQueue[Note | None] = SimpleQueue()
        self._thread: Thread | None = None
        self._closing = Event()

    def record(self, note: Note) -> None:
        """Have a note recorded after those before it."""
        self._notes.put(note)
        if self._thread is None:
            # A daemon, so that a backend that is gone does not hold up the end of the program.
            self._thread = Thread(target=self._run, daemon=True, name="pyworkflow-engine-notes")
            self._thread.start()

    def close(self) -> None:
        """Take no more notes, and try each that is left once more."""
        self._closing.set()
        self._notes.put(None)

    def join(self) -> None:
        """Wait until that is done."""
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        while (note := self._notes.get()) is not None:
            try:
                self._try(note)
            except ProcessClosedError:
                pass  # what is closed has told so, or will
            except PyworkflowError as error:
                log.error("what became of a workflow could not be recorded: %s", error)

    def _try(self, note: Note) -> None:
        backoff = Backoff(longest=LONGEST_OUTAGE_PAUSE)
        while True:
            try:
                note()
                return
            except BackendUnavailableError as error:
                if self._backend.closed or self._closing.is_set():
                    raise
                log.warning("what became of a workflow cannot be recorded yet: %s", error)
                self._closing.wait(backoff.pause())
