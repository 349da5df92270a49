"""Job files as YAML: what is read, and what is refused with its place."""

import tracemalloc
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from pyworkflow.codec import Json
from pyworkflow.jobs.errors import Problem
from pyworkflow.jobs.nodes import MAX_PROBLEMS, Problems, plain
from pyworkflow.jobs.scalars import resolved
from pyworkflow.jobs.substitute import Substitutions
from pyworkflow.jobs.yaml import MAX_DEPTH, MAX_SIZE, parse

LEVELS = [
    "a: &a [x, x, x, x, x, x, x, x, x]",
    *(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
]
BOMB = "\n".join(LEVELS)


def read(text: str, **variables: str) -> Json:
    problems = Problems()
    table = parse(text, "job.yaml", Substitutions(Path("/project"), variables), problems)
    assert not problems, str(problems.error())
    assert table is not None
    return plain(table)


def refused(text: str) -> list[Problem]:
    problems = Problems()
    parse(text, "job.yaml", Substitutions(Path("/project")), problems)
    return list(problems.error().problems)


def only(text: str) -> str:
    [problem] = refused(text)
    return str(problem)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("nope", "nope"),
        ("0", 0),
        ("-3", -3),
        ("+3", 3),
        ("0x1F", 31),
        ("12.5", 12.5),
        ("1.5e+3", 1500.0),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("192.168.0.1", "192.168.0.1"),
        ("1.2.3", "1.2.3"),
        ("2024-01", "2024-01"),
        ("8080:80", "8080:80"),
        ("v1_0", "v1_0"),
        ("1a", "1a"),
        ("y", "y"),
        ("-x", "-x"),
        ("'no'", "no"),
        ('"017"', "017"),
        ("'12:30:45'", "12:30:45"),
        ("/data/x", "/data/x"),
        ("http://host:80/x", "http://host:80/x"),
    ],
)
def test_a_scalar_means_what_all_yaml_agrees_on(written: str, meant: Json) -> None:
    assert read(f"key: {written}") == {"key": meant}


@pytest.mark.parametrize(
    "written",
    [
        *(
            "no",
            "yes",
            "on",
            "OFF",
            "Yes",
            "017",
            "-01",
            "089",
            "007.5",
            "0o17",
            "0b101",
            "-0x1f",
            "12:30:45",
            "1:30",
            "-1:30.5",
        ),
        *(
            "2024-01-31",
            "2024-1-3",
            "2024-01-31T10:00:00Z",
            "2024-01-31 10:00:00",
            "1_000",
            "0x_f",
            "1_0.5",
            "1e3",
            "1.5e3",
        ),
        *(".inf", "-.INF", ".nan", "9223372036854775808", "9" * 5000, "1.0e+999"),
    ],
)
def test_a_scalar_that_surprises_is_refused_and_told_to_be_quoted(written: str) -> None:
    told = only(f"tasks:\n  a:\n    at: {written}")

    assert told.startswith("job.yaml:3:9: tasks.a.at: ")
    assert "quote it" in told
    assert len(told) < 200


@given(st.text("0123456789_.:-+eExXobnNfFaytT ", min_size=1, max_size=12))
@example("-.5")
@example("0x_f")
@example("1.2_3")
def test_what_is_not_refused_is_what_pyyaml_reads(text: str) -> None:
    try:
        node, meant = yaml.compose(text), resolved(text)
        theirs = yaml.safe_load(text)
    except (ValueError, yaml.YAMLError):  # also what PyYAML raises for a date that is none
        return

    if isinstance(node, yaml.ScalarNode) and node.value == text:
        assert (type(meant), meant) == (type(theirs), theirs)


def test_a_key_is_text_as_it_is_written() -> None:
    assert read("1: a\nx-y: b\n'no': c") == {"1": "a", "x-y": "b", "no": "c"}


@pytest.mark.parametrize(
    "key", ["no", "null", "1.5", "true", "017", "? [a]\n", "? {a: 1}\n", "&x k", "!!str k"]
)
def test_a_key_that_is_no_plain_text_is_refused(key: str) -> None:
    [first, *_] = refused(f"{key}: 1")

    assert (first.file, first.line) == ("job.yaml", 1)


def test_a_double_key_is_refused_with_both_places() -> None:
    assert only("tasks:\n  a: 1\n  b: 2\n  a: 3") == (
        "job.yaml:4:3: tasks.a: the key is there twice, first in line 2"
    )


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system [id]",
        "!!python/name:os.system ''",
        "!!str 5",
        "!x y",
        "! z",
        "!!set {a}",
    ],
)
def test_tags_are_refused(value: str) -> None:
    told = only(f"a: {value}")

    assert told.startswith("job.yaml:1:4: a: has the tag ")


