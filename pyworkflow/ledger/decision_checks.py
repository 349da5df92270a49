"""Whether a list of decisions can apply: each of them is checked, in order, before any of them does anything."""

from collections.abc import Callable, Sequence

from msgspec import UNSET, Struct

from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    ChildPolicy,
    CompleteProcess,
    ContinueProcess,
    Decision,
    FailProcess,
    RecordMarker,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    SignalProcess,
    StartChildProcess,
    Timer,
)
from pyworkflow.errors import (
    InvalidDecisionError,
    InvalidRequestError,
    PyworkflowError,
    UnregisteredNameError,
)
from pyworkflow.failure import repr_of
from pyworkflow.ledger.rows import (
    MAX_DECISIONS,
    MAX_EVENTS,
    MAX_OPEN,
    RESERVED_EVENTS,
    STARTED,
    ActivityRow,
    ActivityTypeRow,
    ProcessRow,
    TimerRow,
)
from pyworkflow.ledger.unit import Unit
from pyworkflow.signal import Signal
from pyworkflow.values import check_fields, check_name, check_payload, check_seconds, check_tags

NOT_REGISTERED = "is not registered: start a worker that has it, or correct the name"


class Checked(Struct, frozen=True, gc=False):
    """A decision that can apply, with what the check has found out.

    Attributes:
        decision: The decision.
        payload: Its payload as JSON.
        type: The activity's type.
        row: The open activity or timer that it is about; None if that has just ended.
    """

    decision: Decision
    payload: bytes = b""
    type: ActivityTypeRow | None = None
    row: ActivityRow | TimerRow | None = None


class _Check:
    """What is known while a list of decisions is checked."""

    def __init__(self, unit: Unit, process: ProcessRow, pending: bool) -> None:
        self.unit = unit
        self.process = process
        self.pending = pending
        self.activities: set[str] = set()
        self.timers: set[str] = set()
        self.children: set[str] = set()
        self.gone: set[tuple[str, str]] = set()

    def activity(self, activity_id: str) -> ActivityRow | None:
        """Return an open activity of the process; there is none to look for where nothing is open."""
        return self.unit.activity(self.process.key, activity_id) if self.process.opened else None

    def timer(self, timer_id: str) -> TimerRow | None:
        """Return an open timer; as `activity`."""
        return self.unit.timer(self.process.key, timer_id) if self.process.opened else None

    def opens(self) -> int:
        return len(self.activities) + len(self.timers) + len(self.children)


def check_decisions(
    unit: Unit,
    process: ProcessRow,
    decisions: Sequence[Decision],
    *,
    pending: bool = False,
    ended: str | None = None,
) -> list[Checked]:
    """Return the decisions, each with what its check has found out.

    Args:
        unit: The transaction.
        process: Whose decisions.
        decisions: What was decided.
        pending: Whether events came since that the decider has not seen.
        ended: An activity that is about to end.

    Raises:
        InvalidDecisionError: One of them cannot apply; it is named.
        UnregisteredNameError: One of them names what nobody has registered yet.
    """
    if len(decisions) > MAX_DECISIONS:
        raise InvalidDecisionError("decisions", f"{len(decisions)}, {MAX_DECISIONS} at most")
    state = _Check(unit, process, pending)
    if ended is not None:
        state.gone.add(("activity", ended))
    checked: list[Checked] = []
    for index, decision in enumerate(decisions):
        rule = _RULES.get(type(decision))
        if rule is None:
            raise InvalidDecisionError(
                f"decision {index + 1}", f"{repr_of(decision, 80)} is no decision"
            )
        try:
            if decision.closing and index + 1 < len(decisions):
                raise InvalidRequestError("place", "it closes the process and must come last")
            check_fields(decision)
            checked.append(rule(state, decision))
        except PyworkflowError as error:
            what = f"decision {index + 1}, {decision.type}"
            kind = (
                UnregisteredNameError
                if isinstance(error, UnregisteredNameError)
                else InvalidDecisionError
            )
            raise kind(what, str(error)) from error
    if opens := state.opens():
        if process.opened + opens > MAX_OPEN:
            raise InvalidDecisionError(
                "decisions", f"would have {process.opened + opens} things open, {MAX_OPEN} at most"
            )
        _check_events(unit, process, len(decisions))
    return checked


def _check_events(unit: Unit, process: ProcessRow, more: int) -> None:
    """Refuse decisions that open something when the history is full; a process that was asked to cancel has a reserve."""
    count = process.last_seq + more
    if count <= MAX_EVENTS:
        return
    if not unit.asked_to_cancel(process):
        advice = f"continue as new, or cancel the process, and retry it if it is parked: it has {RESERVED_EVENTS} more to undo what it did"
        limit = MAX_EVENTS
    elif count > MAX_EVENTS + RESERVED_EVENTS:
        advice, limit = "close the process, or continue as new", MAX_EVENTS + RESERVED_EVENTS
    else:
        return
    raise InvalidDecisionError(
        "decisions", f"the history has {process.last_seq} events, {limit} at most: {advice}"
    )


def _check_schedule(state: _Check, decision: ScheduleActivity) -> Checked:
    kind = state.unit.activity_type(check_name(decision.activity, "activity"))
    if kind is None:
        raise UnregisteredNameError(f"activity {decision.activity!r}", NOT_REGISTERED)
    _check_new_activity(state, decision.id)
    if decision.category is not None:
        check_name(decision.category, "category")
    for name in ("scheduled_timeout", "execution_timeout", "heartbeat_timeout"):
        if (seconds := getattr(decision, name)) is not None:
            check_seconds(seconds, name, positive=True)
    return Checked(decision, check_payload(decision.input, "input"), kind)


