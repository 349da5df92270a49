"""Tasks whose surroundings go wrong: the fork server dies, somebody else cancels the job."""

import signal
import sys
from pathlib import Path
from threading import Thread

import psutil
import pytest

from pyworkflow.backend.base import Backend
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.backend.wrapper import Wrapper
from pyworkflow.errors import BackendUnavailableError, UnknownProcessError
from pyworkflow.jobs.definition import TaskDefinition
from pyworkflow.jobs.forkserver import Setting
from pyworkflow.jobs.shared import SharedStore
from pyworkflow.jobs.supervisor import Supervisor
from pyworkflow.process import Process, Status
from tests.integration.jobs.kit import do, is_alive, job, letters, lines, pids, run, traced, until


def gate(root: Path, attempts: int = 1) -> TaskDefinition:
    """Return a task that waits."""
    opened, trace = str(root / "opened"), str(root / "trace")
    return do("Gate", attempts=attempts, trace=trace, opened_by=opened)


def test_a_fork_server_that_dies_takes_its_tasks_along_and_is_replaced(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    definition = job(tmp_path, {"gate": gate(tmp_path, attempts=2)})

    def kill() -> None:
        until(lambda: len(pids(trace)) == 2, "the first attempt")
        task = pids(trace)[0]
        server = psutil.Process(task).parent()
        assert server is not None
        server.send_signal(signal.SIGKILL)
        until(lambda: not is_alive(task), "the end of the task")
        until(lambda: len(pids(trace)) == 4, "the second attempt")
        (tmp_path / "opened").touch()

    killer = Thread(target=kill)
    killer.start()
    report = run(definition)
    killer.join()

    assert letters(report) == {"gate": "C"}
    assert traced(trace)[-1] == "gate on_destroy"
    assert lines("gate")[0][1].startswith("the fork server ended with SIGKILL;")


@pytest.mark.parametrize("how", ["cancel", "terminate"])
def test_a_job_whose_process_somebody_closes_is_aborted(tmp_path: Path, how: str) -> None:
    trace = tmp_path / "trace"
    definition = job(tmp_path, {"gate": gate(tmp_path), "after": do("Nothing", "gate")})
    with MemoryBackend() as backend:

        def close() -> None:
            until(lambda: len(pids(trace)) == 2, "the task")
            getattr(backend, f"{how}_process")("flowmancer")

        closer = Thread(target=close)
        closer.start()
        report = run(definition, backend=backend)
        closer.join()

    assert report.status in (Status.CANCELED, Status.TERMINATED)
    assert letters(report) == {"gate": "A", "after": "D"}
    assert traced(trace)[-2:] == ["gate on_abort", "gate on_destroy"]


BROKEN = """
from pyworkflow.jobs.task import Task, task
import os, sys

if "pyworkflow.jobs.runner" not in sys.modules:
    raise RuntimeError("not here")

@task
class Picky(Task):
    def run(self):
        pass
"""


def test_modules_that_cannot_be_imported_by_the_fork_server_fail_the_tasks(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "picky.py").write_text(BROKEN, encoding="utf-8")

    report = run(job(tmp_path, {"a": do("Picky"), "b": do("Nothing", "a")}))

    assert letters(report) == {"a": "F", "b": "D"}
    assert lines("a")[-1][1].startswith("the fork server ended with exit status 1;")
    assert "not here" in capfd.readouterr().err


def test_a_task_whose_process_dies_after_it_completed_has_failed(tmp_path: Path) -> None:
    tasks = {"odd": do("Odd", how="die after all is done"), "after": do("Nothing", "odd")}

    report = run(job(tmp_path, tasks))

    assert letters(report) == {"odd": "F", "after": "D"}
    assert lines("odd")[-1][1].startswith("its process ended with SIGKILL;")


def test_an_end_that_comes_while_the_supervisor_closes_is_no_error(tmp_path: Path) -> None:
    errors: list[BaseException] = []
    setting = Setting(sys.path, str(tmp_path), (), (), None)
    supervisor = Supervisor(setting, SharedStore(), lambda event: None, errors.append)
    supervisor.close()

    supervisor.abort()
    supervisor.close()

    assert errors == []


class Shaky(Wrapper):
    """Cannot be reached as somebody begins to wait."""

    def __init__(self, backend: Backend) -> None:
        super().__init__(backend)
        self.outages = 2

    def wait_for_process(self, process_id: str, timeout: float | None = None) -> Process:
        if self.outages:
            self.outages -= 1
            raise BackendUnavailableError("it is restarting")
        return super().wait_for_process(process_id, timeout)


def test_a_job_ends_although_its_backend_was_away_meanwhile(tmp_path: Path) -> None:
    with MemoryBackend() as memory:
        backend = Shaky(memory)
        report = run(job(tmp_path, {"a": do("Nothing")}), backend=backend)

    assert letters(report) == {"a": "C"}
    assert backend.outages == 0


class Purged(Wrapper):
    """Has lost its processes."""

    def wait_for_process(self, process_id: str, timeout: float | None = None) -> Process:
        raise UnknownProcessError(process_id)


def test_a_job_whose_process_is_gone_is_told(tmp_path: Path) -> None:
    with MemoryBackend() as memory, pytest.raises(UnknownProcessError):
        run(job(tmp_path, {"gate": gate(tmp_path)}), backend=Purged(memory))
