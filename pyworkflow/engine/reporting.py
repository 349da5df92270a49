"""Reports: what became of a workflow, as data; and workflows that go on from a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pyworkflow.clock import to_datetime
from pyworkflow.engine.errors import RescueError
from pyworkflow.engine.event import Event
from pyworkflow.engine.record import TaskRecord, instant

if TYPE_CHECKING:
    from pyworkflow.engine.workflow import Workflow


def report(workflow: Workflow) -> dict[str, Any]:
    """Return the template of a workflow as a dict, with what became of it and of each task under ``exec``."""
    told = workflow.template.as_dict()
    told["exec"] = {
        "id": workflow.uid,
        "start": None if workflow.start is None else to_datetime(workflow.start),
        "end": None if workflow.end is None else to_datetime(workflow.end),
        "state": workflow.state.value,
    }
    for task in told["tasks"]:
        record = workflow.records.get(task["id"])
        task["exec"] = None if record is None else record.as_dict()
        running = workflow.running.get(task["id"])
        if running is not None and (now := running.reporting()) is not None:
            task["exec"]["reporting"] = now
    return told


def uid_of(told: Mapping[str, Any]) -> str:
    """Return the id of the workflow of a report.

    Raises:
        RescueError: It tells none.
    """
    given: object = told.get("exec")
    uid = given.get("id") if isinstance(given, Mapping) else None
    if not isinstance(uid, str):
        raise RescueError("?", "the report does not tell its id")
    return uid


def restore(workflow: Workflow, told: Mapping[str, Any]) -> None:
    """Bring a new workflow to where a report left off: what had ended has ended, and what had only begun is ready to begin.

    Raises:
        RescueError: The report is none of this template, or the first task had never begun.
    """
    try:
        began = instant(told["exec"]["start"])
        tasks: dict[str, TaskRecord] = {
            task["id"]: TaskRecord.from_dict(task["id"], task["exec"])
            for task in told["tasks"]
            if task["exec"] is not None
        }
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RescueError(workflow.uid, f"the report cannot be read: {error!r}") from error
    if strange := sorted(tasks.keys() - workflow.plan.tasks.keys()):
        raise RescueError(workflow.uid, f"the template lacks task {strange[0]!r}")
    if workflow.plan.root not in tasks:
        raise RescueError(workflow.uid, "its first task had never begun")
    workflow.opened(Event.thawed(tasks[workflow.plan.root].inputs), began)
    over = [record for record in tasks.values() if record.state.is_done]
    for record in sorted(over, key=lambda record: record.end or 0):
        workflow.settle(record, told=True)
