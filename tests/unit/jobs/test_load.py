"""From a job file to its definition, and all that may be wrong with one."""

import copy
import pickle
import sys
from pathlib import Path

import pytest

from pyworkflow.errors import InvalidRequestError
from pyworkflow.jobs.definition import (
    JobConfig,
    JobDefinition,
    PluginDefinition,
    TaskDefinition,
)
from pyworkflow.jobs.errors import JobDefinitionError, Problem
from pyworkflow.jobs.load import load, loads
from tests.unit.jobs.kit import project, registries
from tests.unit.jobs.test_files import CLEANUP, COMPLETE, TEMPLATE
from tests.unit.jobs.test_yaml import BOMB


def loaded(text: str, **variables: str) -> JobDefinition:
    return loads(text, variables=variables, classes=registries())


def problems(text: str, **variables: str) -> list[str]:
    with pytest.raises(JobDefinitionError) as caught:
        loaded(text, **variables)
    return [str(problem).removeprefix("<text>:") for problem in caught.value.problems]


def only(text: str, **variables: str) -> str:
    [problem] = problems(text, **variables)
    return problem


def task(**keys: str) -> str:
    lines = [f"    {key}: {value}" for key, value in {"task": "Cleanup", **keys}.items()]
    return "\n".join(["tasks:", "  a:", *lines])


def test_a_job_has_what_its_file_says(tmp_path: Path) -> None:
    job = loads(
        """
        version: 0.1
        config: {name: nightly, max_concurrency: 2, loggers_interval_seconds: 1}
        aliases: {ignored: [anything, 1]}
        tasks:
          a: {task: Cleanup}
          b:
            task: DoSomething
            dependencies: [a]
            max_attempts: 3
            backoff: 1.5
            parameters: {some_required_param: x}
          c: {variant: Cleanup, depends_on: [a, b]}
        loggers: {file: {logger: FileLogger}}
        extensions: {bell: {extension: Bell, parameters: {tune: ding}}}
        checkpointer: {checkpointer: Database, parameters: {host: h, port: 1}}
        """,
        root=tmp_path,
        classes=registries(),
    )

    assert job == JobDefinition(
        root=tmp_path,
        tasks={
            "a": TaskDefinition("Cleanup"),
            "b": TaskDefinition("DoSomething", ("a",), 3, 1.5, {"some_required_param": "x"}),
            "c": TaskDefinition("Cleanup", ("a", "b")),
        },
        config=JobConfig(name="nightly", max_concurrency=2, loggers_interval_seconds=1),
        loggers={"file": PluginDefinition("FileLogger")},
        extensions={"bell": PluginDefinition("Bell", {"tune": "ding"})},
        checkpointer=PluginDefinition("Database", {"host": "h", "port": 1}),
    )


def test_a_job_may_have_any_name_of_one_line() -> None:
    assert (
        loaded(task() + "\nconfig: {name: Aufträge / täglich}").config.name == "Aufträge / täglich"
    )


def test_what_is_left_out_or_left_empty_has_its_default() -> None:
    short = loaded("tasks: {a: {task: Cleanup}}")
    empty = loaded(
        "config:\nloggers:\nextensions:\ncheckpointer:\ninclude_: &x\ntasks:\n  a:\n    task: Cleanup\n"
        "    dependencies:\n    parameters:\n    max_attempts:\n".replace("include_: &x\n", "")
    )

    assert short == empty
    assert short.config == JobConfig()
    assert short.loggers is None
    assert loaded("tasks: {a: {task: Cleanup}}\nloggers: {}").loggers == {}