def test_aliases_and_merge_keys_repeat_what_was_written_once() -> None:
    text = """
        aliases:
          common: &common {retries: 3, host: one}
          list: &list [1, 2]
        a:
          <<: *common
          host: two
        b: {<<: [*common, {retries: 9, more: x}]}
        c: *list
        '<<': text
    """

    job = read(text)

    assert job["a"] == {"retries": 3, "host": "two"}
    assert job["b"] == {"retries": 3, "host": "one", "more": "x"}
    assert job["c"] == [1, 2]
    assert job["<<"] == "text"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: &a [*a]", "job.yaml:1:8: a[0]: &a contains itself"),
        ("a: &a {b: *a}", "job.yaml:1:11: a.b: &a contains itself"),
        ("a: *b", "job.yaml:1:4: a: there is no anchor &b"),
        ("a: {<<: 5}", "job.yaml:1:9: a: << needs a table, or a list of tables"),
    ],
)
def test_an_alias_that_cannot_be_is_refused(text: str, told: str) -> None:
    [first, *_] = map(str, refused(text))

    assert first.startswith(told.rpartition(": ")[0])
    assert told.rpartition(": ")[2] in first


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    told, peak = measured(BOMB)

    assert len(BOMB) < 600
    assert "has more than 100000 values, those of aliases included" in told
    assert peak < 5e6


def test_levels_behind_aliases_count() -> None:
    text = "\n".join(
        ["k0: &k0 [x]", *(f"k{n}: &k{n} [*k{n - 1}]" for n in range(1, MAX_DEPTH + 1))]
    )

    assert f"is nested deeper than {MAX_DEPTH} levels" in only(text)
    assert f"nested deeper than {MAX_DEPTH}" not in str(read(text[: text.index("k62:")]))


@pytest.mark.parametrize("text", ["a: " + "[" * 20_000, "- " * 20_000, "a: " + "{b: " * 20_000])
def test_deep_nesting_is_refused_at_once(text: str) -> None:
    told, peak = measured(text)

    assert "is nested deeper than 64 levels" in told
    assert peak < 5e6


def test_a_large_flat_list_is_refused_with_little_memory() -> None:
    told, peak = measured("- a\n" * (MAX_SIZE // 4))

    assert "has more than 100000 values" in told
    assert peak < 50e6


def test_a_text_beyond_the_limit_is_not_parsed() -> None:
    assert only("a" * (MAX_SIZE + 1)) == "job.yaml:1:1: is larger than 1024 KiB"
    assert only("ä" * (MAX_SIZE // 2 + 1)) == "job.yaml:1:1: is larger than 1024 KiB"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("tasks:\n  a:\n    task: [x\n  b: 1", "job.yaml:4:4: tasks.a.task[0]: is no YAML"),
        (
            "a: {b: $VAR{x}}",
            "job.yaml:1:12: a: is no YAML: within { } and [ ], a scalar has no braces",
        ),
        (
            "a: [$ENV{x}]",
            "job.yaml:1:9: a[0]: is no YAML: within { } and [ ], a scalar has no braces",
        ),
        ("a: 1\nb: x\x01y", "job.yaml:2:5: is no YAML"),
        ("a: 'x", "job.yaml:1:6: a: is no YAML"),
        ("a: 1\n---\nb: 2", "job.yaml:2:1: has a second document"),
        ("- a", "job.yaml:1:1: must be a table"),
        ("text", "job.yaml:1:1: must be a table"),
        ('a: "\\0"', "job.yaml:1:4: a: has a NUL character"),
        ("a: b\nc: \ud800", "job.yaml:2:4: has a lone surrogate"),
    ],
)
def test_what_is_no_table_of_yaml_is_refused_with_its_place(text: str, place: str) -> None:
    assert only(text).startswith(place)


def test_an_empty_file_is_an_empty_table() -> None:
    assert read("") == read("# nothing") == read("---\n") == {}


def test_all_problems_are_told_up_to_a_limit() -> None:
    few = refused("a: no\nb: 017\nb: 1\nc: !x y")
    many = refused("\n".join(f"k{n}: no" for n in range(MAX_PROBLEMS + 5)))

    assert [problem.line for problem in few] == [1, 2, 3, 4]
    assert len(many) == MAX_PROBLEMS + 1
    assert str(many[-1]) == "and 5 more problems"


def test_the_tables_of_pyyaml_are_left_alone() -> None:
    before = [dict(loader.yaml_constructors) for loader in (yaml.SafeLoader, yaml.CSafeLoader)]
    resolvers = dict(yaml.SafeLoader.yaml_implicit_resolvers)

    read("a: $VAR{x}\nb: 1", x="y")

    assert [
        dict(loader.yaml_constructors) for loader in (yaml.SafeLoader, yaml.CSafeLoader)
    ] == before
    assert dict(yaml.SafeLoader.yaml_implicit_resolvers) == resolvers
    assert yaml.safe_load("a: $VAR{x}\nb: no") == {"a": "$VAR{x}", "b": False}


def measured(text: str) -> tuple[str, int]:
    """Return what is told of a text, and how many bytes that took at most."""
    tracemalloc.start()
    try:
        return str(refused(text)[-1]), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
