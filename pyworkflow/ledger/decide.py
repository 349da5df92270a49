"""What the decisions of a completed decision task do: checked as a whole first, then applied as a whole."""

from collections.abc import Callable, Sequence

from msgspec import UNSET, Struct

from pyworkflow.activity import ActivityExecution
from pyworkflow.clock import microseconds
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
from pyworkflow.errors import InvalidDecisionError, InvalidRequestError, PyworkflowError
from pyworkflow.event import ActivityEvent, DecisionEvent, DecisionRejectedEvent
from pyworkflow.ledger import claims
from pyworkflow.ledger.lifecycle import (
    OPEN,
    Start,
    begin,
    cancel,
    close,
    continue_as_new,
    raw,
    signal,
    tell,
)
from pyworkflow.ledger.rows import (
    MAX_DECISIONS,
    MAX_EVENTS,
    MAX_OPEN,
    SCHEDULED,
    ActivityRow,
    ActivityTypeRow,
    ChildRow,
    DecisionRow,
    ProcessRow,
    TimerRow,
)
from pyworkflow.ledger.unit import Unit
from pyworkflow.result import (
    ActivityCanceled,
    ProcessCanceled,
    ProcessCompleted,
    ProcessFailed,
)
from pyworkflow.values import check_name, check_payload, check_seconds, check_tags

LAMBDA_CATEGORY = "lambda"
"""The queue of `ScheduleLambda` where the engine has no Lambda of its own."""


class Checked(Struct, frozen=True):
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


def complete_decision(unit: Unit, key: int, token: str, decisions: Sequence[Decision]) -> bool:
    """Apply the decisions of a task, all or none; return False if they were refused because of events they have not seen.

    Raises:
        StaleDecisionTaskError: The lease has ended.
        InvalidDecisionError: One of them cannot apply.
    """
    process, row = claims.held_decision(unit, key, token)
    checked = _check(unit, process, row, decisions)
    closing = bool(checked) and checked[-1].decision.closing
    if closing and row.pending:
        claims.refuse_decision(unit, process, row)
        return False
    process.seen_seq = row.started_seq
    process.failures = 0
    unit.changed(process)
    for item in checked:
        _APPLY[type(item.decision)](unit, process, item)
        if process.status != OPEN:
            # By its last decision; or the end of its parent, which it asked for, has ended it too.
            return True
    _settle(unit, row)
    return True


def _settle(unit: Unit, row: DecisionRow) -> None:
    """End a decision that left its process open; if something came meanwhile, schedule the next."""
    if row.pending:
        unit.drop(row)
        unit.add(DecisionRow(key=row.key, category=row.category, ready=unit.now))
    else:
        unit.drop(row)


# -- checking ----------------------------------------------------------------------------------------------------------------------


class _Check:
    """What is known while a list of decisions is checked."""

    def __init__(self, unit: Unit, process: ProcessRow, row: DecisionRow) -> None:
        self.unit = unit
        self.process = process
        self.row = row
        self.activities: set[str] = set()
        self.timers: set[str] = set()
        self.children: set[str] = set()
        self.gone: set[tuple[str, str]] = set()

    def opens(self) -> int:
        return len(self.activities) + len(self.timers) + len(self.children)


def _check(
    unit: Unit, process: ProcessRow, row: DecisionRow, decisions: Sequence[Decision]
) -> list[Checked]:
    if len(decisions) > MAX_DECISIONS:
        raise InvalidDecisionError("decisions", f"{len(decisions)}, {MAX_DECISIONS} at most")
    state = _Check(unit, process, row)
    checked: list[Checked] = []
    for index, decision in enumerate(decisions):
        rule = _CHECK.get(type(decision))
        if rule is None:
            raise InvalidDecisionError(f"decision {index + 1}", f"{decision!r} is no decision")
        try:
            if decision.closing and index + 1 < len(decisions):
                raise InvalidRequestError("place", "it closes the process and must come last")
            checked.append(rule(state, decision))
        except PyworkflowError as error:
            what = f"decision {index + 1}, {decision.type}"
            raise InvalidDecisionError(what, str(error)) from error
    if opens := state.opens():
        if process.opened + opens > MAX_OPEN:
            raise InvalidDecisionError(
                "decisions", f"would have {process.opened + opens} things open, {MAX_OPEN} at most"
            )
        if process.last_seq + len(decisions) > MAX_EVENTS:
            raise InvalidDecisionError(
                "decisions",
                f"the history has {process.last_seq} events, {MAX_EVENTS} at most: continue as new",
            )
    return checked


def _check_schedule(state: _Check, decision: ScheduleActivity) -> Checked:
    kind = state.unit.activity_type(check_name(decision.activity, "activity"))
    if kind is None:
        raise InvalidRequestError(f"activity {decision.activity!r}", "is not registered")
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
        state.unit.activity(state.process.key, activity_id) is not None
        and ("activity", activity_id) not in state.gone
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
    row = state.unit.activity(state.process.key, decision.id)
    _check_known(state, row, "activity", decision.id)
    return Checked(decision, row=row)


