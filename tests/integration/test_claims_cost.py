"""A claim reads tasks of its own names only, however many of other names wait in the same category."""

import json
from pathlib import Path
from typing import Any

import pytest

from pyworkflow.backend.base import Backend, Completion, Poll
from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.postgresql.session import statements
from pyworkflow.backend.postgresql.unit import claim_call
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.decision import ScheduleActivity
from pyworkflow.process import Process
from pyworkflow.task import ActivityTask, DecisionTask
from tests.postgresql import Server

AT_ONCE = 10_000
"""Activities that one decision schedules."""

FEW, MANY = AT_ONCE, 1_000_000

SIZES = (FEW, pytest.param(MANY, marks=[pytest.mark.slow, pytest.mark.timeout(1800)]))


def fill(backend: Backend, foreign: int) -> None:
    """Have three activities wait, and many of another name that have waited for longer; and processes of another workflow."""
    for name in ("mine", "foreign"):
        backend.register_workflow(name)
        backend.register_activity(name)
    for _ in range(foreign // AT_ONCE):
        schedule(backend, "foreign", AT_ONCE)
    schedule(backend, "mine", 3)
    backend.start_processes([Process("foreign") for _ in range(1000)])


def schedule(backend: Backend, name: str, count: int) -> None:
    backend.start_process(Process("mine"))
    [task] = backend.turn(polls=[Poll(DecisionTask, names=("mine",))]).tasks
    scheduled = Completion(task, [ScheduleActivity(name) for _ in range(count)])
    assert backend.turn([scheduled]).errors == [None]


def claimed(backend: Backend) -> int:
    polls = [
        Poll(ActivityTask, limit=100, names=("mine", "other")),
        Poll(DecisionTask, limit=100, names=("mine", "other")),
    ]
    return len(backend.turn(polls=polls).tasks)


@pytest.mark.parametrize("foreign", SIZES)
def test_sqlite_takes_few_steps(tmp_path: Path, foreign: int) -> None:
    with SQLiteBackend(tmp_path / "x.db") as backend:
        fill(backend, foreign)
        claimed(backend)
        schedule(backend, "mine", 3)
        steps: list[None] = []

        def count() -> bool:
            steps.append(None)
            return False

        # Called for every hundredth instruction of the database's machine.
        with backend._database.writing() as writer:
            writer.set_progress_handler(count, 100)
        assert claimed(backend) == 3

        writer.set_progress_handler(None)
        assert len(steps) < FEW // 100


@pytest.mark.parametrize("foreign", SIZES)
def test_postgresql_reads_few_rows(postgresql_server: Server, schema: str, foreign: int) -> None:
    with PostgreSQLBackend(postgresql_server.url(), schema=schema) as backend:
        fill(backend, foreign)
        with postgresql_server.connect() as admin:
            admin.execute("vacuum analyze")

        for tasks, rows in (("activities", 3), ("decisions", 0)):
            name, values = claim_call(tasks, ("default", ("mine", "other")), 100, None)
            text = statements(schema)[name].decode()
            with backend._writers.lend() as connection:
                connection.execute("begin")
                connection.execute("set local enable_seqscan = off")
                ((plan,),) = connection.execute(
                    f"explain (analyze, format json) {text}".encode(), {"domain": 1, **values}
                ).fetchall()
                connection.execute("rollback")

            assert read(plan) <= 3 * rows + 4, json.dumps(plan, indent=1)
        assert claimed(backend) == 3


def read(plan: Any) -> int:
    """Return how many rows of tables a plan has read, those included that it has thrown away."""
    nodes = [plan[0]["Plan"]]
    total = 0
    for node in nodes:
        nodes.extend(node.get("Plans", ()))
        if "Relation Name" in node:
            thrown = node.get("Rows Removed by Filter", 0)
            total += round((node["Actual Rows"] + thrown) * node["Actual Loops"])
    return total
