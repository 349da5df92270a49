"""Signals come from outside: one of a wrong type is ignored, and never parks its process."""

from typing import Any

import pytest

from pyworkflow.codec import Json
from pyworkflow.process import ProcessCompleted
from pyworkflow.replay import ReplayWorkflow, on_signal, query
from pyworkflow.testing.run import Runner


class Handler(ReplayWorkflow):
    def __init__(self) -> None:
        self.total = 0

    @on_signal
    def add(self, number: int) -> None:
        self.total += number

    @query
    def total_so_far(self) -> int:
        return self.total

    async def run(self) -> int:
        await self.wait_until(lambda: self.total >= 3)
        return self.total


class Awaits(ReplayWorkflow):
    async def run(self) -> int:
        return await self.signal("add", int)


class AwaitsLater(ReplayWorkflow):
    async def run(self) -> int:
        await self.sleep(60)
        return await self.signal("add", int)


@pytest.mark.parametrize("workflow", [Handler, Awaits, AwaitsLater])
def test_a_signal_of_a_wrong_type_is_ignored_and_the_next_one_counts(
    workflow: type[ReplayWorkflow], caplog: pytest.LogCaptureFixture
) -> None:
    runner = Runner(workflow)
    runner.start(workflow, id="p")

    for wrong in ("bob", [1, 2], {"number": "x"}, {}):
        runner.manager.signal_process("p", "add", wrong)
        runner.work()
    runner.manager.signal_process("p", "add", 3)

    assert runner.finish("p").result == ProcessCompleted(3)
    assert len(caplog.records) == 4
    assert "process 'p' ignores signal 'add': data of signal 'add'" in caplog.text
    assert runner.manager.backend.check() == []


def test_a_query_is_answered_after_a_signal_of_a_wrong_type() -> None:
    runner = Runner(Handler)
    runner.start(Handler, id="p")
    runner.manager.signal_process("p", "add", "bob")
    runner.work()

    assert runner.manager.query("p", "total_so_far") == 0
    assert runner.manager.process_by_id("p").parked is None


class WithDefault(ReplayWorkflow):
    steps = 0

    @on_signal
    def nudge(self, by: int = 1) -> None:
        self.steps += by

    async def run(self) -> int:
        await self.wait_until(lambda: self.steps)
        return self.steps


class Optional(ReplayWorkflow):
    async def run(self) -> Any:
        return await self.signal("nudge", int | None)  # type: ignore[arg-type]


@pytest.mark.parametrize(("workflow", "result"), [(WithDefault, 1), (Optional, None)])
def test_a_signal_without_data_stands_for_none(
    workflow: type[ReplayWorkflow], result: Json
) -> None:
    runner = Runner(workflow)
    runner.start(workflow, id="p")

    runner.manager.signal_process("p", "nudge")

    assert runner.finish("p").result == ProcessCompleted(result)
