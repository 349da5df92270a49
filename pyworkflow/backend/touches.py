"""What a work will read and change, told before it runs, so that a store may load and lock it all at once."""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from pyworkflow.backend.unit import StoredUnit, Work

Queue = tuple[str, str]
"""``decision`` or ``activity``, and the category."""


class Touches(Struct, frozen=True):
    """What a work will ask for. It is a hint: a work may ask for more, or for less.

    Attributes:
        ids: Processes, by their ids.
        keys: Processes, by the store's numbers.
        closing: Those of the keys that the work closes: their parents are told.
        numbers: Activities, by the store's numbers.
        activities: Activities that must be open or not, as (key, id).
        timers: Timers, as (key, id).
        signals: Signals that must be known or not, as (process id, signal id).
        starts: How many processes it begins.
        decisions: How many decisions it wants, by category.
        tasks: How many activities it wants, by category.
    """

    ids: tuple[str, ...] = ()
    keys: tuple[int, ...] = ()
    closing: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    activities: tuple[tuple[int, str], ...] = ()
    timers: tuple[tuple[int, str], ...] = ()
    signals: tuple[tuple[str, str], ...] = ()
    starts: int = 0
    decisions: tuple[tuple[str, int], ...] = ()
    tasks: tuple[tuple[str, int], ...] = ()

    def queues(self) -> set[Queue]:
        """Return the queues that it wants tasks from."""
        decisions = {("decision", category) for category, _ in self.decisions}
        return decisions | {("activity", category) for category, _ in self.tasks}


class Planned(Struct, frozen=True):
    """A work that says what it will touch."""

    work: Callable[[StoredUnit], Any]
    touches: Touches

    def __call__(self, unit: StoredUnit) -> Any:
        """Do the work."""
        return self.work(unit)


class Plan:
    """What many works will touch."""

    def __init__(self) -> None:
        self.ids: set[str] = set()
        self.keys: set[int] = set()
        self.closing: set[int] = set()
        self.numbers: set[int] = set()
        self.activities: set[tuple[int, str]] = set()
        self.timers: set[tuple[int, str]] = set()
        self.signals: set[tuple[str, str]] = set()
        self.starts = 0
        self.decisions: dict[str, int] = {}
        self.tasks: dict[str, int] = {}

    def add(self, works: Iterable[Work]) -> None:
        """Take up what some works say."""
        for work in works:
            if isinstance(work, Planned):
                self._add(work.touches)

    def _add(self, touches: Touches) -> None:
        self.ids.update(touches.ids)
        self.keys.update(touches.keys)
        self.closing.update(touches.closing)
        self.numbers.update(touches.numbers)
        self.activities.update(touches.activities)
        self.timers.update(touches.timers)
        self.signals.update(touches.signals)
        self.starts += touches.starts
        for category, limit in touches.decisions:
            self.decisions[category] = self.decisions.get(category, 0) + limit
        for category, limit in touches.tasks:
            self.tasks[category] = self.tasks.get(category, 0) + limit
