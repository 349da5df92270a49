"""What is known of a process after some events of its SWF history: what is open, and what the package itself has to do."""

from datetime import datetime as DateTime
from typing import Any

from msgspec import Struct, field

from pyworkflow.activity import ActivityExecution
from pyworkflow.codec import Json
from pyworkflow.decision import ChildPolicy, Decision, StartChildProcess, Timer
from pyworkflow.process import Status
from pyworkflow.result import AnyProcessResult
from pyworkflow.retry import Retry


class OpenActivity(Struct):
    """An activity, or function, that is scheduled and has not ended.

    Attributes:
        execution: Which.
        attributes: Those of the SWF event that scheduled the present attempt.
        swf_id: Its id on SWF.
        attempt: The number of the present attempt.
        failed: How many attempts failed so far.
        retry: When it is tried again.
        once: Whether nobody is to do it again once a worker has begun with it.
        since: When the present attempt was scheduled.
        queued: When it was scheduled first: it may have been given back by workers that do not have the activity.
        misrouted: How often it was given back so.
        started: Whether a worker has it.
        identity: Which worker.
        cancel_requested: Whether it has been asked to cancel itself.
        heartbeat: What the attempt before told last.
        waiting: Whether it waits to be tried again.
        delay: Seconds that it waits.
        timer: The timer that it waits for, once that is started.
    """

    execution: ActivityExecution
    attributes: dict[str, Any]
    swf_id: str
    attempt: int = 1
    failed: int = 0
    retry: Retry | None = None
    once: bool = False
    since: DateTime | None = None
    queued: DateTime | None = None
    misrouted: int = 0
    started: bool = False
    identity: str | None = None
    cancel_requested: bool = False
    heartbeat: Json = None
    waiting: bool = False
    delay: float = 0.0
    timer: str | None = None


class OpenTimer(Struct):
    """A timer that was started.

    Attributes:
        timer: The decider's own timer; None for one of this package.
        meta: What one of this package is for.
        since: When it was started.
        until: When it fires.
    """

    timer: Timer | None
    meta: dict[str, Any]
    since: DateTime | None = None
    until: DateTime | None = None


class OpenChild(Struct):
    """A child process that was asked for and has not ended.

    Attributes:
        decision: The decision that asked for it.
        since: When that was.
        run: SWF's name of its run; None until it has started.
    """

    decision: StartChildProcess
    since: DateTime | None = None
    run: str | None = None


class State(Struct):
    """What is known of a process.

    Attributes:
        workflow: Its workflow's name.
        version: Its workflow's version.
        input: Its input.
        tags: Its tags.
        parent: The id of its parent.
        parent_run: SWF's name of its parent's run.
        policy: What becomes of it when its parent ends; one of `ChildPolicy`.
        options: What its start said of role, priority and decision timeout, as SWF names them.
        run: The number of its run.
        category: The queue of its decisions.
        timeout: Seconds that it may be open.
        started: When it was started.
        closed: When it was closed.
        status: Where it stands.
        result: How it ended.
        activities: What is open, by our id.
        scheduled: Our ids of activities by the number of the event that scheduled an attempt.
        timers: Open timers by id.
        children: Open children by the number of the event that asked for them.
        asked: Signals and requests to cancel by the number of the event that asked for them; None for those of this package.
        signal_ids: Ids of the signals so far, those of earlier runs included as far as they were handed on.
        cancel_details: What the next request to cancel is about.
        cancel_requested: Whether the process was asked to cancel itself and has not answered.
        failures: How many deciders in a row failed.
        delayed_by: The timer that must fire before it is decided again.
        parked: Why it is not decided any more.
        misrouted: How often in a row its decision was given back by workers that do not have its workflow.
        rest: Decisions that are still to be sent.
    """

    workflow: str = ""
    version: str = ""
    input: Json = None
    tags: tuple[str, ...] = ()
    parent: str | None = None
    parent_run: str | None = None
    policy: str = ChildPolicy.ABANDON
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    run: int = 1
    category: str | None = None
    timeout: float | None = None
    started: DateTime | None = None
    closed: DateTime | None = None
    status: Status = Status.OPEN
    result: AnyProcessResult | None = None
    activities: dict[str, OpenActivity] = field(default_factory=dict[str, OpenActivity])
    scheduled: dict[int, str] = field(default_factory=dict[int, str])
    timers: dict[str, OpenTimer] = field(default_factory=dict[str, OpenTimer])
    children: dict[int, OpenChild] = field(default_factory=dict[int, OpenChild])
    asked: dict[int, Decision | None] = field(default_factory=dict[int, "Decision | None"])
    signal_ids: dict[str, None] = field(default_factory=dict[str, None])
    cancel_details: Json = None
    cancel_requested: bool = False
    failures: int = 0
    delayed_by: str | None = None
    parked: str | None = None
    misrouted: int = 0
    rest: list[Decision] = field(default_factory=list[Decision])
