"""What people ask of processes on SWF: lists, and what a process waits for."""

from typing import Any

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
from pyworkflow.swf.state import OpenActivity


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
    pending: list[Pending] = []
    if state.parked is not None:
        pending.append(Pending("decision", state="parked", details=state.parked))
    elif state.delayed_by is not None:
        pending.append(Pending("decision", state="delayed", category=state.category))
    elif (reader.decision is not None or state.misrouted) and reader.wants_decider():
        details = _misrouted(state.misrouted, f"workflow {state.workflow!r}")
        kind = reader.decision or "delayed"
        pending.append(Pending("decision", state=kind, category=state.category, details=details))
    pending += [_activity(one) for one in state.activities.values()]
    pending += [
        Pending("timer", key, since=one.since)
        for key, one in state.timers.items()
        if one.timer is not None
    ]
    for child in state.children.values():
        process = child.decision.process
        pending.append(
            Pending("child_process", process.id, name=process.workflow, since=child.since)
        )
    return pending


def _activity(one: OpenActivity) -> Pending:
    kind = "delayed" if one.waiting else "started" if one.started else "scheduled"
    return Pending(
        "activity",
        one.execution.id,
        kind,
        one.execution.activity,
        one.attributes.get("taskList", {}).get("name"),
        one.since,
        attempt=one.attempt,
        identity=one.identity,
        details=_misrouted(one.misrouted, f"activity {one.execution.activity!r}"),
        cancel_requested=one.cancel_requested,
    )


def _misrouted(times: int, what: str) -> str | None:
    if not times:
        return None
    return f"given back by workers that do not have {what}, {times} times so far"
