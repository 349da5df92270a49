"""One history: read, gone through once, and compared with itself."""

from pyworkflow.clock import to_instant
from pyworkflow.codec import decode
from pyworkflow.decision import CancelProcess, CompleteProcess, ContinueProcess, FailProcess
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import (
    AnyEvent,
    DecisionEvent,
    Event,
    ProcessStartedEvent,
    ProcessTerminatedEvent,
    ProcessTimedOutEvent,
    SignalEvent,
)
from pyworkflow.ledger.checks.decisions import Decisions
from pyworkflow.ledger.checks.items import Children, Items
from pyworkflow.ledger.checks.record import ProcessRecord, Violated
from pyworkflow.ledger.unit import chained
from pyworkflow.result import (
    ProcessCanceled,
    ProcessCompleted,
    ProcessContinued,
    ProcessFailed,
    ProcessResult,
    ProcessTerminated,
    ProcessTimedOut,
)


class Told:
    """What a history tells.

    Attributes:
        events: The events that can be read.
        decisions: Its decision tasks.
        items: Its activities, timers and children.
        signals: The ids of its signals.
        ends: The closing events.
    """

    def __init__(
        self, record: ProcessRecord, inherited: Children | None, violated: Violated
    ) -> None:
        self.record = record
        self.violated = violated
        self.events: list[Event] = []
        self.decisions = Decisions(record.row, violated)
        self.items = Items(inherited, violated, record.set_back)
        self.signals: list[str] = []
        self.ends: list[Event] = []
        self._read()
        for seq, event in enumerate(self.events, 1):
            self._follow(seq, event)
        self.items.follow(len(self.events) + 1, None)

    def result(self) -> ProcessResult | None:
        """Return how the last event ends the process, None if it does not."""
        match self.events[-1] if self.events else None:
            case DecisionEvent(decision=CompleteProcess(result=result)):
                return ProcessCompleted(result)
            case DecisionEvent(decision=CancelProcess(details=details)):
                return ProcessCanceled(details)
            case DecisionEvent(decision=FailProcess(reason=reason, details=details)):
                return ProcessFailed(reason, details)
            case DecisionEvent(decision=ContinueProcess()):
                return ProcessContinued(self.record.row.run + 1)
            case ProcessTerminatedEvent(reason=reason, details=details):
                return ProcessTerminated(reason, details)
            case ProcessTimedOutEvent():
                return ProcessTimedOut("start_to_close")
            case _:
                return None

    def _read(self) -> None:
        digest = b""
        for first_seq, body in self.record.batches:
            if first_seq != len(self.events) + 1:
                self.violated("I1", f"event {first_seq} comes after {len(self.events)} others")
            digest = chained(digest, body)
            try:
                batch: list[Event] = decode(body, list[AnyEvent])
            except PyworkflowError as error:
                self.violated("I20", f"events from {first_seq} cannot be read: {error}")
                batch = []
            self.events.extend(batch)
        row = self.record.row
        if digest != row.digest:
            self.violated(
                "I3", "the digest of the history is not the one that was kept: the past was changed"
            )
        if len(self.events) != row.last_seq:
            self.violated("I1", f"{len(self.events)} events, {row.last_seq} were counted")
        self._check_times()

    def _check_times(self) -> None:
        row = self.record.row
        times = [to_instant(e.datetime) for e in self.events if e.datetime is not None]
        if len(times) != len(self.events) or times != sorted(times):
            self.violated("I4", "times are missing or run backwards")
        elif times and (times[0], times[-1]) != (row.started, row.time):
            self.violated("I4", "its first or last event is not of the time that was kept")

    def _follow(self, seq: int, event: Event) -> None:
        if self.ends:
            self.violated("I5", f"event {seq} comes after the end")
        if isinstance(event, ProcessStartedEvent) != (seq == 1):
            self.violated("I2", f"event {seq} is a {event.type}")
        self.decisions.follow(seq, event)
        self.items.follow(seq, event)
        if isinstance(event, SignalEvent) and event.signal.id is not None:
            self.signals.append(event.signal.id)
        if isinstance(event, ProcessTimedOutEvent | ProcessTerminatedEvent) or (
            isinstance(event, DecisionEvent) and event.decision.closing
        ):
            self.ends.append(event)
