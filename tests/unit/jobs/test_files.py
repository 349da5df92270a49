"""Files that include each other: what they make together, and what may not be included."""

import os
from pathlib import Path
from textwrap import dedent

import pytest

from pyworkflow.codec import Json
from pyworkflow.jobs.errors import JobDefinitionError
from pyworkflow.jobs.files import MAX_INCLUDES, read
from pyworkflow.jobs.nodes import Problems, place_of, plain
from pyworkflow.jobs.substitute import Substitutions
from pyworkflow.jobs.yaml import MAX_SIZE
from tests.unit.jobs.kit import project

TEMPLATE = """
config:
  name: generic-template

tasks:
  do-something:
    task: DoSomething
    parameters:
      some_required_param: I am a required string parameter
"""
CLEANUP = """
include:
  - ./jobdefs/template.yaml

tasks:
  cleanup:
    task: Cleanup
    dependencies:
      - do-something
"""
COMPLETE = """
config:
  name: complete-job

include:
  - ./jobdefs/cleanup_addon.yaml

tasks:
  do-something:
    task: Do Something
    parameters:
      added_optional_param: 99
"""
MERGED = {
    "config": {"name": "complete-job"},
    "tasks": {
        "do-something": {
            "task": "Do Something",
            "parameters": {
                "some_required_param": "I am a required string parameter",
                "added_optional_param": 99,
            },
        },
        "cleanup": {"task": "Cleanup", "dependencies": ["do-something"]},
    },
}


def merged(root: Path, path: str = "job.yaml", **variables: str) -> Json:
    problems = Problems()
    table = read(root / path, root, Substitutions(root, variables), problems)
    if problems:
        raise problems.error()
    assert table is not None
    return plain(table)


def refused(root: Path, path: str = "job.yaml") -> str:
    with pytest.raises(JobDefinitionError) as caught:
        merged(root, path)
    return str(caught.value)


def test_the_example_of_the_seed_gives_the_merged_job_with_its_cleanup(tmp_path: Path) -> None:
    files = {"template": TEMPLATE, "cleanup_addon": CLEANUP, "complete": COMPLETE}
    project(tmp_path, **{f"jobdefs__{name}": text for name, text in files.items()})

    assert merged(tmp_path, "jobdefs/complete.yaml") == MERGED


def test_the_other_way_to_include_them_gives_the_same(tmp_path: Path) -> None:
    both = "include:\n  - ./jobdefs/template.yaml\n  - ./jobdefs/cleanup_addon.yaml\n"
    complete = COMPLETE.replace("include:\n  - ./jobdefs/cleanup_addon.yaml\n", both)
    addon = CLEANUP.replace("include:\n  - ./jobdefs/template.yaml\n", "")
    files = {"template": TEMPLATE, "cleanup_addon": addon, "complete": complete}
    project(tmp_path, **{f"jobdefs__{name}": text for name, text in files.items()})

    assert merged(tmp_path, "jobdefs/complete.yaml") == MERGED


def test_tables_are_merged_and_lists_and_scalars_replaced(tmp_path: Path) -> None:
    project(
        tmp_path,
        one="a: {x: 1, y: {p: 1}}\nlist: [{k: 1}, 2]\nkind: {z: 1}",
        two="a: {y: {q: 2}}\nlist: [3]",
        job="include: [one.yaml, two.yaml]\na: {x: 9}\nkind: text",
    )

    assert merged(tmp_path) == {"a": {"x": 9, "y": {"p": 1, "q": 2}}, "list": [3], "kind": "text"}


def test_a_file_that_two_include_is_merged_once_below_both(tmp_path: Path) -> None:
    project(
        tmp_path,
        base="who: base\nbase: 1",
        left="include: [base.yaml]\nwho: left",
        right="include: [base.yaml]\nright: 1",
        job="include: [left.yaml, ./right.yaml]",
    )

    assert merged(tmp_path) == {"who": "left", "base": 1, "right": 1}


def test_many_paths_to_one_file_cost_no_more_than_one(tmp_path: Path) -> None:
    layers = {
        f"{side}{n}": f"include: [a{n + 1}.yaml, b{n + 1}.yaml]"
        for n in range(MAX_INCLUDES - 1)
        for side in "ab"
    }
    last = MAX_INCLUDES - 1
    project(
        tmp_path, **layers, **{f"a{last}": "x: 1", f"b{last}": "y: 1"}, job="include: [a0.yaml]"
    )

    assert merged(tmp_path) == {"x": 1, "y": 1}


def test_an_include_may_be_named_by_a_variable(tmp_path: Path) -> None:
    project(tmp_path, envs__test="who: test", job="include:\n  - envs/$VAR{env:live}.yaml\n")

    assert merged(tmp_path, env="test") == {"who": "test"}


