"""What goes in and out of a backend, beside the model: polls, completions, turns, the feed, queues, types, definitions, what a process waits for."""

from collections.abc import Sequence
from datetime import datetime as DateTime
from enum import StrEnum
from typing import Any

from msgspec import Struct

from pyworkflow.codec import Json, Payload, Value, payloads
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import AnyEvent
from pyworkflow.result import ActivityResult
from pyworkflow.retry import Retry
from pyworkflow.task import ActivityTask, DecisionTask

DEFAULT_CATEGORY = "default"


class Reuse(StrEnum):
    """Whether a start may take the id of a closed process. An open process never shares its id."""

    REJECT = "reject"
    """No."""
    ALLOW_FAILED = "allow_failed"
    """Yes, if it did not complete."""
    ALLOW = "allow"
    """Yes."""


class FailedDecision(Struct, frozen=True):
    """Stands in for decisions where a decider failed.

    Attributes:
        reason: One line.
        details: More, for example a traceback.
        park: Whether to park the process at once, because asking the same code again cannot help.
        waits: Whether the process waits for a deployment: it is decided again after a delay, however often, and that is not counted.
    """

    reason: str
    details: Json = None
    park: bool = False
    waits: bool = False


class Completion(Struct, frozen=True):
    """What became of a task, for `Backend.turn`.

    Attributes:
        task: The task.
        outcome: The result of an activity; the decisions, or the failure, of a decider.
        then: With the result of an activity: what was decided on it, for the task that `Backend.foresee` has returned.
    """

    task: ActivityTask | DecisionTask
    outcome: ActivityResult | Sequence[Decision] | FailedDecision
    then: "Completion | None" = None


class Poll(Struct, frozen=True):
    """A wish for tasks, for `Backend.turn`.

    Attributes:
        kind: `ActivityTask` or `DecisionTask`.
        category: The queue.
        limit: How many tasks at most.
        identity: Who asks, for people to read.
        lease: Seconds until the tasks are given to somebody else unless `Backend.extend_leases` is called; None for as long as their
            timeouts allow.
        names: The workflows (for decisions) or activities that the poller has; only their tasks are handed out. None for all.
        idle: Whether the poller holds nothing that a crash of it would take along. Only then it is handed a *suspect*, a task whose last
            holder was lost; and nothing else with it.
    """

    kind: type[ActivityTask] | type[DecisionTask]
    category: str = DEFAULT_CATEGORY
    limit: int = 1
    identity: str | None = None
    lease: float | None = None
    names: tuple[str, ...] | None = None
    idle: bool = True


class Turn(Struct, frozen=True):
    """What came of `Backend.turn`.

    Attributes:
        errors: For each completion, in order, None or why it was refused.
        tasks: The tasks handed out. A suspect has ``alone`` in its context: its worker takes nothing else until it is over.
        suspects: Whether a suspect waits that a poll was not `Poll.idle` for.
    """

    errors: list[PyworkflowError | None]
    tasks: list[ActivityTask | DecisionTask]
    suspects: bool = False


FEED_START = "0"
"""The cursor before the first entry of any feed."""


class FeedEntry(Struct, frozen=True, gc=False, omit_defaults=True):
    """One event in the feed of all processes.

    Attributes:
        cursor: What to read on from, as opaque text. Entries of one transition share it.
        process_id: The process it happened to.
        run: The run of that id.
        workflow: The workflow of the process.
        seq: Its number in the history; 1 is the first.
        event: What happened.
        parent: The id of the process's parent, if it has one.
    """

    cursor: str
    process_id: str
    run: int
    workflow: str
    seq: int
    event: AnyEvent
    parent: str | None = None


class Diagnosis(Struct, frozen=True):
    """The state of a store, for whoever looks after it.

    Attributes:
        backend: The name of the backend.
        time: The store's time.
        ahead: Seconds by which that is ahead of the clock of this machine.
        parked: How many processes are parked, `MOST_COUNTED` at most.
        facts: What else there is to say, by its name.
    """

    backend: str
    time: DateTime
    ahead: float
    parked: int
    facts: dict[str, str]


MOST_COUNTED = 10_000
"""Where the counts of a queue end, so that a look costs the same however much waits."""


class Queue(Struct, frozen=True):
    """The state of one queue. A count of `MOST_COUNTED` means as many or more.

    Attributes:
        kind: ``activity`` or ``decision``.
        category: Its name.
        waiting: Tasks that could be handed out now.
        delayed: Tasks that may be handed out later: retries, back-off.
        running: Tasks that are leased.
        oldest: Since when the oldest waiting task could have been handed out.
        pollers: Identities that polled it in the last minute.
        unclaimed: Names of waiting tasks that none of these pollers has.
    """

    kind: str
    category: str
    waiting: int
    delayed: int
    running: int
    oldest: DateTime | None
    pollers: tuple[str, ...]
    unclaimed: tuple[str, ...] = ()


class Poller(Struct, frozen=True):
    """Somebody who polls a queue.

    Attributes:
        kind: ``activity`` or ``decision``.
        category: The queue's name.
        identity: What the poller calls itself.
        seen: When it last polled, to the minute: writing down each poll would cost too much.
        names: The workflows (of decisions) or activities that it can do; None for all.
    """

    kind: str
    category: str
    identity: str
    seen: DateTime
    names: tuple[str, ...] | None = None


@payloads(graph=Any)
class RegisteredWorkflow(Value, frozen=True):
    """A workflow that a backend knows, as `Backend.register_workflow` was told."""

    name: str
    category: str
    timeout: float
    decision_timeout: float
    handles_cancel: bool
    graph: Payload = None


class RegisteredActivity(Struct, frozen=True):
    """An activity that a backend knows, as `Backend.register_activity` was told."""

    name: str
    category: str
    scheduled_timeout: float | None
    execution_timeout: float
    heartbeat_timeout: float
    retry: Retry | None
    at_most_once: bool


@payloads(details=Any)
class Pending(Value, frozen=True, omit_defaults=True):
    """Something that an open process waits for.

    Attributes:
        kind: ``decision``, ``activity``, ``timer`` or ``child_process``.
        id: The activity's, timer's or child's id.
        state: ``scheduled``, ``delayed`` (a retry or back-off), ``started``, ``parked`` or ``open``.
        name: The name of the activity, of the child's workflow, or of the workflow that decides.
        category: The queue it waits in.
        since: Since when it has been in this state.
        until: When the state ends by itself: the retry, the timer, the timeout.
        attempt: The number of the try.
        identity: Which worker has it.
        details: The last heartbeat; of a decision, why its decider failed or why the process is parked.
        cancel_requested: Whether it has been asked to cancel itself.
        pollers: Who has polled for it in the last minute; empty means nobody, None that the engine does not say.
        unclaimed: What no live worker has, in words, if it waits for one.
    """

    kind: str
    id: str | None = None
    state: str = "open"
    name: str | None = None
    category: str | None = None
    since: DateTime | None = None
    until: DateTime | None = None
    attempt: int = 1
    identity: str | None = None
    details: Payload = None
    cancel_requested: bool = False
    pollers: tuple[str, ...] | None = ()
    unclaimed: str | None = None


@payloads(body=Any)
class Definition(Value, frozen=True):
    """One entry in a backend's log of definitions: what a name stands for from then on.

    Attributes:
        revision: Its place in the log; later entries have larger ones, with gaps.
        kind: What it defines, such as ``service``.
        name: What is defined.
        body: The definition, plain JSON; None removes it.
        defined: When it was recorded, aware UTC.
    """

    revision: int
    kind: str
    name: str
    body: Payload
    defined: DateTime
