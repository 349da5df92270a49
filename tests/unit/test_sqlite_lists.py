"""Lists of processes are pages of an index, however many processes there are."""

import re
from collections.abc import Iterator

import apsw
import pytest

from pyworkflow.backend.sqlite.connection import open_database
from pyworkflow.backend.sqlite.queries import queries

LISTS = sorted(
    name for name in queries() if name.startswith("keys_") and name != "keys_closed_before"
)


@pytest.fixture
def database() -> Iterator[apsw.Connection]:
    connection = open_database(":memory:")
    yield connection
    connection.close()


def test_there_are_two_ways_through_each_index() -> None:
    assert len(LISTS) == 14
    assert {name.removesuffix("_up") for name in LISTS if name.endswith("_up")} == {
        name.removesuffix("_down") for name in LISTS if name.endswith("_down")
    }


@pytest.mark.parametrize("name", LISTS)
def test_a_page_is_searched_for_and_never_sorted(database: apsw.Connection, name: str) -> None:
    statement = queries()[name]
    values = dict.fromkeys(re.findall(r":(\w+)", statement), 1)

    plan = [row[3] for row in database.execute(f"explain query plan {statement}", values)]

    assert plan, name
    assert not [step for step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step], plan
    wanted = {
        "keys_ended": "process_ended",
        "keys_open": "process_open",
        "keys_workflow": "process_workflow ",
        "keys_workflow_status": "process_workflow_status",
        "keys_parked": "decision_parked",
    }
    index = wanted.get(name.rpartition("_")[0])
    assert index is None or index in plan[0] + " ", plan
