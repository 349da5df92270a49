"""The tables of the memory backend, with the queues and deadlines over them."""

from collections import defaultdict
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TypeVar

from pyworkflow.backend.unit import FeedBatch
from pyworkflow.ledger.rows import (
    NEVER,
    SCHEDULED,
    ActivityRow,
    ActivityTypeRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
    WorkflowRow,
    due_order,
)

T = TypeVar("T")
OPEN = "open"
Due = ProcessRow | DecisionRow | ActivityRow | TimerRow
Task = DecisionRow | ActivityRow
DueOrder = tuple[int, int, int, str]


class Tables:
    """Everything that a memory backend knows.

    The heaps are lazy: an entry whose row has changed or gone is thrown away when it comes to the top.
    """

    def __init__(self) -> None:
        self.time = 0
        self.keys = count(1)
        self.numbers = count(1)
        self.order = count()
        self.workflows: dict[str, WorkflowRow] = {}
        self.types: dict[str, ActivityTypeRow] = {}
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
        self.ready: dict[tuple[type[Task], str], list[tuple[int, int, int, Task]]] = defaultdict(
            list
        )
        self.deadlines: list[tuple[DueOrder, int, Due]] = []

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

    def watch(self, row: Due) -> None:
        """Remember a row's deadline."""
        if row.deadline == NEVER:
            return
        heappush(self.deadlines, (due_order(row), next(self.order), row))
        if len(self.deadlines) > 64 + 4 * self._watched():
            self.deadlines = [entry for entry in self.deadlines if self._current(entry)]
            heapify(self.deadlines)

    def _watched(self) -> int:
        return len(self.open) + len(self.by_number) + len(self.decisions)

    def _current(self, entry: tuple[DueOrder, int, Due]) -> bool:
        return entry[2].deadline == entry[0][0] and self.alive(entry[2])

    def top(self) -> int:
        """Return the earliest deadline."""
        while self.deadlines:
            if self._current(self.deadlines[0]):
                return self.deadlines[0][0][0]
            heappop(self.deadlines)
        return NEVER

    def pop_due(self, now: int, limit: int) -> list[Due]:
        """Take rows whose deadline has come off the heap."""
        due: list[Due] = []
        while len(due) < limit and self.top() <= now:
            due.append(heappop(self.deadlines)[2])
        return due

    def waiting(self, kind: type[Task], category: str, now: int, limit: int) -> list[Task]:
        """Return tasks that are ready now, the longest waiting first; they stay in the queue until their state changes."""
        heap = self.ready.get((kind, category))
        if not heap:
            return []
        taken: list[tuple[int, int, int, Task]] = []
        seen: set[int] = set()
        while heap and heap[0][0] <= now and len(taken) < limit:
            entry = heappop(heap)
            row = entry[3]
            if (
                row.state == SCHEDULED
                and row.ready == entry[0]
                and self.alive(row)
                and id(row) not in seen
            ):
                taken.append(entry)
                seen.add(id(row))
        for entry in taken:
            heappush(heap, entry)
        return [entry[3] for entry in taken]
