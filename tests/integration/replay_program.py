"""A worker in an OS process of its own, for processes that are replayed: ``python -m tests.integration.replay_program FILE``."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from pyworkflow.activity import activity
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.manager import Manager
from pyworkflow.replay import ActivityFailed, ReplayWorkflow, query
from pyworkflow.worker import Worker


@activity
def add(one: int, two: int) -> int:
    return one + two


@activity
def refuse(number: int) -> None:
    raise ValueError(f"no {number}")


class SumWorkflow(ReplayWorkflow):
    """Adds up numbers in some rounds, each beside a timer and after a failure."""

    activities = (add, refuse)
    total = 0

    @query
    def so_far(self) -> int:
        return self.total

    async def run(self, rounds: int) -> dict[str, Any]:
        failures = 0
        for number in range(rounds):
            async with asyncio.TaskGroup() as group:
                added = group.create_task(self.activity(add, self.total, number))
                group.create_task(asyncio.sleep(0.01))
            self.total = added.result()
            try:
                await self.activity(refuse, number)
            except ActivityFailed:
                failures += 1
        return {"total": self.total, "failures": failures, "chance": self.random.random()}


def manager(path: Path) -> Manager:
    return Manager(SQLiteBackend(path), [SumWorkflow])


def main(path: Path) -> None:
    """Work until stopped."""
    Worker(manager(path), lease=1.0).run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
