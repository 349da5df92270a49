"""Jobs as graphs, decided step by step."""

from pathlib import Path

from pyworkflow.decision import CompleteProcess, FailProcess
from pyworkflow.graph import StepStatus
from pyworkflow.jobs.compile import graph_of
from pyworkflow.jobs.definition import JobConfig, JobDefinition, TaskDefinition
from tests.graph_kit import Simulation

FAN = {
    "a": TaskDefinition("Read"),
    "b": TaskDefinition("Read"),
    "sum": TaskDefinition("Add", ("a", "b")),
    "tell": TaskDefinition("Mail", ("sum",)),
}


def job(tasks: dict[str, TaskDefinition], limit: int = 0) -> JobDefinition:
    config = JobConfig(name="nightly", max_concurrency=limit)
    return JobDefinition(root=Path("/project"), tasks=tasks, config=config)


def begun(run: Simulation) -> list[str]:
    return [id.partition("#")[0] for id in run.activities]


def test_a_task_runs_when_all_that_it_depends_on_has_completed() -> None:
    run = Simulation(graph_of(job(FAN)))

    run.settle()
    assert begun(run) == ["a", "b"]
    run.complete("a", "left aside")
    run.settle()
    assert begun(run) == ["b"]
    run.complete("b")
    run.settle()
    assert begun(run) == ["sum"]
    run.complete("sum")
    run.settle()
    run.complete("tell")
    run.settle()
    assert isinstance(run.closed, CompleteProcess)


def test_every_task_is_the_same_activity_and_is_told_its_name() -> None:
    run = Simulation(graph_of(job(FAN), given={"root": "/project"}))

    run.settle()
    run.complete("a", {"big": "output"})
    run.complete("b")
    run.settle()

    [scheduled] = run.activities.values()
    assert scheduled.type == "schedule_activity"
    assert getattr(scheduled, "activity", None) == "JobTask"
    assert scheduled.input == {"root": "/project", "task": "sum"}


def test_after_a_failure_the_rest_goes_on_and_the_job_fails_at_the_end() -> None:
    more = {**FAN, "other": TaskDefinition("Read"), "last": TaskDefinition("Read", ("other",))}
    run = Simulation(graph_of(job(more)))

    run.settle()
    run.fail("a", "no such file")
    run.settle()
    run.complete("b")
    run.complete("other")
    run.settle()
    assert begun(run) == ["last"]
    run.complete("last")
    run.settle()

    failure = run.failure
    assert failure.reason == "step 'a' failed: no such file"
    assert failure.details["steps"] == {"a": "failed", "sum": "blocked", "tell": "blocked"}


def test_a_failed_attempt_is_tried_again_after_the_backoff() -> None:
    run = Simulation(graph_of(job({"a": TaskDefinition("Read", max_attempts=3, backoff=2.5)})))

    run.settle()
    for attempt in (1, 2):
        run.fail("a", attempt=attempt)
        run.settle()
        [timer] = run.timers.values()
        assert timer.delay == 2.5
        run.fire(str(timer.id))
        run.settle()
    run.fail("a", attempt=3)
    run.settle()

    assert isinstance(run.closed, FailProcess)


def test_without_a_backoff_the_next_attempt_follows_at_once() -> None:
    run = Simulation(graph_of(job({"a": TaskDefinition("Read", max_attempts=2)})))

    run.settle()
    run.fail("a")
    run.settle()
    assert not run.timers
    run.complete("a", attempt=2)
    run.settle()

    assert isinstance(run.closed, CompleteProcess)


def test_no_more_tasks_run_at_a_time_than_the_limit_allows() -> None:
    tasks = {f"t{n}": TaskDefinition("Read") for n in range(5)}

    limited, free = (Simulation(graph_of(job(tasks, limit))) for limit in (2, -1))
    limited.settle()
    free.settle()

    assert begun(limited) == ["t0", "t1"]
    assert len(begun(free)) == 5
    limited.complete("t1")
    limited.settle()
    assert begun(limited) == ["t0", "t2"]


def test_a_skipped_task_counts_as_done_and_keeps_its_place() -> None:
    run = Simulation(graph_of(job(FAN), skipped={"a", "sum"}))

    run.settle()
    assert begun(run) == ["b"]
    run.complete("b")
    run.settle()
    assert begun(run) == ["tell"]
    run.complete("tell")
    run.settle()

    assert isinstance(run.closed, CompleteProcess)
    assert run.status("sum") is StepStatus.COMPLETED


def test_a_job_of_which_all_is_skipped_completes() -> None:
    run = Simulation(graph_of(job(FAN), skipped=FAN))

    run.settle()

    assert isinstance(run.closed, CompleteProcess)


def test_a_drawing_names_the_classes_of_the_tasks() -> None:
    graph = graph_of(job(FAN), activity=None, skipped=["b"])

    assert graph.to_text().splitlines() == [
        "a            Read",
        "b (skipped)",
        "  sum        Add   <- a, b (skipped)",
        "    tell     Mail  <- sum",
    ]
