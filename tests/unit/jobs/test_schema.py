"""The JSON Schema of job files says what the loader says."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from pyworkflow.jobs.definition import JobConfig
from pyworkflow.jobs.errors import JobDefinitionError
from pyworkflow.jobs.load import loads
from pyworkflow.jobs.schema import schema_of
from pyworkflow.jobs.shape import SECTIONS
from tests.unit.jobs.kit import registries
from tests.unit.jobs.test_files import CLEANUP, COMPLETE, TEMPLATE
from tests.unit.jobs.test_load import task

PUBLISHED = Path(__file__).parents[3] / "docs/reference/job.schema.json"
GENERAL = jsonschema_rs.validator_for(schema_of())
OURS = jsonschema_rs.validator_for(schema_of(registries()))

RIGHT = [
    task(),
    task(max_attempts="3", backoff="0.5", dependencies="[]"),
    task(max_attempts="", parameters="", dependencies=""),
    task(task="Picky", parameters="{flag: true, number: 2.5}"),
    task(task="Download", parameters="{api_details: {base_url: x, protocol: HTTP}, retries: [1]}"),
    "tasks: {a: {variant: Cleanup, depends_on: []}}",
    task()
    + "\nversion: 0.1\nconfig:\nloggers: {}\nextensions:\ncheckpointer:\naliases: [1, {x: y}]",
    task() + "\nconfig: {name: x, max_concurrency: -1, loggers_interval_seconds: 1}",
    task()
    + "\nconfig: {extension_directories: []}".replace("extension_directories: []", "name: x"),
    task() + "\nloggers: {l: {logger: FileLogger, parameters: {base_log_dir: x}}}",
    task() + "\nextensions: {b: {extension: Bell, parameters: {tune: x}}}",
    task() + "\ncheckpointer: {checkpointer: Database, parameters: {host: h, port: 1}}",
]
WRONG = [
    "",
    "tasks: {}",
    "tasks: []",
    "tasks: {a: Cleanup}",
    "tasks: {a: {max_attempts: 1}}",
    "tasks: {a: {task: Cleanup, variant: Cleanup}}",
    "tasks: {a/b: {task: Cleanup}}",
    f"tasks: {{{'x' * 101}: {{task: Cleanup}}}}",
    task(max_attempts="0"),
    task(max_attempts="'3'"),
    task(max_attempts="1.5"),
    task(backoff="-1"),
    task(dependencies="b"),
    task(dependencies="[5]"),
    task(retries="3"),
    task(task="5"),
    task() + "\nversion: 2",
    task() + "\nconfig: {nam: x}",
    task() + "\nconfig: {name: 5}",
    task() + "\nconfig: {checkpointer_interval_seconds: -1}",
    task() + "\nloggers: {l: {}}".replace("{}", "{extension: X}"),
    task() + "\nother: 1",
]
WRONG_FOR_A_PROJECT = [
    task(task="Unknown"),
    task(parameters="{x: 1}"),
    task(task="Picky", parameters="{flag: 17}"),
    task(task="Download", parameters="{api_details: {base_url: x, protocol: FTP}}"),
    task() + "\nloggers: {l: {logger: Files}}",
    task() + "\nextensions: {b: {extension: Bell, parameters: {tune: 5}}}",
    task() + "\ncheckpointer: {checkpointer: Database, parameters: {prt: 1}}",
]


def data(text: str) -> Any:
    return yaml.safe_load(text) or {}


def is_loaded(text: str) -> bool:
    try:
        loads(text, classes=registries())
    except JobDefinitionError:
        return False
    return True


@pytest.mark.parametrize("text", RIGHT)
def test_what_is_loaded_is_valid(text: str) -> None:
    assert is_loaded(text)
    assert GENERAL.is_valid(data(text))
    assert OURS.is_valid(data(text))


@pytest.mark.parametrize("text", WRONG)
def test_what_is_refused_is_invalid(text: str) -> None:
    assert not is_loaded(text)
    assert not GENERAL.is_valid(data(text))
    assert not OURS.is_valid(data(text))


@pytest.mark.parametrize("text", WRONG_FOR_A_PROJECT)
def test_with_the_classes_of_a_project_their_names_and_parameters_are_known(text: str) -> None:
    assert not is_loaded(text)
    assert GENERAL.is_valid(data(text))
    assert not OURS.is_valid(data(text))


def test_variables_may_stand_for_numbers_and_names() -> None:
    text = task(task="$VAR{kind}", max_attempts="$VAR{n}", backoff="$ENV{B:1}")
    picky = task(task="Picky", parameters="{number: '$VAR{n}'}")

    for validator in (GENERAL, OURS):
        assert validator.is_valid(data(text))
        assert validator.is_valid(data(picky))
    assert not OURS.is_valid(data(picky.replace("$VAR", "VAR")))


def test_files_of_the_include_example_are_valid_each() -> None:
    for text in (TEMPLATE, CLEANUP, COMPLETE):
        assert GENERAL.is_valid(data(text))


def test_every_key_is_described_and_every_default_stays_valid() -> None:
    schema = schema_of()

    assert set(schema["properties"]) == set(SECTIONS)
    config = schema["properties"]["config"]["properties"]
    assert list(config) == list(JobConfig.__struct_fields__)
    for table in (schema["properties"]["config"], *schema["$defs"].values()):
        assert all(value["description"] for value in table["properties"].values())


def test_the_published_schema_is_the_one_that_there_is() -> None:
    assert json.loads(PUBLISHED.read_text("utf-8")) == schema_of()
