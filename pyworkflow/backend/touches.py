"""What a work will read and change, told before it runs, so that a store may load and lock it all at once."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

from msgspec import Struct

from pyworkflow.backend.unit import StoredUnit, Work
from pyworkflow.ledger.unit import Names

Source = tuple[str, Names]
"""Where a poll takes tasks from: a category, and the names of those it can do."""

Ready = tuple[str, str, str]
"""A task that may be claimed: ``decision`` or ``activity``, its category, its name."""


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
        decisions: How many decisions it wants, by source.
        tasks: How many activities it wants, by source.
    """

    ids: tuple[str, ...] = ()
    keys: tuple[int, ...] = ()
    closing: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()
    activities: tuple[tuple[int, str], ...] = ()
    timers: tuple[tuple[int, str], ...] = ()
    signals: tuple[tuple[str, str], ...] = ()
    starts: int = 0
    decisions: tuple[tuple[Source, int], ...] = ()
    tasks: tuple[tuple[Source, int], ...] = ()

    def wants(self, ready: Collection[Ready]) -> bool:
        """Tell whether it could claim one of some tasks."""
        sources = {"decision": self.decisions, "activity": self.tasks}
        return any(
            category == wanted and (names is None or name in names)
            for kind, category, name in ready
            for (wanted, names), _ in sources[kind]
        )


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
        self.decisions: dict[Source, int] = {}
        self.tasks: dict[Source, int] = {}

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
        for source, limit in touches.decisions:
            self.decisions[source] = self.decisions.get(source, 0) + limit
        for source, limit in touches.tasks:
            self.tasks[source] = self.tasks.get(source, 0) + limit
