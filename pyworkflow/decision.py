"""Decisions: what a decider asks for, in the imperative. They are recorded in the history as they are applied.

Whatever a decision opens (an activity, a timer, a child process) has an id from the moment the decision is made, so that the decider can
keep it, and so that two equal-looking timers are two timers.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import UNSET, UnsetType
from msgspec.structs import force_setattr

from pyworkflow.codec import Json, Payload, Value, fixed, payloads
from pyworkflow.errors import InvalidRequestError
from pyworkflow.failure import repr_of
from pyworkflow.ids import new_id
from pyworkflow.result import TypeTag
from pyworkflow.retry import Retry, check_retry
from pyworkflow.signal import Signal

_NOTHING = fixed({})


class Named(Protocol):
    """A workflow or activity, as a class, an instance or a decorated function: anything with a name."""

    @property
    def name(self) -> str: ...  # noqa: D102 - the attribute is the whole contract


def name_of(thing: object) -> str:
    """Return the name of a workflow or activity that is given as a class, an instance or its name.

    Raises:
        InvalidRequestError: It has no name.
    """
    name = thing if isinstance(thing, str) else getattr(thing, "name", None)
    if isinstance(name, str):
        return name
    plain = callable(thing) and not isinstance(thing, type)
    hint = ": did you forget @activity or @workflow?" if plain else ""
    raise InvalidRequestError(repr_of(thing, 80), f"is no workflow or activity, and no name{hint}")


class Decision(Value, frozen=True, gc=False, tag_field="type", omit_defaults=True):
    """The base of all decisions. Immutable; equal when all they ask for is equal."""

    type = TypeTag()
    closing = False
    """Whether the decision ends the process (or its run)."""


@payloads(input=Any)
class ScheduleActivity(Decision, frozen=True, gc=False, tag="schedule_activity"):
    """Have an activity executed.

    Attributes:
        activity: Its name; a class, instance or decorated function stands for its name.
        id: Unique among the open activities of the process.
        category: The queue, if not the one of the activity's type.
        input: Any JSON.
        scheduled_timeout: Seconds it may wait for a worker, if not the type's.
        execution_timeout: Seconds one attempt may take, if not the type's.
        heartbeat_timeout: Seconds between two heartbeats, if not the type's.
        retry: When to try again, if not the type's.
    """

    activity: str
    id: str = ""
    category: str | None = None
    input: Payload = None
    scheduled_timeout: float | None = None
    execution_timeout: float | None = None
    heartbeat_timeout: float | None = None
    retry: Retry | None = None

    if TYPE_CHECKING:

        def __init__(
            self,
            activity: "Named | type[Named] | str",
            id: str | None = None,
            category: str | None = None,
            input: Json = None,
            scheduled_timeout: float | None = None,
            execution_timeout: float | None = None,
            heartbeat_timeout: float | None = None,
            retry: Retry | None = None,
        ) -> None: ...

    def __post_init__(self) -> None:
        if type(self.activity) is not str:
            force_setattr(self, "activity", name_of(self.activity))
        check_retry(self.retry)
        if not self.id:
            force_setattr(self, "id", new_id())


class CancelActivity(Decision, frozen=True, gc=False, tag="cancel_activity"):
    """Cancel an open activity: at once while it waits, by asking its worker while it runs.

    Attributes:
        id: The activity's id; the `ScheduleActivity` or `ActivityExecution` stands for its id.
    """

    id: str

    if TYPE_CHECKING:

        def __init__(self, id: object) -> None: ...

    def __post_init__(self) -> None:
        if type(self.id) is not str:
            force_setattr(self, "id", str(getattr(self.id, "id", self.id)))


@payloads(input=Any)
class ScheduleLambda(Decision, frozen=True, gc=False, tag="schedule_lambda"):
    """Have a function of AWS Lambda executed. Where the engine has no Lambda, workers of the category ``lambda`` execute it.

    Attributes:
        function: Its name.
        id: Unique among the open activities of the process.
        input: Any JSON.
        timeout: Seconds it may take from start to close.
    """

    function: str
    id: str = ""
    input: Payload = None
    timeout: float = 300.0

    def __post_init__(self) -> None:
        if not self.id:
            force_setattr(self, "id", new_id())


@payloads(data=Any)
class Timer(Decision, frozen=True, gc=False, tag="timer"):
    """Be told later.

    Attributes:
        delay: Seconds, or a timedelta.
        data: Any JSON, handed back with the event.
        id: Unique among the open timers of the process.
    """

    delay: float
    data: Payload = _NOTHING
    id: str = ""

    if TYPE_CHECKING:

        def __init__(
            self, delay: float | timedelta, data: Json = ..., id: str | None = None
        ) -> None: ...

    def __post_init__(self) -> None:
        given: object = self.delay
        if isinstance(given, timedelta):
            force_setattr(self, "delay", given.total_seconds())
        elif isinstance(given, bool) or not isinstance(given, int | float):
            raise InvalidRequestError(
                f"delay {repr_of(given, 80)}", "must be a number of seconds or a timedelta"
            )
        if not self.id:
            force_setattr(self, "id", new_id())


class CancelTimer(Decision, frozen=True, gc=False, tag="cancel_timer"):
    """Cancel an open timer.

    Attributes:
        id: The timer's id; the `Timer` stands for its id.
    """

    id: str

    if TYPE_CHECKING:

        def __init__(self, id: "str | Timer") -> None: ...

    def __post_init__(self) -> None:
        if type(self.id) is not str:
            force_setattr(self, "id", str(getattr(self.id, "id", self.id)))


class ChildPolicy:
    """What becomes of a child process when its parent closes."""

    ABANDON = "ABANDON"
    """It goes on."""
    TERMINATE = "TERMINATE"
    """It is terminated."""
    REQUEST_CANCEL = "REQUEST_CANCEL"
    """It is asked to cancel itself."""

    ALL = (ABANDON, TERMINATE, REQUEST_CANCEL)


@payloads(input=Any)
class NewProcess(Value, frozen=True, gc=False, omit_defaults=True):
    """The part of a `Process` that its start decides.

    Attributes:
        workflow: The name of its workflow.
        id: Its id.
        input: Any JSON.
        tags: Up to five texts.
    """

    workflow: str
    id: str
    input: Payload = None
    tags: tuple[str, ...] = ()


class StartChildProcess(Decision, frozen=True, gc=False, tag="start_child_process"):
    """Start another process and be told how it ends.

    Attributes:
        process: What to start; given as a `Process`. Without an id of its own it gets a new one.
        child_policy: What becomes of it when this process closes, one of `ChildPolicy`.
    """

    process: NewProcess
    child_policy: str = ChildPolicy.ABANDON

    if TYPE_CHECKING:

        def __init__(self, process: object, child_policy: str = ...) -> None: ...

    def __post_init__(self) -> None:
        given: Any = self.process
        if isinstance(given, type):
            raise InvalidRequestError(
                f"child process {repr_of(given, 80)}",
                f"must be a Process: did you mean Process({given.__name__})?",
            )
        if not all(hasattr(given, name) for name in NewProcess.__struct_fields__):
            raise InvalidRequestError(f"child process {repr_of(given, 80)}", "must be a Process")
        if type(given) is not NewProcess:
            new = NewProcess(
                workflow=name_of(given.workflow),
                id=given.id or new_id(),
                input=given.input,
                tags=tuple(given.tags),
            )
            force_setattr(self, "process", new)


class SignalProcess(Decision, frozen=True, gc=False, tag="signal_process"):
    """Signal another process. If it is unknown or closed by then, a `DecisionRejectedEvent` says so.

    Attributes:
        process_id: The id of the other process.
        signal: What to tell it.
    """

    process_id: str
    signal: Signal


@payloads(details=Any)
class RequestCancelProcess(Decision, frozen=True, gc=False, tag="request_cancel_process"):
    """Ask another process to cancel itself. If it is unknown or closed by then, a `DecisionRejectedEvent` says so.

    Attributes:
        process_id: The id of the other process.
        details: Why, any JSON.
    """

    process_id: str
    details: Payload = None


@payloads(details=Any)
class RecordMarker(Decision, frozen=True, gc=False, tag="record_marker"):
    """Keep a note in the history.

    Attributes:
        name: What kind of note.
        details: Any JSON.
    """

    name: str
    details: Payload = None


@payloads(result=Any)
class CompleteProcess(Decision, frozen=True, gc=False, tag="complete_process"):
    """End the process: it did what it was for.

    Attributes:
        result: Any JSON.
    """

    closing = True

    result: Payload = None


@payloads(details=Any)
class CancelProcess(Decision, frozen=True, gc=False, tag="cancel_process"):
    """End the process as canceled.

    Attributes:
        details: Why, any JSON.
    """

    closing = True

    details: Payload = None


@payloads(details=Any)
class FailProcess(Decision, frozen=True, gc=False, tag="fail_process"):
    """End the process as failed.

    Attributes:
        reason: One line.
        details: More, any JSON.
    """

    closing = True

    reason: str | None = None
    details: Payload = None


@payloads(input=Any, cancel_details=Any)
class ContinueProcess(Decision, frozen=True, gc=False, tag="continue_process"):
    """End this run and go on under the same id with a fresh history ("continue as new").

    The new run keeps this run's category and timeout, unless it is of another workflow.

    Attributes:
        input: The input of the new run; this run's if left out.
        workflow: The workflow of the new run, if not this one's.
        tags: The tags of the new run, if not this run's.
        signals: Signals that this run was shown and has not dealt with, oldest first: they are the first that the new run hears. A signal that
            is repeated under its id is the same signal in all runs.
        cancel_details: The details of a request to cancel that this run has not dealt with; the new run is asked in its place.
    """

    closing = True

    input: Payload | UnsetType = UNSET
    workflow: str | None = None
    tags: tuple[str, ...] | None = None
    signals: tuple[Signal, ...] = ()
    cancel_details: Payload | UnsetType = UNSET

    if TYPE_CHECKING:

        def __init__(
            self,
            input: Json = ...,
            workflow: "Named | type[Named] | str | None" = None,
            tags: "tuple[str, ...] | list[str] | None" = None,
            signals: "tuple[Signal, ...] | list[Signal]" = (),
            cancel_details: Json = ...,
        ) -> None: ...

    def __post_init__(self) -> None:
        if self.workflow is not None and type(self.workflow) is not str:
            force_setattr(self, "workflow", name_of(self.workflow))
        if self.tags is not None:
            force_setattr(self, "tags", tuple(self.tags))
        signals: object = self.signals
        if isinstance(signals, list):
            force_setattr(self, "signals", tuple(signals))


AnyDecision = (
    ScheduleActivity
    | CancelActivity
    | ScheduleLambda
    | Timer
    | CancelTimer
    | StartChildProcess
    | SignalProcess
    | RequestCancelProcess
    | RecordMarker
    | CompleteProcess
    | CancelProcess
    | FailProcess
    | ContinueProcess
)
"""Every decision, as a type to decode."""
