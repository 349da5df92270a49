"""The tables of the memory backend, with the queues and deadlines over them."""

from collections import defaultdict
from heapq import heapify, heappop, heappush
from itertools import count

from pyworkflow.backend.memory_deadlines import Deadlines, Due
from pyworkflow.backend.unit import DefinitionRow, FeedBatch
from pyworkflow.ledger.rows import (
    SCHEDULED,
    ActivityRow,
    ActivityTypeRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
    WorkflowRow,
)
from pyworkflow.ledger.unit import Names

OPEN = "open"
Task = DecisionRow | ActivityRow
Queue = tuple[type[Task], str, bool]
"""Kind of task, category, and whether its tasks are suspects."""

Entry = tuple[int, int, int, Task]
"""Of a queue: ready since when, the row's number, a number that makes entries differ, the row."""


class Tables:
    """Everything that a memory backend knows.

    The queues are lazy: an entry whose row has changed or gone is thrown away when it comes to the top.
    """

    def __init__(self) -> None:
        self.time = 0
        self.keys = count(1)
        self.numbers = count(1)
        self.order = count()
        self.workflows: dict[str, WorkflowRow] = {}
        self.types: dict[str, ActivityTypeRow] = {}
        self.definitions: list[DefinitionRow] = []
        self.processes: dict[int, ProcessRow] = {}
        self.open: dict[int, ProcessRow] = {}
        self.runs: dict[str, list[int]] = {}
        self.inputs: dict[int, bytes] = {}
        self.decisions: dict[int, DecisionRow] = {}
        self.activities: dict[int, dict[str, ActivityRow]] = {}
        self.by_number: dict[int, ActivityRow] = {}
        self.timers: dict[int, dict[str, TimerRow]] = {}
        self.children: dict[int, dict[str, ChildRow]] = {}
        self.signals: dict[int, set[str]] = {}
        self.receipts: dict[tuple[int, str], set[int]] = {}
        self.batches: dict[int, list[FeedBatch]] = {}
        self.feed: list[FeedBatch] = []
        self.place = 0
        self.purged = 0
        self.polled: dict[tuple[str, str, str], tuple[int, Names]] = {}
        self.ready: dict[Queue, dict[str, list[Entry]]] = defaultdict(dict)
        self.deadlines = Deadlines(self.alive)

    def alive(self, row: Due) -> bool:
        """Tell whether a row is still in its table, and could be due."""
        if isinstance(row, ActivityRow):
            return self.by_number.get(row.number) is row
        if isinstance(row, DecisionRow):
            return self.decisions.get(row.key) is row
        if isinstance(row, TimerRow):
            return self.timers.get(row.key, {}).get(row.id) is row
        return row.status == OPEN

    def enqueue(self, row: Task) -> None:
        """Put a scheduled task in its queue."""
        place = row.number if isinstance(row, ActivityRow) else row.key
        entry = (row.ready, place, next(self.order), row)
        self._push(entry)

    def _push(self, entry: Entry) -> None:
        row = entry[3]
        queue = self.ready[type(row), row.category, row.suspect]
        heappush(queue.setdefault(row.name, []), entry)

    def longest(self, queue: Queue, names: Names, now: int) -> Task | None:
        """Return the task that has been ready for longest, if one is."""
        heads = [heap[0] for heap in self._heaps(queue, names, now)]
        return min(heads)[3] if heads else None

    def take(self, queue: Queue, names: Names, now: int, limit: int) -> list[Entry]:
        """Take tasks that are ready now out of the queue, the longest waiting first; those that stay ready must be put back."""
        # One heap a name, and a heap of their heads: what has another name costs nothing.
        heads = [(heap[0], heap) for heap in self._heaps(queue, names, now)]
        heapify(heads)
        entries: list[Entry] = []
        seen: set[int] = set()
        while heads and len(entries) < limit:
            entry, heap = heappop(heads)
            heappop(heap)
            if id(entry[3]) not in seen:
                entries.append(entry)
                seen.add(id(entry[3]))
            if self._settle(queue, heap, now):
                heappush(heads, (heap[0], heap))
        return entries

    def put_back(self, taken: list[Entry]) -> None:
        """Return to the queue what has stayed ready."""
        for entry in taken:
            if self._waits(entry, entry[3].suspect):
                self._push(entry)

    def _heaps(self, queue: Queue, names: Names, now: int) -> list[list[Entry]]:
        """Return the heaps, by name, that have a ready task at the top."""
        heaps = self.ready.get(queue, {})
        return [
            heaps[name]
            for name in (tuple(heaps) if names is None else names)
            if name in heaps and self._settle(queue, heaps[name], now)
        ]

    def _settle(self, queue: Queue, heap: list[Entry], now: int) -> bool:
        """Bring the first task that still waits to the top of a heap; return whether it is ready."""
        while heap and heap[0][0] <= now:
            if self._waits(heap[0], queue[2]):
                return True
            heappop(heap)
        return False

    def _waits(self, entry: Entry, suspect: bool) -> bool:
        row = entry[3]
        return (
            row.state == SCHEDULED
            and row.ready == entry[0]
            and row.suspect == suspect
            and self.alive(row)
        )
