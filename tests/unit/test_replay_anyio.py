"""anyio on the loop of replayed code: what stands on anyio runs there, and is replayed."""

from typing import Any

import anyio
import anyio.abc
import anyio.lowlevel
import pytest

from pyworkflow.activity import activity
from pyworkflow.process import Process
from pyworkflow.replay import ActivityFailed, ReplayWorkflow, RunCache
from pyworkflow.result import ProcessCanceled, ProcessCompleted, ProcessFailed
from pyworkflow.testing.run import Runner, WaitsForeverError, run_to_end

done: list[str] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


@pytest.fixture(params=["kept", "replayed"])
def cache(request: pytest.FixtureRequest) -> RunCache:
    return RunCache(1_000_000 if request.param == "kept" else 0)


@activity
def echo(value: Any) -> Any:
    done.append(f"echo {value}")
    return value


@activity
def refuse(value: Any) -> None:
    raise ValueError("refused")


def finished(flow: type[ReplayWorkflow], cache: RunCache) -> Process:
    flow.activities = (echo, refuse)
    flow.cache = cache
    runner = Runner(flow)
    return runner.finish(runner.start(flow))


def test_a_task_group_waits_for_its_tasks(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> list[int]:
            results: list[int] = []

            async def work(number: int) -> None:
                await anyio.sleep(10 - number)
                results.append(await self.activity(echo, number))

            async with anyio.create_task_group() as group:
                for number in range(3):
                    group.start_soon(work, number)
            return results

    assert finished(Flow, cache).result == ProcessCompleted([2, 1, 0])


def test_a_failure_in_a_task_group_cancels_the_others_which_clean_up(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> str:
            async def clean() -> None:
                try:
                    await anyio.sleep_forever()
                finally:
                    with anyio.CancelScope(shield=True):
                        await self.activity(echo, "cleaned")

            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(clean)
                    await self.activity(refuse, 1)
            except* ActivityFailed as failures:
                reason = str(failures.exceptions[0])
            return reason

    assert finished(Flow, cache).result == ProcessCompleted("refused")
    assert done == ["echo cleaned"]


def test_a_failure_in_a_task_group_fails_the_process_by_its_reason(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> None:
            async def work() -> None:
                await self.activity(refuse, 1)

            async with anyio.create_task_group() as group:
                group.start_soon(work)
                await anyio.sleep(1)

    result = finished(Flow, cache).result

    assert isinstance(result, ProcessFailed)
    assert result.reason == "ActivityFailed: refused"


def test_a_mistake_in_a_task_group_parks(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        activities = (echo,)

        async def run(self) -> None:
            async def clean() -> None:
                try:
                    await anyio.sleep(1000)
                finally:
                    with anyio.CancelScope(shield=True):
                        await self.activity(echo, "cleaned")

            async def mistaken() -> None:
                await self.activity(echo, 1)
                self.nothing()  # type: ignore[attr-defined]

            async with anyio.create_task_group() as group:
                group.start_soon(clean)
                group.start_soon(mistaken)

    Flow.cache = cache
    runner = Runner(Flow)
    runner.start(Flow, id="p")

    assert runner.manager.process_by_id("p").is_open
    assert done == ["echo 1"]


def test_a_task_says_when_it_has_started(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> str:
            async def serve(*, task_status: anyio.abc.TaskStatus[str]) -> None:
                task_status.started(await self.activity(echo, "up"))
                await anyio.sleep_forever()

            async with anyio.create_task_group() as group:
                status = await group.start(serve)
                await anyio.sleep(1)
                group.cancel_scope.cancel()
            return str(status)

    assert finished(Flow, cache).result == ProcessCompleted("up")


def test_scopes_limit_time_by_durable_timers(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> list[Any]:
            results: list[Any] = []
            with anyio.move_on_after(3) as scope:
                await anyio.sleep(10)
            results.append(scope.cancelled_caught)
            with anyio.move_on_after(10) as scope:
                results.append(await self.activity(echo, 1))
            results.append(scope.cancelled_caught)
            try:
                with anyio.fail_after(3):
                    await anyio.sleep_forever()
            except TimeoutError:
                results.append("late")
            with anyio.move_on_after(1), anyio.CancelScope(shield=True):
                await anyio.sleep(5)
                results.append("shielded")
            return results

    assert finished(Flow, cache).result == ProcessCompleted([True, 1, False, "late", "shielded"])


def test_a_request_to_cancel_goes_through_scopes(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        activities = (echo,)

        async def run(self) -> None:
            try:
                async with anyio.create_task_group() as group:
                    group.start_soon(anyio.sleep, 1000)
                    with anyio.move_on_after(2000):
                        await anyio.sleep_forever()
            finally:
                with anyio.CancelScope(shield=True):
                    await self.activity(echo, "cleaned")

    Flow.cache = cache
    runner = Runner(Flow)
    runner.start(Flow, id="p")
    runner.manager.cancel_process("p", "no time")

    assert runner.finish("p").result == ProcessCanceled("no time")
    assert done == ["echo cleaned"]


def test_streams_hand_over_in_order_and_hold_back(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> list[int]:
            sender, receiver = anyio.create_memory_object_stream[int](1)
            received: list[int] = []

            async def produce(own: anyio.abc.ObjectSendStream[int], first: int) -> None:
                async with own:
                    for number in range(first, first + 3):
                        await own.send(await self.activity(echo, number))

            async with anyio.create_task_group() as group:
                group.start_soon(produce, sender.clone(), 0)
                group.start_soon(produce, sender.clone(), 10)
                sender.close()
                async with receiver:
                    async for number in receiver:
                        received.append(number)
                        await anyio.sleep(1)
            return received

    result = finished(Flow, cache).result

    assert isinstance(result, ProcessCompleted)
    assert sorted(result.result) == [0, 1, 2, 10, 11, 12]
    assert result == finished(Flow, RunCache(0)).result


def test_what_tasks_wait_for_together(cache: RunCache) -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> list[str]:
            results: list[str] = []
            limiter, lock = anyio.CapacityLimiter(2), anyio.Lock()
            event, semaphore = anyio.Event(), anyio.Semaphore(1)

            async def work(name: str) -> None:
                async with limiter, semaphore:
                    await event.wait()
                    async with lock:
                        results.append(await self.activity(echo, name))
                        await anyio.lowlevel.checkpoint()

            async with anyio.create_task_group() as group:
                for name in "abc":
                    group.start_soon(work, name)
                await anyio.sleep(1)
                event.set()
            return [*results, str(anyio.get_current_task().name)]

    assert finished(Flow, cache).result == ProcessCompleted(["a", "b", "c", "run"])


def test_threads_are_refused_with_advice() -> None:
    class Flow(ReplayWorkflow):
        async def run(self) -> None:
            await anyio.to_thread.run_sync(print)

    with pytest.raises(WaitsForeverError, match="do it in an activity"):
        run_to_end(Flow)
