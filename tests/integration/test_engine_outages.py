"""Engines on a backend when something goes wrong around them: the loop ends, the backend is away, somebody else does their work."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from pyworkflow.backend.base import Completion, FeedEntry, Poll, Turn
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.engine import Engine, Event, FutureState, TemplateError, Workflow, register
from pyworkflow.engine.decider import EngineWorkflow
from pyworkflow.errors import BackendUnavailableError, InvalidRequestError, UnknownResourceError
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ActivityCompleted
from pyworkflow.task import ActivityTask
from tests import engine_kit as kit
from tests.engine_kit import execs, stage, states, template

GATED = {"a": "kit-append", "b": "kit-gate", "c": "kit-append"}


class Moody(MemoryBackend):
    """Fails as often as it is told to, waits where it is told to, and keeps the activities that it handed out."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: dict[str, int] = {}
        self.handed_out: list[ActivityTask] = []
        self.lost = False
        self.may_start = threading.Event()
        self.may_start.set()

    def _fail(self, name: str) -> None:
        if self.failures.get(name):
            self.failures[name] -= 1
            raise BackendUnavailableError(f"{name} is away")

    def feed(self, *args: Any, **more: Any) -> list[FeedEntry]:
        if self.lost:
            raise UnknownResourceError("feed")
        return super().feed(*args, **more)

    def feed_end(self) -> str:
        self._fail("feed_end")
        return super().feed_end()

    def cancel_process(self, *args: Any, **more: Any) -> None:
        self._fail("cancel_process")
        super().cancel_process(*args, **more)

    def process_by_id(self, *args: Any, **more: Any) -> Process:
        self._fail("process_by_id")
        return super().process_by_id(*args, **more)

    def start_process(self, *args: Any, **more: Any) -> str:
        self.may_start.wait(kit.SECONDS)
        return super().start_process(*args, **more)

    def turn(
        self,
        completions: Sequence[Completion] = (),
        polls: Sequence[Poll] = (),
        wait: float = 0,
        stop: Callable[[], bool] | None = None,
    ) -> Turn:
        turn = super().turn(completions, polls, wait, stop)
        self.handed_out += [task for task in turn.tasks if isinstance(task, ActivityTask)]
        return turn


async def begun(engine: Engine, gate: str = "b") -> Workflow:
    """Return a workflow that has come to a gate."""
    workflow = await engine.run_once(template(GATED), {})
    assert workflow is not None
    await stage.begun[gate].wait()
    return workflow


async def until(condition: Callable[[], Any]) -> None:
    while not condition():
        await asyncio.sleep(0.005)


# -- the loop ----------------------------------------------------------------------------------------------------------------------


async def _forgotten(backend: MemoryBackend) -> None:
    await begun(Engine(backend=backend, lease=3600))


async def _watched(backend: MemoryBackend) -> None:
    async def watch(workflow: Workflow) -> None:
        await workflow

    watching = asyncio.create_task(watch(await begun(Engine(backend=backend, lease=3600))))
    await asyncio.sleep(0)
    assert not watching.done()


async def _interrupted_at_the_end(backend: MemoryBackend) -> None:
    async def block() -> None:
        async with Engine(backend=backend, lease=3600) as engine:
            await begun(engine)

    task = asyncio.create_task(block())
    await stage.begun["b"].wait()
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.parametrize("end", [_forgotten, _watched, _interrupted_at_the_end])
def test_what_a_loop_that_ends_cancels_is_left_to_the_next_engine(end: Any) -> None:
    async def again() -> None:
        stage.gates["b"].set()
        async with Engine(backend=backend) as engine:
            (workflow,) = await engine.rescue()
            await workflow

        assert states(workflow) == dict.fromkeys("abc", "finished")
        assert stage.names == ["b", "c"]

    with MemoryBackend() as backend:
        kit.run(end(backend))
        kit.run(again())


def test_an_engine_on_a_backend_belongs_to_one_loop() -> None:
    with MemoryBackend() as backend:
        engine = Engine(backend=backend)

        async def main() -> None:
            await engine.run_once(template({"a": "kit-append"}), {})

        kit.run(main())
        with pytest.raises(InvalidRequestError, match="'engine': belongs to another event loop"):
            kit.run(main())


def test_a_workflow_may_be_canceled_while_its_loop_is_at_rest() -> None:
    with MemoryBackend() as backend, asyncio.Runner() as runner:
        stage.__init__()  # type: ignore[misc]
        engine = Engine(backend=backend)
        workflow = runner.run(begun(engine))

        workflow.cancel()
        with pytest.raises(asyncio.CancelledError):
            runner.get_loop().run_until_complete(workflow)

        assert backend.process_by_id(workflow.uid).status is Status.CANCELED
        runner.run(engine.close())


def test_a_closed_engine_has_ended_what_it_ran() -> None:
    ended = list[str]()

    @register("kit-slow-to-stop")
    async def slow_to_stop(event: Event) -> None:
        try:
            await kit.gate(event)
        finally:
            await asyncio.sleep(0.05)
            ended.append("b")

    async def main() -> None:
        with MemoryBackend() as backend:
            engine = Engine(backend=backend)
            await engine.run_once(template({"b": "kit-slow-to-stop"}), {})
            await stage.begun["b"].wait()

            await engine.close()

            assert ended == ["b"]

    kit.run(main())


# -- a backend that is away --------------------------------------------------------------------------------------------------------


