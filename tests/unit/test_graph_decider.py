"""What a graph decides, feature by feature."""

from typing import Any

import pytest

from pyworkflow.decision import (
    CancelActivity,
    CancelTimer,
    CompleteProcess,
    FailProcess,
    RequestCancelProcess,
    ScheduleActivity,
    ScheduleLambda,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import DecisionEvent, DecisionRejectedEvent, DecisionStartedEvent
from pyworkflow.graph import (
    ActivityTask,
    Graph,
    GraphError,
    LambdaTask,
    PassTask,
    SignalTask,
    Step,
    StepStatus,
    TimerTask,
    Workflow,
    WorkflowTask,
)
from pyworkflow.graph.decider import decide
from pyworkflow.graph.model import START, ActivityWork
from pyworkflow.graph.state import Outcome
from pyworkflow.graph.tasks import Task
from pyworkflow.process import Process
from pyworkflow.result import (
    ActivityCanceled,
    ActivityFailed,
    ActivityTimedOut,
    ProcessCanceled,
    ProcessCompleted,
    ProcessFailed,
    ProcessTerminated,
    ProcessTimedOut,
)
from pyworkflow.retry import Retry
from tests.graph_kit import Simulation, anew, tasks

DIAMOND = [("a", []), ("b", ["a"]), ("c", ["a"]), ("d", ["b", "c"])]


def begun(graph: Workflow, given: Any = None) -> Simulation:
    process = Simulation(graph, given)
    process.settle()
    return process


# -- dependencies -------------------------------------------------------------------------------------------------------------------


def test_what_does_not_depend_on_each_other_is_begun_in_one_decision() -> None:
    process = begun(tasks(*DIAMOND))
    assert process.open() == ["a#1.1"]

    process.complete("a", 1)
    assert process.decide() == [
        ScheduleActivity("b", id="b#1.1", input=1),
        ScheduleActivity("c", id="c#1.1", input=1),
    ]

    process.complete("c", 3)
    assert process.decide() == []

    process.complete("b", 2)
    assert process.decide() == [
        ScheduleActivity("d", id="d#1.1", input={"inputs": {"b": 2, "c": 3}})
    ]

    process.complete("d", 4)
    assert process.decide() == [CompleteProcess(4)]


def test_a_graph_without_steps_completes() -> None:
    assert begun(Workflow("w"), 5).result is None


def test_the_result_is_what_the_graph_says() -> None:
    steps = [("a", []), ("b", []), ("c", ["b"])]
    for output, result in [(None, None), ("b", "B"), (["a", "c"], {"a": "A", "c": "C"})]:
        process = begun(tasks(*steps, output=output))
        process.complete("b", "B")
        process.settle()
        process.complete("c", "C")
        process.complete("a", "A")
        process.settle()
        assert process.result == result


def test_falsy_outputs_are_outputs() -> None:
    falsy: list[Any] = [0, "", [], {}, False, None]
    for output in falsy:
        process = begun(tasks(("a", []), ("b", ["a"])))
        process.complete("a", output)
        process.settle()
        assert process.input("b") == output
        process.complete("b", output)
        process.settle()
        assert process.result == output


# -- failures -----------------------------------------------------------------------------------------------------------------------


def test_a_failure_ends_the_process_at_once() -> None:
    process = begun(tasks(("a", []), ("b", []), ("c", ["a"])))
    process.fail("a", "boom")

    steps = {"a": "failed", "c": "blocked"}
    assert process.decide() == [
        FailProcess("step 'a' failed: boom", {"step": "a", "steps": steps, "details": None})
    ]


@pytest.mark.parametrize(
    ("on_failure", "closed"), [("continue", FailProcess), ("ignore", CompleteProcess)]
)
def test_what_does_not_depend_on_a_failed_step_may_go_on(on_failure: str, closed: type) -> None:
    process = begun(
        tasks(("a", []), ("b", []), ("c", ["a", "b"]), ("d", ["b"]), on_failure=on_failure)
    )
    process.fail("a", "boom")
    process.settle()
    assert process.open() == ["b#1.1"]

    process.complete("b", 1)
    process.settle()
    assert process.open() == ["d#1.1"]
    process.complete("d", 2)
    process.settle()

    assert isinstance(process.closed, closed)
    assert process.statuses == {"a": "failed", "b": "completed", "c": "blocked", "d": "completed"}


def test_a_step_says_otherwise_than_its_graph() -> None:
    graph = Workflow("w", output="b")
    graph.add(ActivityTask("a", on_failure="ignore"))
    graph.add(ActivityTask("b"))
    process = begun(graph)
    process.fail("a")
    process.settle()
    process.complete("b", 1)
    process.settle()

    assert process.result == 1


def test_a_step_that_follows_a_failure_takes_it_on() -> None:
    graph = tasks(("a", []), ("b", ["a"]), output="mend")
    graph.add(ActivityTask("mend", depends_on=["a"], after="failure"))
    graph.add(ActivityTask("last", depends_on=["b", "mend"], after="end"))
    process = begun(graph)
    process.fail("a", "boom")
    process.settle()
    assert process.input("mend") == {"status": "failed", "reason": "boom", "details": None}

    process.complete("mend", "mended")
    process.settle()
    assert process.input("last") == "mended"
    process.complete("last")
    process.settle()

    assert process.result == "mended"
    assert process.statuses["b"] == "blocked"


def test_a_step_that_follows_a_failure_is_skipped_without_one() -> None:
    graph = tasks(("a", []), output="a")
    graph.add(ActivityTask("mend", depends_on=["a"], after="failure"))
    graph.add(ActivityTask("after", depends_on=["mend"]))
    process = begun(graph)
    process.complete("a", 1)
    process.settle()

    assert process.result == 1
    assert process.statuses == {"a": "completed", "mend": "skipped", "after": "skipped"}


def test_a_step_follows_the_failure_of_any_of_several() -> None:
    graph = tasks(("a", []), ("b", []))
    graph.add(ActivityTask("mend", depends_on=["a", "b"], after="failure"))
    process = begun(graph)
    process.complete("a", 1)
    process.fail("b", "boom")
    process.settle()

    assert process.input("mend") == {
        "inputs": {"a": 1, "b": {"status": "failed", "reason": "boom", "details": None}}
    }


# -- retries ------------------------------------------------------------------------------------------------------------------------


def test_two_retries_are_three_attempts_with_pauses_between() -> None:
    graph = Workflow("w")
    graph.add(ActivityTask("a", param=7, num_retries=2, time_between_retries=5))
    process = begun(graph)

    for attempt in (1, 2):
        process.fail("a", attempt=attempt)
        pause = Timer(5, id=f"pause a#1.{attempt + 1}")
        assert process.decide() == [pause]
        assert process.status("a").value == "retrying"
        process.fire(pause.id)
        process.settle()
        assert process.input("a", attempt=attempt + 1) == 7
    process.fail("a", "for good", attempt=3)
    process.settle()

    assert process.failure.reason == "step 'a' failed: for good"
    assert process.run.flow.states["a"].attempts == 3


def test_without_an_interval_a_retry_comes_at_once_and_may_succeed() -> None:
    graph = Workflow("w")
    graph.add(LambdaTask("a", "f", num_retries=1, time_between_retries=0))
    process = begun(graph)
    process.finish("a#1.1", ActivityTimedOut("start_to_close"))

    assert process.decide() == [ScheduleLambda("f", id="a#1.2")]
    process.complete("a", "fine", attempt=2)
    process.settle()
    assert process.result == "fine"


def test_a_canceled_activity_is_not_tried_again() -> None:
    graph = Workflow("w")
    graph.add(ActivityTask("a", num_retries=5))
    process = begun(graph)
    process.finish("a#1.1", ActivityCanceled())
    process.settle()

    assert process.failure.details["steps"] == {"a": "canceled"}


def test_a_retry_policy_grows_and_knows_what_is_final() -> None:
    graph = Workflow("w")
    policy = Retry(5, initial=1, backoff=2, non_retryable=("ValueError",))
    graph.add(ActivityTask("a", retry=policy))
    process = begun(graph)

    process.fail("a")
    assert process.decide() == [Timer(1, id="pause a#1.2")]
    process.fire("pause a#1.2")
    process.settle()
    process.fail("a", attempt=2)
    assert process.decide() == [Timer(2, id="pause a#1.3")]
    process.fire("pause a#1.3")
    process.settle()
    process.finish("a#1.3", ActivityFailed("bad", None, "ValueError"))
    process.settle()
    assert process.failure.reason == "step 'a' failed: bad"


def test_the_pause_before_a_retry_has_jitter_that_a_second_decision_repeats() -> None:
    graph = Workflow("w")
    graph.add(ActivityTask("a", retry=Retry(5, initial=10, jitter=0.5)))
    graph.add(ActivityTask("b", retry=Retry(5, initial=10, jitter=0.5)))

    def pauses() -> list[float]:
        process = begun(graph)
        process.fail("a")
        process.fail("b")
        return [decision.delay for decision in process.decide() if isinstance(decision, Timer)]

    first = pauses()

    assert len(set(first)) == 2
    assert all(5 <= pause < 10 for pause in first)
    assert pauses() == first


def test_the_step_alone_counts_attempts_where_it_says_how_many() -> None:
    graph = Workflow("w")
    graph.add(ActivityTask("a", num_retries=0))
    graph.add(ActivityTask("b"))
    process = begun(graph)
    retries = [getattr(process.activities[f"{name}#1.1"], "retry", 0) for name in "ab"]

    assert retries == [Retry(max_attempts=1), None]


# -- timers and signals -------------------------------------------------------------------------------------------------------------


def test_a_timer_may_compute_its_time() -> None:
    graph = Workflow("w")
    graph.add(TimerTask("t", lambda given: given * 2, depends_on=[graph.start_task]))
    process = Simulation(graph, 4)

    assert process.decide() == [Timer(8, id="timer t#1.1")]


@pytest.mark.parametrize("early", [True, False])
def test_a_signal_counts_whenever_it_comes(early: bool) -> None:
    graph = Workflow("w")
    a = graph.add(ActivityTask("a"))
    graph.add(SignalTask("approved", depends_on=[a]))
    process = Simulation(graph)
    if early:
        process.signal("approved", {"by": "me"})
        process.signal("other")
    process.settle()
    process.complete("a")
    process.settle()
    if not early:
        assert process.status("approved").value == "running"
        process.signal("approved", {"by": "me"})
        process.settle()

    assert process.result == {"by": "me"}


def test_each_signal_counts_for_one_step_in_turn() -> None:
    graph = Workflow("w", output=["one", "two"])
    one = graph.add(SignalTask("one", "go"))
    graph.add(SignalTask("two", "go", depends_on=[one]))
    process = begun(graph)
    process.signal("go", 1)
    process.settle()
    assert process.status("two").value == "running"
    process.signal("go", 2)
    process.settle()

    assert process.result == {"one": 1, "two": 2}


def test_a_signal_is_waited_for_so_long() -> None:
    graph = Workflow("w", output="late")
    signal = graph.add(SignalTask("go", timeout=10))
    graph.add(ActivityTask("late", depends_on=[signal], after="failure"))
    process = begun(graph)
    process.fire("timeout go#1.1")
    process.settle()
    assert process.input("late")["status"] == "timedout"
    process.signal("go")
    process.complete("late", 1)
    process.settle()

    assert process.result == 1


def test_the_timeout_of_a_signal_that_came_is_canceled() -> None:
    graph = tasks(("a", []))
    graph.add(SignalTask("go", timeout=10))
    process = begun(graph)
    process.signal("go")

    assert process.decide() == [CancelTimer("timeout go#1.1")]
    assert process.decide() == []
    assert process.timers == {}


# -- children -----------------------------------------------------------------------------------------------------------------------


def parent(**options: Any) -> Workflow:
    graph = Workflow("w")
    graph.add(WorkflowTask("c", "Child", depends_on=[graph.start_task], tags=["t"], **options))
    return graph


def test_a_child_is_given_the_input_and_gives_the_output() -> None:
    process = Simulation(parent(child_policy="ABANDON"), 5)

    child = Process("Child", "p.1.c#1.1", 5, ("t",))
    assert process.decide() == [StartChildProcess(child, "ABANDON")]
    process.end_child("p.1.c#1.1", ProcessCompleted(6))
    process.settle()
    assert process.result == 6


@pytest.mark.parametrize(
    ("result", "status", "reason"),
    [
        (ProcessFailed("boom", 1), "failed", "boom"),
        (ProcessCanceled("why"), "canceled", "canceled"),
        (ProcessTimedOut(), "timedout", "timed out: None"),
        (ProcessTerminated("x"), "canceled", "terminated: x"),
    ],
)
def test_a_childs_end_is_that_of_its_step(result: Any, status: str, reason: str) -> None:
    process = begun(parent())
    process.end_child("p.1.c#1.1", result)
    process.settle()

    assert process.failure.reason == f"step 'c' failed: {reason}"
    assert process.failure.details["steps"] == {"c": status}


def test_a_child_is_asked_to_end_when_its_time_is_over_and_tried_again() -> None:
    process = begun(parent(timeout=10, num_retries=1, time_between_retries=0))
    process.fire("timeout c#1.1")
    decided = process.decide()

    assert RequestCancelProcess("p.1.c#1.1") in decided
    assert sorted(process.children) == ["p.1.c#1.1", "p.1.c#1.2"]
    process.end_child("p.1.c#1.1", ProcessCanceled())
    process.settle()
    process.end_child("p.1.c#1.2", ProcessCompleted("second"))
    process.settle()
    assert process.result == "second"


def test_a_decision_that_turns_out_impossible_is_a_failure_of_its_step() -> None:
    process = begun(parent())
    started = process.decided[0]
    process.tell(DecisionRejectedEvent(started, "no such workflow"))  # type: ignore[arg-type]
    process.settle()

    assert process.failure.reason == "step 'c' failed: no such workflow"


# -- conditions and choices ---------------------------------------------------------------------------------------------------------


def test_a_step_whose_condition_says_no_is_skipped_with_all_that_needs_it() -> None:
    graph = Workflow("w")
    start = graph.start_task
    a = graph.add(ActivityTask("a", depends_on=[start], when=lambda given: given > 5))
    b = graph.add(ActivityTask("b", depends_on=[a]))
    c = graph.add(ActivityTask("c", depends_on=[start], when=lambda given: given <= 5))
    graph.add(ActivityTask("d", depends_on=[b, c, start], join="unskipped"))
    graph.add(ActivityTask("e", depends_on=[b, c]))
    process = begun(graph, 3)
    assert process.open() == ["c#1.1"]
    process.complete("c", "C")
    process.settle()

    assert process.input("d") == {"inputs": {"c": "C", START: 3}}
    assert process.statuses == {
        "a": "skipped",
        "b": "skipped",
        "c": "completed",
        "d": "running",
        "e": "skipped",
    }


def test_a_condition_is_asked_once_and_what_it_said_is_recorded() -> None:
    said = [True, False]
    graph = Workflow("w")
    graph.add(ActivityTask("a", when=lambda given: said.pop()))
    process = Process("w", "p")
    [mark, closing] = decide(graph.graph(), process)
    assert said == [True]
    events = [DecisionStartedEvent(), DecisionEvent(mark), DecisionStartedEvent()]  # type: ignore[arg-type]
    later = Process("w", "p", history=[*process.history, *events])

    assert decide(graph.graph(), later) == [closing] == [CompleteProcess(None)]
    assert said == [True]


def test_a_step_chooses_who_goes_on() -> None:
    graph = Workflow("w")
    a = graph.add(ActivityTask("a", choose=lambda output: output["next"]))
    for name in "bcd":
        graph.add(ActivityTask(name, depends_on=[a]))
    graph.add(ActivityTask("e", depends_on=["b"]))

    for chosen, opened in [
        (["b", "d"], ["b#1.1", "d#1.1"]),
        ([], []),
        (None, ["b#1.1", "c#1.1", "d#1.1"]),
    ]:
        process = begun(graph)
        process.complete("a", {"next": chosen})
        process.settle()
        assert process.open() == opened
    assert process.status("e").value == "waiting"


def test_a_step_without_work_joins_and_branches() -> None:
    graph = Workflow("w")
    branch = graph.add(
        PassTask("p", depends_on=[graph.start_task], choose=lambda given: ["a" if given else "b"])
    )
    a = graph.add(ActivityTask("a", depends_on=[branch]))
    b = graph.add(ActivityTask("b", depends_on=[branch]))
    graph.add(PassTask("end", depends_on=[a, b], join="unskipped", transform_input=lambda x: [x]))
    process = begun(graph, 0)
    assert process.open() == ["b#1.1"]
    process.complete("b", "B")
    process.settle()

    assert process.result == ["B"]


# -- joins --------------------------------------------------------------------------------------------------------------------------


def joined(join: str) -> Workflow:
    graph = tasks(("a", []), ("b", []), on_failure="continue", output="z")
    graph.add(TimerTask("t", 60))
    graph.add(ActivityTask("z", depends_on=["a", "b", "t", graph.start_task], join=join))
    return graph


def test_any_runs_with_the_first_and_never_again() -> None:
    process = begun(joined("any"), "x")
    process.fail("b")
    process.settle()
    process.complete("a", 1)
    process.settle()
    assert process.input("z") == {"inputs": {"a": 1, START: "x"}}
    process.complete("z", 2)
    process.settle()
    assert process.open() == ["timer t#1.1"]
    process.fire("timer t#1.1")
    process.settle()
    assert process.failure.details["step"] == "b"


def test_any_of_two_that_come_at_once_is_the_first() -> None:
    process = begun(joined("any"))
    process.complete("b", 2)
    process.complete("a", 1)
    process.settle()

    assert process.input("z") == {"inputs": {"b": 2, START: None}}


def test_any_without_a_first_is_blocked_or_skipped() -> None:
    graph = tasks(("a", []), ("b", []), on_failure="ignore")
    graph.add(ActivityTask("z", depends_on=["a", "b"], join="any"))
    process = begun(graph)
    process.fail("a")
    process.fail("b")
    process.settle()

    assert process.statuses["z"] == "blocked"
    assert process.closed == CompleteProcess(None)


def test_a_race_drops_the_others() -> None:
    process = begun(joined("race"))
    process.complete("a", 1)

    decided = process.decide()
    assert CancelActivity("b#1.1") in decided
    assert CancelTimer("timer t#1.1") in decided
    assert process.statuses == {"a": "completed", "b": "skipped", "t": "skipped", "z": "running"}

    process.finish("b#1.1", ActivityCanceled())
    process.settle()
    process.complete("z", 5)
    process.settle()
    assert process.result == 5


@pytest.mark.parametrize(
    "loser",
    [TimerTask("t", 5), ActivityTask("t"), SignalTask("t", timeout=5), WorkflowTask("t", "x")],
)
def test_what_loses_a_race_at_once_is_not_begun(loser: Task) -> None:
    graph = Workflow("w", output="z")
    graph.add(loser)
    graph.add(PassTask("p", transform_input=lambda _: 7))
    graph.add(PassTask("z", depends_on=["p", "t"], join="race"))
    process = begun(graph)

    assert process.open() == []
    assert process.statuses == {"t": "skipped", "p": "completed", "z": "completed"}
    assert process.result == 7


def test_what_is_dropped_stays_so_though_it_completes_meanwhile() -> None:
    graph = joined("race")
    graph.add(ActivityTask("y", depends_on=["b"]))
    process = begun(graph)
    process.complete("a", 1)
    process.decide(meanwhile=lambda: process.complete("b", 2))
    process.settle()

    assert process.statuses["b"] == process.statuses["y"] == "skipped"


def test_a_signal_that_came_early_is_waited_for_no_longer() -> None:
    graph = Workflow("w")
    t = graph.add(TimerTask("t", 5))
    graph.add(SignalTask("s", depends_on=[t], timeout=60))
    graph.add(TimerTask("z", 5, depends_on=["s"]))
    process = begun(graph)
    process.signal("s")
    process.settle()
    process.fire("timer t#1.1")
    process.settle()

    assert process.open() == ["timer z#1.1"]


def test_a_signal_may_race_with_a_timer() -> None:
    graph = Workflow("w", output="z")
    a = graph.add(SignalTask("a"))
    t = graph.add(TimerTask("t", 5))
    graph.add(PassTask("z", depends_on=[a, t], join="race"))
    process = begun(graph)
    process.fire("timer t#1.1")
    process.settle()
    assert process.result is None
    assert process.statuses == {"a": "skipped", "t": "completed", "z": "completed"}

    process = begun(graph)
    process.signal("a", 7)
    process.settle()
    assert process.result == 7
    assert process.timers == {}


# -- maps ---------------------------------------------------------------------------------------------------------------------------


def mapped(**options: Any) -> Workflow:
    graph = Workflow("w", output="m")
    a = graph.add(ActivityTask("a"))
    options.setdefault("for_each", a)
    options.setdefault("depends_on", [a])
    graph.add(ActivityTask("m", **options))
    return graph


def test_a_map_runs_each_item_and_gives_the_outputs_in_their_order() -> None:
    process = begun(mapped())
    process.complete("a", [3, 1, 2])
    process.settle()
    assert [process.input("m", part=n) for n in (1, 2, 3)] == [3, 1, 2]
    for part in (2, 3, 1):
        process.complete("m", part * 10, part=part)
        process.settle()

    assert process.result == [10, 20, 30]


def test_a_map_over_nothing_gives_nothing() -> None:
    process = begun(mapped())
    process.complete("a", [])
    process.settle()

    assert process.result == []


def test_a_map_runs_so_many_at_a_time() -> None:
    process = begun(mapped(concurrency=2, num_retries=1, time_between_retries=9))
    process.complete("a", list("vwxyz"))
    process.settle()
    assert process.open() == ["m#1.1", "m#2.1"]

    process.fail("m", part=1)
    process.complete("m", "W", part=2)
    process.settle()
    # What is to be tried again keeps its place.
    assert process.open() == ["m#3.1", "pause m#1.2"]
    process.fire("pause m#1.2")
    process.complete("m", "X", part=3)
    process.settle()
    assert process.open() == ["m#1.2", "m#4.1"]
    process.complete("m", "V", part=1, attempt=2)
    process.complete("m", "Y", part=4)
    process.settle()
    process.complete("m", "Z", part=5)
    process.settle()
    assert process.result == list("VWXYZ")


def test_an_item_that_fails_ends_the_map_and_cancels_the_others() -> None:
    graph = mapped(concurrency=2, on_failure="continue", for_each="a")
    graph.add(TimerTask("t", 1))
    process = begun(graph)
    process.complete("a", [1, 2, 3])
    process.settle()
    process.fail("m", "bad", part=1)

    assert process.decide() == [CancelActivity("m#2.1")]
    process.complete("m", part=2)
    process.settle()
    process.fire("timer t#1.1")
    process.settle()
    assert process.failure.reason == "step 'm' failed: bad"


def test_items_that_end_together_with_the_map_are_not_canceled() -> None:
    graph = mapped(on_failure="continue")
    graph.add(TimerTask("t", 1))
    process = begun(graph)
    process.complete("a", [1, 2])
    process.settle()
    process.fail("m", part=1)
    process.complete("m", part=2)

    assert process.decide() == []


def test_each_item_takes_the_place_of_the_list_in_the_input() -> None:
    process = begun(mapped(param="p", transform_input=lambda given: {"got": given}))
    process.complete("a", [1, 2])
    process.settle()

    assert process.input("m", part=2) == {"got": {"param": "p", "inputs": {"a": 2}}}


def test_a_function_may_make_the_list() -> None:
    process = begun(mapped(for_each=range, concurrency=1))
    process.complete("a", 3)
    process.settle()
    assert process.open() == ["m#1.1"]
    assert process.input("m") == 0


@pytest.mark.parametrize("wrong", [5, "text", None, {"a": 1}])
def test_what_is_no_list_is_told_with_the_step(wrong: Any) -> None:
    process = begun(mapped())
    process.complete("a", wrong)

    with pytest.raises(GraphError, match="step 'm': for_each needs a list"):
        process.settle()


# -- loops --------------------------------------------------------------------------------------------------------------------------


def looped(**options: Any) -> Workflow:
    graph = Workflow("w")
    graph.add(ActivityTask("a", depends_on=[graph.start_task], **options))
    return graph


def test_a_step_is_repeated_until_its_output_is_enough() -> None:
    process = begun(looped(repeat_until=lambda output: output > 2, repeat_delay=60), "x")
    for run in (1, 2, 3):
        assert process.input("a", part=run) == "x"
        process.complete("a", run, part=run)
        process.settle()
        if run < 3:
            process.fire(f"pause a#{run + 1}.1")
            process.settle()

    assert process.result == 3


def test_a_run_may_be_given_the_output_before_and_be_tried_again() -> None:
    graph = looped(
        repeat_until=lambda output: output >= 8,
        repeat_with=lambda output: output * 2,
        num_retries=1,
        time_between_retries=0,
    )
    process = begun(graph, 1)
    process.complete("a", 2)
    process.settle()
    assert process.input("a", part=2) == 4
    process.fail("a", part=2)
    process.settle()
    assert process.input("a", part=2, attempt=2) == 4
    process.complete("a", 8, part=2, attempt=2)
    process.settle()

    assert process.result == 8


def test_a_loop_that_does_not_end_fails() -> None:
    process = begun(looped(repeat_until=bool, repeat_limit=2))
    process.complete("a", 0)
    process.settle()
    process.complete("a", 0, part=2)
    process.settle()

    assert process.failure.reason == "step 'a' failed: not done after 2 runs"


# -- limits and judgements -----------------------------------------------------------------------------------------------------------


def test_so_many_steps_run_at_a_time() -> None:
    graph = tasks(("a", []), ("b", []), ("c", []), ("d", []), concurrency=2)
    graph.add(TimerTask("t", 5))
    graph.get_task("a").options["num_retries"] = 1
    process = begun(graph)
    assert process.open() == ["a#1.1", "b#1.1", "timer t#1.1"]

    process.fail("a")
    process.settle()
    # A step that pauses makes room.
    assert process.open() == ["b#1.1", "c#1.1", "pause a#1.2", "timer t#1.1"]
    process.fire("pause a#1.2")
    process.settle()
    assert process.open() == ["b#1.1", "c#1.1", "timer t#1.1"]
    process.complete("c")
    process.settle()
    assert process.open() == ["a#1.2", "b#1.1", "timer t#1.1"]
    process.complete("b")
    process.complete("a", attempt=2)
    process.settle()
    assert process.open() == ["d#1.1", "timer t#1.1"]


def test_a_limit_holds_for_items_and_asks_a_condition_once() -> None:
    asked: list[Any] = []

    def ask(given: Any) -> bool:
        asked.append(given)
        return True

    graph = Workflow("w", concurrency=1)
    start = graph.start_task
    graph.add(ActivityTask("m", depends_on=[start], for_each=start))
    graph.add(ActivityTask("z", depends_on=[start], when=ask))
    process = begun(graph, [1, 2])
    for opened in (["m#1.1"], ["m#2.1"]):
        assert process.open() == opened
        process.complete("m", part=int(opened[0][2]))
        process.settle()

    assert process.open() == ["z#1.1"]
    assert asked == [[1, 2]] * 2  # with what the decider remembers, and from nothing


def test_a_limit_is_at_least_one() -> None:
    with pytest.raises(GraphError, match="graph 'w': concurrency must be 1 or more"):
        Workflow("w", concurrency=0).validate()


def test_a_step_may_judge_how_its_attempts_count() -> None:
    def judge(outcome: Outcome, given: Any) -> Outcome:
        if outcome.status is StepStatus.TIMED_OUT:
            return Outcome(StepStatus.COMPLETED, given)
        if outcome.output == "skip":
            return Outcome(StepStatus.SKIPPED, reason="it said so")
        return outcome

    steps = [
        Step(name="a", work=ActivityWork(activity="a"), param=7, judge=judge),
        Step(name="b", work=ActivityWork(activity="b"), depends_on=("a",), judge=judge),
        Step(name="c", work=ActivityWork(activity="c"), depends_on=("b",)),
    ]
    process = Simulation(Graph("w", steps, output="a"))
    process.settle()
    process.finish("a#1.1", ActivityTimedOut())
    process.settle()
    assert process.input("b") == 7
    process.complete("b", "skip")
    process.settle()

    assert process.result == 7
    assert process.statuses == {"a": "completed", "b": "skipped", "c": "skipped"}


# -- what changes meanwhile ---------------------------------------------------------------------------------------------------------


def test_a_graph_may_be_changed_while_its_processes_run() -> None:
    process = begun(tasks(("a", []), ("gone", []), ("b", ["a"])))
    process.graph = tasks(("a", []), ("new", []), ("b", ["a", "new"])).graph()
    process.complete("a", 1)
    process.complete("gone", 1)
    process.settle()
    assert process.open() == ["new#1.1"]
    process.complete("new", 2)
    process.settle()

    assert process.input("b") == {"inputs": {"a": 1, "new": 2}}


def test_what_was_remembered_of_a_refused_decision_is_forgotten() -> None:
    process = begun(tasks(("a", []), ("b", [])))
    process.complete("a")
    process.settle()
    process.complete("b")
    process.decide(meanwhile=lambda: process.signal("late"))
    assert process.closed is None
    process.settle()

    assert isinstance(process.closed, CompleteProcess)


def test_another_view_of_the_history_is_decided_by_itself() -> None:
    process = begun(tasks(*DIAMOND))
    before = process.process
    process.complete("a", 1)
    process.settle()

    assert decide(process.graph, before) == decide(process.graph, anew(before)) == []
    assert process.open() == ["b#1.1", "c#1.1"]


def test_foreign_decisions_and_events_are_passed_over() -> None:
    process = begun(tasks(("a", [])))
    foreign = Timer(5, id="mine")
    process.tell(DecisionEvent(foreign))
    process.timers["mine"] = foreign
    process.fire("mine")
    process.settle()

    assert process.open() == ["a#1.1"]


def test_a_function_of_the_graph_cannot_change_the_history() -> None:
    def spoil(given: Any) -> Any:
        given.append("spoilt")
        return given

    graph = tasks(("a", []))
    graph.add(ActivityTask("b", depends_on=["a"], transform_input=spoil))
    graph.add(ActivityTask("c", depends_on=["a"], when=spoil))
    process = begun(graph)
    process.complete("a", [1])
    process.settle()

    assert process.input("b") == [1, "spoilt"]
    assert process.input("c") == [1]
