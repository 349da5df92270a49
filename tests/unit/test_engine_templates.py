"""Templates as data, the graph beneath them, and the registry of tasks."""

import copy
import pickle
from typing import Any

import pytest

from pyworkflow.engine import (
    DAG,
    DAGValidationError,
    OverrunPolicy,
    TaskRegistry,
    TaskTemplate,
    TemplateError,
    UnknownTaskName,
    UnknownTemplateError,
    WorkflowError,
    WorkflowRootTaskError,
    WorkflowTemplate,
    register,
)
from pyworkflow.errors import InvalidRequestError
from tests import engine_kit as kit

WHOLE: dict[str, Any] = {
    "id": "wf",
    "title": "workflow #1",
    "policy": "abort-running",
    "topics": ["abort"],
    "timeout": 30,
    "schema": 3,
    "tasks": [
        {"id": "f1", "name": "kit-append", "config": {}, "timeout": None, "topics": []},
        {"id": "f2", "name": "kit-append", "config": {"v": [1]}, "timeout": 10, "topics": None},
        {"id": "f3", "name": "kit-append", "config": {}, "timeout": 0.5, "topics": ["a", "b"]},
    ],
    "graph": {"f1": ["f3", "f2"], "f2": [], "f3": []},
}


def test_a_template_round_trips_with_its_title_and_all_else() -> None:
    made = WorkflowTemplate.from_dict(WHOLE)

    assert made.as_dict() == WHOLE
    assert list(made.as_dict()["graph"]["f1"]) == ["f3", "f2"]
    assert WorkflowTemplate.from_dict(made.as_dict()).as_dict() == WHOLE


def test_a_copy_keeps_policy_topics_timeout_schema_and_title_and_has_tasks_of_its_own() -> None:
    given = copy.deepcopy(WHOLE)
    made = WorkflowTemplate.from_dict(given)

    other = made.copy()
    other.tasks[1].config["v"].append(2)
    other.delete(other.tasks[0])
    for told in (given, made.as_dict()):
        told["tasks"][1]["config"]["v"].append(3)

    assert made.as_dict() == WHOLE
    assert {**other.as_dict(), "tasks": 0, "graph": 0} == {**WHOLE, "tasks": 0, "graph": 0}


def test_what_is_left_out_has_its_default() -> None:
    made = WorkflowTemplate.from_dict({"tasks": [{"name": "kit-append"}]})

    (task,) = made.tasks
    assert made.policy is OverrunPolicy.SKIP_UNTIL_UNLOCK
    assert (made.title, made.topics, made.timeout, made.schema) == (None, None, None, 1)
    assert (task.config, task.timeout, task.topics) == ({}, None, ())
    assert len(made.uid) == len(task.uid) == 32


def test_a_report_may_be_read_as_a_template() -> None:
    told = {**WHOLE, "exec": {"id": "x"}}
    told["tasks"] = [{**task, "exec": None} for task in WHOLE["tasks"]]

    assert WorkflowTemplate.from_dict(told).as_dict() == WHOLE


