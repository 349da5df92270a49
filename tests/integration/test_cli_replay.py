"""``pyworkflow replay``: stepping through recorded histories, of each style."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from examples.order import STYLES, ReplayOrderWorkflow
from pyworkflow.errors import NondeterminismError
from pyworkflow.graph import PassTask, TimerTask
from pyworkflow.graph import Workflow as Graph
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.testing.replay import record
from pyworkflow.testing.run import Runner
from pyworkflow.worker import ActivityWorker, DecisionWorker
from pyworkflow.workflow import Workflow
from pyworkflow.workflow.following import follow
from tests.integration.program import StepsWorkflow
from tests.integration.shell import ROOT, Shell, execute

CALLS: list[int] = []


def look() -> int:
    CALLS.append(1)
    return len(CALLS)


class LookingWorkflow(ReplayWorkflow):
    """Asks the world once."""

    name = "Looking"

    async def run(self) -> None:
        await self.sleep(self.side_effect(look))


class BlindWorkflow(ReplayWorkflow):
    """What it was before."""

    name = "Looking"

    async def run(self) -> None:
        await self.sleep(1)


class PatchedWorkflow(ReplayWorkflow):
    """What it is to be."""

    name = "Looking"

    async def run(self) -> None:
        if self.patched("no sleep"):
            return
        await self.sleep(1)


ORDER = {"sku": "tea", "amount": 2, "fails_at": "ship"}

CHANGED = """
from examples.order.activities import ACTIVITIES, Order, charge, reserve
from pyworkflow.replay import ReplayWorkflow


class ChangedWorkflow(ReplayWorkflow):
    activities = ACTIVITIES
    price = 0

    async def run(self, order: Order) -> int:
        await self.activity(reserve, order)
        self.price = order.amount
        return await self.activity(charge, Order("other", order.amount))


class BrokenWorkflow(ReplayWorkflow):
    async def run(self, order: Order) -> None:
        nobody  # noqa: F821, B018
