"""Which rows of the memory backend are due when."""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count

from pyworkflow.ledger.rows import NEVER, ActivityRow, DecisionRow, ProcessRow, TimerRow, due_order

Due = ProcessRow | DecisionRow | ActivityRow | TimerRow
_Entry = tuple[tuple[int, int, int, str], int, Due]

SPAN = 20
"""Bits of a span of time, of about a second."""


class Deadlines:
    """Rows by their deadlines.

    Most rows are gone long before they are due. So they lie in spans of a second without any order, which costs little to come and go,
    and are sorted only when their span begins. What is sorted is lazy: a row that has changed or gone is thrown away when it is at the top.

    Args:
        alive: Tells whether a row is still in its table, and could be due.
    """

    def __init__(self, alive: Callable[[Due], bool]) -> None:
        self._alive = alive
        self._spans: dict[int, dict[int, Due]] = {}
        self._order: list[int] = []
        self._places: dict[int, int] = {}
        self._begun = 0
        self._soon: list[_Entry] = []
        self._most = 1024
        self._count = count()

    def watch(self, row: Due) -> None:
        """Remember a row's deadline, and no earlier one of the same row."""
        span = row.deadline >> SPAN
        place = id(row)
        before = self._places.get(place)
        if before == span:
            return
        if before is not None:
            del self._spans[before][place]
        if row.deadline == NEVER or span < self._begun:
            self._places.pop(place, None)
            if row.deadline != NEVER:
                self._sort(row)
            return
        self._places[place] = span
        rows = self._spans.get(span)
        if rows is None:
            rows = self._spans[span] = {}
            heappush(self._order, span)
        rows[place] = row

    def forget(self, row: Due) -> None:
        """Let go of a row."""
        place = id(row)
        span = self._places.pop(place, None)
        if span is not None:
            del self._spans[span][place]

    def next(self, now: int) -> int:
        """Return the earliest deadline, or an instant after now when it can be told better."""
        while self._order and (self._order[0] << SPAN <= now or not self._spans[self._order[0]]):
            span = heappop(self._order)
            for place, row in self._spans.pop(span).items():
                del self._places[place]
                self._sort(row)
            self._begun = max(self._begun, (now >> SPAN) + 1)
        while self._soon:
            if self._current(self._soon[0]):
                return self._soon[0][0][0]
            heappop(self._soon)
        return self._order[0] << SPAN if self._order else NEVER

    def pop(self, now: int, limit: int) -> list[Due]:
        """Take rows whose deadline has come, the earliest first, each once."""
        due: dict[int, Due] = {}
        while len(due) < limit and self.next(now) <= now:
            row = heappop(self._soon)[2]
            due[id(row)] = row
        return list(due.values())

    def _sort(self, row: Due) -> None:
        heappush(self._soon, (due_order(row), next(self._count), row))
        if len(self._soon) > self._most:
            self._soon = [entry for entry in self._soon if self._current(entry)]
            heapify(self._soon)
            self._most = max(1024, 2 * len(self._soon))

    def _current(self, entry: _Entry) -> bool:
        return entry[2].deadline == entry[0][0] and self._alive(entry[2])
