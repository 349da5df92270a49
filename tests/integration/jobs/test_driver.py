"""Drivers as programs: exit statuses, signals, and being killed."""

import signal
from pathlib import Path

import pytest

from pyworkflow.backend import connect
from pyworkflow.backend.memory import MemoryBackend
from pyworkflow.jobs import Flowmancer
from pyworkflow.jobs.errors import JobDefinitionError, JobFailedError
from tests.integration.jobs.kit import (
    CLASSES,
    drive,
    driver,
    is_alive,
    pids,
    project,
    traced,
    until,
)

HEAD = f"""
version: 0.1
config:
  name: test
  extension_directories: ['{CLASSES}']
loggers: {{}}
extensions: {{}}
"""

GATED = """
tasks:
  before:
    task: Add
    parameters: {{times: 3}}
  gate:
    task: Gate
    dependencies: [before]
    parameters: {{trace: '{trace}', opened_by: '{opened}'}}
  after:
    task: Tell
    dependencies: [gate]
"""


def gated(root: Path, more: str = "") -> tuple[Path, Path]:
    """Write a project with a task that waits; return its main script, and the file that the task writes."""
    trace = root / "trace"
    tasks = GATED.format(trace=trace, opened=root / "opened")
    return project(root, HEAD.replace("loggers: {}\nextensions: {}\n", "") + more + tasks), trace


def test_a_driver_that_is_killed_leaves_no_process_and_all_that_was_finished(
    tmp_path: Path,
) -> None:
    main, trace = gated(tmp_path, "extensions: {}\n")
    process = driver(main)
    until(lambda: len(pids(trace)) == 2, "the task")
    running = pids(trace)

    process.kill()
    process.communicate()
    until(lambda: not any(is_alive(pid) for pid in running), "the end of the task's processes")
    (tmp_path / "opened").touch()
    trace.unlink()
    status, _, err = drive(main, "-r")

    assert (status, err) == (0, "")
    assert traced(trace)[:2] == ["gate on_create", "gate on_restart"]
    (log,) = tmp_path.glob("logs/*/after.log")
    assert "[('count', 3), ('gate', 'waiting')]" in log.read_text(encoding="utf-8")
    assert len(list(tmp_path.glob("logs/*/before.log"))) == 1
    with connect(f"sqlite:///{tmp_path}/.flowmancer/jobs.db") as backend:
        assert backend.check() == []


PLUGINS = """
loggers:
  note: {{logger: NoteLogger, parameters: {{note: '{note}'}}}}
extensions:
  note: {{extension: NoteExtension, parameters: {{note: '{note}'}}}}
checkpointer:
  checkpointer: Jar
  parameters: {{file: '{jar}'}}
"""


def test_an_interrupt_aborts_the_tasks_and_tells_all_plugins(tmp_path: Path) -> None:
    note, jar = tmp_path / "note", tmp_path / "jar"
    main, trace = gated(tmp_path, PLUGINS.format(note=note, jar=jar))
    process = driver(main)
    until(lambda: len(pids(trace)) == 2, "the task")

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=120)

    assert (process.returncode, err) == (130, "")
    assert [line for line in traced(trace) if "pid" not in line] == [
        "gate on_create",
        "gate on_abort",
        "gate on_destroy",
    ]
    assert traced(note) == [
        "NoteLogger on_abort",
        "NoteExtension on_abort",
        "NoteLogger on_destroy",
        "NoteExtension on_destroy",
    ]
    assert (tmp_path / "aborted").exists()
    assert '"A":["gate"]' in jar.read_text(encoding="utf-8")

    (tmp_path / "opened").touch()
    assert drive(main, "-r")[0] == 0
    assert "gate on_restart" in traced(trace)


STUBBORN = """
from pyworkflow.jobs.task import Task, task
import pathlib, time

@task
class Stubborn(Task):
    began: pathlib.Path

    def run(self):
        self.began.touch()
        while True:
            time.sleep(60)

    def on_abort(self):
        self.began.with_name("aborting").touch()
        while True:
            time.sleep(60)
"""


