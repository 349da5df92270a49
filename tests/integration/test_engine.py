"""The event engine on backends: what is recorded, who takes over, and that a killed engine loses nothing that had ended."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from pyworkflow.backend.base import Backend, Capability
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import ScheduleActivity
from pyworkflow.engine import (
    Engine,
    Event,
    FutureState,
    TaskRegistry,
    UnknownTaskName,
    Workflow,
    WorkflowError,
    WorkflowTemplate,
    register,
)
from pyworkflow.errors import (
    BackendUnavailableError,
    InvalidRequestError,
    UnknownProcessError,
    UnsupportedByBackendError,
)
from pyworkflow.event import ActivityEvent, DecisionEvent
from pyworkflow.mistakes import MISTAKES
from pyworkflow.process import Process, ProcessCompleted, ProcessFailed, ProcessTimedOut, Status
from tests import engine_kit as kit
from tests.engine_kit import execs, stage, states, template
from tests.mistake_programs import KINDS
from tests.postgresql import Server

ROOT = Path(__file__).parents[2]

GATED = {"a": "kit-append", "b": "kit-gate", "c": "kit-append"}

Main = Callable[[Engine], Coroutine[Any, Any, None]]


@pytest.fixture(params=["memory", "sqlite", pytest.param("postgresql", marks=[pytest.mark.slow])])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    with opened(request, tmp_path) as made:
        yield made
        assert made.check() == []


def opened(request: pytest.FixtureRequest, path: Path) -> Backend:
    if request.param == "memory":
        return MemoryBackend()
    if request.param == "sqlite":
        return SQLiteBackend(path / "engine.db")
    server: Server = request.getfixturevalue("postgresql_server")
    return PostgreSQLBackend(server.url(), schema=request.getfixturevalue("schema"))


def run(backend: Backend, main: Main) -> None:
    """Run a test with an engine on a backend, and end the engine after it."""

    async def whole() -> None:
        engine = Engine(backend=backend)
        try:
            await main(engine)
        finally:
            await engine.close()

    kit.run(whole())


async def begun(engine: Engine, made: WorkflowTemplate, data: Any = None) -> Workflow:
    workflow = await engine.run_once(made, data or {})
    assert workflow is not None
    return workflow


async def over(engine: Engine, made: WorkflowTemplate, data: Any = None) -> Workflow:
    workflow = await begun(engine, made, data)
    await asyncio.wait([workflow])
    return workflow


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


def read(backend: Backend, workflow: Workflow) -> Process:
    return backend.process_by_id(workflow.uid)


# -- what is recorded --------------------------------------------------------------------------------------------------------------


def test_a_workflow_is_a_process_and_its_tasks_are_activities(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        made = template({"a": "kit-append", "b": "kit-nothing", "c": "kit-number"}, title="told")

        workflow = await over(engine, made, {"x": 1})

        assert stage.ran == [
            ("a", {"x": 1}),
            ("b", {"x": 1, "a": True}),
            ("c", {"x": 1, "a": True}),
        ]
        assert workflow.state is FutureState.finished
        assert execs(workflow)["c"]["outputs"] == 5
        process = read(backend, workflow)
        assert isinstance(process.result, ProcessCompleted)
        assert (process.workflow, process.tags) == ("engine", (made.uid,))
        assert process.input["template"] == made.as_dict()
        scheduled = [
            (event.decision.activity, event.decision.id)
            for event in process.history
            if isinstance(event, DecisionEvent) and isinstance(event.decision, ScheduleActivity)
        ]
        assert scheduled == [
            ("engine.kit-append", "a#1.1"),
            ("engine.kit-nothing", "b#1.1"),
            ("engine.kit-number", "c#1.1"),
        ]

    run(backend, main)


def test_tasks_end_there_as_they_do_in_memory(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        graph = {
            "r": ["skip", "late", "fail", "choose"],
            "skip": ["s"],
            "late": ["l"],
            "fail": ["f"],
            "choose": ["x", "y"],
            **{name: [] for name in "slfxy"},
        }
        tasks: dict[str, Any] = {
            "r": "kit-append",
            "skip": "kit-skip",
            "late": {
                "name": "kit-holder",
                "config": {"wait": True, "teardown": {"t": 1}},
                "timeout": 0.01,
            },
            "fail": "kit-fail-telling",
            "choose": "kit-choose",
            **dict.fromkeys("slfxy", "kit-append"),
        }

        workflow = await over(engine, template(tasks, graph), {"next": ["y"]})

        given = {"next": ["y"], "r": True}
        assert states(workflow) == {
            "r": "finished",
            "skip": "skipped",
            "late": "timeout",
            "fail": "exception",
            "choose": "finished",
            "s": "finished",
            "l": "finished",
            "f": None,
            "x": None,
            "y": "finished",
        }
        assert dict(stage.ran)["s"] == given
        assert dict(stage.ran)["l"] == {"t": 1}
        assert execs(workflow)["fail"]["outputs"] == {"code": 7}
        assert execs(workflow)["late"]["reporting"] == {"value": None}
        assert workflow.state is FutureState.finished

    run(backend, main)


def test_a_failed_first_task_fails_the_process(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        workflow = await over(engine, template({"a": "kit-fail", "b": "kit-append"}))

        assert workflow.state is FutureState.exception
        with pytest.raises(WorkflowError, match="step 'a' failed: a is broken"):
            await workflow
        assert isinstance(read(backend, workflow).result, ProcessFailed)

    run(backend, main)


@pytest.mark.parametrize("late", ["kit-append", "kit-fail"])
def test_a_join_waits_for_its_parents_there_too(backend: Backend, late: str) -> None:
    async def main(engine: Engine) -> None:
        graph = {"r": ["b", "c"], "b": ["e"], "c": ["e"], "e": ["f"], "f": []}
        join = {"name": "join", "config": {"wait_for": ["b", "c"], "data_stash": True}}
        tasks: dict[str, Any] = {"r": "kit-append", "b": "kit-append", "c": late, "e": join}

        workflow = await over(engine, template({**tasks, "f": "kit-append"}, graph))

        came = [task["id"] for task in execs(workflow)["e"]["reporting"]["tasks"]]
        assert sorted(came) == (["b"] if late == "kit-fail" else ["b", "c"])
        assert states(workflow)["f"] == "finished"
        assert len(dict(stage.ran)["f"]["data_stash"]) == len(came)

    run(backend, main)


def test_messages_tell_what_has_been_recorded(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        messages = kit.Messages()

        await over(engine, template({"a": "kit-append", "b": "kit-fail"}))
        await asyncio.sleep(0)

        assert messages.types == [
            ("workflow-begin", None),
            ("task-begin", "a"),
            ("task-end", "a"),
            ("task-begin", "b"),
            ("task-error", "b"),
            ("workflow-end", None),
        ]

    run(backend, main)


def test_a_workflow_whose_time_is_over_is_closed_by_the_backend(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        workflow = await over(engine, template(GATED, timeout=0.2))

        assert (workflow.state, workflow.cancelled()) == (FutureState.timeout, True)
        assert isinstance(read(backend, workflow).result, ProcessTimedOut)
        assert states(workflow)["c"] is None

    run(backend, main)


def test_a_canceled_workflow_is_a_canceled_process(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        workflow = await begun(engine, template(GATED))
        await stage.begun["b"].wait()
        workflow.cancel()
        await asyncio.wait([workflow])

        assert workflow.state is FutureState.cancelled
        assert stage.ended == ["b"]
        assert read(backend, workflow).status is Status.CANCELED

    run(backend, main)


def test_of_quick_triggers_only_the_last_goes_on_when_others_are_aborted(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        await engine.load(template({"b": "kit-gate"}, id="t", policy="abort-running"))
        triggers = [engine.trigger("t", {"n": n}) for n in range(4)]
        *others, last = await asyncio.gather(*triggers)
        assert last is not None
        stage.gates["b"].set()
        await last

        assert stage.ran[-1] == ("b", {"n": 3})
        assert all(other is not None and other.cancelled() for other in others)
        assert backend.processes() == []

    run(backend, main)


@pytest.mark.parametrize("way", ["cancel_process", "terminate_process"])
def test_a_process_that_is_ended_from_outside_ends_its_workflow(backend: Backend, way: str) -> None:
    async def main(engine: Engine) -> None:
        workflow = await begun(engine, template(GATED))
        await stage.begun["b"].wait()
        await asyncio.to_thread(getattr(backend, way), workflow.uid)
        await asyncio.wait([workflow])

        assert workflow.state is FutureState.cancelled
        assert stage.ended == ["b"]

    run(backend, main)


def test_what_cannot_be_recorded_starts_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        backend = SQLiteBackend(tmp_path / "engine.db")
        engine = Engine(backend=backend)
        await over(engine, template({"a": "kit-append"}))
        backend.close()

        with pytest.raises(BackendUnavailableError):
            await engine.run_once(template({"a": "kit-append"}), {})

        assert engine.instances == []
        assert stage.names == ["a"]

    kit.run(main())


def test_an_engine_needs_a_feed_and_a_name() -> None:
    class WithoutFeed(MemoryBackend):
        capabilities = MemoryBackend.capabilities - {Capability.FEED}

    with pytest.raises(UnsupportedByBackendError, match="the memory backend has no feed"):
        Engine(backend=WithoutFeed())
    with pytest.raises(InvalidRequestError, match="engine name"):
        Engine(backend="memory:", name="a/b")
    with pytest.raises(InvalidRequestError):
        Engine(backend="nowhere:")


def test_stopped_by_force_it_cancels_the_processes(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        workflow = await begun(engine, template(GATED))
        await stage.begun["b"].wait()

        await engine.stop(force=True)

        assert workflow.state is FutureState.cancelled
        assert read(backend, workflow).status is Status.CANCELED

    run(backend, main)


def test_what_waits_for_the_aborted_and_cannot_be_recorded_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        backend = SQLiteBackend(tmp_path / "engine.db")
        engine = Engine(backend=backend)
        await engine.load(template({"b": "kit-gate"}, id="t", policy="abort-running"))
        first = await engine.trigger("t", {})
        await stage.begun["b"].wait()
        second = await engine.trigger("t", {})
        assert first is not None
        assert second is not None
        # Told that the first is over, the second will find its backend closed.
        first.add_done_callback(lambda _: backend.close())
        await asyncio.wait([second])
        await until(lambda: "could not begin" in caplog.text)

        assert second.cancelled()

    kit.run(main())


# -- taking over -------------------------------------------------------------------------------------------------------------------


async def left(backend: Backend, made: WorkflowTemplate, gate: str, **more: Any) -> Workflow:
    """Return a workflow that an engine left behind when it came to a gate."""
    engine = Engine(backend=backend, **more)
    workflow = await begun(engine, made, {"x": 1})
    await stage.begun[gate].wait()
    await engine.close()
    assert workflow.cancelled()
    assert workflow.state is not FutureState.cancelled
    return workflow


def test_what_an_engine_leaves_behind_the_next_one_has_at_once(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        # The lease would keep it from the next one for an hour.
        before = await left(backend, template(GATED), "b", lease=3600.0)
        stage.gates["b"].set()

        (workflow,) = await engine.rescue()
        await workflow

        assert workflow.uid == before.uid
        assert stage.names == ["a", "b", "b", "c"]
        assert states(workflow) == dict.fromkeys("abc", "finished")
        assert execs(workflow)["a"] == execs(before)["a"] | {
            "start": execs(workflow)["a"]["start"],
            "end": execs(workflow)["a"]["end"],
        }
        assert await engine.rescue() == []

    run(backend, main)


def test_without_being_asked_an_engine_takes_over_what_it_is_handed(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        before = await left(backend, template(GATED), "b")
        stage.gates["b"].set()

        await over(engine, template({"z": "kit-append"}))
        await until(lambda: read(backend, before).result is not None)

        assert stage.names.count("a") == 1
        assert stage.names.count("c") == 1

    run(backend, main)


def test_a_suspended_workflow_stays_so_until_it_is_resumed_by_whoever_has_it(
    backend: Backend,
) -> None:
    async def main(engine: Engine) -> None:
        first = Engine(backend=backend)
        before = await begun(first, template(GATED))
        await stage.begun["b"].wait()
        before.suspend()
        await until(lambda: stage.ended)
        await first.close()
        stage.gates["b"].set()

        (workflow,) = await engine.rescue()
        await over(engine, template({"z": "kit-append"}))
        assert workflow.state is FutureState.suspended
        assert stage.names == ["a", "b", "z"]
        workflow.resume()
        await workflow

        assert stage.names == ["a", "b", "z", "b", "c"]

    run(backend, main)


@pytest.mark.parametrize("mistake", sorted(KINDS.keys() - {"a forbidden call"}))
@pytest.mark.parametrize("repaired_by", ["this engine", "the next one"])
def test_a_mistake_suspends_the_workflow_and_the_repaired_task_ends_it(
    backend: Backend, mistake: str, repaired_by: str
) -> None:
    def release(slip: Callable[[], object]) -> None:
        with suppress(UnknownTaskName):
            TaskRegistry.unregister("kit-mistaken")

        @register("kit-mistaken", parks_on=MISTAKES)
        async def mistaken(event: Event) -> Event:
            slip()
            return event

    async def main(engine: Engine) -> None:
        made = template({"a": "kit-append", "b": "kit-mistaken", "c": "kit-append"})
        first = Engine(backend=backend)
        release(KINDS[mistake])
        workflow = await begun(first, made, {"x": 1})
        await until(lambda: states(workflow).get("b") == "suspended")
        assert workflow.state is FutureState.suspended

        release(lambda: None)
        if repaired_by == "the next one":
            await first.close()
            (workflow,) = await engine.rescue()
        workflow.resume()
        await workflow
        await first.close()

        assert states(workflow) == dict.fromkeys("abc", "finished")
        assert stage.names == ["a", "c"]
        assert read(backend, workflow).status is Status.COMPLETED

    run(backend, main)


def test_a_resumed_workflow_goes_on(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        workflow = await begun(engine, template(GATED))
        await stage.begun["b"].wait()
        workflow.suspend()
        await until(lambda: states(workflow)["b"] == "suspended")
        stage.gates["b"].set()
        workflow.resume()
        await workflow

        assert stage.names == ["a", "b", "b", "c"]

    run(backend, main)


def test_a_report_names_the_workflow_to_take_over(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        made = template(GATED)
        before = await left(backend, made, "b")
        told = before.report()
        stage.gates["b"].set()

        workflow = await engine.rescue(made, told)
        assert workflow is not None
        await workflow

        assert workflow.uid == before.uid
        assert await engine.rescue(made, told) is None
        with pytest.raises(UnknownProcessError):
            await engine.rescue(made, {**told, "exec": {"id": "unknown"}})

    run(backend, main)


def test_engines_of_other_names_leave_each_other_alone(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        before = await left(backend, template(GATED), "b", name="other")

        assert await engine.rescue() == []
        await over(engine, template({"z": "kit-append"}))

        assert read(backend, before).is_open
        assert stage.names == ["a", "b", "z"]

    run(backend, main)


def test_a_task_that_this_program_lacks_is_named_and_nothing_is_lost(backend: Backend) -> None:
    async def main(engine: Engine) -> None:
        register("kit-passing")(kit.gate)
        before = await left(backend, template({"a": "kit-append", "b": "kit-passing"}), "b")
        TaskRegistry.unregister("kit-passing")

        with pytest.raises(UnknownTaskName, match="unknown task 'kit-passing'"):
            await engine.rescue()
        await engine.close()
        stage.gates["b"].set()
        register("kit-passing")(kit.gate)
        async with Engine(backend=backend) as third:
            await asyncio.wait(await third.rescue())
        TaskRegistry.unregister("kit-passing")

        assert read(backend, before).status is Status.COMPLETED
        assert stage.names == ["a", "b", "b"]

    run(backend, main)


def test_a_killed_engine_loses_nothing_that_had_ended(tmp_path: Path) -> None:
    url, log = f"sqlite:///{tmp_path / 'engine.db'}", tmp_path / "log"
    program = [sys.executable, "-m", "tests.integration.engine_program", url, str(log)]

    def lines() -> list[str]:
        return log.read_text().splitlines() if log.exists() else []

    async def killed() -> None:
        with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True) as running:
            try:
                await until(lambda: sum(line.endswith("b") for line in lines()) == 3)
                backend = SQLiteBackend(tmp_path / "engine.db")
                await until(lambda: all(_ended(backend, p, "c") for p in backend.processes()))
                backend.close()
            finally:
                running.send_signal(signal.SIGKILL)

    kit.run(killed())
    before = lines()
    done = subprocess.run(
        [*program, "rescue"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True
    )

    assert sorted(before) == sorted(f"{n} {task}" for n in range(3) for task in "abc")
    assert done.stdout == "finished finished finished"
    after = lines()[len(before) :]
    assert sorted(after) == sorted(f"{n} {task}" for n in range(3) for task in "bd")
    with SQLiteBackend(tmp_path / "engine.db") as backend:
        assert {p.status for p in backend.processes(status=None)} == {Status.COMPLETED}
        assert backend.check() == []


def _ended(backend: Backend, process: Process, task: str) -> bool:
    return any(
        isinstance(event, ActivityEvent) and event.activity_execution.id.startswith(task)
        for event in backend.history(str(process.id))
    )
