"""The engine: what triggers what, while others run, and how it stops; workflows resumed from a report."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from pyworkflow.engine import (
    Engine,
    Event,
    FutureState,
    RescueError,
    UnknownTaskName,
    UnknownTemplateError,
    Workflow,
    WorkflowRootTaskError,
    WorkflowTemplate,
    register,
)
from pyworkflow.errors import InvalidRequestError, PayloadError
from tests import engine_kit as kit
from tests.engine_kit import execs, finished, stage, started, states, template

GATED: dict[str, Any] = {"a": "kit-append", "b": "kit-gate", "c": "kit-append"}


async def loaded(*templates: WorkflowTemplate) -> Engine:
    engine = Engine()
    for made in templates:
        await engine.load(made)
    return engine


# -- templates ---------------------------------------------------------------------------------------------------------------------


def test_an_engine_needs_no_loop_inside_asyncio_run() -> None:
    async def main() -> None:
        engine = await loaded(template({"a": "kit-append"}))

        (workflow,) = await engine.data_received({"x": 1}) or []
        await workflow
        await engine.stop()

        assert stage.ran == [("a", {"x": 1})]

    kit.run(main())


def test_workflows_that_one_event_triggers_have_data_of_their_own() -> None:
    async def main() -> None:
        one, other = template({"a": "kit-scribble"}), template({"b": "kit-scribble"})
        engine = await loaded(one, other)
        workflows = await engine.data_received({"items": []}) or []
        stage.gates["a"].set()
        stage.gates["b"].set()
        await asyncio.wait(workflows)
        await engine.stop()

        assert sorted(map(str, stage.ran)) == [str((n, {"items": [n]})) for n in ("a", "b")]

    kit.run(main())


def test_an_engine_may_be_made_before_its_loop_runs() -> None:
    engine = Engine()

    async def main() -> None:
        await engine.load(template({"a": "kit-append"}))
        await asyncio.wait(await engine.data_received({}) or [])
        await engine.stop()

        assert stage.names == ["a"]

    kit.run(main())


def test_what_cannot_run_is_refused_when_it_is_loaded() -> None:
    async def main() -> None:
        two = template({"a": "kit-append", "b": "kit-append"}, {"a": [], "b": []}, id="t")
        good = template({"a": "kit-append"}, id="t")
        engine = await loaded(good)

        with pytest.raises(WorkflowRootTaskError, match="expected one root task, found 2"):
            await engine.load(two)
        with pytest.raises(UnknownTaskName):
            await engine.load(template({"a": "nobody"}))
        with pytest.raises(WorkflowRootTaskError):
            await engine.reload([template({"a": "kit-append"}), two])
        with pytest.raises(WorkflowRootTaskError):
            await engine.run_once(two, {})

        assert await engine.unload("t") is good

    kit.run(main())


def test_a_template_replaces_the_one_of_its_id_and_those_that_run_go_on() -> None:
    async def main() -> None:
        engine = await loaded(template(GATED, id="t", policy="start-new"))
        old = await engine.trigger("t", {})
        assert old is not None
        await stage.begun["b"].wait()

        await engine.load(template({"z": "kit-append"}, id="t", policy="start-new"))
        new = await engine.trigger("t", {})
        assert new is not None
        await new
        await engine.unload("t")
        stage.gates["b"].set()
        await old

        assert stage.names == ["a", "b", "z", "c"]
        assert await engine.trigger("t", {}) is None
        with pytest.raises(KeyError):
            await engine.unload("t")
        with pytest.raises(UnknownTemplateError, match="unknown template 't'"):
            await engine.unload("t")

    kit.run(main())


def test_a_reload_replaces_all() -> None:
    async def main() -> None:
        engine = await loaded(template({"a": "kit-append"}), template({"b": "kit-append"}))
        await engine.reload([template({"c": "kit-append"})])

        await asyncio.wait(await engine.data_received({}) or [])

        assert stage.names == ["c"]

    kit.run(main())


# -- triggers ----------------------------------------------------------------------------------------------------------------------


def test_data_triggers_the_templates_of_its_topic() -> None:
    async def main() -> None:
        everything = template({"A": "kit-append"}, id="A", topics=None)
        nothing = template({"B": "kit-append"}, id="B", topics=[])
        one = template({"C": "kit-append"}, id="C", topics=["t1"])
        engine = await loaded(everything, nothing, one)

        async def triggered(topic: str | None) -> list[str]:
            workflows = await engine.data_received({}, topic=topic) or []
            await asyncio.wait(workflows)
            return [workflow.template.uid for workflow in workflows]

        assert await triggered(None) == ["A"]
        assert await triggered("t1") == ["A", "C"]
        assert await triggered("t2") == ["A"]
        workflow = await engine.trigger("B", {"x": 1})
        assert workflow is not None
        await workflow
        assert stage.ran[-1] == ("B", {"x": 1})

    kit.run(main())


def test_data_reaches_tasks_that_listen_before_it_triggers_anything() -> None:
    async def main() -> None:
        listening = template({"a": {"name": "kit-listen", "topics": ["t"]}}, topics=[], id="t")
        engine = await loaded(listening)
        workflow = await engine.trigger("t", {})
        assert workflow is not None
        await stage.begun["a"].wait()

        assert await engine.data_received({"n": 5}, topic="t") == []
        await workflow

        assert execs(workflow)["a"]["outputs"] == {"heard": {"n": 5}, "topic": "t"}

    kit.run(main())


def test_the_first_task_is_given_the_topic() -> None:
    async def main() -> None:
        seen = list[Event]()

        @register("kit-topic")
        async def topic(event: Event) -> None:
            seen.append(event)

        engine = await loaded(template({"a": "kit-topic"}))
        await asyncio.wait(await engine.data_received({"x": 1}, topic="t") or [])

        assert (seen[0].topic, seen[0].data, seen[0].source) == ("t", {"x": 1}, None)

    kit.run(main())


@pytest.mark.parametrize("data", [5, None, "text", [1]])
def test_data_is_a_dict(data: Any) -> None:
    async def main() -> None:
        engine = await loaded(template({"a": "kit-append"}, id="t"))

        with pytest.raises(ValueError, match="must be a dict or an Event"):
            await engine.data_received(data)
        with pytest.raises(InvalidRequestError):
            await engine.trigger("t", data)
        with pytest.raises(PayloadError):
            await engine.trigger("t", {"x": {1}})
        with pytest.raises(PayloadError):
            await engine.run_once(template({"a": "kit-append"}), {"x": {1}})

        assert engine.instances == []

    kit.run(main())


def test_an_engine_asks_a_selector_of_ones_own_even_one_that_has_to_wait() -> None:
    class Remote:
        def __init__(self) -> None:
            self.found = template({"a": "kit-append"}, id="remote", policy="start-new")

        def load(self, template: WorkflowTemplate) -> None:
            self.found = template

        def unload(self, tmpl_id: str) -> WorkflowTemplate:
            return self.found

        def clear(self) -> None: ...

        async def select(self, topic: str | None = None) -> list[WorkflowTemplate]:
            await asyncio.sleep(0)
            return [self.found] if topic == "t" else []

        async def get(self, tmpl_id: str) -> WorkflowTemplate | None:
            await asyncio.sleep(0)
            return self.found if tmpl_id == "remote" else None

    async def main() -> None:
        engine = Engine(selector=Remote())

        assert await engine.data_received({}) == []
        assert await engine.trigger("other", {}) is None
        workflows = [
            *(await engine.data_received({}, "t") or []),
            await engine.trigger("remote", {}),
        ]
        await asyncio.wait([workflow for workflow in workflows if workflow is not None])

        assert stage.names == ["a", "a"]

    kit.run(main())


# -- while others run --------------------------------------------------------------------------------------------------------------


def test_skip_starts_nothing_while_one_of_the_template_runs() -> None:
    async def main() -> None:
        made = template({"a": "kit-unlock", "b": "kit-gate"}, id="t", policy="skip")
        other = template({"z": "kit-append"}, id="z", policy="skip")
        engine = await loaded(made, other)
        first = await engine.trigger("t", {})
        assert first is not None
        await stage.begun["b"].wait()

        assert await engine.trigger("t", {}) is None
        assert await engine.trigger("z", {}) is not None
        stage.gates["b"].set()
        await first
        await asyncio.sleep(0)
        assert await engine.trigger("t", {}) is not None
        await engine.stop()

    kit.run(main())


def test_start_new_always_starts() -> None:
    async def main() -> None:
        engine = await loaded(template({"b": "kit-gate"}, id="t", policy="start-new"))
        workflows = [await engine.trigger("t", {}) for _ in range(3)]
        assert engine.instances == workflows
        stage.gates["b"].set()
        await engine.stop()

        assert stage.names == ["b", "b", "b"]

    kit.run(main())


def test_by_default_nothing_starts_until_the_one_that_runs_is_unlocked() -> None:
    async def main() -> None:
        made = template({"a": "kit-gate", "b": "kit-unlock", "c": "kit-gate"}, id="t")
        engine = await loaded(made)
        first = await engine.trigger("t", {})
        assert first is not None
        await stage.begun["a"].wait()
        assert await engine.trigger("t", {}) is None
        stage.gates["a"].set()
        await stage.begun["c"].wait()

        second = await engine.trigger("t", {})
        assert second is not None
        assert await engine.trigger("t", {}) is None
        stage.gates["c"].set()
        await engine.stop()

    kit.run(main())


def test_abort_running_cancels_those_that_run_and_starts_after_them() -> None:
    async def main() -> None:
        engine = await loaded(template({"b": "kit-gate"}, id="t", policy="abort-running"))
        first = await engine.trigger("t", {"n": 1})
        assert first is not None
        await stage.begun["b"].wait()

        second = await engine.trigger("t", {"n": 2})
        assert second is not None
        while len(stage.ran) < 2:
            await asyncio.sleep(0)
        assert first.cancelled()
        assert stage.ended == ["b"]
        stage.gates["b"].set()
        await second

        assert stage.ran == [("b", {"n": 1}), ("b", {"n": 2})]

    kit.run(main())


def test_of_quick_triggers_only_the_last_is_started_by_abort_running() -> None:
    async def main() -> None:
        engine = await loaded(template({"b": "kit-gate"}, id="t", policy="abort-running"))
        first = await engine.trigger("t", {"n": 1})
        await stage.begun["b"].wait()

        second, third = [await engine.trigger("t", {"n": n}) for n in (2, 3)]
        assert first is not None
        assert second is not None
        assert third is not None
        stage.gates["b"].set()
        await third

        assert first.cancelled()
        assert second.cancelled()
        assert stage.ran == [("b", {"n": 1}), ("b", {"n": 3})]
        assert engine.instances == []

    kit.run(main())


def test_what_waits_for_those_that_are_aborted_never_starts_after_a_stop() -> None:
    async def main() -> None:
        engine = await loaded(template({"b": "kit-gate"}, id="t", policy="abort-running"))
        await engine.trigger("t", {"n": 1})
        await stage.begun["b"].wait()
        waiting = await engine.trigger("t", {"n": 2})
        assert waiting is not None

        await engine.stop()
        for _ in range(5):
            await asyncio.sleep(0)

        assert waiting.cancelled()
        assert stage.ran == [("b", {"n": 1})]
        assert engine.done()

    kit.run(main())


def test_run_once_asks_no_policy_and_needs_no_loaded_template() -> None:
    async def main() -> None:
        made = template({"b": "kit-gate"}, id="t", policy="skip")
        engine = await loaded(made)
        await engine.trigger("t", {})
        assert await engine.run_once(made, {}) is not None
        assert await engine.run_once(template({"z": "kit-append"}), {}) is not None
        stage.gates["b"].set()
        await engine.stop()

        assert sorted(stage.names) == ["b", "b", "z"]

    kit.run(main())


def test_a_holder_that_cannot_be_made_leaves_nothing_behind() -> None:
    async def main() -> None:
        broken = {"name": "kit-broken-holder", "config": {"error": "KeyError"}}
        engine = await loaded(template({"a": broken}, id="t", policy="skip"))
        for _ in range(2):
            workflow = await engine.trigger("t", {})
            assert workflow is not None
            await asyncio.wait([workflow])
            await asyncio.sleep(0)
            assert workflow.state is FutureState.exception

        assert engine.instances == []
        await engine.stop()

    kit.run(main())


# -- stopping ----------------------------------------------------------------------------------------------------------------------


def test_a_stopped_engine_starts_nothing_and_ends_with_what_runs() -> None:
    async def main() -> None:
        engine = await loaded(template({"b": "kit-gate"}, id="t", policy="start-new"))
        workflow = await engine.trigger("t", {})
        assert workflow is not None
        await stage.begun["b"].wait()

        assert engine.stop() is engine
        assert not engine.done()
        assert await engine.data_received({}) is None
        assert await engine.trigger("t", {}) is None
        assert await engine.run_once(template({"a": "kit-append"}), {}) is None
        assert await engine.rescue(workflow.template, workflow.report()) is None
        assert await engine.rescue() == []
        stage.gates["b"].set()
        await engine

        assert workflow.state is FutureState.finished
        assert engine.done()

    kit.run(main())


@pytest.mark.parametrize("way", ["stop", "close"])
def test_by_force_it_cancels_what_runs(way: str) -> None:
    async def main() -> None:
        engine = await loaded(template({"b": "kit-gate"}, id="t"))
        workflow = await engine.trigger("t", {})
        assert workflow is not None
        await stage.begun["b"].wait()

        await (engine.stop(force=True) if way == "stop" else engine.close())

        assert workflow.cancelled()
        assert stage.ended == ["b"]

    kit.run(main())


def test_leaving_the_block_waits_and_an_error_cancels() -> None:
    left = list[Workflow]()

    async def broken(left: list[Workflow]) -> None:
        async with await loaded(template({"a": "kit-forever"})) as engine:
            left += await engine.data_received({}) or []
            raise KeyError("wrong")

    async def main() -> None:
        async with await loaded(template({"a": "kit-append"}, id="t")) as engine:
            workflow = await engine.trigger("t", {})
        assert workflow is not None
        assert workflow.state is FutureState.finished

        with pytest.raises(KeyError):
            await broken(left)
        assert left[0].cancelled()

    kit.run(main())


def test_a_workflow_waited_for_too_long_is_canceled_with_its_tasks() -> None:
    async def main() -> None:
        workflow = await started(template({"b": "kit-gate"}))

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(workflow, 0.01)

        assert stage.ended == ["b"]
        assert workflow.state is FutureState.cancelled

    kit.run(main())


# -- reports ----------------------------------------------------------------------------------------------------------------------


async def left_behind(made: WorkflowTemplate, gate: str, data: Any) -> dict[str, Any]:
    """Return the report of a workflow that came as far as a gate."""
    workflow = await started(made, data)
    await stage.begun[gate].wait()
    told = workflow.report()
    workflow.cancel()
    await asyncio.wait([workflow])
    stage.ran.clear()
    return told


@pytest.mark.parametrize("as_json", [True, False])
def test_a_rescued_workflow_goes_on_from_its_report(as_json: bool) -> None:
    async def main() -> None:
        made = template(GATED)
        told = await left_behind(made, "b", {"x": 1})
        if as_json:
            told = json.loads(json.dumps(told, default=datetime.isoformat))
        stage.gates["b"].set()

        workflow = await Engine().rescue(made, told)
        assert workflow is not None
        await workflow

        assert workflow.uid == told["exec"]["id"]
        assert stage.ran == [
            ("b", {"x": 1, "a": True}),
            ("c", {"x": 1, "a": True, "b": True}),
        ]
        assert states(workflow) == dict.fromkeys("abc", "finished")
        assert execs(workflow)["a"]["id"] == told["tasks"][0]["exec"]["id"]

    kit.run(main())


@pytest.mark.parametrize("how", ["cancel", "suspend"])
def test_what_was_canceled_or_suspended_runs_again(how: str) -> None:
    async def main() -> None:
        made = template(GATED)
        workflow = await started(made, {"x": 1})
        await stage.begun["b"].wait()
        if how == "suspend":
            workflow.suspend()
        else:
            workflow.cancel()
            await asyncio.wait([workflow])
        while not stage.ended:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        stage.ran.clear()
        stage.gates["b"].set()

        again = await Engine().rescue(made, workflow.report())
        assert again is not None
        await again

        assert stage.names == ["b", "c"]

    kit.run(main())


def test_a_first_task_that_was_running_is_run_again_with_its_input() -> None:
    async def main() -> None:
        made = template({"b": "kit-gate", "c": "kit-append"})
        told = await left_behind(made, "b", {"x": 1})
        stage.gates["b"].set()

        workflow = await Engine().rescue(made, told)
        assert workflow is not None
        await workflow

        assert stage.ran == [("b", {"x": 1}), ("c", {"x": 1, "b": True})]

    kit.run(main())


def test_choices_failures_and_skips_hold_in_a_rescued_workflow() -> None:
    async def main() -> None:
        graph = {
            "r": ["b", "c", "d", "e"],
            "b": [],
            "c": ["f"],
            "d": ["g"],
            "e": [],
            "f": [],
            "g": [],
        }
        tasks = {
            "r": "kit-choose",
            "b": "kit-append",
            "c": "kit-fail",
            "d": "kit-skip",
            "e": "kit-gate",
            "f": "kit-append",
            "g": "kit-gate",
        }
        made = template(tasks, graph)
        told = await left_behind(made, "g", {"next": ["c", "d", "e"]})
        for gate in stage.gates.values():
            gate.set()

        workflow = await Engine().rescue(made, told)
        assert workflow is not None
        await workflow

        assert sorted(stage.names) == ["e", "g"]
        assert states(workflow) == {
            "r": "finished",
            "b": None,
            "c": "exception",
            "d": "skipped",
            "e": "finished",
            "f": None,
            "g": "finished",
        }

    kit.run(main())


def test_a_join_that_was_waiting_is_told_again_of_the_parents_that_had_come() -> None:
    async def main() -> None:
        graph = {"r": ["b", "c"], "b": ["e"], "c": ["e"], "e": []}
        join = {"name": "join", "config": {"wait_for": ["b", "c"], "data_stash": True}}
        made = template({"r": "kit-append", "b": "kit-append", "c": "kit-gate", "e": join}, graph)
        workflow = await started(made)
        await stage.begun["c"].wait()
        while states(workflow)["e"] is None:
            await asyncio.sleep(0)
        told = workflow.report()
        workflow.cancel()
        await asyncio.wait([workflow])
        stage.gates["c"].set()

        again = await Engine().rescue(made, told)
        assert again is not None
        await again

        b, c = {"r": True, "b": True}, {"r": True, "c": True}
        assert execs(again)["e"]["outputs"] == {**b, "data_stash": [b, c]}

    kit.run(main())


def test_a_report_that_nothing_can_be_made_of_is_refused() -> None:
    async def main() -> None:
        made = template({"a": "kit-append", "b": "kit-append"})
        workflow = await finished(made)
        good = workflow.report()
        engine = Engine()
        never = {**good, "tasks": [{**task, "exec": None} for task in good["tasks"]]}
        strange = {**good, "tasks": [{**good["tasks"][0], "id": "z"}]}
        broken = {**good, "tasks": [{**good["tasks"][0], "exec": {}}]}

        for told, message in (
            (never, "its first task had never begun"),
            (strange, "the template lacks task 'z'"),
            (broken, "the report cannot be read: KeyError"),
            ({}, "the report does not tell its id"),
            ({**good, "exec": None}, "the report does not tell its id"),
            ({**good, "exec": {**good["exec"], "start": 5}}, "the report cannot be read"),
        ):
            with pytest.raises(RescueError, match=message):
                await engine.rescue(made, told)

        await asyncio.sleep(0)
        assert engine.instances == []
        again = await engine.rescue(made, good)
        assert again is not None
        with pytest.raises(RescueError, match="it runs"):
            await engine.rescue(made, good)
        await asyncio.wait([again])

    kit.run(main())


# -- many --------------------------------------------------------------------------------------------------------------------------


def test_a_thousand_workflows_run_at_once() -> None:
    async def main() -> None:
        engine = await loaded(template(GATED, id="t", policy="start-new"))
        workflows = [await engine.trigger("t", {"n": n}) for n in range(1000)]
        while stage.names.count("b") < 1000:
            await asyncio.sleep(0)
        assert len(engine.instances) == 1000
        stage.gates["b"].set()
        await engine.stop()

        assert {w.state for w in workflows if w is not None} == {FutureState.finished}
        assert stage.names.count("c") == 1000

    kit.run(main())