"""


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    """A history of an order as plain async code that failed."""
    return written(ReplayOrderWorkflow, tmp_path)


def written(workflow: type[Workflow], folder: Path) -> Path:
    runner = Runner(workflow)
    path = folder / "history.json"
    record(runner.finish(runner.start(workflow, ORDER, id="o")), path)
    return path


def stepped(shell: Shell, path: Path, app: str, code: int = 0) -> list[dict[str, Any]]:
    done = shell.run("replay", str(path), app, "--json")
    assert done.returncode == code, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("style", STYLES)
def test_each_style_is_stepped_through(shell: Shell, tmp_path: Path, style: type[Workflow]) -> None:
    steps = stepped(shell, written(style, tmp_path), "examples.order")

    assert [step["decision"] for step in steps] == [1, 2, 3, 4, 5, 6]
    assert [step["differs"] for step in steps] == [False] * 6
    assert [step["decided"] for step in steps] == [step["recorded"] for step in steps]
    assert [event["type"] for event in steps[3]["news"]] == ["activity_started", "activity"]


def test_the_state_of_replayed_code_is_where_it_waits_and_what_it_holds(
    shell: Shell, recorded: Path
) -> None:
    shown = shell.run("replay", str(recorded), "examples.order", "--decision", "2").stdout

    lines = shown.splitlines()
    assert lines[0].startswith("process o, workflow OrderByReplay, 23 events, failed, closed ")
    assert lines[2].startswith("decision 2, at event 6, ")
    assert "  new        activity reserve reserve-1 completed 2 tea on shelf 7" in lines
    assert any(line.startswith("  decided    schedule charge charge-1 ") for line in lines)
    source = (ROOT / "examples/order/replay.py").read_text().splitlines()
    place = 1 + next(n for n, line in enumerate(source) if "self.activity(charge" in line)
    assert f'  at         {{"run": "replay.py:{place}"}}' in lines
    assert '  waits for  ["activity charge-1"]' in lines
    assert "decision 3" not in shown


def test_the_state_of_a_graph_is_that_of_its_steps(shell: Shell, tmp_path: Path) -> None:
    steps = stepped(shell, written(STYLES[2], tmp_path), "examples.order.graph:GraphOrderWorkflow")

    told = [step["state"]["steps"] for step in steps]
    assert [each["charge"] for each in told[:3]] == ["waiting", "running", "completed"]
    assert told[-1]["refund"] == told[-1]["release"] == "completed"


def test_the_last_state_of_a_graph_knows_what_the_last_decision_settled(tmp_path: Path) -> None:
    graph = Graph("w")
    graph.add(PassTask("only"))
    workflow = graph.as_workflow()
    runner = Runner(workflow)

    [step] = follow(workflow(), runner.finish(runner.start(workflow, 1)))

    assert step.state == {"steps": {"only": "completed"}}


def test_other_code_is_shown_beside_the_history(
    shell: Shell, recorded: Path, tmp_path: Path
) -> None:
    (tmp_path / "changed.py").write_text(CHANGED)
    command = shell.command("replay", str(recorded), "changed:ChangedWorkflow")
    done = execute(command, tmp_path)

    assert done.returncode == 1
    told = done.stdout.splitlines()
    assert (
        '  ≠ then     schedule charge charge-1 {"sku": "tea", "amount": 2, "fails_at": "ship"}'
        in told
    )
    assert (
        '  ≠ now      schedule charge charge-1 {"sku": "other", "amount": 2, "fails_at": null}'
        in told
    )
    assert '  attributes {"price": 2}' in told
    assert told[-1] == "the code decides something else than the history holds"


@pytest.mark.parametrize(
    ("then", "now", "differs"),
    [
        (LookingWorkflow, LookingWorkflow, [False, False]),
        (BlindWorkflow, PatchedWorkflow, [False, False]),
        (BlindWorkflow, LookingWorkflow, [True]),
        (LookingWorkflow, BlindWorkflow, [True]),
    ],
)
def test_replayed_code_is_told_what_was_recorded(
    then: type[Workflow], now: type[Workflow], differs: list[bool]
) -> None:
    runner = Runner(then)
    process = runner.finish(runner.start(then))
    CALLS.clear()

    told = []
    with suppress(NondeterminismError):
        for step in follow(now(), process):
            told.append(step.differs)

    assert told == differs
    assert CALLS == []


@pytest.mark.parametrize("decide_first", [True, False])
def test_what_somebody_else_canceled_is_no_difference(decide_first: bool) -> None:
    graph = Graph("w")
    graph.add(TimerTask("wait", 60))
    workflow = graph.as_workflow()
    runner = Runner(workflow)
    process_id = runner.start(workflow)
    if decide_first:
        runner.work()
    else:
        runner.manager.next_decision()
    runner.manager.cancel_process(process_id)

    [step] = follow(workflow(), runner.finish(process_id))

    assert not step.differs
    assert [decision.type for decision in step.decided] == ["timer"]


def test_code_that_raises_is_told_with_the_decision(
    shell: Shell, recorded: Path, tmp_path: Path
) -> None:
    (tmp_path / "changed.py").write_text(CHANGED)
    done = execute(shell.command("replay", str(recorded), "changed:BrokenWorkflow"), tmp_path)

    assert done.returncode == 2
    assert "decision 1 of changed:BrokenWorkflow: raised NameError" in done.stderr


def test_ids_that_nobody_chose_make_no_difference(shell: Shell, of: Manager) -> None:
    process_id = of.start_process(Process(StepsWorkflow, input={"a": 0}))
    decider, worker = DecisionWorker(of), ActivityWorker(of)
    while decider.step() or worker.step():
        pass
    path = shell.path.with_suffix(".json")
    assert shell.run("history", process_id, "--record", str(path)).returncode == 0

    steps = stepped(shell, path, "tests.integration.program:StepsWorkflow")

    assert steps
    assert not any(step["differs"] for step in steps)


@pytest.mark.parametrize(
    ("history", "app", "told"),
    [
        ("missing.json", "examples.order", "history 'missing.json': No such file or directory"),
        ("setup.cfg", "examples.order", "history 'setup.cfg': is no recorded process: "),
        ("{0}", "examples.order:nothing", "module 'examples.order' has no 'nothing'"),
        ("{0}", "examples.order.activities", "has no workflow"),
        ("{0}", "tests.integration.program", "has no workflow 'OrderByReplay'; it has: "),
    ],
)
def test_what_cannot_be_replayed_is_told(
    shell: Shell, recorded: Path, history: str, app: str, told: str
) -> None:
    assert told in shell.refused(2, "replay", history.format(recorded), app)


def test_a_decision_that_there_is_not_is_told(shell: Shell, recorded: Path) -> None:
    done = shell.run("replay", str(recorded), "examples.order", "--decision", "7")

    assert done.returncode == 2
    assert "decision: there are 6" in done.stderr


def test_a_history_is_recorded_or_followed(shell: Shell, of: Manager) -> None:
    told = shell.refused(2, "history", "one", "--record", "x.json", "--follow")

    assert "does not go with --follow" in told