def test_a_variable_is_read_as_a_number_where_one_is_wanted_and_stays_text_elsewhere() -> None:
    text = """
    config: {name: nightly}
    tasks:
      a:
        task: DoSomething
        max_attempts: $VAR{tries}
        backoff: $VAR{pause:0.5}
        parameters:
          some_required_param: $VAR{tries}
          added_optional_param: $VAR{tries}
    """

    a = loaded(text, tries="4").tasks["a"]

    assert (a.max_attempts, a.backoff) == (4, 0.5)
    assert a.parameters == {"some_required_param": "4", "added_optional_param": "4"}
    assert problems(text, tries="many") == [
        "6:23: tasks.a.max_attempts: must be a whole number",
        "10:33: tasks.a.parameters.added_optional_param: input should be a valid integer,"
        " unable to parse string as an integer",
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("config: {name: x}", "1:1: tasks: a job needs tasks"),
        ("tasks: {}", "1:1: tasks: a job needs tasks"),
        (task(max_attempts="0"), "4:19: tasks.a.max_attempts: must be 1 or more, not 0"),
        (task(max_attempts="-1"), "4:19: tasks.a.max_attempts: must be 1 or more, not -1"),
        (task(max_attempts="'3'"), "4:19: tasks.a.max_attempts: must be a whole number"),
        (task(max_attempts="1.5"), "4:19: tasks.a.max_attempts: must be a whole number"),
        (task(max_attempts="true"), "4:19: tasks.a.max_attempts: must be a whole number"),
        (task(backoff="-1"), "4:14: tasks.a.backoff: must be a number of seconds, not -1.0"),
        (task(dependencies="b"), "4:19: tasks.a.dependencies: must be a list"),
        (task(parameters="[x]"), "4:5: tasks.a.parameters: must be a table of keys and values"),
        (task(task="5"), "3:11: tasks.a.task: must be text: quote it"),
        (task(task="''"), "3:11: tasks.a.task: must be the name of a class"),
        (task(task="$VAR{unset}"), "3:11: tasks.a.task: must be the name of a class"),
        (task(max_atempts="3"), "4:5: tasks.a.max_atempts: unknown key; did you mean 'max_attempts'?"),
        (task(variant="Cleanup"), "4:5: tasks.a.variant: is the same as task: only one may be there"),
        ("tasks:\n  a:\n    max_attempts: 1", "2:3: tasks.a: needs the key 'task'"),
        ("tasks:\n  a: Cleanup", "2:6: tasks.a: must be a table of keys and values"),
        ("tasks:\n  - a", "1:1: tasks: must be a table of keys and values"),
        (task() + "\ntask: 1", "4:1: task: unknown key; did you mean 'tasks'?"),
        (task() + "\nversion: 2", "4:10: version: must be 0.1"),
        (task() + "\nconfig: {name: ''}", "4:16: config.name: must be a line of 1 to 100 characters"),
        (task() + '\nconfig: {name: "a\\nb"}', "4:16: config.name: must be a line of 1 to 100 characters"),
        (task() + "\nconfig: {name: 5}", "4:16: config.name: must be text: quote it"),
        (task() + "\nconfig: {nam: x}", "4:10: config.nam: unknown key; did you mean 'name'?"),
        (task() + "\nconfig: {synchro_interval_seconds: -1}", "4:36: config.synchro_interval_seconds: must be"),
        (task() + "\nloggers: {l: {parameters: {}}}", "4:11: loggers.l: needs the key 'logger'"),
        (task() + "\nextensions: [x]", "4:1: extensions: must be a table of keys and values"),
        (task() + "\ncheckpointer: {logger: X}", "4:16: checkpointer.logger: unknown key"),
        ("tasks:\n  a/b: {task: Cleanup}", "2:3: tasks.a/b: the name 'a/b': must not contain '/'"),
        (f"tasks:\n  {'x' * 101}: {{task: Cleanup}}", f"2:3: tasks.{'x' * 101}: the name: has more than 100"),
        ("tasks:\n  WorkflowStartTask: {task: Cleanup}", "2:3: tasks.WorkflowStartTask: the name: is reserved"),
        (task(dependencies="[a]"), "4:20: tasks.a.dependencies[0]: the task depends on itself"),
        (task(dependencies="[5]"), "4:20: tasks.a.dependencies[0]: must be text: quote it"),
        (task(depends_on="[z]"), "4:18: tasks.a.depends_on[0]: there is no task 'z'"),
        (task(task="DoSomthing"), "3:11: tasks.a.task: unknown task 'DoSomthing'; did you mean 'DoSomething'?"),
        (task(variant="X", task="").replace("    task: \n", ""), "3:14: tasks.a.variant: unknown task 'X'"),
        (task() + "\nloggers: {l: {logger: Files}}", "4:23: loggers.l.logger: unknown logger 'Files'"),
        (task() + "\nextensions: {x: {extension: Bel}}", "4:29: extensions.x.extension: unknown extension"),
        (task() + "\ncheckpointer: {checkpointer: X}", "4:30: checkpointer.checkpointer: unknown checkpointer"),
        (task() + "\ninclude: [x.yaml]", "4:1: include: is for files only"),
        (task() + "\nconfig: {extension_packages: [os]}", "4:10: config.extension_packages: is for files only"),
        (BOMB, "6:8: f[0]: has more than 100000 values"),
    ],
)  # fmt: skip
def test_a_definition_that_is_wrong_is_refused_with_line_column_and_key(
    text: str, told: str
) -> None:
    first, *others = problems(text)

    assert first.startswith(told)
    # One mistake may show in two places, but the first is where it was made.
    assert len(others) <= 1


def test_what_is_wrong_with_a_value_in_two_ways_is_told_once() -> None:
    assert only(task(max_attempts="017")).startswith("4:19: tasks.a.max_attempts: 017 is an octal")


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ("{}", "4:5: tasks.a.parameters.api_details: the parameter is missing: Download needs it"),
        ("{api_details: {}}", "4:18: tasks.a.parameters.api_details.base_url: the parameter is missing"),
        ("{api_details: {base_url: x, protocol: FTP}}", "4:55: tasks.a.parameters.api_details.protocol: input should be"),
        ("{api_details: {base_url: 5}}", "4:42: tasks.a.parameters.api_details.base_url: input should be a valid string"),
        ("{api_details: {base_url: x}, retries: [1, x]}", "4:59: tasks.a.parameters.retries[1]: input should be a valid integer"),
        ("{api_details: {base_url: x, x: 1}}", "4:45: tasks.a.parameters.api_details.x: unknown parameter"),
        ("{api_details: {base_url: x}, retires: [1]}", "4:46: tasks.a.parameters.retires: unknown parameter; did you mean 'retries'?"),
    ],
)  # fmt: skip
def test_parameters_that_a_class_does_not_take_are_refused_where_they_stand(
    parameters: str, told: str
) -> None:
    assert only(task(task="Download", parameters=parameters)).startswith(told)


