"""Whatever the order in which things end: small graphs exhaustively, larger ones at random, against an oracle that knows no order."""

from collections.abc import Iterator
from itertools import combinations, product
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyworkflow.decision import CompleteProcess
from pyworkflow.event import CancelRequestedEvent
from pyworkflow.graph import (
    ActivityTask,
    LambdaTask,
    PassTask,
    SignalTask,
    Step,
    Task,
    TimerTask,
    Workflow,
    WorkflowTask,
)
from pyworkflow.graph.model import START, Graph, TimerWork
from pyworkflow.result import ActivityCompleted, ActivityFailed, ProcessCompleted, ProcessFailed
from tests.graph_kit import Simulation, tasks

NAMES = "abcd"
SLOW = [HealthCheck.too_slow]
"""Not checked: how fast examples are made says how busy the machine is."""


def shapes(count: int) -> Iterator[list[tuple[str, list[str]]]]:
    """Every graph of so many steps, up to names: each step depends on any of those before it."""
    choices = []
    for index in range(count):
        before = NAMES[:index]
        choices.append([list(c) for size in range(index + 1) for c in combinations(before, size)])
    for chosen in product(*choices):
        yield list(zip(NAMES, chosen, strict=False))


def every_order(
    graph: Graph, failing: set[str], ended: tuple[str, ...] = ()
) -> Iterator[Simulation]:
    """Every way in which a process can go, one end at a time."""
    process = Simulation(graph, "x")
    process.settle()
    for id in ended:
        end(process, id, failing)
        process.settle()
    if process.closed is not None:
        yield process
    else:
        for id in process.open():
            yield from every_order(graph, failing, (*ended, id))


def end(process: Simulation, id: str, failing: set[str]) -> None:
    name, _, numbers = id.partition("#")
    if name in failing:
        process.fail(name, part=int(numbers.partition(".")[0]))
    else:
        process.complete(name, [name, process.activities[id].input])


def outcome(process: Simulation) -> tuple[Any, ...]:
    """All that must not depend on the order."""
    run = process.run
    closed = process.closed
    return (
        type(closed).__name__,
        closed.result if isinstance(closed, CompleteProcess) else None,
        process.statuses,
        {name: state.output for name, state in run.flow.states.items()},
    )


@pytest.mark.parametrize("policy", ["continue", "ignore"])
@pytest.mark.parametrize("failing", [set(), {"a"}, {"b"}, {"b", "c"}])
def test_every_order_of_completion_gives_the_same(policy: str, failing: set[str]) -> None:
    orders = 0
    for shape in shapes(3 if failing else 4):
        graph = tasks(*shape, on_failure=policy).graph()
        outcomes = [outcome(process) for process in every_order(graph, failing)]
        orders += len(outcomes)
        assert all(other == outcomes[0] for other in outcomes), shape
        assert outcomes[0] == expected(graph, failing), shape

    assert orders >= (18 if failing else 300)


def expected(graph: Graph, failing: set[str]) -> tuple[Any, ...]:
    """What a graph comes to, worked out step by step."""
    statuses: dict[str, str] = {}
    outputs: dict[str, Any] = {START: "x"}
    for name, step in list(graph.steps.items())[1:]:
        before = [statuses.get(other, "completed") for other in step.depends_on]
        if any(status in ("failed", "blocked") for status in before):
            statuses[name] = "blocked"
        elif _skips(step, before) or (step.when is not None and not step.when(None)):
            statuses[name] = "skipped"
        else:
            statuses[name] = "failed" if name in failing else "completed"
        outputs[name] = None
        if statuses[name] == "completed" and not isinstance(step.work, TimerWork):
            given = {
                other: outputs[other]
                for other in step.depends_on
                if statuses.get(other, "completed") == "completed"
                and not isinstance(graph.steps[other].work, TimerWork)
            }
            value: Any = {"inputs": given} if len(given) > 1 else next(iter(given.values()), None)
            outputs[name] = [name, value]
    failed = "failed" in statuses.values() and graph.on_failure == "continue"
    leaves = graph.leaves()
    result = outputs[leaves[0]] if len(leaves) == 1 and not failed else None
    return "FailProcess" if failed else "CompleteProcess", result, statuses, outputs


def _skips(step: Step, before: list[str]) -> bool:
    skipped = [status == "skipped" for status in before]
    return bool(before) and (all(skipped) or (any(skipped) and step.join == "all"))


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Workflow, set[str]]:
    """A graph of activities and timers, some with conditions or retries, and which of them fail for good."""
    limit = draw(st.sampled_from([None, 1, 3]))
    policy = draw(st.sampled_from(["continue", "ignore"]))
    graph = Workflow("w", on_failure=policy, concurrency=limit)
    names: list[str] = []
    failing: set[str] = set()
    for index in range(draw(st.integers(1, 12))):
        name = f"s{index}"
        before: list[str] = draw(
            st.lists(st.sampled_from([*names, START]), unique=True, max_size=4)
        )
        if before == [START] or START not in before:
            when = draw(st.sampled_from([None, None, None, lambda given: False]))
        else:
            before.remove(START)
            when = None
        options: dict[str, Any] = {"depends_on": before} | ({"when": when} if when else {})
        options["join"] = draw(st.sampled_from(["all", "unskipped"]))
        if draw(st.integers(0, 4)) == 0:
            graph.add(TimerTask(name, 5, **options))
        else:
            graph.add(ActivityTask(name, num_retries=draw(st.integers(0, 2)), **options))
            if draw(st.integers(0, 5)) == 0:
                failing.add(name)
        names.append(name)
    return graph, failing


