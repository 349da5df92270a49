"""Job files on the command line."""

import json
import os
import sys
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any
from xml.etree import ElementTree

import jsonschema_rs
import pytest
import yaml

from pyworkflow.cli.job import JOB_COMMANDS
from tests.integration.shell import ROOT, execute, refusal
from tests.unit.jobs.test_files import CLEANUP, COMPLETE, TEMPLATE
from tests.unit.jobs.test_yaml import BOMB

TASKS = """
from pathlib import Path
from pyworkflow.jobs.task import Task, task
(Path(__file__).parents[1] / "imported").touch()

@task
class DoSomething(Task):
    some_required_param: str
    added_optional_param: int = 1

    def run(self):
        open("ran", "a").close()

@task
class Cleanup(Task):
    def run(self):
        open("ran", "a").close()
"""
JOB = """
config:
  name: nightly
tasks:
  one:
    task: DoSomething
    max_attempts: 2
    parameters:
      some_required_param: $VAR{what:nothing}
  two:
    task: Cleanup
    dependencies: [one]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks/mine.py").write_text(TASKS)
    (tmp_path / "job.yaml").write_text(JOB)
    return tmp_path


def run(folder: Path, *words: str, **environment: str) -> "CompletedProcess[str]":
    command = [sys.executable, "-m", "pyworkflow", "job", *words]
    return execute(command, folder, PYTHONPATH=str(ROOT), **environment)


def refused(folder: Path, text: str, *words: str) -> list[str]:
    (folder / "job.yaml").write_text(text)
    done = run(folder, "check", "job.yaml", *words)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert not (folder / "ran").exists()
    return [line.removeprefix("error: ") for line in done.stderr.splitlines()]


@pytest.mark.parametrize("command", JOB_COMMANDS)
def test_every_command_explains_itself_and_is_in_the_reference(command: str) -> None:
    done = run(ROOT, command, "--help")

    assert done.returncode == 0
    assert "Usage:" in done.stdout
    assert f"`job {command}`" in (ROOT / "docs/reference/cli.md").read_text()


def test_check_prints_the_tasks_and_runs_none(project: Path) -> None:
    done = run(project, "check", "job.yaml", "--skip", "two")

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "nightly: 2 tasks",
        "one              DoSomething, up to 2 attempts",
        "  two (skipped)                                 <- one",
    ]
    assert (project / "imported").exists()
    assert not (project / "ran").exists()


def test_check_speaks_to_machines(project: Path) -> None:
    well = run(project, "check", "job.yaml", "--json", "--run-from", "two")
    (project / "job.yaml").write_text(JOB.replace("max_attempts: 2", "max_attempts: 0"))
    ill = run(project, "check", "job.yaml", "--json")

    told: dict[str, Any] = json.loads(well.stdout)
    assert (well.returncode, told["action"], told["name"]) == (0, "check", "nightly")
    assert [(task["name"], task["skipped"]) for task in told["tasks"]] == [
        ("one", True),
        ("two", False),
    ]
    assert ill.returncode == 2
    assert json.loads(ill.stdout)["problems"] == [
        {
            "message": "must be 1 or more, not 0",
            "path": "tasks.one.max_attempts",
            "file": "job.yaml",
            "line": 7,
            "column": 19,
        }
    ]


def test_the_include_example_is_checked_from_its_root(project: Path) -> None:
    (project / "jobdefs").mkdir()
    files = {
        "template": TEMPLATE,
        "cleanup_addon": CLEANUP,
        "complete": COMPLETE.replace("Do S", "DoS"),
    }
    for name, text in files.items():
        (project / f"jobdefs/{name}.yaml").write_text(text)

    inside = run(project, "check", "jobdefs/complete.yaml")
    outside = run(ROOT, "check", str(project / "jobdefs/complete.yaml"), "--root", str(project))

    assert inside.stdout.splitlines() == [
        "complete-job: 2 tasks",
        "do-something  DoSomething",
        "  cleanup     Cleanup      <- do-something",
    ]
    assert outside.stdout == inside.stdout


def test_mistakes_are_told_with_file_line_and_key_before_anything_runs(project: Path) -> None:
    text = """include: [../outside.yaml]
tasks:
  one:
    task: DoSomething
    max_attempts: 0
    retries: 1
  two:
    task: Cleanup
    dependencies: [three, two]