def _check_known(state: _Check, row: object, kind: str, item_id: str) -> None:
    # Where events came since the decision started, the thing may have ended without the decider's knowing: not its mistake.
    if row is None and not state.row.pending:
        raise InvalidRequestError(f"{kind} id {item_id!r}", "is not open")
    if (kind, item_id) in state.gone:
        raise InvalidRequestError(f"{kind} id {item_id!r}", "is canceled twice")
    if not isinstance(row, ActivityRow) or row.state == SCHEDULED:
        state.gone.add((kind, item_id))


def _check_timer(state: _Check, decision: Timer) -> Checked:
    check_seconds(decision.delay, "delay")
    check_name(decision.id, "timer id")
    if decision.id in state.timers or (
        state.unit.timer(state.process.key, decision.id) is not None
        and ("timer", decision.id) not in state.gone
    ):
        raise InvalidRequestError(f"timer id {decision.id!r}", "is open already")
    state.timers.add(decision.id)
    return Checked(decision, check_payload(decision.data, "data"))


def _check_cancel_timer(state: _Check, decision: CancelTimer) -> Checked:
    if decision.id in state.timers:
        raise InvalidRequestError(f"timer id {decision.id!r}", "is started by the same list")
    row = state.unit.timer(state.process.key, decision.id)
    _check_known(state, row, "timer", decision.id)
    return Checked(decision, row=row)


def _check_child(state: _Check, decision: StartChildProcess) -> Checked:
    child = decision.process
    if state.unit.workflow(check_name(child.workflow, "workflow")) is None:
        raise InvalidRequestError(f"workflow {child.workflow!r}", "is not registered")
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
    check_name(decision.signal.name, "signal name")
    if decision.signal.id is not None:
        check_name(decision.signal.id, "signal id")
    return Checked(decision, check_payload(decision.signal.data, "data"))


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
    check_payload(decision.reason, "reason")
    return Checked(decision, check_payload(decision.details, "details"))


def _check_continue(state: _Check, decision: ContinueProcess) -> Checked:
    name = decision.workflow or state.process.workflow
    if state.unit.workflow(check_name(name, "workflow")) is None:
        raise InvalidRequestError(f"workflow {name!r}", "is not registered")
    if decision.tags is not None:
        check_tags(decision.tags)
    if decision.input is UNSET:
        return Checked(decision, state.unit.input(state.process.key))
    return Checked(decision, check_payload(decision.input, "input"))


# -- applying: nothing below can fail ----------------------------------------------------------------------------------------------


def _record(unit: Unit, process: ProcessRow, decision: Decision) -> None:
    event = DecisionEvent(decision, datetime=unit.time_for(process))  # type: ignore[arg-type]
    unit.append(process, event)


def _apply_schedule(unit: Unit, process: ProcessRow, item: Checked) -> None:
    decision, kind = item.decision, item.type
    assert isinstance(decision, ScheduleActivity) and kind is not None  # noqa: S101, PT018
    _record(unit, process, decision)
    row = ActivityRow(
        number=unit.next_number(),
        key=process.key,
        id=decision.id,
        name=decision.activity,
        category=decision.category or kind.category,
        input=item.payload,
        scheduled_timeout=_chosen(decision.scheduled_timeout, kind.scheduled_timeout),
        execution_timeout=_chosen(decision.execution_timeout, kind.execution_timeout),
        heartbeat_timeout=_chosen(decision.heartbeat_timeout, kind.heartbeat_timeout),
        retry=kind.retry if decision.retry is None else decision.retry,
        at_most_once=kind.at_most_once,
        ready=unit.now,
        since=unit.now,
    )
    _open_activity(unit, process, row)


def _chosen(seconds: float | None, default: int) -> int:
    return default if seconds is None else microseconds(seconds)


def _open_activity(unit: Unit, process: ProcessRow, row: ActivityRow) -> None:
    row.set_deadline()
    unit.add(row)
    process.opened += 1


def _apply_lambda(unit: Unit, process: ProcessRow, item: Checked) -> None:
    decision = item.decision
    assert isinstance(decision, ScheduleLambda)  # noqa: S101
    _record(unit, process, decision)
    timeout = microseconds(decision.timeout)
    row = ActivityRow(
        number=unit.next_number(),
        key=process.key,
        id=decision.id,
        name=decision.function,
        category=LAMBDA_CATEGORY,
        input=item.payload,
        scheduled_timeout=timeout,
        execution_timeout=timeout,
        heartbeat_timeout=timeout,
        retry=None,
        at_most_once=False,
        ready=unit.now,
        since=unit.now,
    )
    _open_activity(unit, process, row)


def _apply_cancel_activity(unit: Unit, process: ProcessRow, item: Checked) -> None:
    _record(unit, process, item.decision)
    row = item.row
    if not isinstance(row, ActivityRow):
        _reject(unit, process, item.decision, "the activity is not open any more")
    elif row.state == SCHEDULED:
        unit.drop(row)
        process.opened -= 1
        execution = ActivityExecution(row.name, row.id, raw(row.input))
        event = ActivityEvent(execution, ActivityCanceled(), datetime=unit.time_for(process))
        tell(unit, process, event)
    else:
        row.cancel_requested = True
        unit.changed(row)


