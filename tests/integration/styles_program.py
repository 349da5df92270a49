"""The same programs as graphs and as plain async code, for what both have to do on every backend."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from pyworkflow.graph import Workflow as Graph
from pyworkflow.replay import ActivityFailed, ChildFailed, ReplayWorkflow, RunCache
from pyworkflow.retry import Retry
from pyworkflow.workflow import Workflow
from tests.integration import graph_program
from tests.integration.graph_program import FlakyActivity, add_one, refuse, total

Program = list[type[Workflow]]
"""A workflow, and those of its children."""


class DiamondWorkflow(ReplayWorkflow):
    activities = (add_one, total)

    async def run(self, number: int) -> int:
        top = await self.activity(add_one, number)
        sides = await self.gather(self.activity(add_one, top), self.activity(add_one, top * 10))
        return await self.activity(total, list(sides))


class FlakyWorkflow(ReplayWorkflow):
    activities = (FlakyActivity,)

    async def run(self, failures: int) -> str:
        retry = Retry(3, initial=30, backoff=1)
        return await self.options(retry=retry).activity(FlakyActivity, failures)


class SlowWorkflow(ReplayWorkflow):
    activities = (add_one,)

    async def run(self) -> int:
        retry = Retry(2, initial=5, backoff=1)
        return await self.options(retry=retry, execution_timeout=10).activity(add_one, 1)


class RescuedWorkflow(ReplayWorkflow):
    activities = (refuse,)

    async def run(self, given: str) -> str | None:
        try:
            await self.activity(refuse, given)
        except ActivityFailed as error:
            return error.reason
        return None


class ApprovalWorkflow(ReplayWorkflow):
    async def run(self) -> Any:
        await self.sleep(60)
        return await self.wait_for(self.signal("approved"), 600)


class FailingWorkflow(ReplayWorkflow):
    activities = (refuse,)

    async def run(self) -> None:
        await self.activity(refuse, "way")


class FamilyWorkflow(ReplayWorkflow):
    async def run(self, number: int) -> list[Any]:
        child, other = self.child(FailingWorkflow), self.child(DiamondWorkflow, number)
        try:
            await child
        except ChildFailed as error:
            return [error.result.type if error.result else "not started", await other]
        return []


class ParallelWorkflow(ReplayWorkflow):
    activities = (add_one, total)

    async def run(self, number: int) -> int:
        each = await asyncio.gather(*(self.activity(add_one, number) for _ in range(1000)))
        return await self.activity(total, each)


class ChainWorkflow(ReplayWorkflow):
    activities = (add_one,)
    cache = RunCache()

    async def run(self, number: int) -> int:
        for _ in range(5000):
            number = await self.activity(add_one, number)
        return number


def _graph(make: Callable[..., Graph], *arguments: int) -> Callable[[], Program]:
    return lambda: make(*arguments).workflows()


def _code(*workflows: type[Workflow]) -> Callable[[], Program]:
    return lambda: list(workflows)


STYLES: Mapping[str, Mapping[str, Callable[[], Program]]] = {
    "graph": {
        "diamond": _graph(graph_program.diamond),
        "flaky": _graph(graph_program.flaky),
        "slow": _graph(graph_program.slow),
        "rescued": _graph(graph_program.rescued),
        "approval": _graph(graph_program.approval),
        "family": _graph(graph_program.family),
        "parallel": _graph(graph_program.parallel, 1000),
        "chain": _graph(graph_program.chain, 5000),
    },
    "replay": {
        "diamond": _code(DiamondWorkflow),
        "flaky": _code(FlakyWorkflow),
        "slow": _code(SlowWorkflow),
        "rescued": _code(RescuedWorkflow),
        "approval": _code(ApprovalWorkflow),
        "family": _code(FamilyWorkflow, FailingWorkflow, DiamondWorkflow),
        "parallel": _code(ParallelWorkflow),
        "chain": _code(ChainWorkflow),
    },
}
