"""From the definition of a job to the graph that decides it."""

from collections.abc import Callable, Collection, Mapping

from pyworkflow.codec import Json
from pyworkflow.graph import Graph, OnFailure, Step
from pyworkflow.graph.model import ActivityWork, NoWork
from pyworkflow.jobs.definition import JobDefinition, TaskDefinition
from pyworkflow.retry import Retry

ACTIVITY = "JobTask"
"""The activity that runs any task of a job."""


def graph_of(
    job: JobDefinition,
    *,
    skipped: Collection[str] = (),
    activity: str | None = ACTIVITY,
    given: Mapping[str, Json] | None = None,
) -> Graph:
    """Return a job as a graph: a step for each task, which follows the success of all its dependencies.

    When a task has failed, what does not depend on it goes on, what does is blocked, and the job fails at the end.

    Args:
        job: The job.
        skipped: Tasks that count as done. They keep their places: what follows them waits for what they follow.
        activity: What runs the tasks; if None, each is named after its class, for drawings.
        given: Input of all activities, beside ``task``, the name of the step.

    Raises:
        GraphError: It cannot run; a job that `load` returned can.
    """
    steps = [
        _skipped(name, task) if name in skipped else _step(name, task, activity, given or {})
        for name, task in job.tasks.items()
    ]
    limit = job.config.max_concurrency
    return Graph(
        job.config.name,
        steps,
        on_failure=OnFailure.CONTINUE,
        concurrency=limit if limit > 0 else None,
    )


def _step(name: str, task: TaskDefinition, activity: str | None, given: Mapping[str, Json]) -> Step:
    return Step(
        name=name,
        work=ActivityWork(activity=activity or task.task),
        depends_on=task.dependencies,
        # What its dependencies returned is no input of a task: tasks share a dictionary.
        collect=_always({**given, "task": name}),
        retry=Retry(task.max_attempts, initial=task.backoff, backoff=1, maximum=task.backoff),
    )


def _skipped(name: str, task: TaskDefinition) -> Step:
    return Step(
        name=name,
        work=NoWork(),
        depends_on=task.dependencies,
        collect=_always(None),
        title=f"{name} (skipped)",
    )


def _always(value: Json) -> Callable[[Mapping[str, Json]], Json]:
    return lambda _: value
