"""Graphs for tests with real backends and workers."""

from typing import Any

from pyworkflow.activity import Activity, ActivityFailed, activity
from pyworkflow.graph import ActivityTask, SignalTask, TimerTask, Workflow, WorkflowTask


@activity(scheduled_timeout=3600)
def add_one(number: int) -> int:
    return number + 1


@activity
def total(given: Any) -> int:
    return sum(given["inputs"].values()) if isinstance(given, dict) else sum(given)


@activity
def refuse(given: Any) -> None:
    raise ValueError(f"no {given}")


class FlakyActivity(Activity):
    """Fails twice, as its task says which attempt of the step it is."""

    def execute(self) -> str:
        attempt = int(self.task.activity_execution.id.rpartition(".")[2])
        if attempt < 3:
            raise ActivityFailed(f"attempt {attempt}")
        return f"attempt {attempt}"


def diamond() -> Workflow:
    graph = Workflow("Diamond")
    a = graph.add(ActivityTask("a", add_one, depends_on=[graph.start_task]))
    b = graph.add(ActivityTask("b", add_one, depends_on=[a]))
    c = graph.add(ActivityTask("c", add_one, depends_on=[a], transform_input=lambda n: n * 10))
    graph.add(ActivityTask("d", total, depends_on=[b, c]))
    return graph


def flaky() -> Workflow:
    graph = Workflow("Flaky")
    graph.add(ActivityTask("a", FlakyActivity, num_retries=2, time_between_retries=30))
    return graph


def slow(retries: int) -> Workflow:
    """Its activity takes longer than it may, and nobody executes it."""
    graph = Workflow(f"Slow{retries}")
    graph.add(
        ActivityTask("a", add_one, param=1, timeout=10, num_retries=retries, time_between_retries=5)
    )
    return graph


def approval() -> Workflow:
    graph = Workflow("Approval", output="told")
    wait = graph.add(TimerTask("wait", 60))
    graph.add(SignalTask("told", "approved", depends_on=[wait], timeout=600))
    return graph


def failing() -> Workflow:
    graph = Workflow("Failing")
    graph.add(ActivityTask("r", refuse, param="way"))
    return graph


def family() -> Workflow:
    """Its child fails, and what follows the failure says how."""
    graph = Workflow("Family", output="told")
    child = graph.add(WorkflowTask("child", failing()))
    other = graph.add(WorkflowTask("other", diamond(), depends_on=[graph.start_task]))
    graph.add(
        ActivityTask(
            "told",
            depends_on=[child, other],
            after="end",
            activity=total,
            transform_input=lambda given: [
                given["inputs"]["other"],
                len(given["inputs"]["child"]["reason"]),
            ],
        )
    )
    return graph


def parallel(count: int) -> Workflow:
    graph = Workflow("Parallel")
    steps = [
        graph.add(ActivityTask(f"s{n}", add_one, depends_on=[graph.start_task]))
        for n in range(count)
    ]
    graph.add(ActivityTask("sum", total, depends_on=steps))
    return graph


def mapped(limit: int) -> Workflow:
    graph = Workflow("Mapped")
    start = graph.start_task
    each = graph.add(
        ActivityTask("each", add_one, depends_on=[start], for_each=start, concurrency=limit)
    )
    graph.add(ActivityTask("sum", total, depends_on=[each]))
    return graph


def chain(count: int) -> Workflow:
    graph = Workflow("Chain")
    last: Any = graph.start_task
    for n in range(count):
        last = graph.add(ActivityTask(f"s{n}", add_one, depends_on=[last]))
    return graph
