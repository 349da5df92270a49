"""What was read of the processes that were decided last: a step costs the same however long their histories are."""

from threading import RLock

from pyworkflow.backend.amazonswf.executions import Execution
from pyworkflow.cache import CACHE_BYTES, SizedCache
from pyworkflow.swf.reading import Reader


class ReaderCache:
    """What was read of the processes that were decided last.

    Args:
        limit: About how many bytes are kept.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self._lock = RLock()
        self._readers: SizedCache[Execution, Reader] = SizedCache(limit)

    @property
    def size(self) -> int:
        """About how many bytes are kept."""
        return self._readers.size

    def take(self, execution: Execution) -> Reader | None:
        """Return what is there, for this caller alone."""
        with self._lock:
            return self._readers.pop(execution)

    def keep(self, execution: Execution, reader: Reader) -> None:
        """Keep what was read, if the process goes on and it is not too much."""
        if reader.state.closed is None:
            with self._lock:
                self._readers.put(execution, reader, reader.size)
