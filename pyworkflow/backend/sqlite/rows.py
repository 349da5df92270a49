"""Between rows of the ledger and rows of the database."""

from typing import Any

from pyworkflow.backend.staged import retry_of
from pyworkflow.codec import decode, encode
from pyworkflow.errors import PayloadError
from pyworkflow.ledger.rows import ActivityRow, ChildRow, DecisionRow, ProcessRow, TimerRow

Values = tuple[Any, ...]

DECISION_READY = 3
"""The place of ``ready`` among a decision's columns."""
ACTIVITY_READY = 11
"""The place of ``ready`` among an activity's columns."""


def process_from(values: Values) -> ProcessRow:
    """Return a process from the columns in the order of ``add_process``."""
    (
        key, id_, run, workflow, category, tags, parent_key, parent_id, timeout, decision_timeout,
        handles_cancel, fingerprint, started, deadline, status, closed, result, last_seq, seen_seq,
        digest, time, failures, opened, origin,
    ) = values  # fmt: skip
    return ProcessRow(
        key=key,
        id=id_,
        run=run,
        workflow=workflow,
        category=category,
        tags=() if tags == "[]" else _tags(tags),
        parent_key=parent_key,
        parent_id=parent_id,
        timeout=timeout,
        decision_timeout=decision_timeout,
        handles_cancel=bool(handles_cancel),
        fingerprint=fingerprint,
        started=started,
        deadline=deadline,
        status=status,
        closed=closed,
        result=result,
        last_seq=last_seq,
        seen_seq=seen_seq,
        digest=digest,
        time=time,
        failures=failures,
        opened=opened,
        origin=origin,
    )


def _tags(text: str) -> tuple[str, ...]:
    try:
        return tuple(decode(text, list[str]))
    except PayloadError:
        # `check` reports that they are not those of the start.
        return ()


def new_process(row: ProcessRow) -> Values:
    """Return the values of ``add_process``."""
    return (
        row.key, row.id, row.run, row.workflow, row.category, encode(row.tags).decode(),
        row.parent_key, row.parent_id, row.timeout, row.decision_timeout, row.handles_cancel,
        row.fingerprint, row.started, row.deadline, row.status, row.closed, row.result,
        row.last_seq, row.seen_seq, row.digest, row.time, row.failures, row.opened,
        row.origin,
    )  # fmt: skip


def changed_process(row: ProcessRow) -> Values:
    """Return the values of ``set_process``."""
    return (
        row.parent_key, row.parent_id, row.status, row.closed, row.result, row.last_seq,
        row.seen_seq, row.digest, row.time, row.failures, row.opened, row.key,
    )  # fmt: skip


def stepped_process(row: ProcessRow) -> Values:
    """Return the values of ``step_process``."""
    return (
        row.last_seq, row.seen_seq, row.digest, row.time, row.failures, row.opened, row.key,
    )  # fmt: skip


def decision_from(values: Values) -> DecisionRow:
    """Return a decision from the columns in the order of ``put_decision``."""
    (
        key, name, category, ready, state, token, deadline, limit, started, pending, identity, reason,
        suspect, lost, waits,
    ) = values  # fmt: skip
    return DecisionRow(
        key=key,
        name=name,
        category=category,
        ready=ready,
        state=state,
        token=token,
        deadline=deadline,
        limit=limit,
        started_seq=started,
        pending=bool(pending),
        identity=identity,
        reason=reason,
        suspect=bool(suspect),
        lost=lost,
        waits=waits,
    )


def decision_values(row: DecisionRow) -> Values:
    """Return the values of ``put_decision``."""
    return (
        row.key, row.name, row.category, row.ready, row.state, row.token, row.deadline, row.limit,
        row.started_seq, row.pending, row.identity, row.reason, row.suspect, row.lost,
        row.waits,
    )  # fmt: skip


def activity_from(values: Values) -> ActivityRow:
    """Return an activity from the columns in the order of ``add_activity``."""
    (
        number, key, id_, name, category, input_, scheduled_timeout, execution_timeout,
        heartbeat_timeout, retry, at_most_once, ready, since, state, token, deadline, heartbeat,
        lease, attempt, lost, failed, identity, details, cancel_requested, suspect,
    ) = values  # fmt: skip
    policy, damage = retry_of(retry)
    return ActivityRow(
        number=number,
        key=key,
        id=id_,
        name=name,
        category=category,
        input=input_,
        scheduled_timeout=scheduled_timeout,
        execution_timeout=execution_timeout,
        heartbeat_timeout=heartbeat_timeout,
        retry=policy,
        at_most_once=bool(at_most_once),
        ready=ready,
        since=since,
        state=state,
        token=token,
        deadline=deadline,
        heartbeat=heartbeat,
        lease=lease,
        attempt=attempt,
        lost=lost,
        failed=failed,
        identity=identity,
        details=details,
        cancel_requested=bool(cancel_requested),
        suspect=bool(suspect),
        damage=damage,
    )


def new_activity(row: ActivityRow) -> Values:
    """Return the values of ``add_activity``."""
    return (
        row.number, row.key, row.id, row.name, row.category, row.input, row.scheduled_timeout,
        row.execution_timeout, row.heartbeat_timeout,
        None if row.retry is None else encode(row.retry), row.at_most_once, row.ready, row.since,
        row.state, row.token, row.deadline, row.heartbeat, row.lease, row.attempt, row.lost,
        row.failed, row.identity, row.details, row.cancel_requested, row.suspect,
    )  # fmt: skip


def changed_activity(row: ActivityRow) -> Values:
    """Return the values of ``set_activity``."""
    return (
        row.ready, row.since, row.state, row.token, row.deadline, row.heartbeat, row.lease,
        row.attempt, row.lost, row.failed, row.identity, row.details, row.cancel_requested,
        row.suspect, row.number,
    )  # fmt: skip


def timer_from(values: Values) -> TimerRow:
    """Return a timer from the columns in the order of ``put_timer``."""
    key, id_, delay, data, since, deadline = values
    return TimerRow(key=key, id=id_, delay=delay, data=data, since=since, deadline=deadline)


def timer_values(row: TimerRow) -> Values:
    """Return the values of ``put_timer``."""
    return row.key, row.id, float(row.delay), row.data, row.since, row.deadline


def child_from(values: Values) -> ChildRow:
    """Return a child from the columns in the order of ``put_child``."""
    key, id_, child_key, workflow, policy, since = values
    return ChildRow(
        key=key, id=id_, child_key=child_key, workflow=workflow, policy=policy, since=since
    )


def child_values(row: ChildRow) -> Values:
    """Return the values of ``put_child``."""
    return row.key, row.id, row.child_key, row.workflow, row.policy, row.since
