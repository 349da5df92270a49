"""Between rows of the ledger and rows of the database."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from pyworkflow.backend.staged import retry_of
from pyworkflow.codec import encode
from pyworkflow.ledger.rows import ActivityRow, ChildRow, DecisionRow, ProcessRow, TimerRow

Values = tuple[Any, ...]

PROCESS = (
    "key", "id", "run", "workflow", "category", "tags", "parent_key", "parent_id", "timeout",
    "decision_timeout", "handles_cancel", "fingerprint", "started", "deadline", "status", "closed",
    "result", "last_seq", "seen_seq", "digest", "time", "failures", "opened", "origin",
)  # fmt: skip
DECISION = (
    "key", "name", "category", "ready", "state", "token", "deadline", "lease_limit", "started_seq",
    "pending", "identity", "reason", "suspect", "lost", "waits",
)  # fmt: skip
ACTIVITY = (
    "number", "key", "id", "name", "category", "input", "scheduled_timeout", "execution_timeout",
    "heartbeat_timeout", "retry", "at_most_once", "ready", "since", "state", "token", "deadline",
    "heartbeat", "lease", "attempt", "lost", "failed", "identity", "details", "cancel_requested",
    "suspect",
)  # fmt: skip
TIMER = ("key", "id", "delay", "data", "since", "deadline")
CHILD = ("key", "id", "child_key", "workflow", "policy", "since")

_DECISION_FIELDS = tuple("limit" if name == "lease_limit" else name for name in DECISION)


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else text.encode()


def process_from(values: Values) -> ProcessRow:
    """Return a process from the columns of `PROCESS`."""
    row = ProcessRow(**dict(zip(PROCESS, values, strict=True)))
    row.tags = tuple(row.tags)
    row.result = _bytes(values[16])
    return row


def decision_from(values: Values) -> DecisionRow:
    """Return a decision from the columns of `DECISION`."""
    return DecisionRow(**dict(zip(_DECISION_FIELDS, values, strict=True)))


def activity_from(values: Values) -> ActivityRow:
    """Return an activity from the columns of `ACTIVITY`."""
    row = ActivityRow(**dict(zip(ACTIVITY, values, strict=True)))
    row.input = values[5].encode()
    row.retry, row.damage = retry_of(values[9])
    row.details = _bytes(values[22])
    return row


def timer_from(values: Values) -> TimerRow:
    """Return a timer from the columns of `TIMER`."""
    key, id_, delay, data, since, deadline = values
    return TimerRow(
        key=key, id=id_, delay=delay, data=data.encode(), since=since, deadline=deadline
    )


def child_from(values: Values) -> ChildRow:
    """Return a child from the columns of `CHILD`."""
    return ChildRow(**dict(zip(CHILD, values, strict=True)))


def as_json(rows: Iterable[Struct]) -> str:
    """Return rows of the ledger as one parameter, which the server takes apart; their bytes as base64."""
    return encode(list(rows)).decode()


class EventValues(Struct):
    """A row of the table ``event``."""

    key: int
    first_seq: int
    body: str


class EventStart(Struct):
    """From which number on events of a process are wanted."""

    key: int
    first_seq: int


class InputValues(Struct):
    """A row of the table ``process_input``."""

    key: int
    body: str


class TagValues(Struct):
    """A row of the table ``process_tag``."""

    tag: str
    key: int


class PairValues(Struct):
    """What names a row that belongs to a process."""

    key: int
    id: str


class ReceiptValues(Struct):
    """A row of the table ``signal_receipt``."""

    key: int
    id: str
    origin: int


class SignalValues(Struct):
    """What names a signal before its process has been found."""

    process: str
    id: str


class SeenValues(Struct, frozen=True):
    """A row of the table ``poller``."""

    kind: str
    category: str
    identity: str
    names: str | None


def pairs(named: Iterable[tuple[int, str]]) -> str:
    """Return pairs of a key and an id as one parameter."""
    return as_json(PairValues(key, name) for key, name in named)


def storable(text: str) -> bool:
    """Tell whether a text can be in the database at all."""
    if text.isascii():
        return "\0" not in text
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False
