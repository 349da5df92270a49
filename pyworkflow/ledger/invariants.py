"""The invariants of histories and of the state beside them, checked over plain data so that every store can be checked alike.

The numbers are those of ``docs/architecture/invariants.md``.
"""

from collections.abc import Callable, Iterable

from msgspec import Struct

from pyworkflow.clock import to_instant
from pyworkflow.codec import decode
from pyworkflow.decision import (
    CancelTimer,
    ContinueProcess,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import (
    ActivityAttemptEvent,
    ActivityEvent,
    ActivityStartedEvent,
    AnyEvent,
    ChildProcessEvent,
    DecisionEvent,
    DecisionFailedEvent,
    DecisionRejectedEvent,
    DecisionStartedEvent,
    DecisionTimedOutEvent,
    Event,
    ProcessStartedEvent,
    ProcessTerminatedEvent,
    ProcessTimedOutEvent,
    SignalEvent,
    TimerEvent,
)
from pyworkflow.ledger.rows import (
    SCHEDULED,
    STARTED,
    ActivityRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
)
from pyworkflow.ledger.unit import chained

OPEN = "open"


class Violation(Struct, frozen=True):
    """An invariant that does not hold.

    Attributes:
        invariant: Its number, ``I1`` to ``I23``.
        process_id: The process, if it is about one.
        message: What is wrong, with the numbers.
    """

    invariant: str
    process_id: str | None
    message: str


class ProcessRecord(Struct, kw_only=True):
    """Everything that a store knows of one run.

    Attributes:
        batches: (first number, JSON) of each batch of events, in order.
        signals: Ids of signals that were recorded under one.
    """

    row: ProcessRow
    input: bytes
    batches: list[tuple[int, bytes]]
    decision: DecisionRow | None
    activities: list[ActivityRow]
    timers: list[TimerRow]
    children: list[ChildRow]
    signals: list[str]


class _Checker:
    """Goes through one history once, and compares what it says with the rows beside it."""

    def __init__(self, record: ProcessRecord) -> None:
        self.record = record
        self.found: list[Violation] = []
        self.activities: dict[str, int] = {}
        self.started: dict[str, int] = {}
        self.timers: set[str] = set()
        self.children: set[str] = set()
        self.twice: list[str] = []
        self.signals: list[str] = []
        self.open_decision: int | None = None
        self.seen = 0
        self.last_wake = 0
        self.closing: list[int] = []

    def violated(self, invariant: str, message: str) -> None:
        self.found.append(Violation(invariant, self.record.row.id, message))

    def check(self) -> list[Violation]:
        events = self._read()
        for seq, event in enumerate(events, 1):
            self._follow(seq, event)
        self._compare_process(events)
        self._compare_decision(len(events))
        self._compare_open()
        for child in self.twice:
            self.violated("I19", f"child {child!r} was started while it was open")
        return self.found

    def _read(self) -> list[Event]:
        events: list[Event] = []
        digest = b""
        for first_seq, body in self.record.batches:
            if first_seq != len(events) + 1:
                self.violated("I1", f"events {len(events) + 1} to {first_seq - 1} are missing")
            digest = chained(digest, body)
            try:
                batch: list[Event] = decode(body, list[AnyEvent])
            except PyworkflowError as error:
                self.violated("I20", f"events from {first_seq} cannot be read: {error}")
                batch = []
            events.extend(batch)
        if digest != self.record.row.digest:
            self.violated(
                "I3", "the digest of the history is not the one that was kept: the past was changed"
            )
        if len(events) != self.record.row.last_seq:
            self.violated("I1", f"{len(events)} events, {self.record.row.last_seq} were counted")
        times = [to_instant(e.datetime) for e in events if e.datetime is not None]
        if len(times) != len(events) or times != sorted(times):
            self.violated("I4", "times are missing or run backwards")
        return events

    def _follow(self, seq: int, event: Event) -> None:
        if self.closing:
            self.violated("I5", f"event {seq} comes after the end")
        if isinstance(event, ProcessStartedEvent) != (seq == 1):
            self.violated("I2", f"event {seq} is a {event.type}")
        if event.wakes:
            self.last_wake = seq
        if isinstance(event, DecisionEvent):
            self._decided(seq, event)
        elif isinstance(event, DecisionStartedEvent):
            if self.open_decision is not None:
                self.seen = self.open_decision
            self.open_decision = seq
        elif isinstance(event, DecisionFailedEvent | DecisionTimedOutEvent):
            if self.open_decision is None:
                self.violated("I7", f"event {seq} ends a decision that is not open")
            self.open_decision = None
        elif isinstance(event, ActivityStartedEvent | ActivityAttemptEvent | ActivityEvent):
            self._activity(seq, event)
        elif isinstance(event, TimerEvent):
            self._ends("I17", self.timers, event.timer.id, seq)
        elif isinstance(event, ChildProcessEvent):
            self._ends("I19", self.children, event.process_id, seq)
        elif isinstance(event, SignalEvent) and event.signal.id is not None:
            self.signals.append(event.signal.id)
        elif isinstance(event, DecisionRejectedEvent):
            if isinstance(event.decision, StartChildProcess):
                self._not_started(event.decision.process.id)
        elif isinstance(event, ProcessTimedOutEvent | ProcessTerminatedEvent):
            self.closing.append(seq)

    def _decided(self, seq: int, event: DecisionEvent) -> None:
        decision = event.decision
        if decision.closing:
            self.closing.append(seq)
            return
        if self.open_decision is None:
            self.violated("I10", f"event {seq} is a decision outside of any decision task")
        if isinstance(decision, ScheduleActivity | ScheduleLambda):
            self._begins("I12", set(self.activities), decision.id, seq)
            self.activities[decision.id] = 0
        elif isinstance(decision, Timer):
            self._begins("I17", self.timers, decision.id, seq)
            self.timers.add(decision.id)
        elif isinstance(decision, CancelTimer):
            self.timers.discard(decision.id)
        elif isinstance(decision, StartChildProcess):
            if decision.process.id in self.children:
                self.twice.append(decision.process.id)
            self.children.add(decision.process.id)

    def _not_started(self, child: str) -> None:
        # A child that is open already cannot be started again, and stays open.
        if child in self.twice:
            self.twice.remove(child)
        else:
            self.children.discard(child)

    def _begins(self, invariant: str, known: set[str], item: str, seq: int) -> None:
        if item in known:
            self.violated(invariant, f"event {seq} opens {item!r}, which is open")

    def _ends(self, invariant: str, known: set[str], item: str, seq: int) -> None:
        # A run that continues another one inherits its children without having started them.
        inherited = invariant == "I19" and self.record.row.run > 1
        if item not in known and not inherited:
            self.violated(invariant, f"event {seq} ends {item!r}, which is not open")
        known.discard(item)

    def _activity(
        self, seq: int, event: ActivityStartedEvent | ActivityAttemptEvent | ActivityEvent
    ) -> None:
        item = event.activity_execution.id
        if item not in self.activities:
            self.violated("I12", f"event {seq} is about activity {item!r}, which is not open")
        elif isinstance(event, ActivityStartedEvent):
            if event.attempt != self.activities[item] + 1 or item in self.started:
                self.violated("I14", f"event {seq} starts attempt {event.attempt} of {item!r}")
            self.started[item] = seq
            self.activities[item] = event.attempt
        elif isinstance(event, ActivityAttemptEvent):
            if self.started.pop(item, None) is None:
                self.violated(
                    "I12", f"event {seq} ends an attempt of {item!r} that was not started"
                )
        else:
            self.started.pop(item, None)
            del self.activities[item]

    # -- the rows beside the history -----------------------------------------------------------------------------------------------

    def _compare_process(self, events: list[Event]) -> None:
        row = self.record.row
        if (row.status != OPEN) != bool(self.closing):
            self.violated("I5", f"it is {row.status}, with {len(self.closing)} closing events")
        if (row.closed is None) != (row.status == OPEN) or (row.result is None) != (
            row.status == OPEN
        ):
            self.violated("I5", f"it is {row.status}, but its end or result says otherwise")
        last = events[-1] if events else None
        continued = isinstance(last, DecisionEvent) and isinstance(last.decision, ContinueProcess)
        if continued and row.status != "continued":
            self.violated("I5", f"its last decision continues it, but it is {row.status}")
        if row.status != OPEN and (
            self.record.decision or self.record.activities or self.record.timers
        ):
            self.violated("I6", f"it is {row.status} and still has open work")
        if row.status != OPEN and self.record.children:
            self.violated("I19", f"it is {row.status} and still has open children")
        opened = len(self.record.activities) + len(self.record.timers) + len(self.record.children)
        if row.opened != opened:
            self.violated("I22", f"{opened} things are open, {row.opened} were counted")
        if sorted(self.signals) != sorted(self.record.signals):
            self.violated("I18", "its signals are not those whose ids were kept, each once")

    def _compare_decision(self, events: int) -> None:
        row, decision = self.record.row, self.record.decision
        if row.status != OPEN:
            return
        running = decision is not None and decision.state == STARTED
        if running and decision is not None and decision.started_seq != self.open_decision:
            self.violated(
                "I7", f"the open decision began at {decision.started_seq}, not {self.open_decision}"
            )
        # The last decision that was begun and has not failed has completed, unless it is running.
        seen = self.seen if running or self.open_decision is None else self.open_decision
        if row.seen_seq != seen:
            self.violated("I8", f"{row.seen_seq} events were counted as seen, {seen} were")
        if decision is None and self.last_wake > row.seen_seq:
            self.violated(
                "I9", f"event {self.last_wake} calls for a decision, and none is scheduled"
            )
        if (
            running
            and decision is not None
            and self.last_wake > decision.started_seq
            and not decision.pending
        ):
            self.violated(
                "I9", f"event {self.last_wake} came during a decision and would be forgotten"
            )
        if decision is not None and (decision.token is None) == running:
            self.violated("I14", f"a decision is {decision.state} and its lease says otherwise")
        if row.seen_seq > events:
            self.violated("I8", f"{row.seen_seq} events were seen, there are {events}")

    def _compare_open(self) -> None:
        if self.record.row.status != OPEN:
            return
        for row in self.record.activities:
            if (row.state == STARTED) != (row.id in self.started):
                self.violated(
                    "I13", f"activity {row.id!r} is {row.state}; the history says otherwise"
                )
            if (row.token is None) != (row.state == SCHEDULED):
                self.violated(
                    "I14", f"activity {row.id!r} is {row.state} and its lease says otherwise"
                )
        self._same(
            "I13", "activities", set(self.activities), {r.id for r in self.record.activities}
        )
        self._same("I17", "timers", self.timers, {r.id for r in self.record.timers})
        children = {r.id for r in self.record.children}
        if self.record.row.run == 1:
            self._same("I19", "children", self.children, children)

    def _same(self, invariant: str, what: str, told: set[str], kept: set[str]) -> None:
        for item in sorted(told ^ kept):
            where = "the history only" if item in told else "the state only"
            self.violated(invariant, f"{what}: {item!r} is open in {where}")


def check_process(record: ProcessRecord) -> list[Violation]:
    """Return every violation within one run."""
    return _Checker(record).check()


def check_all(
    records: Iterable[ProcessRecord],
    total: int,
    progress: Callable[[int, int], None] | None = None,
) -> list[Violation]:
    """Return every violation in a store's records."""
    violations: list[Violation] = []
    links = _Links()
    for done, record in enumerate(records, 1):
        violations.extend(check_process(record))
        links.add(record)
        if progress is not None and (done % 100 == 0 or done == total):
            progress(done, total)
    return violations + links.check()


class _Links:
    """What holds between processes: ids, parents and children."""

    def __init__(self) -> None:
        self.open: dict[str, int] = {}
        self.twice: list[str] = []
        self.awaited: list[tuple[str, str]] = []

    def add(self, record: ProcessRecord) -> None:
        row = record.row
        if row.status == OPEN:
            if row.id in self.open:
                self.twice.append(row.id)
            self.open[row.id] = row.key
        self.awaited.extend((row.id, child.id) for child in record.children)

    def check(self) -> list[Violation]:
        found = [Violation("I20", item, "two open processes have this id") for item in self.twice]
        for parent, child in self.awaited:
            if child not in self.open:
                found.append(
                    Violation("I19", parent, f"it waits for child {child!r}, which is not open")
                )
        return found