def test_an_engine_that_could_not_begin_can_later() -> None:
    async def main() -> None:
        with Moody() as backend:
            engine = Engine(backend=backend)
            backend.failures["feed_end"] = 1
            with pytest.raises(BackendUnavailableError):
                await engine.run_once(template({"a": "kit-append"}), {})
            assert engine.instances == []

            workflow = await engine.run_once(template({"a": "kit-append"}), {})
            assert workflow is not None
            await workflow
            await engine.stop()

    kit.run(main())


def test_a_cancel_is_recorded_as_soon_as_it_can_be(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        with Moody() as backend:
            engine = Engine(backend=backend)
            workflow = await begun(engine)
            backend.failures["cancel_process"] = 2

            await engine.stop(force=True)

            assert workflow.state is FutureState.cancelled
            assert backend.process_by_id(workflow.uid).status is Status.CANCELED

    kit.run(main())

    assert "cannot be recorded yet: cancel_process is away" in caplog.text


def test_a_process_that_cannot_be_read_yet_is_followed_when_it_can_be() -> None:
    async def main() -> None:
        with Moody() as backend:
            first = Engine(backend=backend)
            before = await begun(first)
            await first.close()
            stage.gates["b"].set()
            backend.failures["process_by_id"] = 2

            # Nobody asks for a rescue: it begins to work when it has something to start.
            async with Engine(backend=backend) as second:
                await second.run_once(template({"z": "kit-append"}), {})
                await until(lambda: backend.processes() == [])

            assert backend.process_by_id(before.uid).status is Status.COMPLETED
            assert stage.names.count("c") == 1

    kit.run(main())


def test_who_is_canceled_while_a_workflow_is_recorded_has_canceled_it() -> None:
    async def main() -> None:
        with Moody() as backend:
            engine = Engine(backend=backend)
            backend.may_start.clear()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.run_once(template(GATED), {}), 0.01)
            (workflow,) = engine.instances

            backend.may_start.set()
            await asyncio.wait([workflow])

            assert workflow.state is FutureState.cancelled
            assert backend.process_by_id(workflow.uid).status is Status.CANCELED
            await engine.stop()

    kit.run(main())


# -- others ------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strange", "why"),
    [
        ({}, "was started without a template"),
        ({"template": template({"z": "kit-append"}).as_dict(), "event": None}, "AttributeError"),
    ],
)
def test_a_process_that_is_none_of_an_engine_does_not_keep_it_from_the_others(
    strange: dict[str, Any], why: str
) -> None:
    async def main() -> None:
        with MemoryBackend() as backend:
            manager = Manager(backend, [EngineWorkflow])
            process = Process(EngineWorkflow, "0", strange, category="engine")
            manager.start_process(process)
            first = Engine(backend=backend)
            before = await begun(first)
            await first.close()

            engine = Engine(backend=backend)
            with pytest.raises(TemplateError, match=f"'0': {why}"):
                await engine.rescue()

            assert [workflow.uid for workflow in engine.instances] == [before.uid]
            await engine.stop(force=True)

    kit.run(main())


def test_what_others_record_of_one_workflow_costs_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        with Moody() as backend:
            engine = Engine(backend=backend)
            bad, good = await begun(engine), await begun(engine)
            gates = dict[str | None, ActivityTask]()

            def both() -> bool:
                for task in backend.handed_out:
                    if task.activity_execution.id.startswith("b"):
                        gates[task.process_id] = task
                return len(gates) == 2

            await until(both)
            given = {"id": "theirs", "state": "finished", "data": {"from": "others"}}
            # In one transaction, so that the feed has both on one page.
            completions = [
                Completion(gates[bad.uid], ActivityCompleted("what no engine records")),
                Completion(gates[good.uid], ActivityCompleted(given)),
            ]
            await asyncio.to_thread(backend.turn, completions)
            await good

            with pytest.raises(asyncio.CancelledError):
                await bad
            assert states(good)["c"] == "finished"
            assert f"process {bad.uid} cannot be followed any more" in caplog.text
            await engine.stop(force=True)

    kit.run(main())


def test_who_waits_for_a_workflow_hears_that_the_feed_is_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        with Moody() as backend:
            workflow = await begun(Engine(backend=backend))

            backend.lost = True
            backend.wake()

            with pytest.raises(asyncio.CancelledError):
                await workflow
            assert backend.process_by_id(workflow.uid).is_open

    kit.run(main())

    assert "a thread of an engine has ended" in caplog.text


def test_a_task_that_others_have_done_is_called_off() -> None:
    async def main() -> None:
        with Moody() as backend:
            engine = Engine(backend=backend)
            workflow = await begun(engine)
            given = {"id": "theirs", "state": "finished", "data": {"from": "others"}}

            await asyncio.to_thread(
                backend.complete_activity_task, backend.handed_out[-1], ActivityCompleted(given)
            )
            await workflow

            assert stage.ended == ["b"]
            assert execs(workflow)["b"]["id"] == "theirs"
            assert stage.ran[-1] == ("c", {"from": "others"})
            await engine.stop()

    kit.run(main())


def test_what_a_backend_refuses_to_keep_has_failed_its_task() -> None:
    async def main() -> None:
        @register("kit-large")
        async def large(event: Event) -> dict[str, str]:
            return {"x": "x" * 1_500_000}

        with MemoryBackend() as backend:
            async with Engine(backend=backend) as engine:
                made = template({"r": "kit-append", "a": "kit-large", "b": "kit-append"})
                workflow = await engine.run_once(made, {})
                assert workflow is not None
                await asyncio.wait([workflow])

            assert states(workflow) == {"r": "finished", "a": "exception", "b": None}
            assert "bytes as JSON" in execs(workflow)["a"]["error"]

    kit.run(main())
