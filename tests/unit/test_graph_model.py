"""Graphs as they are declared: what is refused, what a step is given, how functions are read."""

import copy
import pickle
from typing import Any

import pytest

from pyworkflow.activity import Activity, activity
from pyworkflow.errors import InvalidRequestError
from pyworkflow.graph import (
    ActivityTask,
    CycleError,
    DuplicateStepError,
    Graph,
    GraphError,
    GraphWorkflow,
    InvalidWorkflowError,
    LambdaTask,
    PassTask,
    SignalTask,
    Step,
    TimerTask,
    UnknownStepError,
    UnreachableStepError,
    Workflow,
    WorkflowTask,
)
from pyworkflow.graph.keys import Key, child_prefix, read_key, read_timer_id, timer_id
from pyworkflow.graph.model import START, ActivityWork, LambdaWork
from pyworkflow.process import Process
from pyworkflow.retry import Retry
from pyworkflow.workflow import workflow as deciding
from tests.graph_kit import Simulation, tasks

# -- what is refused ----------------------------------------------------------------------------------------------------------------


def test_a_cycle_is_refused_with_the_steps_that_are_on_it() -> None:
    graph = tasks(("root", []), ("a", ["root", "c"]), ("b", ["a"]), ("c", ["b"]), ("d", ["c"]))

    with pytest.raises(CycleError, match="waits for itself") as caught:
        graph.validate()

    assert set(caught.value.cycle) == {"a", "b", "c"}
    assert caught.value.step in caught.value.cycle


def test_a_step_that_waits_for_itself_is_a_cycle() -> None:
    with pytest.raises(CycleError, match="step 'a': waits for itself: 'a' -> 'a'"):
        tasks(("a", ["a"])).validate()


def test_a_name_is_given_once() -> None:
    graph = tasks(("a", []))

    with pytest.raises(DuplicateStepError, match="step 'a'"):
        graph.add(TimerTask("a", 1))
    with pytest.raises(DuplicateStepError, match="step 'WorkflowStartTask'"):
        graph.add(TimerTask(START, 1))
    with pytest.raises(DuplicateStepError, match="step 'b'"):
        Graph("g", [Step(name="b", work=LambdaWork(function="f"))] * 2)


def test_an_unknown_dependency_is_refused() -> None:
    with pytest.raises(UnknownStepError, match=r"step 'a': depends on 'nowhere'"):
        tasks(("a", ["nowhere"])).validate()


def test_a_task_of_another_workflow_is_no_dependency() -> None:
    other = Workflow("other").add(ActivityTask("a"))
    graph = tasks(("a", []))

    with pytest.raises(UnknownStepError, match="step 'b': depends on 'a', which was not added"):
        graph.add(ActivityTask("b", depends_on=[other]))


def test_an_unknown_output_is_refused() -> None:
    for output in ("x", ["a", "x"]):
        with pytest.raises(UnknownStepError, match="graph 'w': the output is 'x'"):
            tasks(("a", []), output=output).validate()


@pytest.mark.parametrize(
    ("before", "told"),
    [
        ([], "depends on nothing"),
        ([START], "'WorkflowStartTask', which cannot fail"),
        (["wait"], "'wait', which cannot fail"),
    ],
)
def test_a_step_that_can_never_run_is_refused(before: list[str], told: str) -> None:
    graph = Workflow("w")
    graph.add(TimerTask("wait", 5, depends_on=[graph.start_task]))
    graph.add(ActivityTask("mend", depends_on=before, after="failure"))

    with pytest.raises(UnreachableStepError, match=f"step 'mend': .*{told}"):
        graph.validate()


def test_a_timer_may_be_kept_from_running_by_a_failure_but_does_not_fail() -> None:
    graph = tasks(("a", []))
    graph.add(TimerTask("wait", 5, depends_on=["a"]))
    graph.add(ActivityTask("mend", depends_on=["wait"], after="failure"))
    graph.validate()

    graph.add(ActivityTask("catch", depends_on=["wait"], after="catch"))
    with pytest.raises(UnreachableStepError, match=r"step 'catch': .*'wait', which cannot fail"):
        graph.validate()


