"""Deciding event by event: one method for each kind of event."""

from collections.abc import Callable
from typing import Any, ClassVar

from msgspec import structs

from pyworkflow.activity import ActivityExecution
from pyworkflow.codec import Json, stored
from pyworkflow.decision import ContinueProcess, Decision, StartChildProcess, Timer
from pyworkflow.errors import InvalidRequestError
from pyworkflow.event import (
    ActivityEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionRejectedEvent,
    Event,
    ProcessStartedEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityResult, ProcessResult
from pyworkflow.signal import Signal
from pyworkflow.workflow.base import Decidable, Workflow, decisions_of
from pyworkflow.workflow.unhandled import check_progress, unhandled_end


class DefaultWorkflow(Workflow):
    """Calls a method for each event that is new to the decider, and puts together what they return.

    Each method returns what `Workflow.decide` may return. Equal decisions of several methods are one decision, but never timers and child
    processes: two under one id are refused, and not silently one. Decisions that close the process are put last; of several, the
    first one counts.

    A subclass that overrides `respond_to_cancel_request` handles cancellation.

    Raises:
        InvalidRequestError: A subclass has a method whose name is nearly that of a handler.
    """

    handles_cancel: ClassVar[bool] = False
    takes_signals: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        _check_names(cls)
        cls.takes_signals = cls.respond_to_signal is not DefaultWorkflow.respond_to_signal
        if "handles_cancel" not in cls.__dict__:
            own = cls.respond_to_cancel_request
            cls.handles_cancel = own is not DefaultWorkflow.respond_to_cancel_request

    def initiate(self, process: Process) -> Decidable:
        """Decide how the process begins."""
        return None

    def respond_to_completed_activity(
        self, process: Process, execution: ActivityExecution, result: Json
    ) -> Decidable:
        """Decide what follows a completed activity.

        Args:
            process: The process.
            execution: The execution that ended.
            result: What the activity returned.
        """
        return None

    def respond_to_interrupted_activity(
        self, process: Process, execution: ActivityExecution, result: ActivityResult
    ) -> Decidable:
        """Decide what follows an activity that failed, timed out or was canceled.

        Unless overridden, it fails the process with the reason, except where the process itself canceled the activity.
        """
        return unhandled_end(process, ActivityEvent(execution, result))

    def respond_to_signal(self, process: Process, signal: Signal) -> Decidable:
        """Decide what follows a signal."""
        return None

    def respond_to_timer(self, process: Process, timer: Timer) -> Decidable:
        """Decide what follows a timer."""
        return None

    def respond_to_child_process(
        self,
        process: Process,
        child_id: str,
        workflow: str | None,
        result: ProcessResult,
        tags: tuple[str, ...],
    ) -> Decidable:
        """Decide what follows the end of a child process."""
        return None

    def respond_to_cancel_request(self, process: Process, details: Json) -> Decidable:
        """Decide how the process cancels itself."""
        return None

    def respond_to_rejected_decision(
        self, process: Process, decision: Decision, reason: str
    ) -> Decidable:
        """Decide what follows a decision that turned out to be impossible."""
        return None

    def decide(self, process: Process) -> list[Decision]:
        """Return what the methods decide about the new events, oldest first.

        Raises:
            StalledError: Nothing is open afterwards, and the workflow does not respond to signals.
        """
        decisions = answers(
            process, lambda event: decisions_of(self._respond(process, event), process)
        )
        check_progress(self, process, decisions)
        return decisions

    def _respond(self, process: Process, event: Event) -> Decidable:
        respond = _RESPONSES.get(type(event))
        return None if respond is None else respond(self, process, event)


def _activity(workflow: DefaultWorkflow, process: Process, event: ActivityEvent) -> Decidable:
    execution, result = event.activity_execution, event.result
    if isinstance(result, ActivityCompleted):
        return workflow.respond_to_completed_activity(process, execution, result.result)
    return workflow.respond_to_interrupted_activity(process, execution, result)


_RESPONSES: dict[type[Event], Callable[[DefaultWorkflow, Process, Any], Decidable]] = {
    ProcessStartedEvent: lambda w, p, e: w.initiate(p),
    ActivityEvent: _activity,
    SignalEvent: lambda w, p, e: w.respond_to_signal(p, e.signal),
    TimerEvent: lambda w, p, e: w.respond_to_timer(p, e.timer),
    ChildProcessEvent: lambda w, p, e: w.respond_to_child_process(
        p, e.process_id, e.workflow, e.result, e.tags
    ),
    CancelRequestedEvent: lambda w, p, e: w.respond_to_cancel_request(p, e.details),
    DecisionRejectedEvent: lambda w, p, e: w.respond_to_rejected_decision(p, e.decision, e.reason),
}


_HANDLERS = frozenset(
    name for name in vars(DefaultWorkflow) if name == "initiate" or name.startswith("respond_to_")
)

_ALMOST = 0.85
"""From this likeness on, 1 being equality, a name counts as a misspelt handler: ``initate``, not ``initiate_payment``."""


def _check_names(cls: type[DefaultWorkflow]) -> None:
    from difflib import get_close_matches

    for name, member in vars(cls).items():
        if name in _HANDLERS or not callable(member):
            continue
        likely = 0.0 if name.startswith("respond_to_") else _ALMOST
        if close := get_close_matches(name, sorted(_HANDLERS), n=1, cutoff=likely):
            raise InvalidRequestError(
                f"workflow {cls.__name__!r}, method {name!r}",
                f"is no handler and is never called; did you mean {close[0]!r}?",
            )


def answers(process: Process, respond: Callable[[Event], list[Decision]]) -> list[Decision]:
    """Return what is decided on the new events, oldest first, as one list that can apply: no repeats, and what closes the process last.

    Once the process goes on as a new run, signals and a request to cancel are for that run: they are handed on, and not responded to.
    """
    decisions: list[Decision] = []
    closing: Decision | None = None
    for event in process.unseen_events():
        if isinstance(closing, ContinueProcess):
            if isinstance(event, SignalEvent):
                closing = structs.replace(closing, signals=(*closing.signals, event.signal))
                continue
            if isinstance(event, CancelRequestedEvent):
                closing = structs.replace(closing, cancel_details=stored(event, "details"))
                continue
        for decision in respond(event):
            if decision.closing:
                closing = closing or decision
            elif isinstance(decision, Timer | StartChildProcess) or decision not in decisions:
                decisions.append(decision)
    return decisions if closing is None else [*decisions, closing]