def test_values_keep_the_place_in_the_file_that_they_came_from(tmp_path: Path) -> None:
    project(
        tmp_path, one="\ntasks:\n  a: {task: X}", job="include: [one.yaml]\ntasks:\n  b: {task: Y}"
    )
    table = read(tmp_path / "job.yaml", tmp_path, Substitutions(tmp_path), Problems())
    assert table is not None

    a, b = (place_of(table, ("tasks", name, "task")) for name in "ab")

    assert (a.file, a.line, a.column) == ("one.yaml", 3, 13)
    assert (b.file, b.line, b.column) == ("job.yaml", 3, 13)


def test_files_that_include_each_other_are_refused_in_their_order(tmp_path: Path) -> None:
    project(
        tmp_path, one="include: [two.yaml]", two="include: [one.yaml]", job="\ninclude: [one.yaml]"
    )

    assert refused(tmp_path) == (
        "two.yaml:1:11: include: the files include each other: one.yaml -> two.yaml -> one.yaml"
    )
    assert "one.yaml -> two.yaml -> one.yaml" in refused(tmp_path, "one.yaml")


def test_a_row_of_includes_has_a_limit(tmp_path: Path) -> None:
    chain = {f"f{n}": f"include: [f{n + 1}.yaml]" for n in range(MAX_INCLUDES)}
    project(tmp_path, **chain, **{f"f{MAX_INCLUDES}": "a: 1"}, job="include: [f0.yaml]")

    assert merged(tmp_path, "f0.yaml") == {"a": 1}
    assert "more than 16 files include each other in a row" in refused(tmp_path)


@pytest.mark.parametrize(
    "given",
    [
        "../outside.yaml",
        "a/../../outside.yaml",
        "/etc/passwd",
        "/proc/self/environ",
        "inside/../job2.yaml",
        "link.yaml",
        "folder-link/outside.yaml",
        "http://example.com/x.yaml",
        "file:///etc/passwd",
        "..%2foutside.yaml",
        "'\\\\server\\share.yaml'",
        "'..\\outside.yaml'",
        '"a\\0b.yaml"',
        "round.yaml",
        "~/x.yaml",
        "missing.yaml",
        "inside",
        ".",
        "''",
        "5",
        "[a.yaml]",
    ],
)
def test_only_files_below_the_root_are_included(tmp_path: Path, given: str) -> None:
    root = project(
        tmp_path / "root", job2="a: 1", inside__x="a: 1", job=f"\ninclude:\n  - {given}\n"
    )
    project(tmp_path, outside="secret: 1")
    (root / "link.yaml").symlink_to(tmp_path / "outside.yaml")
    (root / "folder-link").symlink_to(tmp_path)
    (root / "round.yaml").symlink_to(root / "round.yaml")

    told = refused(root)

    assert told.startswith("job.yaml:3:5: include")
    assert len(told.splitlines()) == (2 if "\\0" in given else 1)
    assert "secret" not in told


def test_a_link_to_a_file_below_the_root_may_be_included(tmp_path: Path) -> None:
    project(tmp_path, real__x="a: 1", job="include: [x.yaml]")
    (tmp_path / "x.yaml").symlink_to("real/x.yaml")

    assert merged(tmp_path) == {"a": 1}


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path: Path) -> None:
    project(tmp_path, job="include: [pipe.yaml]")
    os.mkfifo(tmp_path / "pipe.yaml")

    assert "pipe.yaml cannot be read: it is no regular file" in refused(tmp_path)


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    project(tmp_path, job="include: [huge.yaml]")
    with (tmp_path / "huge.yaml").open("wb") as file:
        file.truncate(10 * 1024**3)

    assert "huge.yaml cannot be read: it is larger than 1024 KiB" in refused(tmp_path)
    assert MAX_SIZE == 1024 * 1024


def test_a_job_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refused(tmp_path) == "job.yaml cannot be read: No such file or directory"
    (tmp_path / "job.yaml").write_bytes(b"a: 1\nb: \xff")
    assert refused(tmp_path) == "job.yaml cannot be read: line 2 is no UTF-8"


def test_a_job_file_whose_path_leads_nowhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "round.yaml").symlink_to(tmp_path / "round.yaml")

    assert "round.yaml" in refused(tmp_path, "round.yaml")
    assert "cannot be followed" in refused(tmp_path, "a\0b.yaml")


def test_a_mark_of_bytes_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_bytes(dedent("\ufeffa: 1\r\nb:\r\n  - x\r\n").encode())

    assert merged(tmp_path) == {"a": 1, "b": ["x"]}


def test_problems_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    project(tmp_path, one="a: no", two="b: [", job="include: [one.yaml, two.yaml]\nc: 017")

    with pytest.raises(JobDefinitionError) as caught:
        merged(tmp_path)

    assert [problem.file for problem in caught.value.problems] == [
        "job.yaml",
        "one.yaml",
        "two.yaml",
    ]
