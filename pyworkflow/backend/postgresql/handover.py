"""From the thread that commits to the thread that waits for work: tasks go along with the commit that makes them ready.

A worker that waits would otherwise be woken, look whether there is work, and claim it in a transaction of its own.
"""

import time
from collections.abc import Iterable, Sequence
from threading import Condition
from typing import Any

from pyworkflow.backend.postgresql.unit import PostgreSQLUnit
from pyworkflow.backend.touches import Plan
from pyworkflow.backend.unit import Work

Queue = tuple[str, str]
"""``decision`` or ``activity``, and the category."""

EMPTY_SECONDS = 0.01
"""How long a queue that was seen to be empty is taken to be, unless something is committed. Not longer: what could not be had was perhaps
under a lock whose end nobody tells."""


class Standing:
    """The poll of one thread that waits.

    Args:
        works: What claims its tasks.

    Attributes:
        results: What the works have returned, empty while there is nothing for it.
    """

    __slots__ = ("plan", "results", "works")

    def __init__(self, works: Sequence[Work]) -> None:
        self.works = works
        self.plan = Plan()
        self.plan.add(works)
        self.results: list[Any] = []

    def serve(self, unit: PostgreSQLUnit) -> None:
        """Claim what a transaction has made ready. What was ready before, its thread would have found."""
        for category in self.plan.decisions:
            unit.claimable_decisions.setdefault(category, [])
        for category in self.plan.tasks:
            unit.claimable_activities.setdefault(category, [])
        results = [work(unit) for work in self.works]
        self.results = results if any(results) else []


class StandingPolls:
    """The polls that wait in one backend object."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: list[Standing] = []
        self._taken: list[Standing] = []

    def add(self, poll: Standing) -> None:
        """Have a poll wait."""
        with self._changed:
            self._waiting.append(poll)

    def take(self) -> list[Standing]:
        """Return all that wait, for a transaction to serve: until `put_back`, their threads wait for its end."""
        with self._changed:
            self._taken, self._waiting = self._waiting, []
            return list(self._taken)

    def put_back(self, *, committed: bool) -> None:
        """Let go of what was taken; those who got nothing go on waiting."""
        with self._changed:
            for poll in self._taken:
                if not committed:
                    poll.results = []
                if not poll.results:
                    self._waiting.append(poll)
            self._taken = []
            self._changed.notify_all()

    def leave(self, poll: Standing) -> list[Any]:
        """End a poll; return what it got."""
        with self._changed:
            while poll in self._taken:
                self._changed.wait()
            if poll in self._waiting:
                self._waiting.remove(poll)
        return poll.results


class EmptyQueues:
    """Queues that a claim has just found empty: whoever claimed need not look at once whether they are."""

    def __init__(self) -> None:
        self._seen: dict[Queue, tuple[int, float]] = {}

    def saw(self, queues: Iterable[Queue], commits: int) -> None:
        """Take note of empty queues.

        Args:
            queues: Which.
            commits: How many commits were known then.
        """
        until = time.monotonic() + EMPTY_SECONDS
        self._seen.update(dict.fromkeys(queues, (commits, until)))

    def cover(self, queues: Iterable[Queue], commits: int) -> bool:
        """Tell whether all of these queues are known to be empty after so many commits."""
        now = time.monotonic()
        for queue in queues:
            seen = self._seen.get(queue)
            if seen is None or seen[0] != commits or seen[1] < now:
                return False
        return True


def emptied(unit: PostgreSQLUnit, plan: Plan) -> list[Queue]:
    """Return the queues in which a transaction that claimed from them leaves nothing, as far as it sees."""
    decisions = [
        ("decision", category)
        for category, limit in plan.decisions.items()
        if len(unit.claimable_decisions.get(category, ())) < limit
        and not unit.ready_decisions(category, 1)
    ]
    activities = [
        ("activity", category)
        for category, limit in plan.tasks.items()
        if len(unit.claimable_activities.get(category, ())) < limit
        and not unit.ready_activities(category, 1)
    ]
    return decisions + activities
