"""The graph of a process, as the dashboard shows it."""

import re
from collections.abc import Awaitable, Callable
from xml.etree import ElementTree

import httpx2
from starlette.applications import Starlette

from pyworkflow import Manager, Process
from pyworkflow.decision import RecordMarker
from pyworkflow.engine import Event, WorkflowTemplate
from pyworkflow.engine.decider import EngineWorkflow, process_input
from pyworkflow.graph import (
    ActivityTask,
    Graph,
    GraphWorkflow,
    PassTask,
    SignalTask,
    Step,
    StepStatus,
    Workflow,
)
from pyworkflow.graph.marks import MARKER
from pyworkflow.graph.model import ActivityWork, SignalWork
from pyworkflow.graph.state import Outcome
from pyworkflow.result import ActivityCompleted, ActivityFailed
from pyworkflow.web.graphs import MOST_BOXES, begun
from tests.web.conftest import close
from tests.web.world import client, make_app

Run = Callable[[Callable[[], Awaitable[httpx2.Response]]], httpx2.Response]
SVG = "{http://www.w3.org/2000/svg}"


def get(run: Run, app: Starlette, path: str) -> httpx2.Response:
    async def call() -> httpx2.Response:
        async with client(app) as http:
            return await http.get(path)

    return run(call)


def shop() -> Workflow:
    graph = Workflow("Shop", on_failure="continue")
    pay = graph.add(ActivityTask("pay", "charge", depends_on=[graph.start_task]))
    pack = graph.add(ActivityTask("pack", "box", depends_on=[pay]))
    graph.add(SignalTask("sign", depends_on=[pay], title="The customer's OK"))
    graph.add(ActivityTask("ship", "truck", depends_on=[pack]))
    return graph


def start_shop(manager: Manager) -> Manager:
    """Have a program register the graph, and run a process of it until something failed."""
    program = Manager(manager.backend, shop().workflows())
    for name in ("charge", "box", "truck"):
        program.backend.register_activity(name)
    program.start_process(Process("Shop", "s1"))
    decide(program)
    task = program.backend.poll_activity_task(identity="w")
    assert task is not None
    program.complete_task(task, ActivityCompleted(1))
    decide(program)
    return program


def decide(manager: Manager) -> None:
    task = manager.backend.poll_decision_task(identity="d")
    while task is not None and task.process.workflow not in ("Shop", "Strict"):
        manager.complete_task(task, [])
        task = manager.backend.poll_decision_task(identity="d")
    assert task is not None
    manager.complete_task(task, manager.workflow_for_task(task).decide(task.process))


def classes(text: str) -> dict[str, str]:
    """Return the state of each box of an image, by its title."""
    image = ElementTree.fromstring(re.findall("<svg.*?</svg>", text, re.DOTALL)[0])
    steps = [g for g in image.iter(f"{SVG}g") if "step" in g.attrib["class"]]
    return {
        str(g.findall(f"{SVG}text")[0].text): g.attrib["class"].removeprefix("step s-")
        for g in steps
    }


def test_a_server_without_the_program_shows_where_each_step_stands(
    run: Run, app: Starlette, manager: Manager
) -> None:
    program = start_shop(manager)

    page = get(run, app, "/processes/s1").text

    assert classes(page) == {
        "start": "completed",
        "pay": "completed",
        "pack": "running",
        "The customer's OK": "running",
        "ship": "waiting",
    }
    # Each step that has begun leads to its event; all of them are told in words as well.
    events = begun(program.process_by_id("s1"))
    assert set(events) == {"pay", "pack", "sign"}
    for seq in events.values():
        assert f'<a href="/processes/s1?all=true&amp;since={seq - 1}#e{seq}"><g' in page
    words = page.partition("The steps in words")[2].partition("</details>")[0]
    assert words.count("<li>") == 5
    assert "truck, waiting, after pack" in words

    task = program.backend.poll_activity_task(identity="w")
    assert task is not None
    program.complete_task(task, ActivityFailed("no tape"))
    decide(program)
    page = get(run, app, "/processes/s1").text
    states = classes(page)
    assert (states["pack"], states["ship"]) == ("failed", "blocked")
    assert "no tape" in page.partition("The steps in words")[2].partition("</details>")[0]