def play(graph: Workflow, failing: set[str], draw: st.DataObject) -> Simulation:
    """Let things end in any order, one or several at a time, also while a decision is made."""
    process = Simulation(graph, "x")
    process.settle()
    while process.closed is None:
        for _ in range(draw.draw(st.integers(1, 3))):
            one_thing(process, failing, draw)
        while_deciding = draw.draw(st.booleans())
        if process.open() and while_deciding:
            process.decide(meanwhile=lambda: one_thing(process, failing, draw))
        process.settle()
    return process


def one_thing(process: Simulation, failing: set[str], draw: st.DataObject) -> None:
    opened = process.open()
    if not opened:
        return
    id = draw.draw(st.sampled_from(opened))
    if id in process.timers:
        process.fire(id)
        return
    name, _, numbers = id.partition("#")
    attempt = int(numbers.partition(".")[2])
    # What may be retried fails once for a while, what fails for good always.
    if name in failing or (attempt == 1 and "pause" not in id and _retries(process, name)):
        process.fail(name, attempt=attempt)
    else:
        output = [name, process.activities[id].input]
        process.complete(name, output, attempt=attempt)


def _retries(process: Simulation, name: str) -> bool:
    retry = process.graph.steps[name].retry
    return retry is not None and retry.max_attempts > 1


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(graphs(), st.data())
def test_random_graphs_come_to_what_the_oracle_says(
    made: tuple[Workflow, set[str]], data: st.DataObject
) -> None:
    graph, failing = made

    process = play(graph, failing, data)

    assert outcome(process) == expected(graph.graph(), failing)


@st.composite
def wild_graphs(draw: st.DrawFn) -> Workflow:
    """A graph with any of what there is."""
    policy = draw(st.sampled_from(["fail", "continue", "ignore"]))
    limit = draw(st.sampled_from([None, 1, 2]))
    graph = Workflow("w", on_failure=policy, concurrency=limit)
    names: list[str] = []
    for index in range(draw(st.integers(1, 8))):
        name = f"s{index}"
        before = draw(st.lists(st.sampled_from(names), unique=True, max_size=3)) if names else []
        options: dict[str, Any] = {
            "depends_on": before,
            "join": draw(st.sampled_from(["all", "unskipped", "any", "race"])),
            "after": draw(st.sampled_from(["success", "success", "end"])),
            "num_retries": draw(st.integers(0, 1)),
            "time_between_retries": draw(st.sampled_from([0, 5])),
        }
        if draw(st.integers(0, 4)) == 0:
            options["choose"] = lambda output: names[::2]
        graph.add(_wild_task(draw, name, options))
        names.append(name)
    for name in draw(st.lists(st.sampled_from(names), unique=True, max_size=3)):
        graph.add(ActivityTask(f"undo-{name}", compensates=name))
    return graph


def _wild_task(draw: st.DrawFn, name: str, options: dict[str, Any]) -> Task:
    kind = draw(st.sampled_from(["activity", "map", "loop", "child", "signal", "timer", "pass"]))
    timeout = draw(st.sampled_from([None, 60]))
    if kind == "timer":
        return TimerTask(name, 5, **options)
    if kind == "pass":
        return PassTask(name, **options)
    if kind == "signal":
        return SignalTask(name, f"go{draw(st.integers(0, 1))}", timeout=timeout, **options)
    if kind == "child":
        return WorkflowTask(name, "Child", timeout=timeout, **options)
    if kind == "map":
        size = draw(st.integers(0, 3))
        limit = draw(st.sampled_from([None, 1, 2]))
        more: dict[str, Any] = {} if limit is None else {"concurrency": limit}
        return LambdaTask(name, "f", for_each=lambda given: range(size), **more, **options)
    if kind == "loop":
        delay = draw(st.sampled_from([0, 5]))
        return ActivityTask(name, repeat_until=bool, repeat_limit=3, repeat_delay=delay, **options)
    return ActivityTask(name, **options)


def anything(process: Simulation, data: st.DataObject) -> None:
    """Let one thing happen to a process."""
    opened = process.open()
    others = ["signal", "signal", "cancel"] if process.graph.compensations else ["signal"]
    id = data.draw(st.sampled_from([*opened, *others]))
    if id == "signal":
        process.signal(f"go{data.draw(st.integers(0, 1))}", 1)
    elif id == "cancel":
        process.tell(CancelRequestedEvent())
    elif id in process.timers:
        process.fire(id)
    elif id in process.children:
        process.end_child(
            id, data.draw(st.sampled_from([ProcessCompleted(1), ProcessFailed("no")]))
        )
    else:
        results = [ActivityCompleted(1), ActivityCompleted(0), ActivityFailed("no")]
        process.finish(id, data.draw(st.sampled_from(results)))


@settings(max_examples=150, deadline=None, suppress_health_check=SLOW)
@given(wild_graphs(), st.data())
def test_wild_graphs_end_by_legal_decisions_that_are_the_same_from_nothing(
    graph: Workflow, data: st.DataObject
) -> None:
    process = Simulation(graph)
    for _ in range(300):
        process.settle()
        if process.closed is not None:
            break
        for _ in range(data.draw(st.integers(1, 2))):
            anything(process, data)
        if data.draw(st.booleans()):
            process.decide(meanwhile=lambda: anything(process, data))

    assert process.closed is not None
