"""What each decision does. Everything has been checked: nothing here can fail."""

from collections.abc import Callable

from pyworkflow.clock import microseconds
from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
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
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import ActivityEvent, DecisionEvent, DecisionRejectedEvent
from pyworkflow.ledger.decision_checks import Checked
from pyworkflow.ledger.lifecycle import (
    Start,
    begin,
    cancel,
    close,
    continue_as_new,
    signal,
    tell,
)
from pyworkflow.ledger.parking import execution_of
from pyworkflow.ledger.rows import (
    STARTED,
    ActivityRow,
    ChildRow,
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

LAMBDA_CATEGORY = "lambda"
"""The queue of `ScheduleLambda` where the engine has no Lambda of its own."""


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
    elif row.state != STARTED:
        unit.drop(row)
        process.opened -= 1
        canceled, time = ActivityCanceled(), unit.time_for(process)
        event = ActivityEvent(execution_of(row), canceled, datetime=time)
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


_Effect = Callable[[Unit, ProcessRow, Checked], None]

_EFFECTS: dict[type, _Effect] = {
    ScheduleActivity: _apply_schedule,
    CancelActivity: _apply_cancel_activity,
    ScheduleLambda: _apply_lambda,
    Timer: _apply_timer,
    CancelTimer: _apply_cancel_timer,
    StartChildProcess: _apply_child,
    SignalProcess: _apply_signal,
    RequestCancelProcess: _apply_request_cancel,
    RecordMarker: _apply_marker,
    CompleteProcess: _apply_close,
    CancelProcess: _apply_close,
    FailProcess: _apply_close,
    ContinueProcess: _apply_continue,
}


def apply_decision(unit: Unit, process: ProcessRow, item: Checked) -> None:
    """Record a decision and let it take effect."""
    _EFFECTS[type(item.decision)](unit, process, item)
