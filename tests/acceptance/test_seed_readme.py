"""The first pyworkflow's README, as it was written."""

import subprocess
import sys
from typing import Any

import pytest

from examples.multiply import FooWorkflow, MultiplicationActivity
from pyworkflow.activity import ActivityAborted, ActivityCanceled, ActivityMonitor
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.result import ProcessCanceled, ProcessCompleted, ProcessResult
from pyworkflow.task import ActivityTask
from pyworkflow.worker import ActivityWorker, DecisionWorker
from pyworkflow.workflow import Workflow

HISTORY = [
    "process_started",
    "decision_started",
    "decision",
    "activity_started",
    "activity",
    "decision_started",
    "decision",
]


class RaisingActivity(MultiplicationActivity):
    name = "Multiplication"

    def execute(self) -> object:
        result = super().execute()
        if isinstance(result, ActivityAborted):
            raise result
        return result


class RaisingWorkflow(FooWorkflow):
    activities = (RaisingActivity,)


def run(workflow: type[Workflow], given: Any) -> Process:
    manager = Manager(backend=MemoryBackend(), workflows=[workflow])
    process_id = manager.start_process(Process(workflow=workflow, input=given))
    workers = (DecisionWorker(manager), ActivityWorker(manager))
    while any(worker.step() for worker in workers):
        pass
    return manager.process_by_id(process_id)


def test_three_times_four_is_twelve() -> None:
    process = run(FooWorkflow, [3, 4])

    assert [event.type for event in process.history] == HISTORY
    assert process.result == ProcessCompleted(12)


def test_each_addition_gives_a_sign_of_life() -> None:
    beats: list[int] = []
    manager = Manager(MemoryBackend(), [FooWorkflow])
    manager.start_process(Process(FooWorkflow, input=[3, 4]))
    DecisionWorker(manager).step()
    task = manager.next_activity()
    assert isinstance(task, ActivityTask)

    activity = manager.activity_for_task(task, ActivityMonitor(lambda: beats.append(1)))

    assert activity.execute() == 12
    assert len(beats) == 3


@pytest.mark.parametrize("workflow", [FooWorkflow, RaisingWorkflow])
def test_a_large_operand_is_canceled_with_its_text(workflow: type[Workflow]) -> None:
    process = run(workflow, [11, 2])

    expected: ProcessResult = ProcessCanceled("first operand must be <= 10")
    assert process.result == expected
    assert [event.type for event in process.history] == HISTORY


def test_both_names_are_one_class() -> None:
    assert ActivityAborted is ActivityCanceled


def test_bad_input_is_a_failure_with_its_traceback() -> None:
    process = run(FooWorkflow, "nonsense")

    assert process.result is not None
    assert "invalid input" in str(process.result)


def test_the_program_runs() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "examples.multiply"], capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines() == [", ".join(HISTORY), "ProcessCompleted(result=12)"]