def changed(path: str, value: Any) -> dict[str, Any]:
    told = copy.deepcopy(WHOLE)
    place: Any = told
    *way, last = path.split(".")
    for key in way:
        place = place[int(key) if key.isdigit() else key]
    place[last] = value
    return told


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("policy", "sometimes", "policy of template 'wf': must be one of skip, start-new, "),
        ("title", 5, "template 'wf': title must be text, not 5"),
        ("schema", "1", "template 'wf': schema must be a whole number, not '1'"),
        ("topics", "abort", "topics of template 'wf': must be a list, not 'abort'"),
        ("topics", [1], "topics of template 'wf': must be a list of texts"),
        ("timeout", -1, "timeout of template 'wf': must be a positive number of seconds"),
        ("timeout", 0, "timeout of template 'wf': must be a positive number of seconds"),
        ("id", "a/b", "template id 'a/b': must not contain '/'"),
        ("titel", "x", "template 'wf': has the unknown key 'titel'"),
        ("tasks", {}, "tasks: must be a list"),
        ("tasks.0.nmae", "x", "task 'f1': has the unknown key 'nmae'"),
        ("tasks.0.name", "", "name of task 'f1': must not be empty"),
        ("tasks.0.id", "f2", "task 'f2': the template has a task of this id"),
        ("tasks.1.config", [1], "config of task 'f2': must be a dict, not [1]"),
        ("tasks.1.config", {"x": {1}}, "config of task 'f2': has a value of type set"),
        ("tasks.1.timeout", "10", "timeout of task 'f2': must be a number of seconds"),
        ("tasks.2.topics", "a", "topics of task 'f3': must be a list, not 'a'"),
        ("graph.f9", [], "graph of template 'wf': names task 'f9', which there is not"),
        ("graph.f2", ["f9"], "graph of template 'wf': names task 'f9', which there is not"),
        ("graph.f2", "f3", "what follows task 'f2': must be a list, not 'f3'"),
        ("graph", [], "graph: must be a dict, not list"),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_culprit(
    path: str, value: Any, message: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        WorkflowTemplate.from_dict(changed(path, value))

    assert message in str(caught.value)


def test_a_task_needs_a_name() -> None:
    with pytest.raises(TemplateError, match="task 'x': has no name"):
        TaskTemplate.from_dict({"id": "x"})


def test_a_cycle_is_refused_and_shown() -> None:
    with pytest.raises(DAGValidationError, match=r"template 'wf': has a cycle: 'f1' -> 'f"):
        WorkflowTemplate.from_dict(changed("graph.f2", ["f1"]))


def test_a_template_needs_one_root_when_it_is_to_run() -> None:
    two = WorkflowTemplate.from_dict(changed("graph.f1", ["f2"]))
    none = WorkflowTemplate(uid="empty")

    with pytest.raises(WorkflowRootTaskError, match="expected one root task, found 2"):
        two.validate()
    with pytest.raises(WorkflowRootTaskError, match="template 'empty': expected one root task, fo"):
        none.validate()


def test_a_task_that_is_not_registered_is_named() -> None:
    with pytest.raises(UnknownTaskName, match="unknown task 'nobody'"):
        kit.template({"a": "nobody"}).validate()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({}, "task 'j': needs wait_for, a list of task ids or a number"),
        ({"wait_for": []}, "needs wait_for"),
        ({"wait_for": True}, "needs wait_for"),
        ({"wait_for": 0}, "waits for 0 of its parents, and has 2"),
        ({"wait_for": 3}, "waits for 3 of its parents, and has 2"),
        ({"wait_for": ["b", "r"]}, "waits for 'r', which it does not follow"),
    ],
)
def test_a_join_that_could_never_end_is_refused(config: dict[str, Any], message: str) -> None:
    made = kit.template(
        {"r": "kit-append", "b": "kit-append", "c": "kit-append", "j": "join"},
        {"r": ["b", "c"], "b": ["j"], "c": ["j"], "j": []},
    )
    made.tasks[3].config = config

    with pytest.raises(TemplateError) as caught:
        made.validate()

    assert message in str(caught.value)


def test_a_template_can_be_edited() -> None:
    made = WorkflowTemplate(uid="w", title="edited")
    a, b, c = (TaskTemplate("kit-append", uid) for uid in "abc")
    for task in (a, b, c):
        made.add(task)
    made.link(a, b)
    made.link(b, c)
    assert made.root() is a
    assert made.validate()

    made.unlink(c, b)
    with pytest.raises(WorkflowRootTaskError):
        made.root()
    made.delete(c)

    assert made.tasks == [a, b]
    assert made.validate()
    assert made.compiled().children == {"a": ("b",), "b": ()}
    with pytest.raises(TemplateError, match="node <TaskTemplate"):
        made.link(a, c)
    with pytest.raises(TypeError, match="expected a TaskTemplate"):
        made.add("a")  # type: ignore[arg-type]


