"""What a graph looks like, as JSON: drawn as the graph itself, and read with a process as the graph itself."""

from typing import Any

import pytest

from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.decision import ScheduleActivity
from pyworkflow.graph import ActivityTask, GraphError, SignalTask, Workflow
from pyworkflow.graph.decider import decide
from pyworkflow.graph.shape import MOST_STEPS, graph_of, shape_of
from pyworkflow.manager import Manager
from tests.graph_kit import Simulation, tasks
from tests.unit.test_graph_drawing import every_kind, running


def test_the_shape_of_a_graph_is_drawn_as_the_graph() -> None:
    workflow = every_kind()
    late = workflow.add(SignalTask("late", depends_on=[workflow.start_task], timeout=60))
    workflow.add(ActivityTask("nobody", depends_on=[late], after="failure"))
    workflow.add(ActivityTask("undo", compensates="nobody"))

    again = graph_of(shape_of(workflow.graph()))

    assert again.to_svg() == workflow.to_svg()
    assert shape_of(again) == shape_of(workflow.graph())


def retried() -> Simulation:
    workflow = Workflow("w", on_failure="continue")
    a = workflow.add(ActivityTask("a", num_retries=1, time_between_retries=5))
    workflow.add(ActivityTask("b", depends_on=[a], when=bool))
    each = workflow.add(ActivityTask("c", for_each=lambda given: [1, 2], concurrency=1))
    workflow.add(ActivityTask("d", depends_on=[each], join="any"))
    process = Simulation(workflow, [1, 2])
    process.settle()
    process.fail("a", "once")
    process.complete("c")
    process.settle()
    return process


def completed() -> Simulation:
    workflow = Workflow("w")
    workflow.add(ActivityTask("a"))
    workflow.add(ActivityTask("undo", compensates="a"))
    process = Simulation(workflow)
    process.settle()
    process.complete("a")
    process.settle()
    return process


@pytest.mark.parametrize("make", [running, retried, completed])
def test_the_shape_tells_where_each_step_of_a_process_stands(make: Any) -> None:
    process = make()

    again = graph_of(shape_of(process.graph))

    assert again.to_svg(process.process) == process.graph.to_svg(process.process)


def test_a_program_registers_the_shapes_of_its_graphs() -> None:
    workflow = tasks(("a", []), ("b", ["a"]))
    with MemoryBackend() as backend:
        Manager(backend, workflow.workflows())
        Manager(backend, workflow.workflows())
        [registered] = backend.workflows()

    assert registered.graph == shape_of(workflow.graph())
    assert graph_of(registered.graph).to_svg() == workflow.to_svg()


def test_nothing_is_kept_of_a_graph_that_nobody_could_read() -> None:
    assert shape_of(tasks(*((f"s{n}", []) for n in range(MOST_STEPS))).graph()) is not None
    assert shape_of(tasks(*((f"s{n}", []) for n in range(MOST_STEPS + 1))).graph()) is None


@pytest.mark.parametrize(
    "shape",
    [
        None,
        [],
        {"name": "w"},
        {"name": "w", "steps": [{"name": "a", "kind": "magic"}]},
        {"name": "w", "steps": [{"name": "a", "kind": "pass", "depends_on": ["b"]}]},
        {"name": "w", "steps": [{"name": "a", "kind": "pass", "join": "most"}]},
    ],
)
def test_what_is_no_shape_is_refused(shape: Any) -> None:
    with pytest.raises(GraphError):
        graph_of(shape)


def test_a_shape_cannot_decide_what_takes_code() -> None:
    workflow = Workflow("w")
    workflow.add(ActivityTask("a", depends_on=[workflow.start_task], when=bool))
    process = Simulation(workflow, True)

    assert [type(d) for d in decide(workflow.graph(), process.process)] == [ScheduleActivity]
    with pytest.raises(GraphError, match="only its shape is known"):
        decide(graph_of(shape_of(workflow.graph())), process.process)
