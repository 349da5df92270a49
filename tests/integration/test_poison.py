"""A few processes do harm: they end their workers, do not return, raise what cannot be printed, or have rows that cannot be read.

Workers are OS processes that are started again when they end, as a service manager does. Every other process completes, and every harmful one
is parked or has failed, with its reason.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import apsw
import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.manager import Manager
from pyworkflow.process import Process, Status
from pyworkflow.result import ProcessCompleted
from pyworkflow.worker import DecisionWorker
from tests.integration.crew import Crew
from tests.integration.poison_program import STYLES, WORKFLOWS, harms
from tests.local_backends import local_backend
from tests.postgresql import Server

POOLS = ("thread", "asyncio", "process")

DAMAGED = {"events": ("event", "body"), "input": ("process_input", "body")}
"""Rows of a process that are damaged before its first decision: table and column."""

DAMAGED_ACTIVITY = ("activity_task", "input")

REASONS = {
    "end": ("workers were lost", "lease", "exit code 139"),
    "kill": ("workers were lost", "lease", "exit code -9"),
    "sleep": ("did not return", "blocked its thread", "blocks its thread", "start_to_close"),
    "spin": ("did not return", "blocked its thread", "blocks its thread", "start_to_close"),
    "mute": ("<str() of Mute failed>",),
    "unpicklable": ("not to be pickled",),
    "cyclic": ("inner; outer",),
    "damage": ("cannot be read",),
}
"""What the reason of a harmful process names, one of these."""


class House:
    """A store, its workers, and what is done to its rows behind the backend's back."""

    def __init__(
        self, backend: Backend, crew: Crew, execute: Callable[[str, tuple[str]], None]
    ) -> None:
        self.backend = backend
        self.manager = Manager(backend, WORKFLOWS)
        self.crew = crew
        self._execute = execute
        self._numbers = itertools.count()
        self.orders: dict[str, dict[str, Any]] = {}

    def start(self, style: str, harm: str = "", **more: Any) -> str:
        number = next(self._numbers)
        order = {"number": number, "harm": harm} | more
        name = f"Harmful{style}" if harm else style
        process_id = self.manager.start_process(Process(name, id=f"p{number}", input=order))
        self.orders[process_id] = order
        return process_id

    def start_damaged(self, styles: Sequence[str]) -> None:
        """Start processes of which rows cannot be read; no worker must run yet."""
        victims = [self.start(style, "damage") for style in styles]
        decider = DecisionWorker(self.manager)
        while decider.step():
            pass
        for victim in victims:
            self._damage(victim, *DAMAGED_ACTIVITY)
        for style, place in itertools.product(styles, DAMAGED.values()):
            self._damage(self.start(style, "damage"), *place)

    def _damage(self, process_id: str, table: str, column: str) -> None:
        self._execute(
            f"update {table} set {column} = {{}} where key = (select key from process where id = ?)",
            (process_id,),
        )

    def judge(self) -> None:
        """See what has become of every process."""
        wrong = []
        for process in self.backend.processes(status=None):
            order = self.orders.pop(str(process.id))
            if not order["harm"]:
                right = process.result == ProcessCompleted(2 * order["number"])
            elif process.parked:
                right = any(word in process.parked for word in REASONS[order["harm"]])
            else:
                reason = str(getattr(process.result, "reason", ""))
                right = process.status is Status.FAILED and any(
                    word in reason for word in REASONS[order["harm"]]
                )
            if not right:
                wrong.append((order, process.status, process.parked or process.result))
        assert wrong == []
        assert self.orders == {}


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    with local_backend(request.param, request) as backend:
        if request.param == "sqlite":
            path = tmp_path / "local.db"
            url = f"sqlite:///{path}"

            def execute(statement: str, values: tuple[str]) -> None:
                database = apsw.Connection(str(path))
                database.execute(statement.format("cast('{{{' as blob)"), values)
                database.close()

        else:
            server: Server = request.getfixturevalue("postgresql_server")
            schema = request.getfixturevalue("schema")
            url = server.url(schema=schema)

            def execute(statement: str, values: tuple[str]) -> None:
                with server.connect() as admin:
                    admin.execute(f"set search_path = {schema}")
                    admin.execute(statement.format("'{{{'").replace("?", "%s"), values)

        crew = Crew(backend, "tests.integration.poison_program", url, tmp_path / "workers.log")
        try:
            yield House(backend, crew, execute)
        finally:
            crew.kill()


def finish(house: House, pools: Sequence[str], concurrency: int) -> None:
    """Have workers do all there is, and judge what came of it."""
    crew = house.crew
    crew.start([(pool, str(concurrency)) for pool in pools])
    crew.watch_until(crew.is_settled)
    house.judge()
    crew.watch_until(crew.is_whole)
    assert crew.stop() == [0] * len(pools)


@pytest.mark.timeout(300)
def test_harmful_processes_cost_nobody_else_anything(house: House) -> None:
    house.start_damaged(["Code"])
    harmful = [
        ("end", "first decision"),
        ("kill", "activity"),
        ("sleep", "activity"),
        ("sleep", "coroutine"),
        ("spin", "coroutine"),
        ("spin", "last decision"),
        ("mute", "first decision"),
        ("mute", "activity"),
        ("cyclic", "last decision"),
        ("unpicklable", "coroutine"),
    ]
    styles = itertools.cycle(STYLES)
    for harm, place in harmful:
        house.start(next(styles), harm, place=place)
        for style in STYLES:
            house.start(style)

    finish(house, POOLS, 4)

    assert house.crew.restarts >= 4


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("pool", POOLS)
def test_one_in_a_hundred_of_two_thousand_processes_does_harm(house: House, pool: str) -> None:
    house.start_damaged(["Handlers", "Graph"])
    every = harms()
    Random(pool).shuffle(every)
    for number in range(2000 - 6):
        if number % 140 == 70:
            style, place, harm = every.pop()
            house.start(style, harm, place=place)
        else:
            house.start(STYLES[number % 4])

    finish(house, [pool] * 3, 8)