def test_a_function_that_compensates_is_given_what_it_undoes() -> None:
    graph = tasks(("a", []), ("b", []))

    with pytest.raises(GraphError, match="step 'undo': compensates 'a', and is given nothing but"):

        @graph.step(compensates="a", name="undo")
        def undo_both(a: str, b: str) -> None: ...

    @graph.step(compensates="a")
    def undo(a: str) -> None: ...

    assert graph.graph().compensations == {"a": ("undo",)}


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda: ActivityTask("a", join="most"), "join: must be one of all, unskipped, any, race"),
        (lambda: ActivityTask("a", after="noon"), "after: must be one of success, failure, catch"),
        (lambda: ActivityTask("a", on_failure="cry"), "on_failure: must be one of fail"),
        (lambda: ActivityTask("a", num_retries=-1), "max_attempts: must be 1 or more"),
        (lambda: ActivityTask("a", num_retries=1, time_between_retries=-1), "initial"),
        (lambda: ActivityTask("a", timeout=0), "timeout: must be a positive number"),
        (lambda: ActivityTask("a", "x/y"), "must not contain '/'"),
        (lambda: ActivityTask("a:b"), "name 'a:b': must not contain ':'"),
        (lambda: ActivityTask("a" * 101), "more than 100 characters"),
        (lambda: ActivityTask("a", param=float("nan")), "param: has nan"),
        (lambda: ActivityTask("a", concurrency=2), "concurrency: must be 1 or more, and needs"),
        (lambda: ActivityTask("a", for_each=list, concurrency=0), "concurrency"),
        (lambda: ActivityTask("a", for_each=list, repeat_until=bool), "does not go with repeat"),
        (lambda: ActivityTask("a", for_each="b"), "for_each is 'b', no dependency"),
        (lambda: ActivityTask("a", repeat_until=bool, repeat_limit=0), "limit: must be 1"),
        (lambda: ActivityTask("a", repeat_until=bool, repeat_delay=-1), "delay"),
        (lambda: TimerTask("a", -1), "duration"),
        (lambda: TimerTask("a", 1, for_each=list), "for_each: needs an activity"),
        (lambda: PassTask("a", repeat_until=bool), "repeat: needs something to do"),
        (lambda: SignalTask("a", timeout=-1), "timeout"),
        (lambda: WorkflowTask("a", "w|x"), "must not contain"),
        (lambda: LambdaTask("a", timeout=0), "timeout"),
        (lambda: ActivityTask("a", compensates=START), "nothing is done at the start"),
        (lambda: ActivityTask("a", compensates="b", depends_on=["c"]), "does not go with depends"),
        (lambda: ActivityTask("a", compensates="b", after="end"), "does not go with depends_on"),
        (lambda: ActivityTask("a", compensates="b"), "depends on 'b', which the graph lacks"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_with_the_step(wrong: Any, told: str) -> None:
    def build() -> None:
        graph = Workflow("w")
        graph.add(wrong())
        graph.validate()

    with pytest.raises(GraphError) as caught:
        build()

    assert told in str(caught.value)
    assert caught.value.step.startswith("a")
    assert isinstance(caught.value, InvalidRequestError)
    assert InvalidWorkflowError is GraphError


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"ActivityTask 'a' got unknown options: \['dependson'\]"):
        ActivityTask("a", dependson=[])  # type: ignore[call-arg]


@pytest.mark.parametrize(
    "error",
    [GraphError("a", "is bad"), CycleError(["a", "b"]), UnknownStepError("a", "x", "graph")],
)
def test_errors_can_be_copied(error: GraphError) -> None:
    for other in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(other), str(other), other.step) == (type(error), str(error), error.step)


# -- what a step is given -----------------------------------------------------------------------------------------------------------

NOTHING = object()


@pytest.mark.parametrize(
    ("param", "depends_on", "given"),
    [
        (NOTHING, [], None),
        ({"p": 1}, [], {"p": 1}),
        (0, [], 0),
        (None, [], None),
        (NOTHING, ["start"], "x"),
        (NOTHING, ["a"], "A"),
        (NOTHING, ["timer"], None),
        (7, ["timer"], 7),
        (NOTHING, ["a", "timer"], "A"),
        (7, ["start"], {"param": 7, "inputs": {START: "x"}}),
        (None, ["a"], {"param": None, "inputs": {"a": "A"}}),
        (0, ["a", "timer"], {"param": 0, "inputs": {"a": "A"}}),
        (NOTHING, ["a", "start"], {"inputs": {"a": "A", START: "x"}}),
        (NOTHING, ["b", "a"], {"inputs": {"b": 0, "a": "A"}}),
        (NOTHING, ["b"], 0),
    ],
)
def test_the_input_rules(param: Any, depends_on: list[str], given: Any) -> None:
    graph = Workflow("w")
    graph.add(ActivityTask("a"))
    graph.add(ActivityTask("b"))
    graph.add(TimerTask("timer", 1))
    names = [START if name == "start" else name for name in depends_on]
    if param is NOTHING:
        graph.add(ActivityTask("z", depends_on=names))
    else:
        graph.add(ActivityTask("z", depends_on=names, param=param))
    process = Simulation(graph, "x")
    process.settle()
    process.complete("a", "A")
    process.complete("b", 0)
    process.fire("timer timer#1.1")
    process.settle()

    assert process.input("z") == given
    if isinstance(given, dict):
        assert list(process.input("z")) == list(given)


