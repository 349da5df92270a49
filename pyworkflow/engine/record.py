"""What is kept of one execution of a task: while it runs, after it has ended, and in a history."""

from datetime import datetime as DateTime
from typing import Any

from msgspec import Struct

from pyworkflow.clock import to_datetime, to_instant
from pyworkflow.codec import Json, encode
from pyworkflow.engine.event import Event, EventSource, thaw
from pyworkflow.engine.states import FutureState
from pyworkflow.graph.state import Outcome, StepStatus

_OUTCOMES = {
    FutureState.exception: StepStatus.FAILED,
    FutureState.cancelled: StepStatus.CANCELED,
}

# Shared, because nobody changes it and there are many: what a task gives is in its record.
_COMPLETED = Outcome(StepStatus.COMPLETED)


class TaskRecord(Struct, gc=False):
    """One execution of a task. Data is frozen (`Event.freeze`), instants are microseconds since the epoch.

    Attributes:
        task: The id of its template.
        uid: Its own id.
        inputs: What it was given.
        start: When it began.
        end: When it ended.
        state: Where it stands.
        outputs: What it returned.
        gives: What the next tasks are given.
        next: Which of them, if not all.
        error: Why it failed.
        error_type: The name of the exception's class.
        reporting: What its holder had to report at the end.
    """

    task: str
    uid: str
    inputs: bytes
    start: int | None = None
    end: int | None = None
    state: FutureState = FutureState.pending
    outputs: bytes | None = None
    gives: bytes | None = None
    next: list[str] | None = None
    error: str | None = None
    error_type: str | None = None
    reporting: Json = None

    @property
    def is_over(self) -> bool:
        """Whether the branch goes on, or not, for what became of it."""
        return self.state is FutureState.cancelled or self.state.is_done

    def gives_to(self, task: str) -> bool:
        """Tell whether a task that follows it is given something."""
        return self.gives is not None and (self.next is None or task in self.next)

    def source(self, workflow: EventSource) -> EventSource:
        """Return the source of what comes from it, from that of its workflow."""
        return EventSource(
            workflow.workflow_template_id, workflow.workflow_exec_id, self.task, self.uid
        )

    def event(self, workflow: EventSource) -> Event:
        """Return what the next tasks are given, from the source of its workflow."""
        return Event.thawed(self.gives or self.inputs, None, self.source(workflow))

    def outcome(self) -> Outcome:
        """Return what its end means for the graph."""
        status = _OUTCOMES.get(self.state)
        if status is None:
            return _COMPLETED
        return Outcome(status, None, self.error, None, self.error_type)

    # -- in reports -----------------------------------------------------------------------------------------------------------------

    def as_dict(self) -> dict[str, Any]:
        """Return what reports tell of it."""
        told: dict[str, Any] = {
            "id": self.uid,
            "start": _moment(self.start),
            "end": _moment(self.end),
            "state": self.state.value,
            "inputs": thaw(self.inputs),
            "outputs": None if self.outputs is None else thaw(self.outputs),
        }
        if self.next is not None:
            told["next"] = list(self.next)
        if self.error is not None:
            told["error"] = self.error
        if self.reporting is not None:
            told["reporting"] = self.reporting
        return told

    @classmethod
    def from_dict(cls, task: str, told: dict[str, Any]) -> "TaskRecord":
        """Return what a report tells of a task."""
        record = cls(
            task,
            told["id"],
            encode(told["inputs"]),
            instant(told["start"]),
            instant(told["end"]),
            FutureState(told["state"]),
            next=told.get("next"),
            error=told.get("error"),
            reporting=told.get("reporting"),
        )
        outputs = told.get("outputs")
        record.outputs = None if outputs is None else encode(outputs)
        if record.state.is_done and record.state is not FutureState.exception:
            record.gives = encode(outputs) if isinstance(outputs, dict) else record.inputs
        return record

    # -- in histories ---------------------------------------------------------------------------------------------------------------

    def envelope(self) -> dict[str, Json]:
        """Return it as the result of an activity: what `pyworkflow.engine.compiled` says."""
        told: dict[str, Json] = {"id": self.uid, "state": self.state.value}
        if self.outputs is not None:
            told["outputs"] = thaw(self.outputs)
        if self.gives is not None:
            told["data"] = thaw(self.gives)
        if self.next is not None:
            told["next"] = self.next
        if self.reporting is not None:
            told["reporting"] = self.reporting
        return told

    def read(self, envelope: dict[str, Any]) -> None:
        """Take over what `envelope` returned."""
        self.uid = envelope["id"]
        self.state = FutureState(envelope["state"])
        self.outputs = encode(envelope["outputs"]) if "outputs" in envelope else None
        self.gives = encode(envelope["data"]) if "data" in envelope else None
        self.next = envelope.get("next")
        self.reporting = envelope.get("reporting")


def _moment(instant: int | None) -> DateTime | None:
    return None if instant is None else to_datetime(instant)


def instant(told: DateTime | str | None) -> int | None:
    """Return the instant that a report tells, as a datetime or as ISO 8601 text."""
    if told is None:
        return None
    return to_instant(DateTime.fromisoformat(told) if isinstance(told, str) else told)
