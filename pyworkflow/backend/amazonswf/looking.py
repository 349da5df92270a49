"""What people ask of processes on SWF: lists, and what a process waits for."""

from typing import Any

from msgspec.structs import replace

from pyworkflow.backend.amazonswf.executions import (
    CLOSE_STATUSES,
    Executions,
    execution_of,
    status_of,
    to_process,
)
from pyworkflow.backend.exchange import Pending
from pyworkflow.errors import PayloadError
from pyworkflow.process import Process, Status
from pyworkflow.swf.reading import Reader
from pyworkflow.swf.state import OpenActivity, State
from pyworkflow.swf.words import later, to_seconds


def listed(
    executions: Executions,
    workflow: str | None,
    tag: str | None,
    status: Status | None,
    parked: bool | None,
    after: Process | None,
    limit: int | None,
) -> list[Process]:
    """Return processes, oldest first, without input and history."""
    found: list[Process] = []
    for kind in ("open", "closed"):
        if status is not None and (status is Status.OPEN) != (kind == "open"):
            continue
        filters = _filter(workflow, tag, status)
        # Oldest first only where it saves something: a list that is read to its end is sorted here.
        order = {} if limit is None else {"reverseOrder": True}
        since = None if after is None else after.started
        taken = 0
        for info in executions.list(kind, filters, since, **order):
            process = to_process(info)
            if _fits(process, workflow, tag, status, after):
                if parked is not None and parked != _is_parked(executions, info):
                    continue
                found.append(process)
                taken += 1
                if limit is not None and taken >= limit:
                    break
    return sorted(found, key=_place)


def page(found: list[Process], after: Process | None, limit: int | None) -> list[Process]:
    """Return those that come after one, at most as many as the limit."""
    if after is not None:
        places = [n for n, one in enumerate(found) if (one.id, one.run) == (after.id, after.run)]
        found = found[places[0] + 1 :] if places else []
    return found if limit is None else found[:limit]


def _place(process: Process) -> tuple[Any, str]:
    return process.started, str(process.id)


def _filter(workflow: str | None, tag: str | None, status: Status | None) -> dict[str, Any]:
    """Return the one filter that SWF takes; what it cannot combine is filtered here."""
    if tag is not None:
        return {"tagFilter": {"tag": tag}}
    if workflow is not None:
        return {"typeFilter": {"name": workflow}}
    if status is not None and status is not Status.OPEN:
        return {"closeStatusFilter": {"status": CLOSE_STATUSES[status]}}
    return {}


def _fits(
    process: Process,
    workflow: str | None,
    tag: str | None,
    status: Status | None,
    after: Process | None,
) -> bool:
    return (
        (workflow is None or process.workflow == workflow)
        and (tag is None or tag in process.tags)
        and (status is None or process.status is status)
        and (after is None or _place(process) > _place(after))
    )


def _is_parked(executions: Executions, info: dict[str, Any]) -> bool:
    if status_of(info) is not Status.OPEN:
        return False
    try:
        return executions.read(execution_of(info)).state.parked is not None
    except PayloadError:
        # Its decisions fail for the same reason, so it is parked or soon will be.
        return True


def waits_of(reader: Reader) -> list[Pending]:
    """Return what an open process waits for."""
    state = reader.state
    if state.closed is not None:
        return []
    decision = _decision(reader)
    pending = [] if decision is None else [decision]
    pending += [_activity(one, state) for one in state.activities.values()]
    pending += [
        Pending("timer", key, since=one.since, until=one.until)
        for key, one in state.timers.items()
        if one.timer is not None
    ]
    for child in state.children.values():
        process = child.decision.process
        pending.append(
            Pending("child_process", process.id, name=process.workflow, since=child.since)
        )
    return pending


def _decision(reader: Reader) -> Pending | None:
    state = reader.state
    pending = Pending("decision", category=state.category, attempt=state.failures + 1, pollers=None)
    if state.parked is not None:
        return replace(pending, state="parked", details=state.parked)
    if state.delayed_by is not None:
        timer = state.timers[state.delayed_by]
        return replace(pending, state="delayed", since=timer.since, until=timer.until)
    if not reader.wants_decider():
        return None
    if reader.started is not None:
        since = reader.started.datetime
        until = later(since, to_seconds(state.options.get("taskStartToCloseTimeout")))
        identity = reader.started.identity
        return replace(pending, state="started", since=since, until=until, identity=identity)
    if not reader.is_scheduled and not state.misrouted:
        return None
    details = _misrouted(state.misrouted, f"workflow {state.workflow!r}")
    return replace(pending, state="scheduled", since=reader.scheduled_since, details=details)


def _activity(one: OpenActivity, state: State) -> Pending:
    a = one.attributes
    pending = Pending(
        "activity",
        one.execution.id,
        "scheduled",
        one.execution.activity,
        a.get("taskList", {}).get("name"),
        one.queued,
        later(one.queued, to_seconds(a.get("scheduleToStartTimeout"))),
        one.attempt,
        details=_misrouted(one.misrouted, f"activity {one.execution.activity!r}"),
        cancel_requested=one.cancel_requested,
        pollers=None,
    )
    if one.waiting and not one.misrouted:
        timer = state.timers.get(one.timer or "")
        until = None if timer is None else timer.until
        return replace(pending, state="delayed", until=until, attempt=one.attempt + 1)
    if one.started:
        until = later(one.since, to_seconds(a.get("startToCloseTimeout")))
        return replace(
            pending,
            state="started",
            since=one.since,
            until=until,
            identity=one.identity,
            details=None,
        )
    return pending


def _misrouted(times: int, what: str) -> str | None:
    if not times:
        return None
    return f"given back {times} times by workers that could not begin with it: does one of them have {what}?"