def test_the_input_is_transformed_last() -> None:
    graph = Workflow("w")
    a = graph.add(ActivityTask("a", depends_on=[graph.start_task]))
    graph.add(ActivityTask("one", depends_on=[a], transform_input=lambda given: [given]))
    graph.add(ActivityTask("two", depends_on=[a], param=1, transform_input=sorted))
    graph.add(ActivityTask("none", transform_input=lambda given: [given, 1]))
    process = Simulation(graph, "x")
    process.settle()
    process.complete("a", "A")
    process.settle()

    assert process.input("one") == ["A"]
    assert process.input("two") == ["inputs", "param"]
    assert process.input("none") == [None, 1]


# -- how it is written --------------------------------------------------------------------------------------------------------------


class ShipActivity(Activity):
    pass


@activity(category="slow")
def weigh(thing: str) -> int:
    return len(thing)


def test_both_spellings_of_the_first_pyflow_mean_the_same() -> None:
    seed = LambdaTask(name="a", lambda_function="f", num_retries=2, time_between_retries=5)
    code = LambdaTask(name="a", lambda_function_name="f", num_retries=2, retry_interval=5)

    assert seed.step() == code.step()
    assert seed.step().retry == Retry(3, initial=5, backoff=1, maximum=5)
    assert LambdaTask("a", num_retries=1).step().retry == Retry(
        2, initial=30, backoff=1, maximum=30
    )
    assert LambdaTask("a").step().retry is None
    assert LambdaTask("a", num_retries=0).step().retry == Retry(1, 30, 1, 30)


def test_an_activity_is_named_by_itself_or_by_its_name() -> None:
    by_class = ActivityTask("a", ShipActivity, task_list="q", timeout=5)

    assert by_class.step().work == ActivityWork(activity="Ship", category="q", timeout=5)
    assert by_class.activities == (ShipActivity,)
    assert ActivityTask("a", weigh).step().work == ActivityWork(activity="weigh")
    versioned = ActivityTask("a", activity_name="Ship", activity_version="2")
    assert versioned.step().work == ActivityWork(activity="Ship-2")
    assert ActivityTask("a").step().work == ActivityWork(activity="a")


def test_a_workflow_finds_its_tasks_and_says_what_it_is() -> None:
    graph = Workflow("w", version="2")
    task = graph.add(ActivityTask("a"))

    assert graph.has_task("a")
    assert not graph.has_task("b")
    assert graph.get_task("a") is task
    assert graph.get_task(START) is graph.start_task
    with pytest.raises(UnknownStepError, match="step 'b': workflow 'w' has no task of this name"):
        graph.get_task("b")
    assert repr(graph) == "<graph.Workflow 'w-2': 1 tasks>"
    assert repr(task) == "<ActivityTask 'a'>"


def test_a_graph_is_a_workflow_class_that_follows_its_tasks() -> None:
    graph = Workflow("w", "2", category="q", timeout=5, decision_timeout=3)
    graph.add(ActivityTask("a", ShipActivity))
    first = graph.as_workflow()
    graph.add(ActivityTask("b", weigh))
    second = graph.as_workflow()

    assert issubclass(first, GraphWorkflow)
    assert (first.name, first.category, first.timeout) == ("w-2", "q", 5)
    assert first.decision_timeout == 3
    assert first.activities == (ShipActivity,)
    assert second.activities == (ShipActivity, weigh)
    assert graph.as_workflow() is second