def _check_new_activity(state: _Check, activity_id: str) -> None:
    check_name(activity_id, "activity id")
    if activity_id in state.activities or (
        state.activity(activity_id) is not None and ("activity", activity_id) not in state.gone
    ):
        raise InvalidRequestError(f"activity id {activity_id!r}", "is open already")
    state.activities.add(activity_id)


def _check_lambda(state: _Check, decision: ScheduleLambda) -> Checked:
    check_name(decision.function, "function")
    check_seconds(decision.timeout, "timeout", positive=True)
    _check_new_activity(state, decision.id)
    return Checked(decision, check_payload(decision.input, "input"))


def _check_cancel_activity(state: _Check, decision: CancelActivity) -> Checked:
    if decision.id in state.activities:
        raise InvalidRequestError(f"activity id {decision.id!r}", "is scheduled by the same list")
    row = state.activity(decision.id)
    _check_known(state, row, "activity", decision.id)
    return Checked(decision, row=row)


def _check_known(state: _Check, row: object, kind: str, item_id: str) -> None:
    # Where events came since the decision started, the thing may have ended without the decider's knowing: not its mistake.
    if row is None and not state.pending:
        raise InvalidRequestError(f"{kind} id {item_id!r}", "is not open")
    if (kind, item_id) in state.gone:
        raise InvalidRequestError(f"{kind} id {item_id!r}", "is canceled twice")
    if not isinstance(row, ActivityRow) or row.state != STARTED:
        state.gone.add((kind, item_id))


def _check_timer(state: _Check, decision: Timer) -> Checked:
    check_seconds(decision.delay, "delay")
    check_name(decision.id, "timer id")
    if decision.id in state.timers or (
        state.timer(decision.id) is not None and ("timer", decision.id) not in state.gone
    ):
        raise InvalidRequestError(f"timer id {decision.id!r}", "is open already")
    state.timers.add(decision.id)
    return Checked(decision, check_payload(decision.data, "data"))


def _check_cancel_timer(state: _Check, decision: CancelTimer) -> Checked:
    if decision.id in state.timers:
        raise InvalidRequestError(f"timer id {decision.id!r}", "is started by the same list")
    row = state.timer(decision.id)
    _check_known(state, row, "timer", decision.id)
    return Checked(decision, row=row)


def _check_child(state: _Check, decision: StartChildProcess) -> Checked:
    child = decision.process
    if state.unit.workflow(check_name(child.workflow, "workflow")) is None:
        raise UnregisteredNameError(f"workflow {child.workflow!r}", NOT_REGISTERED)
    check_name(child.id, "process id")
    check_tags(child.tags)
    if decision.child_policy not in ChildPolicy.ALL:
        raise InvalidRequestError(f"child policy {decision.child_policy!r}", "is unknown")
    if child.id in state.children:
        raise InvalidRequestError(f"process id {child.id!r}", "is started twice")
    state.children.add(child.id)
    return Checked(decision, check_payload(child.input, "input"))


def _check_signal(state: _Check, decision: SignalProcess) -> Checked:
    check_name(decision.process_id, "process id")
    return Checked(decision, _check_one_signal(decision.signal))


def _check_one_signal(signal: Signal) -> bytes:
    check_name(signal.name, "signal name")
    if signal.id is not None:
        check_name(signal.id, "signal id")
    return check_payload(signal.data, "data")


def _check_request_cancel(state: _Check, decision: RequestCancelProcess) -> Checked:
    check_name(decision.process_id, "process id")
    if decision.process_id == state.process.id:
        raise InvalidRequestError(f"process id {decision.process_id!r}", "is its own")
    return Checked(decision, check_payload(decision.details, "details"))


def _check_marker(state: _Check, decision: RecordMarker) -> Checked:
    check_name(decision.name, "marker name")
    return Checked(decision, check_payload(decision.details, "details"))


def _check_complete(state: _Check, decision: CompleteProcess) -> Checked:
    return Checked(decision, check_payload(decision.result, "result"))


def _check_cancel(state: _Check, decision: CancelProcess) -> Checked:
    return Checked(decision, check_payload(decision.details, "details"))


def _check_fail(state: _Check, decision: FailProcess) -> Checked:
    return Checked(decision, check_payload(decision.details, "details"))


def _check_continue(state: _Check, decision: ContinueProcess) -> Checked:
    name = decision.workflow or state.process.workflow
    if state.unit.workflow(check_name(name, "workflow")) is None:
        raise UnregisteredNameError(f"workflow {name!r}", NOT_REGISTERED)
    if decision.tags is not None:
        check_tags(decision.tags)
    for each in decision.signals:
        _check_one_signal(each)
    if decision.cancel_details is not UNSET:
        check_payload(decision.cancel_details, "cancel_details")
    if decision.input is UNSET:
        own = state.unit.input(state.process.key)
        if own is None:
            raise InvalidRequestError("input", "the process's own is gone: give one")
        return Checked(decision, own)
    return Checked(decision, check_payload(decision.input, "input"))


_Rule = Callable[..., Checked]

_RULES: dict[type, _Rule] = {
    ScheduleActivity: _check_schedule,
    CancelActivity: _check_cancel_activity,
    ScheduleLambda: _check_lambda,
    Timer: _check_timer,
    CancelTimer: _check_cancel_timer,
    StartChildProcess: _check_child,
    SignalProcess: _check_signal,
    RequestCancelProcess: _check_request_cancel,
    RecordMarker: _check_marker,
    CompleteProcess: _check_complete,
    CancelProcess: _check_cancel,
    FailProcess: _check_fail,
    ContinueProcess: _check_continue,
}