def test_an_edit_that_makes_a_cycle_is_found_when_it_is_to_run() -> None:
    made = WorkflowTemplate()
    a, b, c = (TaskTemplate("kit-append", uid) for uid in "abc")
    for task in (a, b, c):
        made.add(task)
    for one, other in ((a, b), (b, c), (c, b)):
        made.link(one, other)

    with pytest.raises(DAGValidationError, match="has a cycle"):
        made.validate()


# -- the graph ---------------------------------------------------------------------------------------------------------------------


def test_a_graph_answers_questions() -> None:
    dag = DAG.from_dict({"a": ["c", "b"], "b": ["d"], "c": ["d"], "d": []})

    assert dag.successors("a") == ["c", "b"]
    assert dag.predecessors("d") == ["b", "c"]
    assert dag.root_nodes() == ["a"]
    assert dag.leaves() == ["d"]
    assert dag.edges() == [("a", "c"), ("a", "b"), ("b", "d"), ("c", "d")]
    assert dag.is_valid()


def test_a_graph_can_be_edited_and_copied() -> None:
    dag = DAG.from_dict({"a": ["b"], "b": []})
    other = dag.copy()

    dag.add_node("c")
    dag.add_edge("b", "c")
    dag.delete_edge("a", "b")
    dag.delete_node("a")

    assert dag.graph == {"b": ["c"], "c": []}
    assert other.graph == {"a": ["b"], "b": []}
    dag.add_edge("c", "b")
    assert not dag.is_valid()


@pytest.mark.parametrize(
    "edit",
    [
        lambda dag: dag.add_node("a"),
        lambda dag: dag.delete_node("x"),
        lambda dag: dag.add_edge("a", "x"),
        lambda dag: dag.add_edge("x", "a"),
        lambda dag: dag.delete_edge("b", "a"),
        lambda dag: dag.successors("x"),
        lambda dag: dag.predecessors("x"),
        lambda dag: DAG.from_dict({"a": ["x"]}),
        lambda dag: DAG.from_dict({"a": "x"}),
    ],
)
def test_a_graph_refuses_what_cannot_be(edit: Any) -> None:
    dag = DAG.from_dict({"a": ["b"], "b": []})

    with pytest.raises(TemplateError, match="node '"):
        edit(dag)

    assert dag.graph == {"a": ["b"], "b": []}


# -- the registry ------------------------------------------------------------------------------------------------------------------


def test_a_registered_class_knows_its_name() -> None:
    assert kit.Holder.TASK_NAME == "kit-holder"
    assert TaskRegistry.get("kit-holder")[0] is kit.Holder
    assert TaskRegistry.get("kit-append") == (None, kit.append)
    assert {"join", "kit-append"} <= set(TaskRegistry.all())


def test_a_name_is_registered_once() -> None:
    with pytest.raises(ValueError, match="task name 'kit-append': is registered already"):
        register("kit-append")(kit.append)


def test_a_task_may_be_forgotten() -> None:
    register("kit-passing")(kit.append)
    TaskRegistry.unregister("kit-passing")

    with pytest.raises(UnknownTaskName):
        TaskRegistry.unregister("kit-passing")


def test_only_coroutine_functions_are_registered() -> None:
    class Plain:
        def work(self) -> None: ...

    for thing, method in ((len, None), (Plain, "work"), (Plain, "play"), (Plain, None)):
        with pytest.raises(TypeError, match="is not a coroutine function"):
            register("kit-plain", method)(thing)

    assert "kit-plain" not in TaskRegistry.all()


@pytest.mark.parametrize(
    "error",
    [
        WorkflowRootTaskError("w", 2),
        UnknownTaskName("x"),
        UnknownTemplateError("x"),
        WorkflowError("u", "why"),
        DAGValidationError("graph", "has a cycle"),
    ],
)
def test_errors_survive_pickling(error: Exception) -> None:
    again = pickle.loads(pickle.dumps(error))

    assert (type(again), str(again)) == (type(error), str(error))
