"""From a template to the graph that decides: one step for each task, begun by the first parent that gives something.

What a step is given and what it gives are envelopes around the data of tasks. They are all that a history has to keep of a task:

* input: ``data``, and ``from`` and ``id``, the task that gave it and that task's execution; the root has ``topic`` instead;
* output: ``id`` of the execution, its ``state``, its ``outputs``, the ``data`` that the next tasks are given, and ``next``, the tasks that
  it chose (left out for all of them).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from pyworkflow.codec import Json
from pyworkflow.graph import Graph, Join, OnFailure, Step
from pyworkflow.graph.model import START, ActivityWork

if TYPE_CHECKING:
    from pyworkflow.engine.template import TaskTemplate

YEARS = 10 * 365 * 86_400.0
"""Seconds: a task waits for its engine for as long as it takes, and has no limit but that of its template, which the engine itself keeps."""


class Compiled(Struct, frozen=True):
    """A template, ready to run.

    Attributes:
        root: The id of the first task.
        tasks: The tasks by id.
        children: The ids of the tasks that follow a task.
        parents: The ids of the tasks that a task follows.
        graph: The rules.
    """

    root: str
    tasks: Mapping[str, TaskTemplate]
    children: Mapping[str, tuple[str, ...]]
    parents: Mapping[str, tuple[str, ...]]
    graph: Graph


def activity_name(task_name: str) -> str:
    """Return the name of the activity that a registered task is on a backend."""
    return f"engine.{task_name}"


def compiled(
    name: str,
    root: str,
    tasks: Mapping[str, TaskTemplate],
    children: Mapping[str, tuple[str, ...]],
) -> Compiled:
    """Return a template, ready to run.

    Args:
        name: The id of the template.
        root: The id of its first task.
        tasks: The tasks by id.
        children: The ids of the tasks that follow a task, without cycles.
    """
    parents: dict[str, list[str]] = {task: [] for task in tasks}
    for task, followers in children.items():
        for follower in followers:
            parents[follower].append(task)
    steps = [
        Step(
            name=uid,
            work=ActivityWork(activity=activity_name(task.name), timeout=YEARS),
            depends_on=tuple(parents[uid]) or (START,),
            join=Join.ANY,
            collect=_first if parents[uid] else _begun,
            choose=_chosen if children[uid] else None,
            # If the first task fails there is nothing that the workflow has done.
            on_failure=OnFailure.IGNORE if parents[uid] else OnFailure.FAIL,
        )
        for uid, task in tasks.items()
    ]
    graph = Graph(name, steps, on_failure=OnFailure.IGNORE)
    listed = {task: tuple(found) for task, found in parents.items()}
    return Compiled(root, dict(tasks), dict(children), listed, graph)


def _begun(outputs: Mapping[str, Any]) -> Json:
    event: Json = outputs[START]["event"]
    return event


def _first(outputs: Mapping[str, Any]) -> Json:
    (parent, given), *_ = outputs.items()
    return {"data": given["data"], "from": parent, "id": given["id"]}


def _chosen(output: Any) -> Iterable[str] | None:
    chosen: Iterable[str] | None = output.get("next")
    return chosen
