"""Whatever a task does at its end, and whatever is done to it then, its workflow comes to an end, too."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from pyworkflow.engine import (
    Event,
    FutureState,
    TaskHolder,
    TaskRegistry,
    TopicManager,
    Workflow,
    get_broker,
    new_task,
    register,
)
from tests import engine_kit as kit
from tests.engine_kit import execs, finished, stage, started, states, template


class OddError(BaseException):
    """No Exception, as some libraries have them."""


@register("kit-odd")
async def odd(event: Event) -> None:
    raise OddError("odd")


@register("kit-fails-to-stop")
async def fails_to_stop(event: Event) -> None:
    """Fail when it is canceled."""
    try:
        await kit.gate(event)
    except asyncio.CancelledError:
        raise ValueError("cannot stop") from None


@register("kit-tidy", "work")
class Tidy(TaskHolder):
    """Takes a while to clean up."""

    async def work(self, event: Event) -> None:
        await asyncio.Event().wait()

    async def teardown(self) -> Any:
        stage.begun["teardown"].set()
        await stage.gates["teardown"].wait()
        return {"clean": True}


def test_what_is_no_exception_fails_a_task_too() -> None:
    async def main() -> None:
        workflow = await finished(template({"r": "kit-append", "a": "kit-odd"}))

        assert states(workflow) == {"r": "finished", "a": "exception"}
        assert execs(workflow)["a"]["error"] == "odd"
        with pytest.raises(OddError):
            await new_task("kit-odd")

    kit.run(main())


def test_a_task_that_is_interrupted_runs_again_if_the_loop_goes_on() -> None:
    interrupts = [KeyboardInterrupt("first")]

    async def interrupted(event: Event) -> Event:
        await kit.gate(event)
        if interrupts:
            raise interrupts.pop()
        return event

    register("kit-interrupted")(interrupted)
    stage.__init__()  # type: ignore[misc]
    with asyncio.Runner() as runner:
        workflow = runner.run(started(template({"a": "kit-interrupted", "b": "kit-append"})))
        stage.gates["a"].set()
        with pytest.raises(KeyboardInterrupt, match="first"):
            runner.get_loop().run_until_complete(workflow)

        runner.get_loop().run_until_complete(workflow)

    assert stage.names == ["a", "a", "b"]
    assert workflow.state is FutureState.finished


@pytest.mark.parametrize(
    ("do", "state"), [(Workflow.cancel, "cancelled"), (Workflow.suspend, "suspended")]
)
def test_what_befalls_a_task_while_it_is_cleaned_up_does_not_change_its_end(
    do: Callable[[Workflow], object], state: str
) -> None:
    async def main() -> None:
        made = template({"a": {"name": "kit-tidy", "timeout": 0.01}, "b": "kit-append"})
        workflow = await started(made, {"x": 1})
        await stage.begun["teardown"].wait()

        do(workflow)
        while workflow.running:
            await asyncio.sleep(0)

        assert (states(workflow)["a"], workflow.state) == ("timeout", state)
        workflow.resume()
        await asyncio.wait([workflow])
        assert states(workflow)["b"] == (None if state == "cancelled" else "finished")

    kit.run(main())


def test_a_timeout_does_not_disturb_the_cleaning_up_after_a_cancel() -> None:
    async def main() -> None:
        workflow = await started(template({"a": {"name": "kit-tidy", "timeout": 50}}))
        while not workflow.running["a"].in_progress():
            await asyncio.sleep(0)
        workflow.cancel()
        await stage.begun["teardown"].wait()

        workflow.running["a"].timeout()
        await asyncio.wait([workflow])

        assert (states(workflow)["a"], workflow.state) == ("cancelled", "cancelled")

    kit.run(main())


def test_a_task_that_fails_to_stop_for_a_suspension_runs_again_all_the_same() -> None:
    async def main() -> None:
        workflow = await started(template({"a": "kit-fails-to-stop", "b": "kit-append"}))
        await stage.begun["a"].wait()

        workflow.suspend()
        while workflow.running:
            await asyncio.sleep(0)
        assert states(workflow)["a"] == "suspended"
        stage.gates["a"].set()
        workflow.resume()
        await workflow

        assert stage.names == ["a", "a", "b"]

    kit.run(main())


def test_a_task_that_is_forgotten_meanwhile_fails_where_it_is_to_begin() -> None:
    async def main() -> None:
        register("kit-forgotten")(kit.append)
        workflow = await started(template({"a": "kit-gate", "b": "kit-forgotten"}))
        await stage.begun["a"].wait()

        TaskRegistry.unregister("kit-forgotten")
        stage.gates["a"].set()
        await asyncio.wait([workflow])

        assert states(workflow) == {"a": "finished", "b": "exception"}

    kit.run(main())


def test_a_report_that_is_not_json_is_logged_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        @register("kit-reports-a-set", "work")
        class Reports(TaskHolder):
            async def work(self, event: Event) -> None: ...

            def report(self) -> Any:
                return {1}

        workflow = await finished(template({"a": "kit-reports-a-set"}))

        assert "reporting" not in execs(workflow)["a"]

    kit.run(main())

    assert "did not report" in caplog.text


# -- topics ------------------------------------------------------------------------------------------------------------------------


@register("kit-listens-twice")
async def listens_twice(event: Event) -> dict[str, Any]:
    with TopicManager("t"), TopicManager("t"):
        pass
    kit.enter(event)
    return {"heard": (await kit.current().queue.get()).data}


@register("kit-leaves-listening")
async def leaves_listening(event: Event) -> None:
    TopicManager.subscribe("t")
    TopicManager.subscribe("u")


def test_a_topic_may_be_named_twice_and_listened_to_again_inside() -> None:
    async def main() -> None:
        made = template({"a": {"name": "kit-listens-twice", "topics": ["t", "t"]}})
        workflow = await started(made)
        await stage.begun["a"].wait()
        get_broker().dispatch({"n": 1}, "t")
        await workflow

        assert execs(workflow)["a"]["outputs"] == {"heard": {"n": 1}}
        assert not get_broker().is_heard

    kit.run(main())


def test_a_task_that_has_ended_hears_nothing_any_more() -> None:
    async def main() -> None:
        await finished(template({"a": "kit-leaves-listening"}))
        assert not get_broker().is_heard

        await new_task("kit-leaves-listening")
        assert not get_broker().is_heard

    kit.run(main())


def test_a_task_takes_back_only_what_it_listens_to() -> None:
    async def main() -> None:
        @register("kit-unsubscribes")
        async def unsubscribes(event: Event) -> None:
            get_broker().unregister(kit.current().data_received, "t")
            TopicManager.unsubscribe("u")

        workflow = await finished(
            template({"r": "kit-append", "a": {"name": "kit-unsubscribes", "topics": ["t"]}})
        )

        assert (states(workflow)["a"], execs(workflow)["a"]["error"]) == ("exception", "'u'")

    kit.run(main())
