"""Decision tasks, as a history tells of them.

A completion leaves no event of its own: it shows in its decisions, or in that the next decision task starts without this one having
failed. So what was seen is known of every task but the last of a process that somebody else has closed.
"""

from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    Decision,
    RequestCancelProcess,
    SignalProcess,
)
from pyworkflow.event import (
    ActivityEvent,
    CancelRequestedEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
    SignalEvent,
)
from pyworkflow.ledger.checks.record import Violated
from pyworkflow.ledger.rows import ProcessRow
from pyworkflow.result import ActivityCanceled


class Decisions:
    """Follows the decision tasks of one history.

    Attributes:
        started: Number of the event that began the last task, unless that failed.
        applied: Whether decisions of that task are in the history, so that it has completed.
        seen: What the tasks before that one have seen.
        last_wake: The last event that calls for a decision.
        failures: Tasks that failed or timed out since one completed.
        closed_itself: Whether the history ends with a decision of that task.
    """

    def __init__(self, row: ProcessRow, violated: Violated) -> None:
        self.row = row
        self.violated = violated
        self.started: int | None = None
        self.applied = False
        self.seen = 0
        self.last_wake = 0
        self.failures = 0
        self.closed_itself = False
        self._over = False
        self._missed: int | None = None
        self._last: Decision | None = None

    def follow(self, seq: int, event: Event) -> None:
        """Take notice of the next event."""
        if isinstance(event, DecisionEvent):
            self._decided(seq, event.decision)
        elif isinstance(event, DecisionStartedEvent):
            self._starts(seq)
        elif isinstance(event, DecisionFailedEvent | DecisionTimedOutEvent):
            self._fails(seq)
        else:
            self._happens(seq, event)

    def seen_at_last(self, running: bool) -> set[int]:
        """Return the numbers up to which events can have been seen, in the end.

        Args:
            running: Whether the last decision task is held by a decider.
        """
        if running or self.started is None:
            return {self.seen}
        if self.row.closed is None or self.applied or self.closed_itself:
            return {self.started}
        # Somebody else has closed the process: while the decider was at it, or after it had decided nothing.
        return {self.seen, self.started}

    def _starts(self, seq: int) -> None:
        if self.started is not None:
            self.seen = self.started
            self.failures = 0
        if self.last_wake <= self.seen:
            self.violated("I7", f"event {seq} starts a decision that no unseen event calls for")
        self.started = seq
        self.applied = self._over = False
        self._missed = self._last = None

    def _fails(self, seq: int) -> None:
        if self.started is None:
            self.violated("I7", f"event {seq} ends a decision that is not open")
        elif self.applied:
            self.violated("I10", f"event {seq} ends a decision that has completed")
        self.failures += 1
        self.started = None

    def _decided(self, seq: int, decision: Decision) -> None:
        # Whoever cancels a process that does not handle that leaves the same event as its decider would.
        anyone = isinstance(decision, CancelProcess) and not self.row.handles_cancel
        if anyone:
            return
        if self.started is None:
            self.violated("I10", f"event {seq} is a decision outside of any decision task")
        elif self._over:
            self.violated("I10", f"event {seq} is a decision apart from the others of its task")
        if decision.closing:
            self.closed_itself = True
            if self._missed is not None:
                self.violated("I11", f"event {seq} closes over event {self._missed}, still unseen")
        self.applied = True
        self._last = decision

    def _happens(self, seq: int, event: Event) -> None:
        if self.applied and not self._is_effect(event):
            self._over = True
        self._last = None
        if event.wakes:
            self.last_wake = seq
            if self.started is not None and not self.applied and self._missed is None:
                self._missed = seq

    def _is_effect(self, event: Event) -> bool:
        """Tell whether an event may be what the decision right before it did to its own process."""
        if isinstance(event, DecisionRejectedEvent):
            return event.decision == self._last
        match self._last:
            case CancelActivity(id=wanted):
                return (
                    isinstance(event, ActivityEvent)
                    and event.activity_execution.id == wanted
                    and isinstance(event.result, ActivityCanceled)
                )
            case SignalProcess(process_id=wanted):
                return isinstance(event, SignalEvent) and wanted == self.row.id
            case RequestCancelProcess(process_id=wanted):
                if isinstance(event, ChildProcessEvent):
                    return event.process_id == wanted
                return isinstance(event, CancelRequestedEvent)
            case _:
                return False
