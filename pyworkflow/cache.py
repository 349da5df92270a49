"""Caches of what users' programs made: bounded in bytes, because nobody knows how large one entry is. The bounds are all here."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from msgspec import Raw

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

CACHE_BYTES = 12_000_000
"""What the histories of a backend object may take; and what was read of Amazon SWF."""

RUN_BYTES = 8_000_000
"""What the waiting coroutines of an OS process may take."""

ROW_BYTES = 8_000_000
"""What the rows may take that a SQLite transaction leaves to the next one."""

BATCH_BYTES = 4_000_000
"""What the decisions that a worker claims together should take, with their histories."""

PROCESS_BYTES, EVENT_BYTES = 500, 60
"""What a process and an event count for beside their payloads. They take 2,000 and 400, measured, so a cache of nothing but small processes takes
five times its limit: that is known beforehand, and finding 10,000 of them there halves the work. Payloads, whose size nobody knows, count in full."""

ENVELOPE_BYTES = 200
"""About what the JSON of an event has beside its payload; it is in `EVENT_BYTES`."""


def history_size(events: int, payload: int) -> int:
    """Return how many bytes a process counts for.

    Args:
        events: How many events it has.
        payload: Bytes of JSON that its input and its events are.
    """
    payload = max(0, payload - ENVELOPE_BYTES * events)
    return PROCESS_BYTES + EVENT_BYTES * events + payload


def value_size(value: object) -> int:
    """Return about how many bytes a JSON value takes, or a payload as it is stored."""
    if isinstance(value, Raw):
        return memoryview(value).nbytes
    if isinstance(value, str | bytes):
        return 50 + len(value)
    if isinstance(value, dict):
        return 64 + sum(value_size(key) + value_size(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return 64 + sum(map(value_size, value))
    return 32


class SizedCache(Generic[K, V]):
    """Values by their keys. If they take too much, those go that were not used for longest. Its user brings the lock.

    Args:
        limit: Bytes; with 0 nothing is kept.
    """

    def __init__(self, limit: int = CACHE_BYTES) -> None:
        self.size = 0
        self._limit = limit
        self._entries: OrderedDict[K, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """Return a value, which counts as used."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry[0]

    def put(self, key: K, value: V, size: int) -> list[V]:
        """Keep a value, also one that is there already and has grown; return others that had to go.

        One that is larger than the limit stays while it is the newest: else each step of a large process would read it anew.
        """
        self.pop(key)
        self._entries[key] = value, size
        self.size += size
        dropped: list[V] = []
        least = 1 if self._limit else 0
        while self.size > self._limit and len(self._entries) > least:
            _, (oldest, freed) = self._entries.popitem(last=False)
            self.size -= freed
            dropped.append(oldest)
        return dropped

    def pop(self, key: K) -> V | None:
        """Return a value and forget it."""
        value, size = self._entries.pop(key, (None, 0))
        self.size -= size
        return value

    def clear(self) -> list[V]:
        """Forget all, and return what was there."""
        values = [value for value, _ in self._entries.values()]
        self._entries.clear()
        self.size = 0
        return values
