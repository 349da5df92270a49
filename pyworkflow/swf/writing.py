"""A history of ours as SWF would have recorded it: for tests, for examples, for whoever imitates SWF."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pyworkflow.decision import CancelTimer, Decision, RequestCancelProcess, SignalProcess
from pyworkflow.event import (
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
    ProcessStartedEvent,
)
from pyworkflow.process import Process
from pyworkflow.swf import chores
from pyworkflow.swf.decisions import Context, to_swf
from pyworkflow.swf.payload import Payloads
from pyworkflow.swf.record import CLOSING, Record
from pyworkflow.swf.results import WRITERS
from pyworkflow.swf.settings import Settings
from pyworkflow.swf.words import FAILED, FAILED_MARKER, attributes_key

BECOMES = {
    "ScheduleActivityTask": "ActivityTaskScheduled",
    "RequestCancelActivityTask": "ActivityTaskCancelRequested",
    "ScheduleLambdaFunction": "LambdaFunctionScheduled",
    "StartTimer": "TimerStarted",
    "CancelTimer": "TimerCanceled",
    "StartChildWorkflowExecution": "StartChildWorkflowExecutionInitiated",
    "SignalExternalWorkflowExecution": "SignalExternalWorkflowExecutionInitiated",
    "RequestCancelExternalWorkflowExecution": "RequestCancelExternalWorkflowExecutionInitiated",
    "RecordMarker": "MarkerRecorded",
    "CompleteWorkflowExecution": "WorkflowExecutionCompleted",
    "CancelWorkflowExecution": "WorkflowExecutionCanceled",
    "FailWorkflowExecution": "WorkflowExecutionFailed",
    "ContinueAsNewWorkflowExecution": "WorkflowExecutionContinuedAsNew",
}
"""The event that each decision becomes."""


def to_swf_history(
    process: Process, payloads: Payloads | None = None, settings: Settings | None = None
) -> list[dict[str, Any]]:
    """Return the history of a process as SWF tells it.

    A decision that ended without any decision, as the last thing that happened, is told as one that is still under way.
    """
    return _Writer(process, payloads or Payloads(), settings or Settings()).write()


class _Writer:
    def __init__(self, process: Process, payloads: Payloads, settings: Settings) -> None:
        self.events: Sequence[Event] = list(process.history)
        self.r = Record(process, payloads, settings)
        # The process has its whole history already: what comes again is counted as it is written.
        self.context = Context(payloads, settings, process, uses=Counter())

    def write(self) -> list[dict[str, Any]]:
        index = 0
        while index < len(self.events):
            event = self.events[index]
            self.r.at = event.datetime
            if isinstance(event, DecisionStartedEvent):
                index = self._decision(index)
                continue
            self._event(event, index)
            index += 1
        return self.r.events

    def _event(self, event: Event, index: int) -> None:
        if isinstance(event, ProcessStartedEvent):
            self.r.start()
        elif isinstance(event, DecisionEvent):
            # One of a list that was too long: it came with a later completion.
            self.r.quiet_decision()
            self._applied(event.decision, index)
        elif isinstance(event, DecisionRejectedEvent):
            self.r.rejected(event.decision, event.reason)
        else:
            WRITERS[type(event)](self.r, event)

    def _decision(self, index: int) -> int:
        """Write a decision with all that it decided; return the index of what comes after."""
        self.r.schedule_decision()
        started = self.r.add("DecisionTaskStarted", scheduledEventId=self.r.last)
        after = index + 1
        while after < len(self.events) and isinstance(self.events[after], DecisionEvent):
            after += 1
        end = next(
            (
                (place, event)
                for place, event in enumerate(self.events[after:], after)
                if isinstance(
                    event, DecisionStartedEvent | DecisionFailedEvent | DecisionTimedOutEvent
                )
            ),
            None,
        )
        if end is not None and isinstance(end[1], DecisionTimedOutEvent):
            for event in self.events[index + 1 : end[0]]:
                self._event(event, index)
            self.r.timed_out(started)
            return end[0] + 1
        failed = end[1] if end is not None and isinstance(end[1], DecisionFailedEvent) else None
        if end is None and after == index + 1:
            return after
        unseen = failed is not None and failed.reason == "unseen events"
        self.r.complete_decision(started, FAILED if failed is not None and not unseen else None)
        for place in range(index + 1, after):
            decided = self.events[place]
            if isinstance(decided, DecisionEvent):
                self._applied(decided.decision, place)
        if failed is None or end is None:
            return after
        self._failed(failed, unseen)
        for event in self.events[after : end[0]]:
            self._event(event, index)
        return end[0] + 1

    def _failed(self, failed: DecisionFailedEvent, unseen: bool) -> None:
        if unseen:
            self.r.decided("CompleteWorkflowExecutionFailed", cause="UNHANDLED_DECISION")
            return
        self.r.failures += 1
        for told in chores.failed(
            failed.reason or "",
            failed.details,
            self.r.failures - 1,
            self.r.payloads,
            self.context.owner,
        ):
            given = told[attributes_key(told["decisionType"], "Decision")]
            written = self.r.decided(BECOMES[told["decisionType"]], **given)
            if given.get("markerName") != FAILED_MARKER:
                self.r.add("TimerFired", timerId=given["timerId"], startedEventId=written)

    def _applied(self, decision: Decision, index: int) -> None:
        told = to_swf(decision, self.context)
        name = told["decisionType"]
        attributes = dict(told[attributes_key(name, "Decision")])
        if isinstance(decision, CancelTimer):
            attributes["startedEventId"] = self.r.timers.get(decision.id, 0)
        written = self.r.applied(decision, BECOMES[name], attributes)
        if isinstance(decision, SignalProcess | RequestCancelProcess):
            later = self.events[index:]
            rejected = [e.decision for e in later if isinstance(e, DecisionRejectedEvent)]
            self.r.asked(decision, written, answered=decision not in rejected)


__all__ = ["BECOMES", "CLOSING", "to_swf_history"]
