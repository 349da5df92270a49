"""The tables of the memory backend, with the queues and deadlines over them."""

from collections import defaultdict
from heapq import heappop, heappush
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

OPEN = "open"
Task = DecisionRow | ActivityRow
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
        self.batches: dict[int, list[FeedBatch]] = {}
        self.feed: list[FeedBatch] = []
        self.cursor = 0
        self.polled: dict[tuple[str, str, str], int] = {}
        self.ready: dict[tuple[type[Task], str], list[Entry]] = defaultdict(list)
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
        heappush(self.ready[type(row), row.category], entry)

    def longest(self, kind: type[Task], category: str, now: int) -> Task | None:
        """Return the task that has been ready for longest, if one is."""
        heap = self.ready.get((kind, category))
        while heap and heap[0][0] <= now:
            if self._waits(heap[0]):
                return heap[0][3]
            heappop(heap)
        return None

    def take(self, kind: type[Task], category: str, now: int, limit: int) -> list[Entry]:
        """Take tasks that are ready now out of the queue, the longest waiting first; those that stay ready must be put back."""
        heap = self.ready.get((kind, category))
        taken: list[Entry] = []
        seen: set[int] = set()
        while heap and heap[0][0] <= now and len(taken) < limit:
            entry = heappop(heap)
            if self._waits(entry) and id(entry[3]) not in seen:
                taken.append(entry)
                seen.add(id(entry[3]))
        return taken

    def put_back(self, taken: list[Entry]) -> None:
        """Return to the queue what has stayed ready."""
        for entry in taken:
            if self._waits(entry):
                heappush(self.ready[type(entry[3]), entry[3].category], entry)

    def _waits(self, entry: Entry) -> bool:
        row = entry[3]
        return row.state == SCHEDULED and row.ready == entry[0] and self.alive(row)
