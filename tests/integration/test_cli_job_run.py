"""Jobs run on the command line."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.jobs.kit import CLASSES, PATIENCE, pids, traced, until
from tests.integration.shell import execute

HEAD = f"config:\n  name: nightly\n  extension_directories: ['{CLASSES}']\ntasks:\n"
MENDED = """
  first: {task: Nothing}
  second: {task: Fail, dependencies: [first], parameters: {mended_by: mended}}
  third: {task: Nothing, dependencies: [second]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "job.yaml").write_text(HEAD + MENDED)
    return tmp_path


def pyworkflow(root: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return execute([sys.executable, "-m", "pyworkflow", *words], root)


def test_a_job_that_fails_ends_with_a_summary_and_goes_on_with_r(project: Path) -> None:
    first = pyworkflow(project, "job", "run", "job.yaml")

    assert first.returncode == 2
    head, *rest = first.stdout.splitlines()
    assert head.startswith("nightly: failed after ")
    assert head.endswith(": 1 completed, 1 failed, 1 not run")
    assert rest == ["failed: second", "not run: third", "run it again with -r to go on from here"]
    assert "second: failed after" in first.stderr

    (project / "mended").touch()
    second = pyworkflow(project, "job", "run", "job.yaml", "-r", "--json")

    assert second.returncode == 0
    assert json.loads(second.stdout) == {
        "action": "run",
        "name": "nightly",
        "process": "nightly:2",
        "status": "completed",
        "restarted": True,
        "tasks": {"first": "completed", "second": "completed", "third": "completed"},
    }
    assert "first: " not in second.stderr


def test_a_job_is_kept_on_the_backend_that_is_named(project: Path) -> None:
    backend = ["--backend", f"sqlite:///{project}/kept.db"]

    done = pyworkflow(project, *backend, "job", "run", "job.yaml", "--skip", "second")

    assert done.returncode == 0
    assert not (project / ".flowmancer").exists()
    shown = pyworkflow(project, *backend, "show", "nightly", "--json")
    assert json.loads(shown.stdout)["status"] == "completed"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_job_aborts_its_tasks_and_says_so(
    project: Path, number: signal.Signals, status: int
) -> None:
    trace = project / "trace"
    task = f"  gate: {{task: Gate, parameters: {{trace: '{trace}', opened_by: opened}}}}\n"
    (project / "job.yaml").write_text(HEAD + task)
    command = [sys.executable, "-m", "pyworkflow", "job", "run", "job.yaml"]
    with subprocess.Popen(command, cwd=project, stdout=subprocess.PIPE, text=True) as process:
        until(lambda: len(pids(trace)) == 2, "the task")
        process.send_signal(number)
        out, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == status
    assert traced(trace)[-2:] == ["gate on_abort", "gate on_destroy"]
    assert "aborted: gate" in out.splitlines()


WRONG = """
  a: {task: Nothing, max_attempts: 0}
  b: {task: Nothing, dependencies: [z]}
  c: {task: Nothing, dependencies: [c]}
  d: {task: Nowhere}
  e: {task: Add}
"""


def test_a_file_with_mistakes_runs_nothing(project: Path) -> None:
    (project / "job.yaml").write_text(HEAD + WRONG)

    refused = pyworkflow(project, "job", "run", "job.yaml")

    assert refused.returncode == 2
    for number, name in enumerate("abcde", 6):
        assert f"job.yaml:{number}:" in refused.stderr
        assert f"tasks.{name}." in refused.stderr
    assert not (project / "logs").exists()
    assert not (project / ".flowmancer").exists()
