"""Whatever stands in a job file, it is a job or an error that says where."""

from pathlib import Path
from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from pyworkflow.jobs.definition import TaskDefinition
from pyworkflow.jobs.errors import JobDefinitionError, Problem
from pyworkflow.jobs.load import loads
from pyworkflow.jobs.nodes import Problems
from pyworkflow.jobs.substitute import Substitutions
from pyworkflow.jobs.yaml import parse
from tests.unit.jobs.kit import registries

KEYS = ["version", "config", "tasks", "loggers", "checkpointer", "task", "variant", "dependencies"]
KEYS += ["max_attempts", "backoff", "parameters", "name", "max_concurrency", "a", "b", "aliases"]
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 3),
    st.floats(-1, 2),
    st.sampled_from(["Cleanup", "DoSomething", "FileLogger", "a", "b", "0.1", "os.system", ""]),
)
JOBS = st.recursive(
    VALUES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)
CLASSES = registries()


@given(st.text("abt:-[]{}&*!|>'\"#$\\\n\t <=?,%@0~. VAR", max_size=60))
def test_any_text_is_a_table_or_has_a_problem(text: str) -> None:
    problems = Problems()

    table = parse(text, "job.yaml", Substitutions(Path("/project")), problems)

    assert table is not None or problems
    if problems:
        assert all(problem.line for problem in problems.error().problems)


@given(st.dictionaries(st.sampled_from(KEYS), JOBS, max_size=5), JOBS)
def test_any_data_is_a_job_or_has_problems(data: dict[str, Any], tasks: object) -> None:
    text = yaml.safe_dump({**data, "tasks": tasks})

    problems: tuple[Problem, ...] = ()
    tasks_of_it: dict[str, TaskDefinition] = {}
    try:
        tasks_of_it = loads(text, classes=CLASSES).tasks
    except JobDefinitionError as error:
        problems = error.problems

    assert bool(problems) is not bool(tasks_of_it)
    assert all(problem.line for problem in problems)
    for task in tasks_of_it.values():
        assert task.task in ("Cleanup", "DoSomething")
        assert set(task.dependencies) < set(tasks_of_it)
