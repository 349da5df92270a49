"""Graphs for tests with real backends and workers."""

from typing import Any

from pyworkflow.activity import Activity, ActivityFailed, activity
from pyworkflow.graph import ActivityTask, PassTask, SignalTask, TimerTask, Workflow, WorkflowTask


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
    """Fails as often as its input says. A graph tells the attempt in the id, an engine that retries by itself in the task."""

    input: int

    def execute(self) -> str:
        _, in_id, attempt = self.task.activity_execution.id.rpartition(".")
        number = int(attempt) if in_id else self.task.attempt
        if number <= self.input:
            raise ActivityFailed(f"attempt {number}")
        return f"attempt {number}"


def diamond() -> Workflow:
    graph = Workflow("Diamond")
    a = graph.add(ActivityTask("a", add_one, depends_on=[graph.start_task]))
    b = graph.add(ActivityTask("b", add_one, depends_on=[a]))
    c = graph.add(ActivityTask("c", add_one, depends_on=[a], transform_input=lambda n: n * 10))
    graph.add(ActivityTask("d", total, depends_on=[b, c]))
    return graph


def flaky() -> Workflow:
    """Its activity gets three attempts, half a minute apart."""
    graph = Workflow("Flaky")
    before = [graph.start_task]
    graph.add(
        ActivityTask("a", FlakyActivity, depends_on=before, num_retries=2, time_between_retries=30)
    )
    return graph


def slow() -> Workflow:
    """Its activity may take ten seconds, and gets two attempts, five seconds apart."""
    graph = Workflow("Slow")
    graph.add(
        ActivityTask("a", add_one, param=1, timeout=10, num_retries=1, time_between_retries=5)
    )
    return graph


def rescued() -> Workflow:
    """It takes a failure on, and says what it was."""
    graph = Workflow("Rescued")
    tried = graph.add(ActivityTask("r", refuse, depends_on=[graph.start_task]))
    graph.add(
        PassTask(
            "told", depends_on=[tried], after="catch", transform_input=lambda given: given["reason"]
        )
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
    """One child fails, the other one does not; it says how both ended."""
    graph = Workflow("Family", output="told")
    child = graph.add(WorkflowTask("child", failing()))
    other = graph.add(WorkflowTask("other", diamond(), depends_on=[graph.start_task]))

    def ends(given: Any) -> list[Any]:
        return [given["inputs"]["child"]["status"], given["inputs"]["other"]]

    graph.add(PassTask("told", depends_on=[child, other], after="end", transform_input=ends))
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