def test_what_a_validator_of_a_class_raises_is_told() -> None:
    negative = only(task(task="Picky", parameters="{number: -1}"))
    broken = only(task(task="Picky", parameters="{number: 1000}"))

    assert negative == "4:26: tasks.a.parameters.number: must not be negative"
    assert broken == "4:5: tasks.a.parameters: Picky raised RuntimeError: never thought of that"


def test_a_cycle_is_told_in_its_order_and_all_cycles_are() -> None:
    text = """tasks:
  a: {task: Cleanup, dependencies: [b]}
  b: {task: Cleanup, dependencies: [c, x]}
  c: {task: Cleanup, dependencies: [a]}
  x: {task: Cleanup}
  y: {task: Cleanup, dependencies: [z]}
  z: {task: Cleanup, dependencies: [x, y]}
"""

    assert problems(text) == [
        "2:37: tasks.a.dependencies[0]: the tasks wait for each other: 'a' -> 'b' -> 'c' -> 'a'",
        "6:37: tasks.y.dependencies[0]: the tasks wait for each other: 'y' -> 'z' -> 'y'",
    ]


def test_all_problems_are_told_at_once_in_every_file(tmp_path: Path) -> None:
    addon = CLEANUP.replace("- do-something", "- do-somethin\n    max_attempts: 0")
    project(tmp_path, jobdefs__template=TEMPLATE, jobdefs__cleanup_addon=addon)
    project(
        tmp_path,
        complete=COMPLETE.replace("added_optional_param: 99", "added_optional_param: many"),
    )

    with pytest.raises(JobDefinitionError) as caught:
        load(tmp_path / "complete.yaml", root=tmp_path, classes=registries())

    assert str(caught.value).splitlines() == [
        "jobdefs/cleanup_addon.yaml:10:19: tasks.cleanup.max_attempts: must be 1 or more, not 0",
        "jobdefs/cleanup_addon.yaml:9:9: tasks.cleanup.dependencies[0]:"
        " there is no task 'do-somethin'; did you mean 'do-something'?",
        "complete.yaml:10:11: tasks.do-something.task: unknown task 'Do Something';"
        " did you mean 'DoSomething'?",
    ]


def test_the_example_of_the_seed_loads_with_its_class_spelt_right(tmp_path: Path) -> None:
    files = {
        "template": TEMPLATE,
        "cleanup_addon": CLEANUP,
        "complete": COMPLETE.replace("Do S", "DoS"),
    }
    project(tmp_path, **{f"jobdefs__{name}": text for name, text in files.items()})

    job = load(tmp_path / "jobdefs/complete.yaml", root=tmp_path, classes=registries())

    assert job.config.name == "complete-job"
    assert job.tasks["cleanup"].dependencies == ("do-something",)
    assert job.tasks["do-something"].parameters == {
        "some_required_param": "I am a required string parameter",
        "added_optional_param": 99,
    }


def test_the_environment_is_read_for_allowed_names_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_NAME", "from-outside")
    project(
        tmp_path,
        job="config: {}\ntasks: {a: {task: Cleanup}}\n".replace("{}", "\n  name: $ENV{JOB_NAME}"),
    )

    job = load(tmp_path / "job.yaml", root=tmp_path, environment=["JOB_NAME"], classes=registries())

    assert job.config.name == "from-outside"
    with pytest.raises(JobDefinitionError, match=r"job\.yaml:2:9: config\.name: .* --env JOB_NAME"):
        load(tmp_path / "job.yaml", root=tmp_path, classes=registries())


@pytest.mark.parametrize(
    "name",
    [
        "os:system",
        "builtins.eval",
        "subprocess.Popen",
        "antigravity",
        "this",
        "antigravity:geohash",
        "__import__",
        "../x",
    ],
)
def test_data_names_registered_classes_and_imports_nothing(name: str) -> None:
    before = set(sys.modules)

    assert "unknown task" in only(task(task=f"'{name}'"))
    assert "unknown logger" in only(task() + f"\nloggers: {{l: {{logger: '{name}'}}}}")
    assert set(sys.modules) == before


def test_an_error_can_be_copied_pickled_and_caught_as_a_bad_request() -> None:
    with pytest.raises(InvalidRequestError) as caught:
        loaded(task(max_attempts="0", backoff="-1"))

    error = caught.value
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert isinstance(other, JobDefinitionError)
        assert str(other) == str(error)
    assert isinstance(error, JobDefinitionError)
    assert error.problems[0].path == "tasks.a.backoff"
    assert JobDefinitionError("plain").problems == (Problem("plain"),)