def _reject(unit: Unit, process: ProcessRow, decision: Decision, reason: str) -> None:
    event = DecisionRejectedEvent(decision, reason, datetime=unit.time_for(process))  # type: ignore[arg-type]
    tell(unit, process, event)


def _apply_timer(unit: Unit, process: ProcessRow, item: Checked) -> None:
    decision = item.decision
    assert isinstance(decision, Timer)  # noqa: S101
    _record(unit, process, decision)
    unit.add(
        TimerRow(
            key=process.key,
            id=decision.id,
            delay=decision.delay,
            data=item.payload,
            since=unit.now,
            deadline=unit.now + microseconds(decision.delay),
        )
    )
    process.opened += 1


def _apply_cancel_timer(unit: Unit, process: ProcessRow, item: Checked) -> None:
    _record(unit, process, item.decision)
    if isinstance(item.row, TimerRow):
        unit.drop(item.row)
        process.opened -= 1
    else:
        _reject(unit, process, item.decision, "the timer is not open any more")


def _apply_child(unit: Unit, process: ProcessRow, item: Checked) -> None:
    decision = item.decision
    assert isinstance(decision, StartChildProcess)  # noqa: S101
    _record(unit, process, decision)
    new = decision.process
    before = unit.find(new.id)
    if before is not None:
        _reject(
            unit, process, decision, f"process {new.id!r} already exists: it is {before.status}"
        )
        return
    request = Start(new.workflow, new.id, item.payload, new.tags)
    child = begin(unit, request, run=1, parent=process)
    process.opened += 1
    unit.add(
        ChildRow(
            key=process.key,
            id=child.id,
            child_key=child.key,
            workflow=child.workflow,
            policy=decision.child_policy,
            since=unit.now,
        )
    )


def _apply_signal(unit: Unit, process: ProcessRow, item: Checked) -> None:
    decision = item.decision
    assert isinstance(decision, SignalProcess)  # noqa: S101
    _record(unit, process, decision)
    try:
        signal(unit, decision.process_id, decision.signal)
    except PyworkflowError as error:
        _reject(unit, process, decision, str(error))


def _apply_request_cancel(unit: Unit, process: ProcessRow, item: Checked) -> None:
    decision = item.decision
    assert isinstance(decision, RequestCancelProcess)  # noqa: S101
    _record(unit, process, decision)
    try:
        cancel(unit, decision.process_id, decision.details)
    except PyworkflowError as error:
        _reject(unit, process, decision, str(error))


def _apply_marker(unit: Unit, process: ProcessRow, item: Checked) -> None:
    _record(unit, process, item.decision)


def _apply_close(unit: Unit, process: ProcessRow, item: Checked) -> None:
    decision = item.decision
    event = DecisionEvent(decision, datetime=unit.time_for(process))  # type: ignore[arg-type]
    if isinstance(decision, CompleteProcess):
        close(unit, process, event, ProcessCompleted(decision.result))
    elif isinstance(decision, CancelProcess):
        close(unit, process, event, ProcessCanceled(decision.details))
    elif isinstance(decision, FailProcess):
        close(unit, process, event, ProcessFailed(decision.reason, decision.details))


def _apply_continue(unit: Unit, process: ProcessRow, item: Checked) -> None:
    decision = item.decision
    assert isinstance(decision, ContinueProcess)  # noqa: S101
    same = decision.workflow in (None, process.workflow)
    request = Start(
        decision.workflow or process.workflow,
        process.id,
        item.payload,
        process.tags if decision.tags is None else decision.tags,
        *((process.category, process.timeout) if same else (None, None)),
    )
    continue_as_new(unit, process, decision, request)


_Rule = Callable[..., Checked]
_Effect = Callable[[Unit, ProcessRow, Checked], None]

_RULES: dict[type[Decision], tuple[_Rule, _Effect]] = {
    ScheduleActivity: (_check_schedule, _apply_schedule),
    CancelActivity: (_check_cancel_activity, _apply_cancel_activity),
    ScheduleLambda: (_check_lambda, _apply_lambda),
    Timer: (_check_timer, _apply_timer),
    CancelTimer: (_check_cancel_timer, _apply_cancel_timer),
    StartChildProcess: (_check_child, _apply_child),
    SignalProcess: (_check_signal, _apply_signal),
    RequestCancelProcess: (_check_request_cancel, _apply_request_cancel),
    RecordMarker: (_check_marker, _apply_marker),
    CompleteProcess: (_check_complete, _apply_close),
    CancelProcess: (_check_cancel, _apply_close),
    FailProcess: (_check_fail, _apply_close),
    ContinueProcess: (_check_continue, _apply_continue),
}
_CHECK: dict[type, _Rule] = {kind: rules[0] for kind, rules in _RULES.items()}
_APPLY: dict[type, _Effect] = {kind: rules[1] for kind, rules in _RULES.items()}
