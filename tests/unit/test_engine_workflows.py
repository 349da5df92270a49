"""Workflows that run in the loop: what tasks are given, how they end, and what that means for the others."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from pyworkflow.engine import (
    EXEC_TOPIC,
    Event,
    EventSource,
    FutureState,
    SkipTask,
    TaskHolder,
    TaskTemplate,
    TopicManager,
    UnknownTaskName,
    Workflow,
    WorkflowError,
    get_broker,
    new_task,
    register,
)
from tests import engine_kit as kit
from tests.engine_kit import execs, finished, stage, started, states, template

FORK = {"r": ["b", "c"], "b": ["e"], "c": ["e"], "e": []}
JOIN: dict[str, str | dict[str, Any]] = {
    "r": "kit-append",
    "b": "kit-append",
    "c": "kit-append",
    "e": {"name": "join", "config": {"wait_for": ["b", "c"]}},
    "f": "kit-nothing",
}
JOINED = {"r": ["b", "c"], "b": ["e"], "c": ["e"], "e": ["f"], "f": []}


# -- what tasks are given ----------------------------------------------------------------------------------------------------------


def test_the_next_tasks_are_given_what_a_task_returns() -> None:
    async def main() -> None:
        await finished(
            template({"a": "kit-append", "b": "kit-replace", "c": "kit-append"}), {"x": 1}
        )

        assert stage.ran == [("a", {"x": 1}), ("b", {"x": 1, "a": True}), ("c", {"b": "new"})]

    kit.run(main())


def test_after_nothing_they_are_given_what_the_task_was_given() -> None:
    async def main() -> None:
        workflow = await finished(template({"a": "kit-nothing", "b": "kit-nothing"}), {"x": 1})

        assert stage.ran == [("a", {"x": 1}), ("b", {"x": 1})]
        assert execs(workflow)["a"]["outputs"] is None

    kit.run(main())


def test_what_is_no_dict_fails_a_task_that_others_follow_and_the_workflow_ends() -> None:
    async def main() -> None:
        workflow = await finished(
            template({"r": "kit-append", "a": "kit-number", "b": "kit-append"})
        )

        assert states(workflow) == {"r": "finished", "a": "exception", "b": None}
        assert "returned int" in execs(workflow)["a"]["error"]
        assert workflow.state is FutureState.finished

    kit.run(main())


def test_the_last_task_may_return_any_json() -> None:
    async def main() -> None:
        workflow = await finished(template({"a": "kit-append", "b": "kit-number"}))

        assert execs(workflow)["b"]["outputs"] == 5

    kit.run(main())


def test_siblings_do_not_see_what_the_other_does_to_its_data() -> None:
    async def main() -> None:
        graph = {"r": ["b", "c"], "b": [], "c": []}
        made = template({"r": "kit-nested", "b": "kit-nested", "c": "kit-nested"}, graph)

        workflow = await finished(made, {"deep": {"list": []}})

        told = execs(workflow)
        assert told["b"]["inputs"] == told["c"]["inputs"] == {"deep": {"list": ["r"]}}
        assert told["b"]["outputs"] == {"deep": {"list": ["r", "b"]}}
        assert told["c"]["outputs"] == {"deep": {"list": ["r", "c"]}}
        assert told["r"]["inputs"] == {"deep": {"list": []}}

    kit.run(main())


def test_an_event_tells_where_it_comes_from() -> None:
    async def main() -> None:
        sources = list[EventSource | None]()

        @register("kit-source")
        async def source(event: Event) -> None:
            sources.append(event.source)

        workflow = await finished(template({"a": "kit-source", "b": "kit-source"}))

        first, second = sources
        assert first is None
        assert second is not None
        assert second.as_dict() == {
            "workflow_template_id": workflow.template.uid,
            "workflow_exec_id": workflow.uid,
            "task_template_id": "a",
            "task_exec_id": execs(workflow)["a"]["id"],
        }

    kit.run(main())


# -- inside a task -----------------------------------------------------------------------------------------------------------------


def test_the_running_task_knows_its_template_and_its_workflow() -> None:
    async def main() -> None:
        seen = []

        @register("kit-look")
        async def look(event: Event) -> Event:
            seen.append((kit.current(), Workflow.current_workflow(), kit.current().in_progress()))
            return event

        workflow = await finished(template({"a": "kit-append", "b": "kit-look"}), {"x": 1})

        ((task, own, running),) = seen
        assert (own, running) == (workflow, True)
        assert task.template.uid == "b"
        assert task.inputs == task.outputs == {"x": 1, "a": True}
        assert (task.committed, task.timed_out, task.holder) == (True, False, None)
        assert task.event_source.task_exec_id == task.uid
        assert await workflow == workflow.records
        assert workflow.records["b"] is task.record
        assert Workflow.current_workflow() is None

    kit.run(main())


def test_a_holder_has_its_configuration_and_reports() -> None:
    async def main() -> None:
        made = template({"a": {"name": "kit-holder", "config": {"value": 7}}})

        workflow = await finished(made)

        told = execs(workflow)["a"]
        assert told["outputs"] == {"config": {"value": 7}, "uid": told["id"]}
        assert told["reporting"] == {"value": 7}

    kit.run(main())


def test_a_holder_needs_no_base_class() -> None:
    async def main() -> None:
        @register("kit-plain-holder", "work")
        class Plain:
            queue: Any

            def __init__(self, config: dict[str, Any]) -> None:
                self.config = config

            async def work(self, event: Event) -> dict[str, Any]:
                return {"queue": self.queue is kit.current().queue, **self.config}

        made = template({"a": {"name": "kit-plain-holder", "config": {"v": 1}}})

        assert execs(await finished(made))["a"]["outputs"] == {"queue": True, "v": 1}

    kit.run(main())


def test_a_holder_that_fails_to_report_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        @register("kit-bad-report", "work")
        class Bad(TaskHolder):
            async def work(self, event: Event) -> None: ...

            def report(self) -> Any:
                raise KeyError("none")

        workflow = await finished(template({"a": "kit-bad-report"}))

        assert states(workflow) == {"a": "finished"}

    kit.run(main())

    assert "did not report" in caplog.text


def test_a_task_may_run_outside_any_workflow() -> None:
    async def main() -> None:
        task = new_task("kit-holder", data={}, config={"value": 1})
        assert (await task)["config"] == {"value": 1}
        assert (task.workflow, task.record.state) == (None, FutureState.finished)

        for name, error in (("kit-fail", ValueError), ("kit-skip", SkipTask)):
            with pytest.raises(error):
                await new_task(name)
        with pytest.raises(TimeoutError, match="task 'kit-forever' timed out"):
            await new_task("kit-forever", timeout=0.01)
        with pytest.raises(UnknownTaskName):
            new_task("nobody")

    kit.run(main())


# -- how tasks end -----------------------------------------------------------------------------------------------------------------


def test_a_failure_stops_its_branch_only() -> None:
    async def main() -> None:
        graph = {"r": ["b", "c"], "b": ["d"], "c": ["e"], "d": [], "e": []}
        tasks = {"r": "kit-append", "b": "kit-fail", "c": "kit-append"}

        workflow = await finished(template({**tasks, "d": "kit-append", "e": "kit-append"}, graph))

        assert states(workflow) == {
            "r": "finished",
            "b": "exception",
            "c": "finished",
            "d": None,
            "e": "finished",
        }
        assert workflow.state is FutureState.finished
        assert execs(workflow)["b"]["error"] == "b is broken"

    kit.run(main())


def test_a_workflow_whose_first_task_fails_has_failed() -> None:
    async def main() -> None:
        workflow = await finished(template({"a": "kit-fail", "b": "kit-append"}))

        assert workflow.state is FutureState.exception
        with pytest.raises(WorkflowError, match="its first task 'a' failed: a is broken"):
            await workflow

    kit.run(main())


def test_a_failure_may_have_an_output() -> None:
    async def main() -> None:
        messages = kit.Messages()
        workflow = await finished(template({"a": "kit-append", "b": "kit-fail-telling"}))
        await asyncio.sleep(0)

        assert (states(workflow)["b"], execs(workflow)["b"]["outputs"]) == (
            "exception",
            {"code": 7},
        )
        (error,) = (e.data for e in messages.heard if e.data["type"] == "task-error")
        assert error["content"] == {"code": 7}

    kit.run(main())


def test_after_a_skipped_task_the_next_are_given_what_it_was_given() -> None:
    async def main() -> None:
        workflow = await finished(template({"a": "kit-skip", "b": "kit-append"}), {"x": 1})

        assert states(workflow) == {"a": "skipped", "b": "finished"}
        assert stage.ran[1] == ("b", {"x": 1})

    kit.run(main())


def test_a_task_that_cancels_itself_stops_its_branch() -> None:
    async def main() -> None:
        made = template({"r": "kit-append", "a": "kit-cancels-itself", "b": "kit-append"})

        workflow = await finished(made)

        assert states(workflow) == {"r": "finished", "a": "cancelled", "b": None}
        assert workflow.state is FutureState.finished

    kit.run(main())


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ({"name": "kit-forever"}, {"x": 1}),
        ({"name": "kit-holder", "config": {"wait": True}}, {"x": 1}),
        ({"name": "kit-holder", "config": {"wait": True, "teardown": {"t": 2}}}, {"t": 2}),
    ],
)
def test_after_a_timeout_the_next_are_given_the_teardown_or_the_input(
    task: dict[str, Any], given: dict[str, Any]
) -> None:
    async def main() -> None:
        made = template({"a": {**task, "timeout": 0.01}, "b": "kit-append"})

        workflow = await finished(made, {"x": 1})

        assert states(workflow) == {"a": "timeout", "b": "finished"}
        assert stage.ran[1] == ("b", given)
        assert execs(workflow)["a"]["outputs"] == given
        assert workflow.state is FutureState.finished

    kit.run(main())


def test_a_task_in_time_is_left_alone() -> None:
    async def main() -> None:
        made = template({"a": {"name": "kit-append", "timeout": 50}})

        assert states(await finished(made)) == {"a": "finished"}

    kit.run(main())


def test_a_teardown_may_be_a_coroutine_and_may_fail(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        @register("kit-slow-teardown", "work")
        class Slow(kit.Holder):
            async def teardown(self) -> Any:
                await asyncio.sleep(0)
                return {"slow": True}

        @register("kit-bad-teardown", "work")
        class Bad(kit.Holder):
            def teardown(self) -> Any:
                raise KeyError("none")

        for name, given in (("kit-slow-teardown", {"slow": True}), ("kit-bad-teardown", {"x": 1})):
            task = {"name": name, "config": {"wait": True}, "timeout": 0.01}
            await finished(template({"a": task, "b": "kit-append"}), {"x": 1})
            assert stage.ran[-1] == ("b", given)

    kit.run(main())

    assert "did not clean up" in caplog.text


def test_a_workflow_whose_time_is_over_is_canceled_and_says_so() -> None:
    async def main() -> None:
        made = template({"a": "kit-append", "b": "kit-forever", "c": "kit-append"}, timeout=0.01)

        workflow = await started(made)
        with pytest.raises(asyncio.CancelledError):
            await workflow

        assert (workflow.state, workflow.timed_out) == (FutureState.timeout, True)
        assert states(workflow) == {"a": "finished", "b": "cancelled", "c": None}
        assert workflow.report()["exec"]["state"] == "timeout"

    kit.run(main())


@pytest.mark.parametrize("error", ["KeyError", "TypeError"])
@pytest.mark.parametrize("place", ["root", "child"])
def test_a_holder_that_cannot_be_made_fails_its_task_wherever_it_stands(
    error: str, place: str
) -> None:
    async def main() -> None:
        broken = {"name": "kit-broken-holder", "config": {"error": error}}
        graph = {"r": ["b", "c"], "b": [], "c": []}
        tasks: dict[str, Any] = {"r": "kit-append", "b": broken, "c": "kit-append"}
        made = template({"a": broken}) if place == "root" else template(tasks, graph)

        workflow = await finished(made)

        if place == "root":
            assert (states(workflow), workflow.state) == ({"a": "exception"}, "exception")
        else:
            assert states(workflow) == {"r": "finished", "b": "exception", "c": "finished"}

    kit.run(main())


def test_what_is_not_json_fails_the_task() -> None:
    async def main() -> None:
        @register("kit-set")
        async def a_set(event: Event) -> dict[str, Any]:
            return {"x": {1}}

        workflow = await finished(template({"r": "kit-append", "a": "kit-set"}))

        assert "has a value of type set" in execs(workflow)["a"]["error"]

    kit.run(main())


def test_a_task_that_exits_ends_neither_the_loop_nor_the_workflow() -> None:
    async def main() -> None:
        @register("kit-exit")
        async def leave(event: Event) -> None:
            raise SystemExit(3)

        workflow = await finished(template({"r": "kit-append", "a": "kit-exit"}))

        assert states(workflow) == {"r": "finished", "a": "exception"}

    kit.run(main())


# -- several parents ---------------------------------------------------------------------------------------------------------------


def test_a_task_of_several_parents_runs_once_with_what_the_first_gave() -> None:
    async def main() -> None:
        made = template(
            {"r": "kit-append", "b": "kit-gate", "c": "kit-append", "e": "kit-append"}, FORK
        )
        workflow = await started(made)
        await stage.begun["e"].wait()
        stage.gates["b"].set()
        await workflow

        assert stage.ran[-1] == ("e", {"r": True, "c": True})
        assert stage.names == ["r", "b", "c", "e"]

    kit.run(main())


def test_a_task_that_runs_has_what_later_parents_give_in_its_queue() -> None:
    async def main() -> None:
        made = template(
            {"r": "kit-append", "b": "kit-gate", "c": "kit-append", "e": "kit-listen"}, FORK
        )
        workflow = await started(made)
        await stage.begun["e"].wait()
        stage.gates["b"].set()
        await workflow

        assert execs(workflow)["e"]["outputs"]["heard"] == {"r": True, "b": True}

    kit.run(main())


def test_a_join_gives_what_its_first_parent_gave_and_reports() -> None:
    async def main() -> None:
        messages = kit.Messages()
        workflow = await finished(template(JOIN, JOINED), {"x": 1})
        await asyncio.sleep(0)

        assert stage.ran[-1] == ("f", {"x": 1, "r": True, "b": True})
        told = execs(workflow)["e"]
        assert told["outputs"] == {"x": 1, "r": True, "b": True}
        assert [task["id"] for task in told["reporting"]["tasks"]] == ["b", "c"]
        assert told["reporting"]["status"] == "done"
        assert [type for type, task in messages.types if task == "e"] == [
            "task-begin",
            *["task-progress"] * 3,
            "task-end",
        ]

    kit.run(main())


def test_a_join_begins_with_the_first_parent_and_waits_for_the_others() -> None:
    async def main() -> None:
        workflow = await started(template({**JOIN, "c": "kit-gate"}, JOINED))
        await stage.begun["c"].wait()
        while states(workflow)["e"] is None:
            await asyncio.sleep(0)
        await asyncio.sleep(0)

        assert execs(workflow)["e"]["reporting"]["status"] == "running"
        assert [t["id"] for t in execs(workflow)["e"]["reporting"]["tasks"]] == ["b"]
        stage.gates["c"].set()
        await workflow
        assert states(workflow)["f"] == "finished"

    kit.run(main())


def test_a_join_gives_a_stash_of_all_if_asked_to() -> None:
    async def main() -> None:
        config = {"wait_for": 2, "data_stash": True}
        made = template({**JOIN, "e": {"name": "join", "config": config}}, JOINED)

        workflow = await finished(made)

        b, c = {"r": True, "b": True}, {"r": True, "c": True}
        assert execs(workflow)["e"]["outputs"] == {**b, "data_stash": [b, c]}

    kit.run(main())


def test_a_join_may_wait_for_a_number_or_for_some() -> None:
    async def main() -> None:
        for wanted in (1, ["b"]):
            made = template(
                {**JOIN, "c": "kit-gate", "e": {"name": "join", "config": {"wait_for": wanted}}},
                JOINED,
            )
            workflow = await started(made)
            await stage.begun["f"].wait()
            assert states(workflow)["c"] == "pending"
            stage.gates["c"].set()
            await workflow
            assert execs(workflow)["e"]["reporting"]["status"] == "done"
            stage.gates.clear()
            stage.begun.clear()

    kit.run(main())


@pytest.mark.parametrize("wanted", [2, ["b", "c"]])
@pytest.mark.parametrize("late", ["kit-fail", "kit-cancels-itself"])
def test_a_join_does_not_wait_for_a_parent_that_failed(wanted: Any, late: str) -> None:
    async def main() -> None:
        made = template(
            {**JOIN, "c": late, "e": {"name": "join", "config": {"wait_for": wanted}}}, JOINED
        )

        workflow = await finished(made)

        assert (states(workflow)["e"], states(workflow)["f"]) == ("finished", "finished")
        assert [t["id"] for t in execs(workflow)["e"]["reporting"]["tasks"]] == ["b"]

    kit.run(main())


def test_a_join_does_not_wait_for_what_never_begins() -> None:
    async def main() -> None:
        graph = {"r": ["b", "c"], "b": ["e"], "c": ["d"], "d": ["e"], "e": ["f"], "f": []}
        config = {"wait_for": ["b", "d"]}
        made = template(
            {
                **JOIN,
                "c": "kit-fail",
                "d": "kit-append",
                "e": {"name": "join", "config": config},
            },
            graph,
        )

        workflow = await finished(made)

        assert states(workflow)["d"] is None
        assert states(workflow)["f"] == "finished"

    kit.run(main())


def test_a_join_of_one_parent_ends_at_once() -> None:
    async def main() -> None:
        made = template(
            {
                "a": "kit-append",
                "j": {"name": "join", "config": {"wait_for": ["a"]}},
                "b": "kit-append",
            }
        )

        assert states(await finished(made))["b"] == "finished"

    kit.run(main())


def test_a_join_that_times_out_gives_what_the_first_parent_gave() -> None:
    async def main() -> None:
        join = {"name": "join", "config": {"wait_for": ["b", "c"]}, "timeout": 0.01}
        workflow = await started(template({**JOIN, "c": "kit-gate", "e": join}, JOINED))
        await stage.begun["f"].wait()
        stage.gates["c"].set()
        await workflow

        assert stage.ran[-1] == ("f", {"r": True, "b": True})
        assert states(workflow)["e"] == "timeout"
        assert execs(workflow)["e"]["reporting"]["status"] == "timeout"

    kit.run(main())


# -- choices -----------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chosen", "ran"), [(["c"], ["r", "c"]), ([], ["r"]), (["c", "b", "c"], ["r", "b", "c"])]
)
def test_a_task_chooses_who_follows(chosen: list[str], ran: list[str]) -> None:
    async def main() -> None:
        graph = {"r": ["b", "c"], "b": [], "c": []}
        made = template({"r": "kit-choose", "b": "kit-append", "c": "kit-append"}, graph)

        workflow = await finished(made, {"next": chosen})

        assert stage.names == ran
        assert workflow.state is FutureState.finished
        assert execs(workflow)["r"]["next"] == list(dict.fromkeys(chosen))

    kit.run(main())


def test_a_choice_of_what_does_not_follow_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        made = template({"r": "kit-choose", "b": "kit-append"})

        await finished(made, {"next": ["x", "b"]})

        assert stage.names == ["r", "b"]

    kit.run(main())

    assert "task 'x' does not follow" in caplog.text


def test_only_its_own_task_chooses_for_a_workflow() -> None:
    async def main() -> None:
        workflow = await finished(template({"a": "kit-append"}))

        with pytest.raises(RuntimeError, match="is no task of"):
            workflow.set_next_tasks(["a"])

    kit.run(main())


# -- suspending, canceling ---------------------------------------------------------------------------------------------------------


def test_what_is_suspended_runs_again_from_its_beginning_when_it_is_resumed() -> None:
    async def main() -> None:
        messages = kit.Messages()
        made = template({"a": "kit-append", "b": "kit-gate", "c": "kit-append"})
        workflow = await started(made, {"x": 1})
        await stage.begun["b"].wait()

        workflow.suspend()
        workflow.suspend()
        while not stage.ended:
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert (workflow.state, workflow.committed) == (FutureState.suspended, False)
        assert states(workflow) == {"a": "finished", "b": "suspended", "c": None}
        stage.gates["b"].set()
        assert not workflow.done()
        workflow.resume()
        workflow.resume()
        await workflow

        assert stage.ran == [
            ("a", {"x": 1}),
            ("b", {"x": 1, "a": True}),
            ("b", {"x": 1, "a": True}),
            ("c", {"x": 1, "a": True, "b": True}),
        ]
        await asyncio.sleep(0)
        types = [type for type, task in messages.types if task is None]
        assert types == ["workflow-begin", "workflow-suspend", "workflow-resume", "workflow-end"]

    kit.run(main())


def test_what_a_task_has_written_into_its_data_is_gone_when_it_runs_again() -> None:
    async def main() -> None:
        workflow = await started(template({"a": "kit-scribble"}), {"items": []})
        await stage.begun["a"].wait()
        workflow.suspend()
        while states(workflow)["a"] != "suspended":
            await asyncio.sleep(0)
        workflow.resume()
        stage.gates["a"].set()
        await workflow

        assert [len(data["items"]) for _, data in stage.ran] == [1, 1]
        assert execs(workflow)["a"]["inputs"] == {"items": []}

    kit.run(main())


def test_nothing_begins_while_a_workflow_is_suspended() -> None:
    async def main() -> None:
        @register("kit-stubborn")
        async def stubborn(event: Event) -> Event:
            kit.enter(event)
            try:
                await stage.gates["go"].wait()
            except asyncio.CancelledError:
                event.data["was canceled"] = True
            return event

        workflow = await started(template({"a": "kit-stubborn", "b": "kit-append"}))
        await stage.begun["a"].wait()
        workflow.suspend()
        for _ in range(5):
            await asyncio.sleep(0)
        assert states(workflow) == {"a": "finished", "b": None}
        workflow.resume()
        await workflow

        assert stage.ran[-1] == ("b", {"was canceled": True})

    kit.run(main())


def test_resumed_at_once_a_workflow_goes_on() -> None:
    async def main() -> None:
        workflow = await started(template({"a": "kit-gate", "b": "kit-append"}))
        await stage.begun["a"].wait()
        workflow.suspend()
        workflow.resume()
        stage.gates["a"].set()
        await workflow

        assert stage.names == ["a", "a", "b"]

    kit.run(main())


@pytest.mark.parametrize("begun", [True, False])
def test_a_canceled_workflow_has_its_tasks_canceled_first(begun: bool) -> None:
    async def main() -> None:
        kit.Holder.torn.clear()
        made = template(
            {
                "a": "kit-append",
                "b": {"name": "kit-holder", "config": {"wait": True}},
                "c": "kit-append",
            }
        )
        workflow = await started(made)
        if begun:
            await stage.begun["b"].wait()

        assert workflow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await workflow

        assert (workflow.state, workflow.cancelled()) == (FutureState.cancelled, True)
        if begun:
            assert states(workflow) == {"a": "finished", "b": "cancelled", "c": None}
            assert kit.Holder.torn == [execs(workflow)["b"]["id"]]
        else:
            assert states(workflow) == {"a": "cancelled", "b": None, "c": None}
        assert not workflow.cancel()

    kit.run(main())


def test_a_workflow_that_is_canceled_while_suspended_is_canceled() -> None:
    async def main() -> None:
        workflow = await started(template({"a": "kit-forever"}))
        await stage.begun["a"].wait()
        workflow.suspend()
        await asyncio.sleep(0)
        workflow.cancel()
        with pytest.raises(asyncio.CancelledError):
            await workflow

        assert workflow.state is FutureState.cancelled

    kit.run(main())


# -- messages, topics --------------------------------------------------------------------------------------------------------------


def test_messages_tell_what_happens_in_its_order() -> None:
    async def main() -> None:
        messages, own = kit.Messages(), list[str]()
        workflow = await started(template({"a": "kit-append", "b": "kit-fail"}), {"x": 1})
        get_broker().register(lambda e: own.append(e.data["type"]), f"{EXEC_TOPIC}/{workflow.uid}")
        await workflow
        await asyncio.sleep(0)

        assert messages.types == [
            ("workflow-begin", None),
            ("task-begin", "a"),
            ("task-end", "a"),
            ("task-begin", "b"),
            ("task-error", "b"),
            ("workflow-end", None),
        ]
        contents = [event.data["content"] for event in messages.heard]
        assert contents == [
            {"x": 1},
            {"x": 1},
            {"x": 1, "a": True},
            {"x": 1, "a": True},
            {"exception": "b is broken", "type": "ValueError"},
            None,
        ]
        assert own == [type for type, _ in messages.types][2:]
        source = messages.heard[2].source
        assert source is not None
        assert source.as_dict() == {
            "workflow_template_id": workflow.template.uid,
            "workflow_exec_id": workflow.uid,
            "task_template_id": "a",
            "task_exec_id": execs(workflow)["a"]["id"],
        }

    kit.run(main())


@pytest.mark.parametrize(
    ("task", "last"),
    [
        ({"name": "kit-skip"}, [("task-skip", "a"), ("workflow-end", None)]),
        ({"name": "kit-fail"}, [("task-error", "a"), ("workflow-error", None)]),
        ({"name": "kit-forever", "timeout": 0.01}, [("task-timeout", "a"), ("workflow-end", None)]),
    ],
)
def test_other_ends_have_messages_of_their_own(task: dict[str, Any], last: list[Any]) -> None:
    async def main() -> None:
        messages = kit.Messages()
        await finished(template({"a": task}))
        await asyncio.sleep(0)

        assert messages.types[-2:] == last

    kit.run(main())


def test_a_task_tells_how_it_comes_on() -> None:
    async def main() -> None:
        messages = kit.Messages()

        @register("kit-progress")
        async def progress(event: Event) -> None:
            kit.current().dispatch_progress({"done": 50})
            kit.current().dispatch_progress("nearly", "nearly-there")

        await finished(template({"a": "kit-progress"}))
        await asyncio.sleep(0)

        told = [(e.data["type"], e.data["content"]) for e in messages.heard]
        assert ("task-progress", {"done": 50}) in told
        assert ("nearly-there", "nearly") in told

    kit.run(main())


@pytest.mark.parametrize("topics", [["t"], ["u", "t"]])
def test_a_task_hears_the_topics_of_its_template_and_nothing_else(topics: list[str]) -> None:
    async def main() -> None:
        workflow = await started(template({"a": {"name": "kit-listen", "topics": topics}}))
        await stage.begun["a"].wait()
        get_broker().dispatch({"n": 1})
        get_broker().dispatch({"n": 2}, "other")
        get_broker().dispatch({"n": 3}, "t")
        await workflow

        assert execs(workflow)["a"]["outputs"] == {"heard": {"n": 3}, "topic": "t"}
        assert not get_broker().is_heard

    kit.run(main())


def test_a_task_that_wants_everything_hears_the_messages_too() -> None:
    async def main() -> None:
        workflow = await finished(template({"a": {"name": "kit-listen", "topics": None}}))

        told = execs(workflow)["a"]["outputs"]
        assert (told["topic"], told["heard"]["type"]) == (EXEC_TOPIC, "task-begin")
        assert not get_broker().is_heard

    kit.run(main())


def test_a_task_without_topics_hears_nothing() -> None:
    async def main() -> None:
        workflow = await started(template({"a": "kit-listen"}))
        await stage.begun["a"].wait()
        get_broker().dispatch({"n": 1}, "t")
        for _ in range(5):
            await asyncio.sleep(0)

        assert not workflow.done()
        workflow.cancel()
        await asyncio.wait([workflow])

    kit.run(main())


def test_a_task_may_listen_to_a_topic_for_a_while() -> None:
    async def main() -> None:
        @register("kit-manager")
        async def manager(event: Event) -> dict[str, Any]:
            broker = get_broker()
            with TopicManager("t"):
                broker.dispatch({"n": 1}, "t")
                first = await kit.current().queue.get()
            broker.dispatch({"n": 2}, "t")
            TopicManager.subscribe("t")
            broker.dispatch({"n": 3}, "t")
            second = await kit.current().queue.get()
            TopicManager.unsubscribe("t")
            return {"heard": [first.data["n"], second.data["n"]]}

        workflow = await finished(template({"a": "kit-manager"}))

        assert execs(workflow)["a"]["outputs"] == {"heard": [1, 3]}

    kit.run(main())


# -- reports -----------------------------------------------------------------------------------------------------------------------


def test_a_report_is_the_template_with_what_became_of_it() -> None:
    async def main() -> None:
        made = template({"a": "kit-append", "b": "kit-gate", "c": "kit-append"}, title="told")
        workflow = await started(made, {"x": 1})
        await stage.begun["b"].wait()

        told = workflow.report()
        execution, tasks = told.pop("exec"), [task.pop("exec") for task in told["tasks"]]

        assert told == made.as_dict()
        assert (execution["id"], execution["state"]) == (workflow.uid, "pending")
        assert (execution["end"], tasks[1]["end"], tasks[2]) == (None, None, None)
        assert tasks[1]["state"] == "pending"
        assert isinstance(execution["start"], datetime)
        assert execution["start"] <= tasks[0]["start"] <= tasks[0]["end"] <= tasks[1]["start"]
        assert (tasks[0]["inputs"], tasks[0]["outputs"]) == ({"x": 1}, {"x": 1, "a": True})
        stage.gates["b"].set()
        await workflow
        assert workflow.report()["exec"]["end"] >= execs(workflow)["c"]["end"]
        json.dumps(workflow.report(), default=datetime.isoformat)

    kit.run(main())


def test_four_thousand_tasks_beside_each_other_and_two_thousand_in_a_row() -> None:
    async def main() -> None:
        many = [f"t{n}" for n in range(4000)]
        fan = {"r": many, **{name: [] for name in many}}
        wide = template({"r": "kit-nothing", **dict.fromkeys(many, "kit-nothing")}, fan)
        await finished(wide)
        await finished(template(dict.fromkeys(many[:2000], "kit-nothing")))

        assert len(stage.ran) == 6001

    kit.run(main())


def test_a_join_of_two_thousand_parents() -> None:
    async def main() -> None:
        many = [f"t{n}" for n in range(2000)]
        join = {"name": "join", "config": {"wait_for": many}}
        graph = {"r": many, **{name: ["j"] for name in many}, "j": []}
        tasks: dict[str, Any] = dict.fromkeys(["r", *many], "kit-nothing")

        workflow = await finished(template(tasks | {"j": join}, graph))

        assert len(execs(workflow)["j"]["reporting"]["tasks"]) == 2000

    kit.run(main())


def test_a_task_template_tells_what_it_is() -> None:
    assert repr(TaskTemplate("kit-append", "x")) == "<TaskTemplate name='kit-append', uid='x'>"
