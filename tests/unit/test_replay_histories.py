"""Histories that an earlier version recorded are decided the same by this one, on every Python."""

from pathlib import Path

import pytest

from pyworkflow import codec
from pyworkflow.errors import NondeterminismError
from pyworkflow.event import DecisionEvent
from pyworkflow.process import Process
from pyworkflow.testing.replay import record, replay
from tests.unit.replay_golden import CASES, FOLDER, OrderWorkflow, ParallelWorkflow

RECORDED = sorted(FOLDER.glob("*.json"))


def test_every_case_is_recorded() -> None:
    assert [path.stem for path in RECORDED] == sorted(CASES)


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_history_is_decided_again(path: Path) -> None:
    process: Process = codec.decode(path.read_bytes(), Process)

    [*_, last] = replay(CASES[path.stem][0], path)

    end = process.history[-1]
    assert isinstance(end, DecisionEvent)
    assert last.type == end.decision.type
    assert not process.is_open


def test_other_code_does_not_pass_for_the_one_that_was_recorded(tmp_path: Path) -> None:
    process: Process = codec.decode((FOLDER / "order_paid.json").read_bytes(), Process)
    record(process, tmp_path / "again.json")

    assert replay(OrderWorkflow, tmp_path / "again.json") == replay(OrderWorkflow, process)
    with pytest.raises(NondeterminismError):
        replay(ParallelWorkflow, Process("Parallel", "p", [1], history=process.history))
