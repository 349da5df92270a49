"""Variables in job files."""

from pathlib import Path

import pytest

from pyworkflow.codec import Json
from pyworkflow.jobs.nodes import Problems, plain
from pyworkflow.jobs.substitute import MAX_SUBSTITUTED, Substitutions
from pyworkflow.jobs.yaml import parse

ROOT = Path("/project")


def read(text: str, substitutions: Substitutions) -> tuple[Json, list[str]]:
    problems = Problems()
    table = parse(text, "job.yaml", substitutions, problems)
    assert table is not None
    return plain(table), [str(p) for p in problems.error().problems]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("$VAR{x}", "1"),
        ("$VAR{x}$VAR{y}", "1two"),
        ("a $VAR{x} b $VAR{y} c", "a 1 b two c"),
        ("$VAR{unset:http://h:80/x}", "http://h:80/x"),
        ("$VAR{unset}", ""),
        ("$VAR{unset:}", ""),
        ("$VAR{x:other}", "1"),
        ("$SYS{APP_ROOT_DIR}/$VAR{y}", "/project/two"),
        ("$ENV{JOB_HOST}:$VAR{x}:$SYS{APP_ROOT_DIR}", "db:1:/project"),
        ("$ENV{JOB_UNSET:a:b}", "a:b"),
        ("$5 and $VAR{y}", "$5 and two"),
        ("$$VAR{x}", "$1"),
        ("$HOME and ${x}", "$HOME and ${x}"),
        ("$VAR{loop}", "$VAR{x}"),
        ("'$VAR{x}'", "$VAR{x}"),
        ('"$VAR{x}"', "$VAR{x}"),
        ("|-\n  $VAR{x}", "$VAR{x}"),
    ],
)
def test_values_are_put_into_unquoted_scalars(
    written: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_HOST", "db")
    monkeypatch.delenv("JOB_UNSET", raising=False)
    variables = {"x": "1", "y": "two", "loop": "$VAR{x}"}
    substitutions = Substitutions(ROOT, variables, ["JOB_HOST", "JOB_UNSET"])

    job, problems = read(f"key: {written}", substitutions)

    assert problems == []
    assert job == {"key": meant}


def test_values_are_put_into_keys_and_what_is_set_is_never_read_as_yaml() -> None:
    job, problems = read("$VAR{k}: $VAR{v}", Substitutions(ROOT, {"k": "no", "v": "[1, 2]"}))

    assert problems == []
    assert job == {"no": "[1, 2]"}


def test_keys_that_become_the_same_are_refused() -> None:
    _, problems = read("a: 1\n$VAR{k}: 2", Substitutions(ROOT, {"k": "a"}))

    assert problems == ["job.yaml:2:1: a: the key is there twice, first in line 1"]


@pytest.mark.parametrize("written", ["$ENV{JOB_SECRET}", "x $ENV{JOB_SECRET:default}"])
def test_the_environment_is_closed_unless_a_name_is_allowed(
    written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOB_SECRET", "hunter2")

    job, problems = read(f"tasks:\n  a: {written}", Substitutions(ROOT, {}, ["OTHER"]))

    assert problems == [
        "job.yaml:2:6: tasks.a: the environment variable JOB_SECRET may not be read:"
        " allow it with --env JOB_SECRET"
    ]
    assert "hunter2" not in str(job)


@pytest.mark.parametrize(
    "written",
    ["$VAR{}", "$VAR{x", "$ENV{a b}", "$VAR{x:{y}}", "$VAR{:d}", "$VAR{0}", "$VAR{x:a #b}"],
)
def test_a_substitution_without_a_name_or_an_end_is_refused(written: str) -> None:
    _, problems = read(f"a: {written}", Substitutions(ROOT, {"x": "1"}))

    [problem] = problems
    assert problem.startswith("job.yaml:1:4: a: $")
    assert "quote the text" in problem


def test_an_unknown_name_of_the_system_is_answered_with_the_closest() -> None:
    _, problems = read("a: $SYS{APP_ROOT}", Substitutions(ROOT))

    assert problems == ["job.yaml:1:4: a: there is no $SYS{APP_ROOT}; did you mean 'APP_ROOT_DIR'?"]


@pytest.mark.parametrize(
    "text",
    [
        "{{''.__class__.__mro__}}",
        "${x.__globals__}",
        "{0.__init__.__globals__}",
        "%(x)s",
        "$(id)",
        "`id`",
    ],
)
def test_templates_of_other_languages_are_text(text: str) -> None:
    job, problems = read(f"a: x {text}", Substitutions(ROOT, {"x": "1"}))

    assert problems == []
    assert job == {"a": f"x {text}"}


def test_substitutions_cannot_make_a_small_file_large() -> None:
    half = "x" * (MAX_SUBSTITUTED // 2)

    job, problems = read("a: $VAR{x}\nb: $VAR{x}\nc: $VAR{x}", Substitutions(ROOT, {"x": half}))

    assert len(problems) == 1
    assert problems[0].startswith("job.yaml:3:4: c: ")
    assert len(str(job)) < 2 * MAX_SUBSTITUTED
