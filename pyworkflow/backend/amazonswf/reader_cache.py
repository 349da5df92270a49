"""What was read of the processes that were decided last: a step costs the same however long their histories are."""

from collections import OrderedDict
from threading import Lock

from pyworkflow.backend.amazonswf.executions import Execution
from pyworkflow.swf.reading import Reader

MAX_BYTES = 48_000_000
"""About what is kept at most."""


class ReaderCache:
    """What was read of the processes that were decided last."""

    def __init__(self, limit: int = MAX_BYTES) -> None:
        self._lock = Lock()
        self._readers: OrderedDict[Execution, tuple[Reader, int]] = OrderedDict()
        self._limit = limit
        self.size = 0

    def take(self, execution: Execution) -> Reader | None:
        """Return what is there, for this caller alone."""
        with self._lock:
            return self._pop(execution)

    def _pop(self, execution: Execution) -> Reader | None:
        reader, size = self._readers.pop(execution, (None, 0))
        self.size -= size
        return reader

    def keep(self, execution: Execution, reader: Reader) -> None:
        """Keep what was read, if the process goes on and it is not too much."""
        if reader.state.closed is not None:
            return
        with self._lock:
            self._pop(execution)
            self._readers[execution] = reader, reader.size
            self.size += reader.size
            while self.size > self._limit:
                self._pop(next(iter(self._readers)))
