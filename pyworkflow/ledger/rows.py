"""What a store keeps beside the histories: the state that transitions need, so that none of them reads a history.

Rows are the ledger's own and mutable; outside of a transaction they are data. Instants and durations are microseconds.
"""

from typing import Any

from msgspec import Struct

from pyworkflow.clock import SECOND
from pyworkflow.codec import Payload, Value, payloads
from pyworkflow.retry import Retry

SCHEDULED = "scheduled"
"""State of a task that waits for a worker."""
STARTED = "started"
"""State of a task that a worker has a lease on."""
PARKED = "parked"
"""State of a task that nobody is handed any more, until somebody resumes the process."""

NEVER = 2**62
"""An instant that does not come."""


@payloads(graph=Any)
class WorkflowRow(Value, frozen=True):
    """A registered workflow."""

    name: str
    category: str
    timeout: int
    decision_timeout: int
    handles_cancel: bool
    graph: Payload = None


class ActivityTypeRow(Struct, frozen=True):
    """A registered activity. Its `scheduled_timeout` is `NEVER` where it has none."""

    name: str
    category: str
    scheduled_timeout: int
    execution_timeout: int
    heartbeat_timeout: int
    retry: Retry | None
    at_most_once: bool


class ProcessRow(Struct, kw_only=True, gc=False):
    """One run of a process.

    Attributes:
        key: The store's own number of this run.
        fingerprint: Digest of what it was started with: the same again is the same start.
        deadline: When it times out.
        result: How it ended, as JSON.
        last_seq: Number of events.
        seen_seq: The events up to here were shown to a decision that completed.
        digest: Digest over all batches of events, so that a change of the past shows.
        time: Instant of the last event.
        failures: Decisions that failed or timed out since one completed.
        opened: Open activities, timers and children.
        origin: The key of the run that began the process, if that is not this one: see `first_key`.
    """

    key: int
    id: str
    run: int
    workflow: str
    category: str
    tags: tuple[str, ...]
    parent_key: int | None
    parent_id: str | None
    timeout: int
    decision_timeout: int
    handles_cancel: bool
    fingerprint: bytes
    started: int
    deadline: int
    status: str = "open"
    closed: int | None = None
    result: bytes | None = None
    last_seq: int = 0
    seen_seq: int = 0
    digest: bytes = b""
    time: int = 0
    failures: int = 0
    opened: int = 0
    origin: int | None = None

    @property
    def first_key(self) -> int:
        """The key of the run that began the process. What is known for all of its runs is kept under it."""
        return self.key if self.origin is None else self.origin


class DecisionRow(Struct, kw_only=True, gc=False):
    """The one open decision of a process.

    Attributes:
        key: The process.
        name: The workflow that decides.
        ready: When it may be handed out; the place in the queue. `NEVER` for one that only says why its process is parked.
        token: Secret of the lease.
        deadline: When the lease ends.
        limit: When the lease ends at the latest: the decision timeout.
        started_seq: Number of its `DecisionStartedEvent`.
        pending: Whether an event that calls for a decision came after that.
        reason: Why the last decider failed, or why the process is parked.
        suspect: Whether its last holder was lost: it is handed out alone, see ``docs/architecture/isolation.md``.
        lost: Holders that were lost while they held nothing else.
        waits: How often it was put off until a deployment brings what it needs.
    """

    key: int
    name: str
    category: str
    ready: int
    state: str = SCHEDULED
    token: str | None = None
    deadline: int = NEVER
    limit: int = NEVER
    started_seq: int = 0
    pending: bool = False
    identity: str | None = None
    reason: str | None = None
    suspect: bool = False
    lost: int = 0
    waits: int = 0


