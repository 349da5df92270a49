"""Random programs under random orders of events: replayed and cached deciders decide alike, byte by byte."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pyworkflow import codec
from pyworkflow.decision import Decision
from pyworkflow.errors import PyworkflowError
from pyworkflow.event import DecisionFailedEvent
from pyworkflow.mistakes import is_mistake
from pyworkflow.process import Process
from pyworkflow.replay import RunCache
from pyworkflow.replay.compare import differ
from tests.mistake_programs import KINDS
from tests.unit.replay_programs import (
    ProgramWorkflow,
    decided_again,
    history_of,
    program,
    windows_of,
)

ROOT = Path(__file__).parents[2]

HASH_SEEDS = 20


def check(process: Process) -> None:
    failed = process.history.find(DecisionFailedEvent)
    assert [f for f in failed if getattr(f, "reason", None) != "unseen events"] == []
    uncached = decided_again(process, RunCache(0))
    cached = decided_again(process, RunCache())
    assert uncached == cached
    for recorded, again in uncached:
        assert recorded == again


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(data=st.data())
def test_a_random_program_decides_the_same_from_any_prefix_of_its_history(
    data: st.DataObject,
) -> None:
    def choose(below: int) -> int:
        return data.draw(st.integers(0, below - 1))

    check(history_of(program(choose), choose))


def histories(count: int) -> list[Process]:
    made: list[Process] = []
    for seed in range(count):
        rng = Random(seed)
        made.append(history_of(program(rng.randrange), rng.randrange))
    return made


@pytest.mark.slow
def test_a_thousand_programs_decide_the_same_from_any_prefix() -> None:
    for process in histories(1000):
        check(process)


@pytest.mark.parametrize("count", [40, pytest.param(1000, marks=pytest.mark.slow)])
def test_programs_decide_the_same_under_every_hash_seed(count: int, tmp_path: Path) -> None:
    recorded = tmp_path / "histories.json"
    recorded.write_bytes(codec.encode(histories(count)))
    ProgramWorkflow.cache.clear()

    digests = set[str]()
    for seed in range(HASH_SEEDS):
        done = subprocess.run(
            [sys.executable, "-m", "tests.unit.replay_programs", str(recorded)],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        digests.add(done.stdout)

    assert len(digests) == 1


def mistaken(place: int, slip: Callable[[], object]) -> type[ProgramWorkflow]:
    """Return the code of random programs, with a mistake in the step that is the so many-th to begin; at its end, if that is negative."""

    class Mistaken(ProgramWorkflow):
        name = "Program"
        cache = RunCache(0)
        begun = 0

        async def do(self, what: Any) -> Any:
            self.begun += 1
            number = self.begun
            if number == place:
                slip()
            result = await super().do(what)
            if number == -place:
                slip()
            return result

    return Mistaken


def decided_up_to(process: Process, cls: type[ProgramWorkflow]) -> int:
    """Decide a history again with a mistake in the code; return in how many decisions it was met. None decides anything else."""
    met = 0
    for shown, recorded in windows_of(process):
        decided, error = attempt(cls, shown)
        if error is None:
            assert met == 0
            assert not differ(recorded, decided, lambda decision: True)
        else:
            assert is_mistake(error)
            assert not isinstance(error, PyworkflowError)
            met += 1
    return met


def attempt(
    cls: type[ProgramWorkflow], process: Process
) -> tuple[list[Decision], Exception | None]:
    try:
        return cls().decide(process), None
    except Exception as error:
        return [], error


@pytest.mark.parametrize("count", [60, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_mistake_at_any_place_of_a_program_decides_nothing(count: int) -> None:
    met = 0
    for seed in range(count):
        rng = Random(seed)
        process = history_of(program(rng.randrange), rng.randrange)
        slip = KINDS[rng.choice(["a typo", "an attribute that is not there", "chained"])]
        for place in (1, 2, 3, 4, -1, -2, -3, -4):
            met += decided_up_to(process, mistaken(place, slip)) > 0

    assert met > count
