"""The decisions that replayed code makes in one decision task, and the ids of what they open."""

from collections.abc import Iterable
from hashlib import sha256

from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    Decision,
    RequestCancelProcess,
)

Key = tuple[str, str]
"""What kind of thing, and its id."""

MAX_ID = 256
"""Characters in an id."""

_CANCEL = {"activity": CancelActivity, "timer": CancelTimer, "child": RequestCancelProcess}


class Commands:
    """Decisions in the order in which code made them, less those that cancel each other out.

    An activity that is canceled before its schedule was ever sent is not scheduled; what has ended is not canceled.
    """

    def __init__(self) -> None:
        self._decided: dict[Key, Decision] = {}
        self._counts: dict[str, int] = {}
        self._others = 0

    def next_id(self, name: str) -> str:
        """Return the next id of a name: ``charge-1``, ``charge-2``, …; the same in every replay."""
        name = name[: MAX_ID - 10]
        number = self._counts[name] = self._counts.get(name, 0) + 1
        return f"{name}-{number}"

    def open(self, kind: str, id: str, decision: Decision) -> None:
        """Add a decision that opens something."""
        self._decided[kind, id] = decision

    def add(self, decision: Decision) -> None:
        """Add a decision that opens nothing."""
        self._others += 1
        self._decided["other", str(self._others)] = decision

    def cancel(self, kind: str, id: str) -> bool:
        """Add the decision that cancels something; or take back the one that would have opened it, and return True."""
        if self._decided.pop((kind, id), None) is not None:
            return True
        self._decided[f"cancel {kind}", id] = _CANCEL[kind](id)
        return False

    def ended(self, kind: str, id: str) -> None:
        """Take back the decision that cancels something, because that has just ended by itself."""
        self._decided.pop((f"cancel {kind}", id), None)

    def take(self) -> list[Decision]:
        """Return the decisions, and begin with the next ones."""
        decided, self._decided = self._decided, {}
        return list(decided.values())


def child_id(parent: str, seed: Iterable[object], number: str) -> str:
    """Return an id for a child process that no other process has: not in another run of the parent, nor after its id is used again."""
    mark = sha256("|".join(map(str, seed)).encode()).hexdigest()[:8]
    name = f"{parent}-{number}"
    if len(name) > MAX_ID - 9:
        # A long parent's id is cut; its digest keeps apart what was cut alike.
        mark = sha256(f"{mark}|{name}".encode()).hexdigest()[:16]
        name = name[: MAX_ID - 17]
    return f"{name}-{mark}"