"""

    assert refused(project, text) == [
        "job.yaml:1:11: include: '../outside.yaml' is not below the root of the project"
    ]
    assert refused(project, text.partition("\n")[2]) == [
        "job.yaml:5:5: tasks.one.retries: unknown key; there are task, variant, dependencies, depends_on,"
        " max_attempts, backoff, parameters",
        "job.yaml:4:19: tasks.one.max_attempts: must be 1 or more, not 0",
        "job.yaml:8:20: tasks.two.dependencies[0]: there is no task 'three'",
        "job.yaml:8:27: tasks.two.dependencies[1]: the task depends on itself",
        "job.yaml:2:3: tasks.one.parameters.some_required_param: the parameter is missing: DoSomething needs it",
    ]
    cycle = (
        "tasks:\n  a: {task: Cleanup, dependencies: [b]}\n  b: {task: Cleanup, dependencies: [a]}\n"
    )
    assert refused(project, cycle) == [
        "job.yaml:2:37: tasks.a.dependencies[0]: the tasks wait for each other: 'a' -> 'b' -> 'a'"
    ]
    assert refused(project, BOMB)[0].startswith("job.yaml:6:8: f[0]: has more than 100000 values")


def test_variables_and_the_environment_come_from_the_command_line(project: Path) -> None:
    text = JOB.replace("name: nightly", "name: $ENV{JOB_NAME}-$VAR{what}")
    (project / "job.yaml").write_text(text)

    given = ["--var", "what=a=b", "--env", "JOB_NAME"]
    done = run(project, "check", "job.yaml", *given, JOB_NAME="outer")
    closed = run(project, "check", "job.yaml", JOB_NAME="outer")
    wrong = run(project, "check", "job.yaml", "--var", "what")

    assert done.stdout.splitlines()[0] == "outer-a=b: 2 tasks"
    assert "JOB_NAME may not be read: allow it with --env JOB_NAME" in closed.stderr
    assert "'what' is not NAME=VALUE" in refusal(2, wrong)


def test_a_module_that_cannot_be_imported_is_named(project: Path) -> None:
    (project / "tasks/broken.py").write_text("x = 1\nimport nothing_of_this_name\n")

    assert refused(project, JOB) == [
        "tasks/broken.py:2: cannot be imported: ModuleNotFoundError: No module named 'nothing_of_this_name'"
    ]


def test_a_class_without_its_decorator_is_not_to_be_had(project: Path) -> None:
    hidden = TASKS + "\nclass Hidden(Task):\n    def run(self): pass\n"
    (project / "tasks/mine.py").write_text(hidden)

    names = ["Hidden", "Task", "tasks.mine.Cleanup", "os:system"]
    tasks = "".join(f"  t{n}:\n    task: {name}\n" for n, name in enumerate(names))
    told = refused(project, f"tasks:\n{tasks}")

    assert len(told) == len(names)
    for n, (line, name) in enumerate(zip(told, names, strict=True)):
        assert line.startswith(f"job.yaml:{2 * n + 3}:11: tasks.t{n}.task: unknown task '{name}'")


def test_two_classes_of_one_name_are_refused_where_the_second_is(project: Path) -> None:
    (project / "tasks/more.py").write_text(TASKS)

    [told] = refused(project, JOB)

    assert told.startswith("tasks/more.py:6: cannot be imported: JobError: two task classes")


def test_a_job_is_drawn(project: Path) -> None:
    mermaid = run(project, "graph", "job.yaml").stdout
    dot, svg = (
        run(project, "graph", "job.yaml", "--format", form).stdout for form in ("dot", "svg")
    )

    assert mermaid.splitlines()[0] == "flowchart TD"
    assert '"one" -> "two"' in dot
    assert ElementTree.fromstring(svg).tag.endswith("svg")


def test_the_schema_knows_the_classes_of_a_project(project: Path) -> None:
    general, ours = run(project, "schema"), run(project, "schema", "job.yaml")
    data = yaml.safe_load(JOB)
    wrong = yaml.safe_load(JOB.replace("some_required_param", "some_param"))

    published = (ROOT / "docs/reference/job.schema.json").read_text("utf-8")
    assert general.stdout == published
    validator = jsonschema_rs.validator_for(json.loads(ours.stdout))
    assert validator.is_valid(data)
    assert not validator.is_valid(wrong)


def test_an_unknown_task_to_select_is_answered_with_the_closest(project: Path) -> None:
    told = refusal(2, run(project, "check", "job.yaml", "--run-to", "tow"))

    assert told == "error: run-to: the job has no task 'tow'; did you mean 'two'?\n"


@pytest.mark.parametrize("missing", ["yaml", "pydantic"])
def test_without_the_extra_the_command_says_what_to_install(project: Path, missing: str) -> None:
    program = f"import sys; sys.modules[{missing!r}] = None; sys.argv[0] = 'pyworkflow'; from pyworkflow.cli import main; main()"

    # The schema is made of the classes alone.
    for words in (["check", "job.yaml"], ["schema"])[: 1 if missing == "yaml" else 2]:
        command = [sys.executable, "-c", program, "job", *words]
        told = refusal(3, execute(command, project, PYTHONPATH=str(ROOT)))
        assert (
            told
            == f"error: job needs the extra: pip install 'pyworkflow-swf[jobs]' ({missing} is missing)\n"
        )


def test_help_needs_no_extra_and_imports_none() -> None:
    program = (
        "import sys; sys.argv = ['pyworkflow', 'job', '--help']\n"
        "from pyworkflow.cli import cli\n"
        "cli.main(standalone_mode=False)\n"
        "print(sorted({'yaml', 'pydantic', 'pyworkflow.jobs.load'} & set(sys.modules)))"
    )

    done = execute([sys.executable, "-c", program], ROOT, PYTHONPATH=os.fspath(ROOT))

    assert done.stdout.splitlines()[-1] == "[]", done.stderr