class ActivityRow(Struct, kw_only=True, gc=False):
    """An open activity.

    Attributes:
        number: The store's own number of it, never used again.
        key: The process.
        input: JSON.
        since: When it was scheduled, or handed to its worker.
        ready: When it may be handed out; the place in the queue.
        deadline: When the first of its timeouts comes, see `timeout_kind`.
        heartbeat: When its worker was last heard of.
        lease: When its worker must have asked for more time; None if the worker need not.
        lost: Holders that were lost while they held nothing else.
        failed: How many attempts failed by themselves, which is what `Retry` counts.
        details: The last heartbeat's details, JSON.
        suspect: Whether its last holder was lost, as in `DecisionRow`.
        damage: What of the stored row cannot be read; is not stored.
    """

    number: int
    key: int
    id: str
    name: str
    category: str
    input: bytes
    scheduled_timeout: int
    execution_timeout: int
    heartbeat_timeout: int
    retry: Retry | None
    at_most_once: bool
    ready: int
    since: int
    state: str = SCHEDULED
    token: str | None = None
    deadline: int = NEVER
    heartbeat: int = 0
    lease: int | None = None
    attempt: int = 1
    lost: int = 0
    failed: int = 0
    identity: str | None = None
    details: bytes | None = None
    cancel_requested: bool = False
    suspect: bool = False
    damage: str | None = None

    def set_deadline(self) -> None:
        """Work out when the first of the timeouts comes, after any change of what they are counted from."""
        if self.state == PARKED:
            self.deadline = NEVER
            return
        if self.state == SCHEDULED:
            waits_for_ever = self.scheduled_timeout >= NEVER
            self.deadline = NEVER if waits_for_ever else self.ready + self.scheduled_timeout
            return
        self.deadline = min(
            self.since + self.execution_timeout, self.heartbeat + self.heartbeat_timeout
        )
        if self.lease is not None:
            self.deadline = min(self.deadline, self.lease)

    def timeout_kind(self) -> str:
        """Return which timeout comes first."""
        if self.state == SCHEDULED:
            return "schedule_to_start"
        if self.deadline == self.lease:
            return "lease"
        if self.deadline == self.since + self.execution_timeout:
            return "start_to_close"
        return "heartbeat"


class TimerRow(Struct, kw_only=True, gc=False):
    """An open timer.

    Attributes:
        key: The process.
        delay: Seconds, as decided.
        data: JSON.
        deadline: When it fires.
    """

    key: int
    id: str
    delay: float
    data: bytes
    since: int
    deadline: int


class ChildRow(Struct, kw_only=True, gc=False):
    """An open child process.

    Attributes:
        key: The parent.
        id: The child's id.
        child_key: The child's first run.
        policy: One of `ChildPolicy`.
    """

    key: int
    id: str
    child_key: int
    workflow: str
    policy: str
    since: int


def due_order(row: ProcessRow | DecisionRow | ActivityRow | TimerRow) -> tuple[int, int, int, str]:
    """Return what rows that are due are sorted by: the deadline, then the same on every store."""
    if isinstance(row, TimerRow):
        return row.deadline, 0, row.key, row.id
    if isinstance(row, ActivityRow):
        return row.deadline, 1, row.number, ""
    return row.deadline, 2 if isinstance(row, DecisionRow) else 3, row.key, ""


MAX_FAILURES = 10
"""Decisions in a row that may fail before a process is parked."""

MAX_LOST = 3
"""Workers that a task may lose while they hold nothing else, before its process is parked or its activity times out."""

MAX_UNANSWERED = 10
"""Attempts of an activity that may be given back or lost, before it is handed out alone."""

PROBATION_SECONDS = 5.0
"""How long an activity that lost its worker has to run alone: what crashes does so sooner."""

MAX_DECISIONS = 20_000
"""Decisions of one completion."""

MAX_OPEN = 50_000
"""Open activities, timers and children of one process."""

MAX_EVENTS = 50_000
"""Events of one history before signals and decisions that open something are refused."""

RESERVED_EVENTS = 5_000
"""Events beyond `MAX_EVENTS` in which a process that was asked to cancel may still open something, to undo what it did."""

PROMPT_WAITS = 10
"""How often a decision that waits for a deployment is handed out after the first backoff, before the delay grows."""

FIRST_BACKOFF = SECOND
"""Delay before a failed decision is handed out again; it doubles with each failure."""

LONGEST_BACKOFF = 60 * SECOND
"""The delay after a failed decision never exceeds this."""
