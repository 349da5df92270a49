"""Ids of what a step opens. They say which step, which part of it and which attempt, so that a decider needs nothing but the history.

A key is ``name#part.attempt``. A part is an item of a ``for_each`` or a run of a ``repeat``; any other step has only part 1.
"""

from hashlib import sha256
from typing import NamedTuple

from pyworkflow.process import Process

MAX_PREFIX = 100
"""Characters of a process id that its children's ids begin with as it is; a longer one is hashed."""


class Key(NamedTuple):
    """One attempt of one part of a step."""

    step: str
    part: int = 1
    attempt: int = 1

    def __str__(self) -> str:
        return f"{self.step}#{self.part}.{self.attempt}"

    def again(self) -> "Key":
        """Return the next attempt."""
        return self._replace(attempt=self.attempt + 1)


def read_key(text: str) -> Key | None:
    """Return the key that a text is, or None if it is none."""
    step, separator, numbers = text.rpartition("#")
    part, dot, attempt = numbers.partition(".")
    if not (step and separator and dot and part.isdigit() and attempt.isdigit()):
        return None
    return Key(step, int(part), int(attempt))


def timer_id(kind: str, key: Key) -> str:
    """Return the id of a timer: ``timer`` for a step, ``pause`` before an attempt, ``timeout`` for one."""
    return f"{kind} {key}"


def read_timer_id(text: str) -> tuple[str, Key | None]:
    """Return what kind of timer an id is of, and for which attempt."""
    kind, _, rest = text.partition(" ")
    return kind, read_key(rest)


def child_prefix(process: Process) -> str:
    """Return what the ids of a process's children begin with; no other process, and no other run of it, has the same."""
    name = str(process.id)
    if len(name) > MAX_PREFIX:
        name = sha256(name.encode()).hexdigest()[:32]
    return f"{name}.{process.run}."
