"""The rows beside a history, compared with what it tells."""

from msgspec import structs

from pyworkflow.clock import microseconds
from pyworkflow.codec import Json, decode
from pyworkflow.decision import StartChildProcess
from pyworkflow.errors import PyworkflowError
from pyworkflow.ledger.checks.history import Told
from pyworkflow.ledger.checks.record import ProcessRecord, Violated
from pyworkflow.ledger.lifecycle import OPEN, Start
from pyworkflow.ledger.rows import MAX_FAILURES, NEVER, PARKED, STARTED, ActivityRow, DecisionRow
from pyworkflow.result import AnyProcessResult, ProcessResult


class RowCheck:
    """Compares the rows of one record with its history."""

    def __init__(self, record: ProcessRecord, told: Told, violated: Violated) -> None:
        self.record = record
        self.row = record.row
        self.told = told
        self.violated = violated

    def check(self) -> None:
        """Find every violation."""
        self._check_start()
        self._check_end()
        self._check_seen()
        record, row = self.record, self.row
        opened = len(record.activities) + len(record.timers) + len(record.children)
        if row.opened != opened:
            self.violated("I22", f"{opened} things are open, {row.opened} were counted")
        if sorted(self.told.signals) != sorted(record.signals):
            self.violated("I18", "its signals are not those whose ids were kept, each once")
        if row.status == OPEN:
            self._check_decision()
            self._check_activities()
            self._check_timers()
            self._check_children()

    def _json(self, data: bytes, what: str) -> Json:
        try:
            return decode(data)
        except PyworkflowError as error:
            self.violated("I20", f"{what} cannot be read: {error}")
            return None

    # -- the process ---------------------------------------------------------------------------------------------------------------

    def _check_start(self) -> None:
        row, given = self.row, self.record.input
        if given is None:
            self.violated("I20", "its input is gone")
            given = b""
        else:
            self._json(given, "its input")
        # Which of these two were the workflow's own is not kept.
        starts = (
            Start(row.workflow, row.id, given, row.tags, category, timeout)
            for category in (None, row.category)
            for timeout in (None, row.timeout)
        )
        # A run that goes on keeps the fingerprint of the first.
        if row.run == 1 and all(start.fingerprint() != row.fingerprint for start in starts):
            self.violated(
                "I2", "its workflow, tags and input are not those that it was started with"
            )
        if row.deadline != row.started + row.timeout:
            self.violated("I2", "it does not time out when its start says")
        if (row.parent_key is None) != (row.parent_id is None):
            self.violated("I19", "its parent is known by half")

    def _check_end(self) -> None:
        record, row, ends = self.record, self.row, len(self.told.ends)
        if (row.status != OPEN) != bool(ends):
            self.violated("I5", f"it is {row.status}, with {ends} closing events")
        if (row.closed is None) != (row.status == OPEN) or (row.result is None) != (
            row.status == OPEN
        ):
            self.violated("I5", f"it is {row.status}, but its end or result says otherwise")
        elif row.status != OPEN:
            self._check_result()
        if row.status != OPEN and (record.decision or record.activities or record.timers):
            self.violated("I6", f"it is {row.status} and still has open work")
        if row.status != OPEN and record.children:
            self.violated("I19", f"it is {row.status} and still has open children")

    def _check_result(self) -> None:
        row, told = self.row, self.told.result()
        if row.closed != row.time:
            self.violated("I5", "it was closed at another time than that of its last event")
        try:
            kept: ProcessResult | None = (
                None if row.result is None else decode(row.result, AnyProcessResult)
            )
        except PyworkflowError as error:
            self.violated("I20", f"its result cannot be read: {error}")
            return
        if kept != told:
            self.violated("I5", f"its result is {kept!r}; its last event says {told!r}")
        if told is not None and row.status != told.type:
            self.violated("I5", f"it is {row.status}; its last event says {told.type}")

    def _check_seen(self) -> None:
        row, decision, decisions = self.row, self.record.decision, self.told.decisions
        running = decision is not None and decision.state == STARTED and row.status == OPEN
        allowed = decisions.seen_at_last(running)
        if row.seen_seq not in allowed:
            seen = " or ".join(str(seq) for seq in sorted(allowed))
            self.violated("I8", f"{row.seen_seq} events were counted as seen, {seen} were")
        completed = row.status == OPEN and not running and decisions.started is not None
        most = 0 if completed else decisions.failures
        lost = 0 if decision is None else decision.lost
        if most and decision is not None and decision.state == PARKED:
            # One failure is enough where trying again cannot help.
            most = max(most, MAX_FAILURES)
        if row.failures + lost > most:
            self.violated("I7", f"{row.failures + lost} decisions failed in a row, {most} did")

    # -- what is open --------------------------------------------------------------------------------------------------------------

    def _check_decision(self) -> None:
        decision, wake = self.record.decision, self.told.decisions.last_wake
        if decision is None:
            if wake > self.row.seen_seq:
                self.violated("I9", f"event {wake} calls for a decision, and none is scheduled")
            return
        if wake <= self.row.seen_seq and decision.ready < NEVER:
            self.violated("I7", "a decision is scheduled that no unseen event calls for")
        if decision.category != self.row.category:
            self.violated("I7", f"its decision waits in the queue {decision.category!r}")
        if decision.state == PARKED and decision.reason is None:
            self.violated("I16", "a decision is parked without a reason")
        damaged = decision.state == PARKED
        if decision.reason is not None and not (self.row.failures or decision.suspect or damaged):
            self.violated("I16", f"a reason {decision.reason!r} without a failed decision")
        if decision.state == STARTED:
            self._check_running(decision)
        elif decision.pending:
            self.violated("I9", "a decision that is not running has events come meanwhile")
        self._check_lease(decision)

    def _check_running(self, decision: DecisionRow) -> None:
        decisions = self.told.decisions
        if decision.started_seq != decisions.started:
            self.violated(
                "I7", f"the open decision began at {decision.started_seq}, not {decisions.started}"
            )
        if decisions.applied:
            self.violated("I10", "a decision is running whose decisions are in the history")
        if decision.pending != (decisions.last_wake > decision.started_seq):
            self.violated(
                "I9", f"whether event {decisions.last_wake} came during a decision is kept wrongly"
            )

    def _check_lease(self, decision: DecisionRow) -> None:
        running = decision.state == STARTED
        if (decision.token is not None) != running:
            self.violated("I14", f"a decision is {decision.state} and its lease says otherwise")
        if (decision.deadline < NEVER) != running or decision.deadline > decision.limit:
            self.violated("I14", f"a decision is {decision.state} until {decision.deadline}")

    def _check_activities(self) -> None:
        known = self.told.items.activities
        self._same("I13", "activity", set(known), [row.id for row in self.record.activities])
        for row in self.record.activities:
            if row.damage is not None:
                self.violated("I20", f"activity {row.id!r}: {row.damage}")
            if row.details is not None:
                self._json(row.details, f"the heartbeat of activity {row.id!r}")
            if (row.token is None) == (row.state == STARTED):
                self.violated(
                    "I14", f"activity {row.id!r} is {row.state} and its lease says otherwise"
                )
            timed = structs.replace(row)
            timed.set_deadline()
            if timed.deadline != row.deadline:
                self.violated("I14", f"activity {row.id!r} does not time out when it should")
            if row.id in known:
                self._check_activity(row)

    def _check_activity(self, row: ActivityRow) -> None:
        activity = self.told.items.activities[row.id]
        execution = activity.execution
        if (row.state == STARTED) != activity.running:
            self.violated("I13", f"activity {row.id!r} is {row.state}; the history says otherwise")
        if (row.name, self._json(row.input, f"the input of activity {row.id!r}")) != (
            execution.activity,
            execution.input,
        ):
            self.violated("I13", f"activity {row.id!r} is not the one that was decided")
        if row.cancel_requested != activity.cancel_requested:
            self.violated("I13", f"whether {row.id!r} is to cancel itself is kept wrongly")
        attempt = activity.attempt + (not activity.running)
        if row.attempt != attempt:
            self.violated("I14", f"activity {row.id!r} is at attempt {row.attempt}, not {attempt}")
        if row.lost > activity.lost:
            self.violated(
                "I14", f"activity {row.id!r} has lost {activity.lost} workers, not {row.lost}"
            )

    def _check_timers(self) -> None:
        known = self.told.items.timers
        self._same("I17", "timer", set(known), [row.id for row in self.record.timers])
        for row in self.record.timers:
            if row.deadline not in (NEVER, row.since + microseconds(row.delay)):
                self.violated("I17", f"timer {row.id!r} fires at another time than was decided")
            data = self._json(row.data, f"the data of timer {row.id!r}")
            if row.id in known:
                timer = known[row.id].timer
                if (row.delay, data) != (timer.delay, timer.data):
                    self.violated("I17", f"timer {row.id!r} is not the one that was decided")

    def _check_children(self) -> None:
        items = self.told.items
        told = dict(items.children)
        for row in self.record.children:
            if (
                items.inherited is None
                and row.id not in items.ended
                and row.since <= self.row.started
            ):
                # The run before this one is not at hand, and may have started it.
                told.setdefault(row.id, None)
            decision: StartChildProcess | None = told.get(row.id)
            if decision is not None and (row.policy, row.workflow) != (
                decision.child_policy,
                decision.process.workflow,
            ):
                self.violated("I19", f"child {row.id!r} is not the one that was decided")
        self._same("I19", "child", set(told), [row.id for row in self.record.children])

    def _same(self, invariant: str, what: str, told: set[str], kept: list[str]) -> None:
        for item in sorted(told.symmetric_difference(kept)):
            where = "the history only" if item in told else "the state only"
            self.violated(invariant, f"{what} {item!r} is open in {where}")
        if len(kept) != len(set(kept)):
            self.violated(invariant, f"one {what} is kept more than once")
