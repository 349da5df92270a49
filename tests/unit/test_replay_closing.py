"""Code that is let go of, wherever it waits, ends silently: its blocks clean up, and decide nothing."""

import asyncio
import gc
import logging
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import anyio
import pytest

from pyworkflow.activity import activity
from pyworkflow.decision import ScheduleActivity
from pyworkflow.event import DecisionEvent
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow
from pyworkflow.replay.closing import Generators
from pyworkflow.result import ProcessCompleted
from pyworkflow.testing.run import Runner

cleaned: list[str] = []


@pytest.fixture(autouse=True)
def nothing_cleaned() -> None:
    cleaned.clear()


@activity
def close(what: str) -> str:
    cleaned.append(f"closed {what}")
    return what


class Base(ReplayWorkflow):
    activities = (close,)

    async def rows(self, what: str = "cursor") -> AsyncGenerator[int]:
        try:
            for number in range(10):
                yield number
                await self.sleep(1000)
        finally:
            cleaned.append(what)
            await self.activity(close, what)
            await self.activity(close, "connection")


# -- generators that the code lets go of ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cached", [True, False])
def test_a_generator_that_is_left_is_closed_by_the_loop_to_its_end(cached: bool) -> None:
    class Flow(Base):
        async def run(self) -> str:
            async for _ in self.rows():
                break
            await self.sleep(10)
            return "read"

    runner = Runner(Flow)
    runner.start(Flow, id="p")
    if not cached:
        Flow.cache.clear()
    process = runner.finish("p")

    assert process.result == ProcessCompleted("read")
    assert cleaned.count("closed cursor") == cleaned.count("closed connection") == 1


def test_a_generator_that_the_collector_finds_decides_nothing() -> None:
    class Flow(Base):
        async def run(self) -> str:
            generator = self.rows()
            await anext(generator)
            circle: list[Any] = [generator]
            circle.append(circle)
            del generator, circle
            gc.collect()
            await self.sleep(10)
            return "read"

    runner = Runner(Flow)
    process = runner.finish(runner.start(Flow))

    decisions = [e.decision for e in process.history if isinstance(e, DecisionEvent)]
    assert not any(isinstance(decision, ScheduleActivity) for decision in decisions)
    assert cleaned == ["cursor"]


def test_a_generator_of_one_run_is_not_closed_in_another() -> None:
    class Held(Base):
        async def run(self) -> str:
            self.generator = self.rows()
            await anext(self.generator)
            return str(await self.signal("go"))

    class Other(Base):
        held: AsyncIterator[int] | None = None

        async def run(self) -> str:
            Other.held = None
            gc.collect()
            await self.sleep(1)
            return "done"

    runner = Runner(Held, Other)
    runner.start(Held, id="p")
    (run,) = (r for r in gc.get_objects() if isinstance(r, Held))
    Other.held = run.generator
    del run
    Held.cache.clear()

    process = runner.finish(runner.start(Other))

    decisions = [e.decision.type for e in process.history if isinstance(e, DecisionEvent)]
    assert decisions == ["timer", "complete_process"]


def test_hooks_of_others_come_back() -> None:
    async def main() -> bool:
        class Flow(Base):
            async def run(self) -> str:
                async for _ in self.rows():
                    return "read"
                return "nothing"

        before = sys.get_asyncgen_hooks()
        runner = Runner(Flow)
        runner.start(Flow)
        return sys.get_asyncgen_hooks() == before

    assert asyncio.run(main())


# -- runs that are let go of ----------------------------------------------------------------------------------------------------------


class InGenerator(Base):
    async def run(self) -> None:
        async for _ in self.rows():
            pass


class HoldsGenerator(Base):
    async def run(self) -> None:
        self.generator = self.rows()
        await anext(self.generator)
        await self.sleep(1000)


class InGenerators(Base):
    async def outer(self) -> AsyncGenerator[int]:
        try:
            async with aclosing(self.rows()) as rows:
                async for row in rows:
                    yield row
        finally:
            cleaned.append("outer")
            await self.sleep(1)

    async def use(self) -> None:
        async for _ in self.outer():
            pass

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.use())
            group.create_task(self.use())


class InContextManagers(Base):
    @asynccontextmanager
    async def opened(self) -> AsyncGenerator[int]:
        try:
            yield 1
        finally:
            cleaned.append("context")
            await self.activity(close, "context")

    async def run(self) -> None:
        async with self.opened(), self.opened():
            await self.sleep(1000)


class InCleanup(Base):
    async def run(self) -> None:
        try:
            await self.sleep(1000)
        finally:
            cleaned.append("cleanup")
            await asyncio.gather(self.sleep(1), asyncio.shield(self.sleep(2)))


class InAnyioGroup(Base):
    async def run(self) -> None:
        async with anyio.create_task_group() as group:
            for _ in range(3):
                group.start_soon(anyio.sleep, 1000)
            with anyio.move_on_after(500), anyio.CancelScope(shield=True):
                await anyio.sleep(1000)


class InAnyioStream(Base):
    async def run(self) -> None:
        sender, receiver = anyio.create_memory_object_stream[int](1)

        async def produce() -> None:
            async with sender:
                while True:
                    await sender.send(1)

        async with anyio.create_task_group() as group:
            group.start_soon(produce)
            async with receiver:
                async for _ in receiver:
                    await self.sleep(1000)


class WithFailures(Base):
    async def fail(self) -> None:
        raise ValueError("nobody awaits it")

    async def run(self) -> None:
        self.task = asyncio.create_task(self.fail())
        self.waiting = asyncio.gather(self.sleep(1000), self.activity(close, "never"))
        await self.sleep(1000)


@pytest.mark.parametrize(
    ("flow", "blocks"),
    [
        (InGenerator, ["cursor"]),
        (HoldsGenerator, ["cursor"]),
        (InGenerators, ["cursor", "outer"] * 2),
        (InContextManagers, ["context"] * 2),
        (InCleanup, ["cleanup"]),
        (InAnyioGroup, []),
        (InAnyioStream, []),
        (WithFailures, ["closed never"]),
    ],
)
def test_a_run_is_let_go_of_silently(
    flow: type[Base], blocks: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    runner = Runner(flow)
    runner.start(flow, id="p")
    before = [e for e in runner.manager.process_by_id("p").history if isinstance(e, DecisionEvent)]

    with caplog.at_level(logging.DEBUG, "pyworkflow.replay"):
        flow.cache.clear()
        gc.collect()  # what is still to be said, pytest makes an error of

    after = [e for e in runner.manager.process_by_id("p").history if isinstance(e, DecisionEvent)]
    assert after == before
    assert cleaned == blocks
    assert caplog.records == []


def test_what_has_not_begun_is_let_go_of_silently() -> None:
    class Flow(Base):
        async def run(self) -> None:
            async with anyio.create_task_group() as group:
                group.start_soon(self.sleep, 1)
                self.nothing()  # type: ignore[attr-defined]

    runner = Runner(Flow)
    runner.manager.start_process(Process(Flow, "p"))
    runner.work()
    gc.collect()

    assert runner.manager.process_by_id("p").is_open


def test_code_without_generators_has_no_cost_of_them() -> None:
    class Nowhere:
        over = True

    generators = Generators(Nowhere())  # type: ignore[arg-type]
    generators.close()

    assert generators._open is None
