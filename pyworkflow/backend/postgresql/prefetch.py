"""Loading all that some works say they will touch, in two ways to the server and back; processes are locked in the order of their keys."""

from collections.abc import Iterable
from typing import Any

from pyworkflow.backend.postgresql.rows import Values, pairs, storable
from pyworkflow.backend.postgresql.session import Call, Session
from pyworkflow.backend.postgresql.unit import PostgreSQLUnit
from pyworkflow.backend.touches import Plan


class Prefetch:
    """What is loaded before the works of a transaction run.

    Args:
        plan: What they will touch.
        ids: Further processes to lock, by their ids.
        keys: Further processes to lock.
    """

    def __init__(self, plan: Plan, ids: Iterable[str] = (), keys: Iterable[int] = ()) -> None:
        self._plan = plan
        self._ids = sorted(i for i in {*plan.ids, *ids} if storable(i))
        self._keys = {*plan.keys, *keys}
        self._latest: dict[str, int] = {}

    def begin(self, session: Session) -> list[Values]:
        """Begin a transaction; find out which processes to lock. Return its time, and the version of the types."""
        calls: list[Call] = [("begin_write", {}), ("prologue", {}), *self._questions()]
        _, prologue, *found = session.bulk(calls)
        self._answered(found)
        return prologue

    def resolve(self, session: Session) -> None:
        """Find out which processes to lock, in a transaction that has begun."""
        if questions := self._questions():
            self._answered(session.bulk(questions))

    def _questions(self) -> list[Call]:
        questions: list[Call] = []
        if self._ids:
            questions.append(("latest_runs", {"ids": self._ids}))
        if self._plan.numbers:
            questions.append(("owners", {"numbers": sorted(self._plan.numbers)}))
        if self._plan.closing:
            questions.append(("parents", {"keys": sorted(self._plan.closing)}))
        return questions

    def _answered(self, found: list[list[Values]]) -> None:
        if self._ids:
            self._latest = {values[0]: values[1] for values in found.pop(0)}
            self._keys.update(self._latest.values())
        for rows in found:
            self._keys.update(values[0] for values in rows)

    def load(self, unit: PostgreSQLUnit) -> int:
        """Lock the processes and load what will be read of them; return the earliest deadline of all."""
        plan, keys = self._plan, sorted(self._keys)
        receipts = sorted(
            (self._latest[name], signal)
            for name, signal in plan.signals
            if name in self._latest and storable(signal)
        )
        activities = sorted(p for p in plan.activities if storable(p[1]))
        timers = sorted(p for p in plan.timers if storable(p[1]))
        calls: dict[Any, Call] = {}
        if keys:
            calls["lock"] = ("lock_processes", {"keys": keys})
            calls["decisions"] = ("decisions_of", {"keys": keys})
        if plan.numbers:
            calls["numbers"] = ("activities_numbered", {"numbers": sorted(plan.numbers)})
        if activities:
            calls["activities"] = ("activities_named", {"pairs": pairs(activities)})
        if timers:
            calls["timers"] = ("timers_named", {"pairs": pairs(timers)})
        if receipts:
            calls["signals"] = ("signals_named", {"pairs": pairs(receipts)})
        if plan.closing:
            calls["links"] = ("links", {"keys": sorted(plan.closing)})
        if plan.starts:
            calls["starts"] = ("new_keys", {"count": plan.starts})
        # After the locks that are waited for: nobody waits while holding one of these.
        for category, limit in plan.decisions.items():
            values = {"category": category, "now": unit.now, "limit": limit}
            calls["decision", category] = ("claim_decisions", values)
        for category, limit in plan.tasks.items():
            values = {"category": category, "now": unit.now, "limit": limit}
            calls["activity", category] = ("claim_activities", values)
        calls["due"] = ("next_due", {})
        found = dict(zip(calls, unit.session.bulk(list(calls.values())), strict=True))

        for values in found.get("lock", ()):
            unit.loaded(values)
        locked = [key for key in keys if unit.is_locked(key)]
        unit.loaded_decisions(locked, found.get("decisions", ()))
        unit.loaded_activities(
            [pair for pair in activities if unit.is_locked(pair[0])],
            [*found.get("numbers", ()), *found.get("activities", ())],
        )
        unit.loaded_timers(
            [p for p in timers if unit.is_locked(p[0])],
            found.get("timers", ()),
        )
        unit.loaded_children(found.get("links", ()))
        known = {(values[0], values[1]) for values in found.get("signals", ())}
        unit.unsigned(pair for pair in receipts if pair not in known and unit.is_locked(pair[0]))
        unit.numbers.keep_keys(found.get("starts", ()))
        for name in self._ids:
            unit.know(name, self._latest.get(name))
        for category in plan.decisions:
            unit.claim_decisions(category, found["decision", category])
        for category in plan.tasks:
            unit.claim_activities(category, found["activity", category])
        return int(found["due"][0][0])
