"""Tasks of workflows and activities that this program does not have. Stores that filter polls by name hand out none."""

import logging
from collections.abc import Sequence

from pyworkflow.manager import Manager
from pyworkflow.task import ActivityTask, DecisionTask
from pyworkflow.worker.keeper import LeaseKeeper

log = logging.getLogger("pyworkflow.worker")

Task = ActivityTask | DecisionTask


def own_tasks(manager: Manager, keeper: LeaseKeeper, tasks: Sequence[Task]) -> list[Task]:
    """Return the tasks that this program can do; release the others, so that a worker that has them gets them."""
    own: list[Task] = []
    foreign: list[Task] = []
    for task in tasks:
        (own if _is_own(manager, task) else foreign).append(task)
    if foreign:
        log.warning(
            "released %d tasks that this program does not have: %s",
            len(foreign),
            ", ".join(sorted({_name(task) for task in foreign})),
        )
        keeper.give_back(foreign, unseen=True)
    return own


def _is_own(manager: Manager, task: Task) -> bool:
    names = manager.workflow_names if isinstance(task, DecisionTask) else manager.activity_names
    return _name(task) in names


def _name(task: Task) -> str:
    if isinstance(task, DecisionTask):
        return task.process.workflow
    return task.activity_execution.activity
