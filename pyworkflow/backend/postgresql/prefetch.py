"""Loading all that some works say they will touch in one way to the server and back; processes are locked in the order of their keys."""

from collections.abc import Hashable, Iterable, Sequence
from typing import Any

from pyworkflow.backend.postgresql.numbers import Numbers
from pyworkflow.backend.postgresql.rows import SignalValues, Values, as_json, pairs, storable
from pyworkflow.backend.postgresql.session import Call
from pyworkflow.backend.postgresql.unit import PostgreSQLUnit, claim_call
from pyworkflow.backend.touches import Plan
from pyworkflow.ledger.rows import ProcessRow


class Prefetch:
    """What is loaded before the works of a transaction run.

    Args:
        plan: What they will touch.
        numbers: Where new numbers are kept.
        now: The time of the transaction; None for the server's.
        ids: Further processes to lock, by their ids.
        keys: Further processes to lock.
    """

    def __init__(
        self,
        plan: Plan,
        numbers: Numbers,
        now: int | None,
        ids: Iterable[str] = (),
        keys: Iterable[int] = (),
    ) -> None:
        self._plan = plan
        self._numbers = numbers
        self._ids = {i for i in {*plan.ids, *ids} if storable(i)}
        self._keys = {*plan.keys, *keys}
        self._activities = sorted(p for p in plan.activities if storable(p[1]))
        self._timers = sorted(p for p in plan.timers if storable(p[1]))
        self._signals = sorted((i, s) for i, s in plan.signals if i in self._ids and storable(s))
        self._calls = self._asked(now)

    @property
    def calls(self) -> list[Call]:
        """The statements, to be sent together."""
        return list(self._calls.values())

    def _asked(self, now: int | None) -> dict[Hashable, Call]:
        plan = self._plan
        calls: dict[Hashable, Call] = {}
        if self._ids or self._keys or plan.numbers or plan.closing:
            touched: dict[str, Any] = {
                "keys": list(self._keys),
                "ids": list(self._ids),
                "numbers": list(plan.numbers),
                "closing": list(plan.closing),
            }
            calls["lock"] = ("lock_processes", touched)
            calls["decisions"] = ("decisions_touched", touched)
        if plan.numbers:
            calls["numbers"] = ("activities_numbered", {"numbers": list(plan.numbers)})
        if self._activities:
            calls["activities"] = ("activities_named", {"pairs": pairs(self._activities)})
        if self._timers:
            calls["timers"] = ("timers_named", {"pairs": pairs(self._timers)})
        if self._signals:
            told = as_json(SignalValues(process, name) for process, name in self._signals)
            calls["signals"] = ("signals_told", {"told": told})
        if plan.closing:
            calls["links"] = ("links", {"keys": list(plan.closing)})
        if plan.starts:
            calls["starts"] = ("new_keys", {"count": plan.starts})
        if missing := self._numbers.missing(len(self._activities)):
            calls["new"] = ("new_numbers", {"count": missing})
        # After the locks that are waited for: nobody waits while holding one of these.
        for source, limit in plan.decisions.items():
            calls["decision", source] = claim_call("decisions", source, limit, now)
        for source, limit in plan.tasks.items():
            calls["activity", source] = claim_call("activities", source, limit, now)
        if plan.decisions or plan.tasks:
            queues = {
                "decisions": [category for category, _ in plan.decisions],
                "activities": [category for category, _ in plan.tasks],
            }
            calls["suspects"] = ("suspects", {**queues, "now": now})
        calls["due"] = ("next_due", {})
        return calls

    def load(self, unit: PostgreSQLUnit, answers: Sequence[list[Values]]) -> int:
        """Give a unit what the statements have found; return the earliest deadline of all."""
        found = dict(zip(self._calls, answers, strict=True))
        locked = [row for v in found.get("lock", ()) if (row := unit.loaded(v)) is not None]
        latest = self._latest(locked)
        activities = [*found.get("numbers", ()), *found.get("activities", ())]
        unit.loaded_activities(
            [pair for pair in self._activities if unit.is_locked(pair[0])],
            (values for values in activities if unit.is_locked(values[1])),
        )
        unit.loaded_decisions(
            self._settled(unit, locked, latest, found.get("numbers", ())),
            (values for values in found.get("decisions", ()) if unit.is_locked(values[0])),
        )
        unit.loaded_timers(
            [p for p in self._timers if unit.is_locked(p[0])], found.get("timers", ())
        )
        unit.loaded_children(found.get("links", ()))
        self._load_signals(unit, latest, found.get("signals", ()))
        self._numbers.keep_keys(found.get("starts", ()))
        self._numbers.keep_activities(found.get("new", ()))
        for name in self._ids:
            unit.know(name, latest.get(name))
        for source in self._plan.decisions:
            unit.claim_decisions(source, found["decision", source])
        for source in self._plan.tasks:
            unit.claim_activities(source, found["activity", source])
        unit.suspect_queues = {(kind, category) for kind, category in found.get("suspects", ())}
        return int(found["due"][0][0])

    def _latest(self, locked: Iterable[ProcessRow]) -> dict[str, ProcessRow]:
        """Return the latest run of each id as it was when it was locked."""
        latest: dict[str, ProcessRow] = {}
        for row in locked:
            if row.id in self._ids and (row.id not in latest or latest[row.id].run < row.run):
                latest[row.id] = row
        return latest

    def _settled(
        self,
        unit: PostgreSQLUnit,
        locked: Iterable[ProcessRow],
        latest: dict[str, ProcessRow],
        numbered: Iterable[Values],
    ) -> list[int]:
        """Return the processes of which it is certain that they have no decision but one that was found.

        What was not named by its key may have got another answer after the lock was waited for than before.
        """
        keys = {*self._keys, *(row.key for row in latest.values())}
        keys.update(values[1] for values in numbered)
        keys.update(
            row.parent_key
            for row in locked
            if row.key in self._plan.closing and row.parent_key is not None
        )
        return [key for key in keys if unit.is_locked(key)]

    def _load_signals(
        self, unit: PostgreSQLUnit, latest: dict[str, ProcessRow], found: Iterable[Values]
    ) -> None:
        known = {(values[0], values[1]) for values in found}
        asked = [(latest[i].key, signal) for i, signal in self._signals if i in latest]
        # Of one that has closed, another run may be the latest by now.
        unit.unsigned(pair for pair in asked if pair not in known and unit.is_open(pair[0]))