def test_a_process_that_brings_its_definition_is_drawn_by_that(
    run: Run, app: Starlette, manager: Manager
) -> None:
    program = Manager(manager.backend, [EngineWorkflow])
    template = WorkflowTemplate.from_dict(
        {
            "tasks": [{"id": "first", "name": "a"}, {"id": "then", "name": "b"}],
            "graph": {"first": ["then"]},
        }
    )
    program.start_process(Process("engine", "e1", process_input(template, Event({}))))

    assert classes(get(run, app, "/processes/e1/graph").text) == {
        "start": "completed",
        "first": "waiting",
        "then": "waiting",
    }


def test_a_process_of_no_definition_has_no_graph(
    run: Run, app: Starlette, manager: Manager
) -> None:
    program = Manager(manager.backend, [EngineWorkflow])
    program.start_process(Process("engine", "e1", {"template": {"tasks": 5}}))
    program.start_process(Process("engine", "e2", [1]))

    for name in ("e1", "e2"):
        assert get(run, app, f"/processes/{name}").status_code == 200
        assert get(run, app, f"/processes/{name}/graph").status_code == 404


def test_the_graph_is_an_image_of_its_own(run: Run, app: Starlette, manager: Manager) -> None:
    start_shop(manager)

    answer = get(run, app, "/processes/s1/graph")

    assert answer.headers["content-type"] == "image/svg+xml"
    assert classes(answer.text)["pack"] == "running"


def test_other_workflows_have_no_graph(run: Run, app: Starlette) -> None:
    assert "<svg" not in get(run, app, "/processes/done").text
    assert get(run, app, "/processes/done/graph").status_code == 404


def test_a_marker_that_only_looks_like_one_of_a_graph_is_shown_as_any_other(
    run: Run, app: Starlette, manager: Manager
) -> None:
    program = start_shop(manager)
    program.signal_process("s1", "sign")
    task = program.backend.poll_decision_task(identity="d")
    while task is not None and task.process.id != "s1":
        program.complete_task(task, [])
        task = program.backend.poll_decision_task(identity="d")
    assert task is not None
    foreign = [RecordMarker(MARKER, details) for details in (None, "x", {"step": "pay"}, [1])]
    program.complete_task(task, foreign)

    answer = get(run, app, "/processes/s1")

    assert answer.status_code == 200
    assert classes(answer.text)["The customer's OK"] == "completed"


def test_a_graph_that_is_large_stands_beside_the_page(
    run: Run, app: Starlette, manager: Manager
) -> None:
    graph = Workflow("Large")
    for n in range(MOST_BOXES + 1):
        graph.add(PassTask(f"p{n}"))
    Manager(manager.backend, graph.workflows()).start_process(Process("Large", "l1"))

    page = get(run, app, "/processes/l1").text
    assert "<svg" not in page
    assert f"Its {MOST_BOXES + 1} steps" in page
    assert 'href="/processes/l1/graph"' in page
    assert len(classes(get(run, app, "/processes/l1/graph").text)) == MOST_BOXES + 1


def test_a_shape_of_a_later_version_leaves_the_rest_of_the_page(
    run: Run, app: Starlette, manager: Manager
) -> None:
    manager.backend.register_workflow("order", graph={"name": "w", "layers": 2})

    answer = get(run, app, "/processes/done")

    assert answer.status_code == 200
    assert "<svg" not in answer.text


def test_a_server_with_the_program_counts_outcomes_as_it_does(
    run: Run, app: Starlette, manager: Manager
) -> None:
    """A ``judge`` is code: what is registered tells how the work ended, the program what that counts as."""

    def judge(outcome: Outcome, given: object) -> Outcome:
        return Outcome(StepStatus.FAILED, reason=f"too little: {outcome.output}")

    step = Step(name="pay", work=ActivityWork(activity="charge"), judge=judge)

    class Strict(GraphWorkflow):
        name = "Strict"
        graph = Graph("Strict", [step, Step(name="other", work=SignalWork(signal="s"))])

    program = Manager(manager.backend, [Strict])
    program.start_process(Process("Strict", "s1"))
    decide(program)
    task = program.backend.poll_activity_task(identity="w")
    assert task is not None
    program.complete_task(task, ActivityCompleted(1))
    informed = make_app(program)

    assert classes(get(run, app, "/processes/s1").text)["pay"] == "completed"
    assert classes(get(run, informed, "/processes/s1").text)["pay"] == "failed"
    close(informed)
