"""What undoes what was done, when a process of a graph fails or is canceled; and what follows a failure exactly."""

from typing import Any

import pytest

from pyworkflow.decision import (
    CancelActivity,
    CancelProcess,
    CancelTimer,
    CompleteProcess,
    FailProcess,
    ScheduleActivity,
)
from pyworkflow.event import CancelRequestedEvent
from pyworkflow.graph import ActivityTask, GraphError, PassTask, TimerTask, Workflow
from pyworkflow.result import ActivityCompleted
from tests.graph_kit import Simulation, tasks


def order(**settings: Any) -> Workflow:
    """Three steps, of which two can be undone."""
    graph = tasks(("reserve", []), ("charge", ["reserve"]), ("ship", ["charge"]), **settings)
    graph.add(ActivityTask("release", compensates="reserve"))
    graph.add(ActivityTask("refund", compensates="charge"))
    return graph


def come_to(step: str, **settings: Any) -> Simulation:
    """Return a process in which the steps before this one have completed, each with its name."""
    process = Simulation(order(**settings))
    process.settle()
    for name in ("reserve", "charge", "ship"):
        if name == step:
            break
        process.complete(name, name.upper())
        process.settle()
    return process


def finish(process: Simulation) -> list[str]:
    """Complete what is open, one after another; return the names of the steps."""
    finished: list[str] = []
    while process.closed is None:
        [id] = process.activities
        finished.append(id.partition("#")[0])
        process.finish(id, ActivityCompleted())
        process.settle()
    return finished


def cancel(process: Simulation, details: Any = None) -> None:
    process.tell(CancelRequestedEvent(details))


@pytest.mark.parametrize(
    ("failing", "undone"),
    [("reserve", []), ("charge", ["release"]), ("ship", ["refund", "release"])],
)
@pytest.mark.parametrize("on_failure", ["fail", "continue"])
def test_a_failure_undoes_what_was_done_the_last_first(
    failing: str, undone: list[str], on_failure: str
) -> None:
    process = come_to(failing, on_failure=on_failure)
    process.fail(failing, "boom")
    process.settle()

    assert finish(process) == undone
    assert process.failure.reason == f"step {failing!r} failed: boom"


def test_a_compensation_is_given_the_output_that_it_undoes() -> None:
    process = come_to("ship")
    process.fail("ship")

    assert process.decide() == [ScheduleActivity("refund", id="refund#1.1", input="CHARGE")]


def test_nothing_is_undone_when_all_goes_well() -> None:
    process = come_to("end")

    assert process.closed == CompleteProcess("SHIP")
    assert process.statuses["refund"] == process.statuses["release"] == "skipped"


@pytest.mark.parametrize(
    ("step", "undone"),
    [("reserve", []), ("charge", ["release"]), ("ship", ["refund", "release"])],
)
def test_canceling_ends_what_is_under_way_and_undoes_the_rest(step: str, undone: list[str]) -> None:
    process = come_to(step)
    cancel(process, "no time")
    decided = process.decide()
    if undone:
        assert CancelActivity(f"{step}#1.1") in decided
        process.activities.pop(f"{step}#1.1")

    assert finish(process) == undone
    assert process.closed == CancelProcess("no time")


def test_what_completes_beside_the_request_to_cancel_is_undone_too() -> None:
    process = come_to("charge")
    process.complete("charge", "CHARGE")
    cancel(process)
    process.settle()

    assert finish(process) == ["refund", "release"]
    assert process.status("ship").value == "canceled"


def test_what_completes_after_the_request_is_not_waited_for_nor_undone() -> None:
    process = come_to("charge")
    cancel(process)
    process.settle()
    process.complete("charge", "CHARGE")
    process.settle()

    assert finish(process) == ["release"]


def test_a_request_to_cancel_while_a_failure_is_undone_changes_nothing() -> None:
    process = come_to("ship")
    process.fail("ship", "boom")
    process.settle()
    cancel(process)
    process.settle()

    assert finish(process) == ["refund", "release"]
    assert isinstance(process.closed, FailProcess)


def test_a_compensation_that_fails_keeps_no_other_one_from_being_done() -> None:
    process = come_to("ship")
    process.fail("ship", "boom")
    process.settle()
    process.fail("refund", "no")
    process.settle()

    assert finish(process) == ["release"]
    assert process.failure.reason == "step 'ship' failed: boom"
    assert process.failure.details["steps"] == {"ship": "failed", "refund": "failed"}


