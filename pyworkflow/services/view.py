"""Events as people see them: the state of each call, and what came out."""

from datetime import datetime as DateTime

from msgspec import Struct

from pyworkflow.codec import Json
from pyworkflow.graph.run import fold
from pyworkflow.graph.state import StepState, StepStatus
from pyworkflow.process import Process
from pyworkflow.result import ProcessCompleted, ProcessFailed, ProcessTerminated
from pyworkflow.services.flow import Flow


class CallView(Struct, frozen=True):
    """Where one call stands.

    Attributes:
        name: Of the call.
        service: The service's name.
        status: In one word, as `StepStatus`.
        attempts: How many were made.
        started: When the first began.
        ended: When it ended.
        reason: Why it failed, or did not take place.
        outputs: What it gave.
    """

    name: str
    service: str
    status: str
    attempts: int
    started: DateTime | None
    ended: DateTime | None
    reason: str | None
    outputs: Json


class EventView(Struct, frozen=True):
    """Where one event stands.

    Attributes:
        event_id: Its id, which is that of its process.
        workflow: The workflow's name.
        ack_date: When it was taken.
        status: In one word, as `Status`.
        closed: When it ended.
        services: The calls, in an order in which they can run.
        outputs: What came out, once it has completed.
        reason: Why it did not.
    """

    event_id: str
    workflow: str
    ack_date: DateTime | None
    status: str
    closed: DateTime | None
    services: list[CallView]
    outputs: Json
    reason: str | None


def _call(flow: Flow, name: str, state: StepState, process: Process) -> CallView:
    status, ended, reason = state.status, state.ended, None
    if state.outcome is not None:
        reason = state.outcome.reason
    if not process.is_open and not state.is_ended:
        # Nobody waits for it any more, and what it may still answer is refused.
        status, ended, reason = StepStatus.CANCELED, process.closed, "the event ended before it"
    return CallView(
        name,
        flow.service(name).name,
        status.value,
        state.attempts,
        state.started,
        ended,
        reason,
        state.output,
    )


def view(process: Process, flow: Flow) -> EventView:
    """Return an event as people see it."""
    states = fold(flow.graph, process).flow.states
    calls = [_call(flow, name, states[name], process) for name in flow.steps]
    result, reason, outputs = process.result, None, None
    if isinstance(result, ProcessCompleted):
        outputs = result.result
    elif isinstance(result, ProcessFailed | ProcessTerminated):
        reason = result.reason
    return EventView(
        str(process.id),
        flow.definition.name,
        process.started,
        process.status.value,
        process.closed,
        calls,
        outputs,
        reason,
    )
