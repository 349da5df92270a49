"""The plugin for pytest, in a session of its own."""

import subprocess
import sys
from pathlib import Path

from tests.unit.replay_golden import FOLDER

ROOT = Path(__file__).parents[2]

CONFTEST = 'pytest_plugins = ["pyworkflow.testing.plugin"]\n'

TESTS = """
import pytest

from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.errors import NondeterminismError
from pyworkflow.process import ProcessCompleted
from pyworkflow.replay import ReplayWorkflow
from tests.unit.replay_golden import OrderWorkflow


class OtherWorkflow(ReplayWorkflow):
    async def run(self, order):
        await self.sleep(1)


class SleepWorkflow(ReplayWorkflow):
    async def run(self, days):
        await self.sleep(days * 86_400)
        return await self.signal("go")


class ParentWorkflow(ReplayWorkflow):
    async def run(self):
        return await self.child(ShortWorkflow)


class ShortWorkflow(ReplayWorkflow):
    async def run(self):
        return 3


def test_a_month_passes_at_once(workflow_runner, fake_clock):
    began = fake_clock.datetime()
    runner = workflow_runner(SleepWorkflow)
    runner.start(SleepWorkflow, 30, id="p")
    runner.manager.signal_process("p", "go", 1)

    assert runner.finish("p").result == ProcessCompleted(1)
    assert (fake_clock.datetime() - began).days == 30


def test_children_are_run(run_workflow):
    process = run_workflow(ParentWorkflow, others=(ShortWorkflow,))

    assert process.result == ProcessCompleted(3)


def test_histories_are_replayed(replay_histories):
    assert len(replay_histories(OrderWorkflow, "histories/order_*.json")) == 4


def test_other_code_is_caught(replay_histories):
    with pytest.raises(NondeterminismError):
        replay_histories(OtherWorkflow, "histories/order_*.json")


def test_a_pattern_has_to_fit(replay_histories):
    with pytest.raises(pytest.fail.Exception, match="no history fits 'nothing/"):
        replay_histories(OrderWorkflow, "nothing/*.json")


class TestOnAFile:
    @pytest.fixture
    def workflow_backend(self, tmp_path, fake_clock):
        with SQLiteBackend(tmp_path / "x.db", clock=fake_clock) as backend:
            yield backend

    def test_the_backend_may_be_another(self, run_workflow, workflow_backend):
        assert run_workflow(ShortWorkflow).result == ProcessCompleted(3)
        assert len(workflow_backend.processes(status=None)) == 1
"""


def test_its_fixtures_do_what_they_say(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "histories").symlink_to(FOLDER)
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(tmp_path), str(tmp_path)]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout
    assert "6 passed" in done.stdout
