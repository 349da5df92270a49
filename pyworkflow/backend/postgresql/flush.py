"""Writing down what a transaction has changed: one statement a table, all sent together."""

from collections.abc import Mapping

from msgspec import structs

from pyworkflow.backend.postgresql.news import Notice
from pyworkflow.backend.postgresql.rows import (
    EventValues,
    InputValues,
    ReceiptValues,
    TagValues,
    Values,
    as_json,
    pairs,
)
from pyworkflow.backend.postgresql.session import Call
from pyworkflow.backend.postgresql.unit import PostgreSQLUnit
from pyworkflow.backend.staged import fed
from pyworkflow.backend.unit import FeedBatch


def notice(unit: PostgreSQLUnit, sender: str) -> Notice:
    """Return what others are told of a transaction."""
    return Notice(sender, frozenset(unit.left()), unit.ends())


class Flush:
    """The statements that write a unit down.

    Args:
        unit: What has been changed.
        joined: Whether other statements of the same transaction may add events, too.

    Attributes:
        keys: The processes with new events.
    """

    def __init__(self, unit: PostgreSQLUnit, *, joined: bool = False) -> None:
        self.unit = unit
        self._calls: list[Call] = []
        batches = list(unit.sealed())
        self._batches = [fed(batch) for batch in batches]
        self.keys = [batch.process.key for batch in batches]
        # The order of the tables, and of the rows where another transaction may want the same, is one for all.
        self._processes()
        if batches:
            self._calls.append(("add_events", {"rows": self.events, "joined": joined}))
        self._open_work()
        self._calls.extend(unit.kept())

    @property
    def calls(self) -> list[Call]:
        """The statements."""
        return self._calls

    @property
    def events(self) -> str:
        """The new rows of the table ``event``, as one parameter."""
        return as_json(
            EventValues(key, batch.first_seq, batch.body.decode())
            for key, batch in zip(self.keys, self._batches, strict=True)
        )

    @property
    def is_news(self) -> bool:
        """Whether others may wait for what has changed: what ends work is an event; what calls for it, too, or a process that is resumed."""
        return bool(self._batches or self.unit.left())

    def recorded(self, results: list[list[Values]]) -> list[FeedBatch]:
        """Return the new events as they are in the feed, from what the statements have returned."""
        if not self._batches:
            return []
        place = next(i for i, call in enumerate(self._calls) if call[0] == "add_events")
        return [
            structs.replace(batch, place=values[0])
            for batch, values in zip(self._batches, results[place], strict=True)
        ]

    def numbered(self, places: Mapping[tuple[int, int], int]) -> list[FeedBatch]:
        """Return the new events as they are in the feed, from the places by key and first number."""
        return [
            structs.replace(batch, place=places.get((key, batch.first_seq), 0))
            for key, batch in zip(self.keys, self._batches, strict=True)
        ]

    def _add(self, name: str, argument: str, value: str | list[int] | None) -> None:
        if value:
            self._calls.append((name, {argument: value}))

    def _processes(self) -> None:
        unit = self.unit
        staged = unit.staged_processes
        if new := staged.written(staged.new):
            self._add("add_processes", "rows", as_json(new))
            inputs = [InputValues(row.key, (unit.input(row.key) or b"").decode()) for row in new]
            self._add("add_inputs", "rows", as_json(inputs))
        if tags := [TagValues(tag, row.key) for row in new for tag in row.tags]:
            self._add("add_tags", "rows", as_json(tags))
        if changed := staged.written(staged.changed):
            self._add("set_processes", "rows", as_json(changed))

    def _open_work(self) -> None:
        unit = self.unit
        decisions, activities = unit.staged_decisions, unit.staged_activities
        timers, children = unit.staged_timers, unit.staged_children
        self._add("drop_decisions", "keys", list(decisions.dropped))
        if put := decisions.put():
            self._add("put_decisions", "rows", as_json(put))
        self._add("drop_activities", "keys", list(activities.dropped))
        if added := activities.written(activities.new):
            self._add("add_activities", "rows", as_json(added))
        if changed := activities.written(activities.changed):
            self._add("set_activities", "rows", as_json(changed))
        if timers.dropped:
            self._add("drop_timers", "pairs", pairs(timers.dropped))
        if timers.put():
            self._add("put_timers", "rows", as_json(timers.put()))
        if children.dropped:
            self._add("drop_children", "pairs", pairs(children.dropped))
        if children.put():
            self._add("put_children", "rows", as_json(children.put()))
        if receipts := unit.new_receipts():
            self._add("add_signals", "rows", as_json(ReceiptValues(*each) for each in receipts))