def test_sub_graphs_are_known_with_their_own() -> None:
    @deciding
    def plain(process: Process) -> None: ...

    inner = Workflow("inner")
    inner.add(LambdaTask("l", "deep"))
    inner.add(WorkflowTask("p", plain))
    middle = Workflow("middle", "1")
    middle.add(WorkflowTask("i", inner))
    outer = Workflow("outer")
    outer.add(WorkflowTask("m", middle))
    outer.add(WorkflowTask("again", middle.as_workflow()))
    outer.add(WorkflowTask("named", workflow_name="else", workflow_version="3"))
    outer.add(LambdaTask("l", "shallow"))

    assert [w.name for w in outer.workflows()] == ["outer", "middle-1", "inner", "plain"]
    assert outer.lambda_functions() == ["shallow", "deep"]
    children = [step.work for step in outer.graph().steps.values()][1:4]
    assert [getattr(work, "workflow", "") for work in children] == ["middle-1"] * 2 + ["else-3"]


# -- functions ----------------------------------------------------------------------------------------------------------------------


def test_parameters_name_what_a_function_is_given() -> None:
    order = Workflow("Order")

    @order.step
    def charge(input: int) -> int:
        return input

    @order.step(num_retries=1, depends_on=["charge"], timeout=5)
    def reserve(input: int, place: str = "here") -> str:
        return place

    @order.step(name="send")
    def ship(charge: int, reserve: str) -> str:
        return f"{charge} {reserve}"

    order.step(weigh_it)
    steps = order.graph().steps

    assert charge(3) == 3
    assert steps["charge"].depends_on == (START,)
    assert steps["reserve"].depends_on == (START, "charge")
    assert steps["reserve"].work == ActivityWork(activity="Order.reserve", timeout=5)
    assert steps["send"].depends_on == ("charge", "reserve")
    assert steps["weigh_it"].depends_on == ("send",)
    assert [a.name for a in order.activities()] == [
        "Order.charge",
        "Order.reserve",
        "Order.send",
        "Order.weigh_it",
    ]


def weigh_it(send: str) -> int:
    return len(send)


def test_a_function_is_given_each_value_by_name_and_one_alone_as_it_is() -> None:
    order = Workflow("Order")

    @order.step
    def one(input: int) -> int: ...  # type: ignore[empty-body]

    @order.step(when=lambda given: False)
    def skipped(input: int) -> int: ...  # type: ignore[empty-body]

    @order.step(join="unskipped")
    def two(one: int, skipped: int) -> None: ...

    @order.step(depends_on=["one"])
    def none() -> None: ...

    process = Simulation(order, 5)
    process.settle()
    assert process.input("one") == 5
    process.complete("one", 6)
    process.settle()

    assert process.input("two") == {"one": 6, "skipped": None}
    assert process.input("none") is None


def test_an_activity_function_keeps_its_settings() -> None:
    order = Workflow("Order")
    order.add(LambdaTask("thing"))
    task = order.step(weigh)

    assert order.activities() == [weigh]
    assert task.step().depends_on == ("thing",)
    assert task("four") == 4


def test_a_parameter_that_is_no_task_is_refused() -> None:
    order = Workflow("Order")

    with pytest.raises(UnknownStepError, match="step 'weigh_it': has the parameter 'send', and no"):
        order.step(weigh_it)


def test_a_function_takes_no_param() -> None:
    order = Workflow("Order")
    order.add(ActivityTask("send"))

    with pytest.raises(GraphError, match="step 'weigh_it': is a function"):
        order.step(param=1)(weigh_it)


# -- ids ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a", "a b", "a#1.1", "a.1", "timer a", "#"])
def test_ids_are_read_back_whatever_the_name(name: str) -> None:
    key = Key(name, 3, 2)

    assert read_key(str(key)) == key
    assert read_timer_id(timer_id("pause", key)) == ("pause", key)
    assert key.again() == Key(name, 3, 3)


@pytest.mark.parametrize("text", ["", "a", "a#1", "a#x.1", "a#1.", "#1.1", "a#1.x"])
def test_what_is_no_id_of_ours_is_none(text: str) -> None:
    assert read_key(text) is None


def test_the_children_of_two_processes_never_share_an_id() -> None:
    names = ["a", "b", "x" * 250, "x" * 249 + "y"]
    prefixes = {child_prefix(Process("w", name, run=run)) for name in names for run in (1, 2)}

    assert len(prefixes) == 8
    assert max(map(len, prefixes)) < 110
