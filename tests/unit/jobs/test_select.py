"""Which tasks run when only some shall."""

from pathlib import Path

import pytest

from pyworkflow.errors import InvalidRequestError
from pyworkflow.jobs.definition import JobDefinition, TaskDefinition
from pyworkflow.jobs.select import Selection, select

# a -> b -> d, a -> c -> d, and e alone.
NEEDS = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c"), "e": ()}
JOB = JobDefinition(
    root=Path("/project"),
    tasks={name: TaskDefinition("Work", needed) for name, needed in NEEDS.items()},
)


@pytest.mark.parametrize(
    ("options", "run"),
    [
        ({}, "abcde"),
        ({"skip": ["b"]}, "acde"),
        ({"skip": ["b", "e", "b"]}, "acd"),
        ({"run_to": ["b"]}, "ab"),
        ({"run_to": ["d"]}, "abcd"),
        ({"run_to": ["b", "e"]}, "abe"),
        ({"run_from": ["b"]}, "bd"),
        ({"run_from": ["a"]}, "abcd"),
        ({"run_from": ["b", "c"]}, "bcd"),
        ({"run_from": ["a"], "run_to": ["c"]}, "ac"),
        ({"run_to": ["d"], "skip": ["a"]}, "bcd"),
    ],
)
def test_a_task_runs_if_every_option_lets_it(options: dict[str, list[str]], run: str) -> None:
    rest = tuple(name for name in NEEDS if name not in run)

    assert select(JOB, **options) == Selection(tuple(run), rest)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"skip": ["bb"]}, "skip: the job has no task 'bb'; did you mean 'b'?"),
        ({"run_to": ["xyz"]}, "run-to: the job has no task 'xyz'"),
        ({"run_from": [""]}, "run-from: the job has no task ''"),
        ({"run_to": ["b"], "run_from": ["c"]}, "selection: no task of the job is left to run"),
        ({"skip": list("abcde")}, "selection: no task of the job is left to run"),
    ],
)
def test_what_cannot_be_selected_is_refused(options: dict[str, list[str]], told: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        select(JOB, **options)

    assert str(caught.value) == told
