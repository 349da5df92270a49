"""``shared_dict``: JSON values that the tasks of a job leave for each other.

The driver of the job keeps the values; a task asks it for each. What an attempt has written goes into the history in one step with how
the attempt ended, so a task that counts as finished has all of its writes there, whatever kills the driver.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from pyworkflow.codec import Json, decode, encode
from pyworkflow.errors import PayloadError
from pyworkflow.values import MAX_PAYLOAD, check_payload

KEY = "shared_dict"
"""Where results and failures in the history hold what was written."""

MAX_SIZE = 3 * MAX_PAYLOAD // 4
"""Bytes of all keys and values as JSON: a restart begins with them, and with the names of the tasks, as one payload."""

_OVERHEAD = 24
"""Bytes of a key and its version in the history, beside the key and the value."""

Changes = dict[str, list[Json]]
"""What was written by key: ``[version, value]``, or ``[version]`` of a key that was removed. The highest version counts."""


class Ask(Struct, frozen=True, omit_defaults=True):
    """What a task asks of the dictionary.

    Attributes:
        what: ``get``, ``keys``, ``write``, ``begin`` (of a transaction; the answer is all there is) or ``end`` (of one).
        key: For ``get``.
        values: For ``write`` and ``end``: the new values.
        removed: For ``write`` and ``end``: keys to be removed.
    """

    what: str
    key: str = ""
    values: dict[str, Json] = {}
    removed: tuple[str, ...] = ()


class Answer(Struct, frozen=True, omit_defaults=True):
    """What a task is told; ``found`` is False for a key that is not there, ``refused`` says why nothing was written."""

    value: Json = None
    found: bool = True
    refused: str | None = None


class SharedDict(MutableMapping[str, Json]):
    """A dictionary that all tasks of a job see. Values are JSON; each reading is a copy, so change it and assign it again.

    Single reads and writes are safe beside other tasks. `transaction` is for more: reading, changing and writing as one step.

    Args:
        ask: Asks the driver.
    """

    def __init__(self, ask: Callable[[Ask], Answer]) -> None:
        self._send = ask

    def _ask(self, asked: Ask) -> Answer:
        answer = self._send(asked)
        if answer.refused is not None:
            raise PayloadError(KEY, answer.refused)
        return answer

    def _has(self, key: object) -> bool:
        """Tell whether a key may be there: all are text, and a question about another could not be read."""
        return isinstance(key, str)

    def __getitem__(self, key: str) -> Json:
        answer = self._ask(Ask("get", key)) if self._has(key) else Answer(found=False)
        if not answer.found:
            raise KeyError(key)
        return answer.value

    def __setitem__(self, key: str, value: Json) -> None:
        self._ask(Ask("write", values=_checked({key: value})))

    def __delitem__(self, key: str) -> None:
        if not self._has(key) or not self._ask(Ask("write", removed=(key,))).found:
            raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._ask(Ask("keys")).value)

    def __len__(self) -> int:
        return len(self._ask(Ask("keys")).value)

    def __repr__(self) -> str:
        return f"SharedDict({dict(self)!r})"

    def update(self, other: Any = (), /, **more: Json) -> None:
        """Write several values as one step."""
        self._ask(Ask("write", values=_checked(dict(other, **more))))

    @contextmanager
    def transaction(self) -> Generator[dict[str, Json]]:
        """Read and write as one step: nobody else writes meanwhile.

        ::

            with self.shared_dict.transaction() as values:
                values["count"] = values.get("count", 0) + 1

        The block is given a plain dictionary of all there is, which it may change as deep as it likes. If it raises, nothing is written.
        """
        before: dict[str, Json] = self._ask(Ask("begin")).value
        removed: tuple[str, ...] = ()
        changed: dict[str, Json] = {}
        try:
            values: dict[str, Json] = decode(check_payload(before, KEY))
            yield values
            checked = _checked(values)
            changed = {k: v for k, v in checked.items() if k not in before or before[k] != v}
            removed = tuple(key for key in before if key not in checked)
        finally:
            self._ask(Ask("end", values=changed, removed=removed))


def _checked(values: Mapping[str, Json]) -> dict[str, Json]:
    """Return plain JSON.

    Raises:
        PayloadError: It is none, or too large or too deep.
    """
    # So deep that the history can hold it, which puts each value beside its version.
    plain: list[list[dict[str, Json]]] = decode(check_payload([[dict(values)]], KEY))
    return plain[0][0]


class SharedStore:
    """Keeps the values, and who wrote what. One thread asks; any may take a snapshot."""

    def __init__(self) -> None:
        self._values: dict[str, Json] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0
        self._version = 0
        self._written: dict[str, Changes] = {}
        self._owner: str | None = None
        self._waiting: deque[tuple[str, Ask, Callable[[Answer], None]]] = deque()

    def begin(self, values: Mapping[str, Json]) -> None:
        """Put in what there is to begin with."""
        self._values = dict(values)
        self._sizes = _sizes(values)
        self._size = sum(self._sizes.values())

    def snapshot(self) -> dict[str, Json]:
        """Return all values."""
        return dict(self._values)

    def view(self, who: str) -> SharedDict:
        """Return the dictionary for use in this OS process."""

        def ask(asked: Ask) -> Answer:
            answers: list[Answer] = []
            self.ask(who, asked, answers.append)
            return answers[0]

        return SharedDict(ask)

    def ask(self, who: str, asked: Ask, reply: Callable[[Answer], None]) -> None:
        """Do what somebody asks; reply at once, or when the transaction of another is over."""
        if asked.what == "get":
            reply(Answer(self._values.get(asked.key), asked.key in self._values))
        elif asked.what == "keys":
            reply(Answer(list(self._values)))
        elif self._owner not in (None, who):
            self._waiting.append((who, asked, reply))
        elif asked.what == "begin":
            self._owner = who
            reply(Answer(self.snapshot()))
        else:
            reply(self._write(who, asked))
            if asked.what == "end":
                self._release()

    def take(self, who: str) -> Changes:
        """Return what somebody has written who is gone, and end the transaction that was open."""
        self._waiting = deque(item for item in self._waiting if item[0] != who)
        if self._owner == who:
            self._release()
        return self._written.pop(who, {})

    def _write(self, who: str, asked: Ask) -> Answer:
        sizes = _sizes(asked.values)
        gone = {*sizes, *asked.removed} & self._sizes.keys()
        size = self._size + sum(sizes.values()) - sum(self._sizes[key] for key in gone)
        if size > max(self._size, MAX_SIZE):
            told = f"would have {size} bytes as JSON, {MAX_SIZE} at most: leave a file, and its name here"
            return Answer(refused=told)
        for key in gone:
            del self._sizes[key]
        self._sizes |= sizes
        self._size = size
        found = all(key in self._values for key in asked.removed)
        written = self._written.setdefault(who, {})
        for key, value in asked.values.items():
            self._version += 1
            self._values[key] = value
            written[key] = [self._version, value]
        for key in asked.removed:
            if key in self._values:
                self._version += 1
                del self._values[key]
                written[key] = [self._version]
        return Answer(found=found)

    def _release(self) -> None:
        self._owner = None
        while self._waiting and self._owner is None:
            self.ask(*self._waiting.popleft())


def _sizes(values: Mapping[str, Json]) -> dict[str, int]:
    return {k: len(encode(k)) + len(encode(v)) + _OVERHEAD for k, v in values.items()}


def merged(before: Mapping[str, Json], changes: list[Changes]) -> dict[str, Json]:
    """Return the values that a history holds: what there was to begin with, and what was written since, in any order."""
    last: Changes = {}
    for changed in changes:
        for key, change in changed.items():
            if key not in last or last[key][0] < change[0]:
                last[key] = change
    values = dict(before)
    for key, change in last.items():
        if len(change) == 2:
            values[key] = change[1]
        else:
            values.pop(key, None)
    return values