def test_all_that_runs_beside_a_failure_is_canceled_before_anything_is_undone() -> None:
    graph = order()
    graph.add(TimerTask("wait", 60, depends_on=["reserve"]))
    graph.add(ActivityTask("look", depends_on=["reserve"], num_retries=1))
    process = Simulation(graph)
    process.settle()
    process.complete("reserve")
    process.settle()
    process.fail("charge")

    decided = process.decide()

    assert {CancelTimer("timer wait#1.1"), CancelActivity("look#1.1")} <= set(decided)
    assert process.statuses["wait"] == process.statuses["look"] == "canceled"
    assert process.statuses["ship"] == "blocked"


def test_an_ignored_failure_undoes_nothing() -> None:
    process = come_to("charge", on_failure="ignore")
    process.fail("charge")
    process.settle()

    assert isinstance(process.closed, CompleteProcess)


def test_compensations_are_steps_like_others() -> None:
    graph = tasks(("list", []), ("work", ["list"]), ("end", ["work"]))
    graph.add(PassTask("note", compensates="list"))
    graph.add(ActivityTask("each", compensates="list", for_each="list", concurrency=1))
    graph.add(
        ActivityTask("undo", compensates="work", num_retries=1, time_between_retries=5),
    )
    process = Simulation(graph)
    process.settle()
    process.complete("list", [1, 2])
    process.settle()
    process.complete("work")
    process.settle()
    process.fail("end")
    process.settle()
    process.fail("undo")
    process.settle()
    process.fire("pause undo#1.2")
    process.settle()
    process.complete("undo", attempt=2)
    process.settle()

    assert process.status("note").value == "completed"
    process.complete("each", part=1)
    process.settle()
    process.complete("each", part=2)
    process.settle()
    assert isinstance(process.closed, FailProcess)


def test_a_process_without_anything_to_undo_is_closed_by_a_request_to_cancel() -> None:
    assert order().as_workflow().handles_cancel
    assert not tasks(("a", [])).as_workflow().handles_cancel


@pytest.mark.parametrize("options", [{"depends_on": ["undo"]}, {"compensates": "undo"}])
def test_nothing_follows_what_undoes_something(options: Any) -> None:
    workflow = Workflow("w")
    workflow.add(ActivityTask("a"))
    workflow.add(ActivityTask("undo", compensates="a"))
    workflow.add(ActivityTask("b", **options))

    with pytest.raises(GraphError, match="step 'b': follows 'undo', which only undoes something"):
        workflow.validate()


def test_what_undoes_something_is_no_output() -> None:
    workflow = Workflow("w", output="undo")
    workflow.add(ActivityTask("a"))
    workflow.add(ActivityTask("undo", compensates="a"))

    with pytest.raises(GraphError, match="graph 'w': the output is 'undo'"):
        workflow.validate()


def test_a_drawing_says_what_undoes_what() -> None:
    text = order().to_mermaid()

    assert '-.->|"undone by"|' in text
    assert text.count("undone by") == 2


# -- what follows a failure -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("after", "runs"), [("failure", True), ("catch", False)])
def test_catch_follows_a_failure_but_not_what_never_ran_because_of_one(
    after: str, runs: bool
) -> None:
    graph = tasks(("charge", []), ("ship", ["charge"]), on_failure="continue")
    graph.add(ActivityTask("mend", depends_on=["ship"], after=after))
    process = Simulation(graph)
    process.settle()
    process.fail("charge")
    process.settle()

    assert ("mend#1.1" in process.activities) is runs
    assert (process.statuses["mend"] == "skipped") is not runs


def test_catch_follows_the_failure_of_its_own_step_and_takes_it_on() -> None:
    graph = tasks(("ship", []))
    graph.add(ActivityTask("mend", depends_on=["ship"], after="catch"))
    process = Simulation(graph)
    process.settle()
    process.fail("ship", "boom")
    process.settle()

    assert process.input("mend") == {"status": "failed", "reason": "boom", "details": None}
    process.complete("mend", "mended")
    process.settle()
    assert process.result == "mended"