def test_a_second_interrupt_ends_tasks_that_do_not_end(tmp_path: Path) -> None:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "stubborn.py").write_text(STUBBORN, encoding="utf-8")
    began = tmp_path / "began"
    tasks = f"tasks: {{a: {{task: Stubborn, parameters: {{began: '{began}'}}}}}}\n"
    process = driver(project(tmp_path, HEAD + tasks))
    until(began.exists, "the task")
    process.send_signal(signal.SIGINT)
    until((tmp_path / "aborting").exists, "on_abort")

    process.send_signal(signal.SIGINT)
    process.communicate(timeout=25)

    assert process.returncode == 130


def test_256_failures_are_no_success(tmp_path: Path) -> None:
    chained = "".join(f"  t{n}: {{task: Nothing, dependencies: [fail]}}\n" for n in range(255))
    main = project(tmp_path, f"{HEAD}tasks:\n  fail: {{task: Fail}}\n{chained}")

    assert drive(main)[0] == 125


@pytest.mark.parametrize(
    ("tasks", "arguments", "status"),
    [
        ("tasks: {a: {task: Fail}, b: {task: Nothing, dependencies: [a]}}", [], 2),
        ("tasks: {a: {task: Fail}, b: {task: Nothing, dependencies: [a]}}", ["--skip", "a"], 0),
        ("tasks: {a: {task: Fail}, b: {task: Nothing}}", ["--run-to", "b"], 0),
        (
            "tasks:\n  a:\n    task: $VAR{what}",
            ["--var", "what=Nothing", "--max-concurrency", "1"],
            0,
        ),
        ("tasks: {a: {task: Nowhere}}", [], 1),
        ("tasks: {a: {task: Nothing}}", ["--skip", "z"], 99),
    ],
)
def test_the_exit_status_says_how_many_tasks_failed(
    tmp_path: Path, tasks: str, arguments: list[str], status: int
) -> None:
    code, _, err = drive(project(tmp_path, f"{HEAD}{tasks}\n"), *arguments)

    assert code == status
    assert err.startswith("ERROR: ") == (status in (1, 99))


def test_one_job_has_one_driver_at_a_time(tmp_path: Path) -> None:
    main, trace = gated(tmp_path, "loggers: {}\nextensions: {}\n")
    process = driver(main)
    until(lambda: len(pids(trace)) == 2, "the task")

    status, _, err = drive(main)

    assert status == 99
    assert f"job 'test' is running already, in OS process {process.pid}" in err
    (tmp_path / "opened").touch()
    process.communicate(timeout=120)
    assert process.returncode == 0


def test_a_failure_is_raised_if_wanted(tmp_path: Path) -> None:
    project(tmp_path, HEAD + "tasks: {a: {task: Fail}, b: {task: Nothing}}\n")
    with MemoryBackend() as backend:
        main = Flowmancer(root=tmp_path, backend=backend)

        with pytest.raises(JobFailedError, match="1 of 2 tasks did not complete"):
            main.start("job.yaml", raise_exception_on_failure=True, argv=[])
        with pytest.raises(JobDefinitionError, match="nowhere"):
            main.start("nowhere.yaml", raise_exception_on_failure=True, argv=[])
        assert main.start("job.yaml", argv=["--skip", "a"]) == 0


OWN = """
import sys
from pyworkflow.jobs import Flowmancer
from pyworkflow.jobs.task import Task, task

@task
class Mine(Task):
    def run(self):
        print("mine")

if __name__ == "__main__":
    sys.exit(Flowmancer().start("job.yaml"))
"""


def test_tasks_may_stand_in_the_main_script(tmp_path: Path) -> None:
    main = project(tmp_path, "tasks: {a: {task: Mine}}\n")
    main.write_text(OWN, encoding="utf-8")

    status, _, err = drive(main)

    assert status == 0, err
    assert err.splitlines()[-1].startswith("a: completed")
