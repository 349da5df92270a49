"""Lists of processes are pages of an index, and a look at the queues reads no more than it shows, however many there are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from pyworkflow.backend.base import MOST_COUNTED
from pyworkflow.backend.sqlite import SQLiteBackend
from pyworkflow.backend.sqlite.connection import open_database
from pyworkflow.backend.sqlite.queries import queries
from pyworkflow.clock import to_datetime

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


FILL = """
with recursive n (i) as (select 1 union all select i + 1 from n where i < :rows)
insert into decision_task (key, category, ready, state, token, deadline, lease_limit, started_seq, pending, identity, reason)
select i, 'c' || (i % 2), i, iif(i % 100 = 1, 'started', 'scheduled'), null, :late, 0, 0, 0, null, null from n
"""


@pytest.mark.parametrize(("kind", "index"), [("decisions", "decision_suspect"), ("activities", "activity_suspect")])  # fmt: skip
def test_suspects_are_found_by_an_index_of_their_own(
    database: apsw.Connection, kind: str, index: str
) -> None:
    asked: dict[str, Any] = {
        "ready": ("c", "n", 1, 1),
        "ready_since": {"category": "c", "names": "[]"},
        "names": {"category": "c"},
    }
    for name, values in asked.items():
        statement = queries()[f"suspect_{kind}_{name}"]
        plan = [row[3] for row in database.execute(f"explain query plan {statement}", values)]

        read = [step for step in plan if "_task" in step or " t " in step]
        assert read
        assert all(f"INDEX {index} " in step for step in read), plan


def test_a_look_at_the_queues_reads_their_indexes_only(database: apsw.Connection) -> None:
    statement = queries()["queue_depths"]

    plan = [
        row[3] for row in database.execute(f"explain query plan {statement}", {"now": 1, "most": 1})
    ]

    read = [step for step in plan if re.search("decision_task|activity_task| t ", step)]
    assert len(read) == 16
    assert all("INDEX decision_" in step or "INDEX activity_" in step for step in read), read


def test_the_counts_of_a_queue_end(tmp_path: Path) -> None:
    path = tmp_path / "x.db"
    with SQLiteBackend(path) as backend:
        other = open_database(str(path))
        other.execute(FILL, {"rows": 3 * MOST_COUNTED, "late": 2**60})
        other.close()

        first, second = backend.queues()

    assert (first.category, first.waiting, first.running) == ("c0", MOST_COUNTED, 0)
    assert (second.category, second.waiting, second.running) == ("c1", MOST_COUNTED, 300)
    assert second.oldest == to_datetime(3)
