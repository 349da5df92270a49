"""Every hot statement finds what it looks for by an index, however many rows there are."""

from collections.abc import Iterator
from typing import Any

import pytest

from pyworkflow.backend.postgresql import PostgreSQLBackend
from pyworkflow.backend.postgresql.rows import pairs
from pyworkflow.backend.postgresql.session import statements
from pyworkflow.backend.postgresql.wire import literal, numbered
from pyworkflow.backend.staged import StagedUnit
from tests.postgresql import Server

FUTURE = 4 * 10**15
"""An instant that has not come when the tests run."""

FILL = """
insert into {schema}.process
select n, 1, 'p' || n, 1, 'w' || n % 10, 'default', array['t' || n % 1000], null, null, 1, 1, false, '\\x00', n, 4000000000000000 + n,
       case when n % 10 = 0 then 'completed' else 'open' end, case when n % 10 = 0 then n end, null, 2, 0, '\\x00', n, 0, 0
from generate_series(1, {rows}) n;
insert into {schema}.process_input select n, '{{}}' from generate_series(1, {rows}) n;
insert into {schema}.process_tag select 1, 't' || n % 1000, n from generate_series(1, {rows}) n;
insert into {schema}.event select 1, n << 2, n, 1, '[]' from generate_series(1, {rows}) n;
insert into {schema}.decision_task
select n, 1, 'default', n, case when n % 1000 = 1 then 'parked' when n % 2 = 0 then 'started' else 'scheduled' end, null,
       4000000000000000 + n, 0, 0, false, null, null, 'w' || n % 10 from generate_series(1, {rows}) n;
insert into {schema}.activity_task
select n, 1, n, 'a', 'a', 'default', '{{}}', 1, 1, 1, null, false, n, n, case when n % 2 = 0 then 'started' else 'scheduled' end, null,
       4000000000000000 + n, 0, null, 1, 0, 0, null, null, false from generate_series(1, {rows}) n;
insert into {schema}.timer select n, 1, 't', 1, '{{}}', n, 4000000000000000 + n from generate_series(1, {rows}) n;
insert into {schema}.child select n, 'p' || n + 1, n + 1, 'w', 'abandon', n from generate_series(1, {rows}) n;
insert into {schema}.signal_receipt select n, 's' from generate_series(1, {rows}) n;
insert into {schema}.definition (domain, kind, name, body, defined) select 1, 'k', 'n' || n, '{{}}', n from generate_series(1, {rows}) n;
"""

KEYS: dict[str, Any] = {"keys": list(range(1, 400, 4))}
PAIRS: dict[str, Any] = {"pairs": pairs((n, "a") for n in range(1, 400, 4))}
TOUCHED: dict[str, Any] = {
    "keys": [1, 5], "ids": [f"p{n}" for n in range(100)], "numbers": [9, 13], "closing": [17],
}  # fmt: skip
DECISIONS: dict[str, Any] = {
    "category": "default", "names": ["w3", "w5"], "now": FUTURE, "limit": 20, "candidates": 99,
}  # fmt: skip
TASKS = DECISIONS | {"names": ["a", "b"]}
SUSPECTS: dict[str, Any] = {"category": "default", "names": ["a"], "now": FUTURE, "limit": 1}
DUE: dict[str, Any] = {"now": FUTURE + 5, "limit": 1000}
LIST: dict[str, Any] = {
    "after": 0, "limit": 50, "workflow": "w3", "status": "open", "tag": "t7", "parked": None,
}  # fmt: skip

HOT: dict[str, dict[str, Any]] = {
    "next_due": {},
    "look": {
        "decisions": ["default"],
        "workflows": ["w3"],
        "tasks": ["default", "other"],
        "activities": ["a", "b"],
        "any_decisions": [],
        "any_tasks": [],
        "now": FUTURE,
    },
    "lock_processes": TOUCHED,
    "decisions_touched": TOUCHED,
    "process_by_key_nowait": {"key": 5},
    "process_by_id_nowait": {"id": "p5"},
    "process_by_run": {"id": "p5", "run": 1},
    "process_due": DUE,
    "processes_open_up": LIST,
    "processes_open_down": LIST | {"after": 2**62},
    "processes_of_workflow_up": LIST,
    "processes_of_workflow_down": LIST | {"after": 2**62},
    "processes_any_up": LIST,
    "processes_any_down": LIST | {"after": 2**62},
    "processes_tagged_up": LIST,
    "processes_tagged_down": LIST | {"after": 2**62},
    "processes_parked_up": LIST,
    "processes_parked_down": LIST | {"after": 2**62},
    "get_input": {"key": 5},
    "events_since": {"key": 5, "next": 1},
    "feed": {"cursor": 0, "limit": 1000},
    "feed_end": {},
    "get_decision": {"key": 5},
    "decisions_of": KEYS,
    "claim_decisions": DECISIONS,
    "claim_suspect_decision": SUSPECTS,
    "claim_suspect_activity": SUSPECTS,
    "drop_orphans": {"now": FUTURE + 5},
    "suspects": {"decisions": ["default"], "activities": ["default"], "now": FUTURE},
    "decisions_due": DUE,
    "get_activity": {"number": 5},
    "activities_numbered": {"numbers": KEYS["keys"]},
    "activity_by_id": {"key": 5, "id": "a"},
    "activities_named": PAIRS,
    "activities_of": KEYS,
    "claim_activities": TASKS,
    "activities_due": DUE,
    "get_timer": {"key": 5, "id": "t"},
    "timers_named": PAIRS,
    "timers_of": KEYS,
    "timers_due": DUE,
    "get_child": {"key": 5, "id": "p"},
    "links": KEYS,
    "children_of": KEYS,
    "signals_named": PAIRS,
    "signals_told": {"told": '[{"process": "p5", "id": "s"}]'},
    "signals_of": KEYS,
    "event_with_text": {"key": 5, "text": "x"},
    "drop_decisions": KEYS,
    "drop_activities": KEYS,
    "drop_timers": PAIRS,
    "drop_children": PAIRS,
    "lock_closed_before": {"before": FUTURE, "limit": 1000},
    "purge_events": KEYS,
    "purge_inputs": KEYS,
    "purge_tags": KEYS,
    "purge_signals": KEYS,
    "purge_processes": KEYS,
    "check_processes": KEYS,
    "inputs_of": KEYS,
    "events_wanted": {"wanted": '[{"key": 5, "first_seq": 2}]'},
    "check_events": KEYS,
    "keys_after": {"after": 5, "limit": 500},
    "queue_depths": {"now": FUTURE, "most": 100},
    "definitions": {"since": 2**40},
    "cursors": {"events": '[{"key": 5, "first_seq": 1}]'},
}

# Of few rows by their nature, or of all rows on purpose.
NOT_HOT = {
    "define", "lock_definitions", "touched", "decision_names", "activity_names",
    "begin_write", "begin_read", "commit", "rollback", "prologue", "clock", "whereabouts", "store", "server_run", "server_returned", "get_types", "set_workflow",
    "set_activity_type", "types_changed", "process_by_key", "process_by_key_wait", "process_by_id",
    "process_by_id_wait", "process_by_run_nowait", "process_by_run_wait", "new_keys", "new_numbers", "add_inputs",
    "add_tags", "put_decisions", "add_activities", "put_timers", "put_children", "add_signals", "saw", "pollers",
    "add_receipt", "void_receipt", "get_receipt", "notify", "count_processes", "counters", "orphans", "strangers",
    "purge_receipts", "purge_pollers", "get_domain", "add_domain", "schema_version", "schema_is_there", "schema_lock",
    "schema_begin", "schema_meta", "schema_values", "set_version", "lag", "catch_up", "add_processes", "feed_purged", "server_version",
}  # fmt: skip

WRITES = ("set_processes", "set_activities", "add_events")
"""Their rows are those of a unit, so they have a test of their own."""


def fill(server: Server, schema: str, rows: int) -> None:
    with server.connect() as admin:
        for statement in FILL.format(schema=schema, rows=rows).strip().split(";\n"):
            admin.execute(statement.rstrip(";"))
        admin.execute("vacuum analyze")


@pytest.fixture(scope="module")
def full(postgresql_server: Server) -> Iterator[PostgreSQLBackend]:
    with PostgreSQLBackend(postgresql_server.url(), schema="plans") as backend:
        fill(postgresql_server, "plans", 50_000)
        yield backend


def plan(backend: PostgreSQLBackend, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the nodes of a statement's plan."""
    text = b"explain (format json) " + statements(backend.address.schema)[name]
    with backend._readers.lend() as connection:
        found = connection.execute(text, {"domain": 1, **values}).fetchone()
    assert found is not None
    nodes: list[dict[str, Any]] = [found[0][0]["Plan"]]
    for node in nodes:
        nodes.extend(node.get("Plans", ()))
    return nodes


def scanned(nodes: list[dict[str, Any]]) -> list[str]:
    """Return the large tables that a plan reads as a whole."""
    small = ("meta", "domain")
    return [
        node["Relation Name"]
        for node in nodes
        if node["Node Type"] == "Seq Scan" and node["Relation Name"] not in small
    ]


@pytest.mark.parametrize("name", sorted(HOT))
def test_a_hot_statement_reads_no_table_as_a_whole(full: PostgreSQLBackend, name: str) -> None:
    nodes = plan(full, name, HOT[name])

    assert scanned(nodes) == []
    assert any("Index" in node["Node Type"] for node in nodes)


@pytest.mark.parametrize(
    "name",
    [
        "decisions_due", "activities_due", "claim_suspect_decision", "claim_suspect_activity",
        "timers_due", "process_due", "feed", "lock_closed_before", "keys_after",
        *(name for name in HOT if name.startswith("processes_")),
    ],
)  # fmt: skip
def test_what_is_limited_is_read_in_order_and_not_sorted(
    full: PostgreSQLBackend, name: str
) -> None:
    assert [n["Node Type"] for n in plan(full, name, HOT[name]) if "Sort" in n["Node Type"]] == []


def test_the_counts_of_queues_end(full: PostgreSQLBackend) -> None:
    queues = {queue.kind: queue for queue in full.queues()}

    assert {(q.waiting, q.delayed, q.running) for q in queues.values()} == {(10_000, 0, 10_000)}
    assert all(queue.oldest is not None for queue in queues.values())


def test_every_statement_is_told_to_be_hot_or_not(full: PostgreSQLBackend) -> None:
    assert set(statements("plans")) == set(HOT) | NOT_HOT | set(WRITES)


def test_rows_are_updated_by_their_keys(full: PostgreSQLBackend) -> None:
    rows = '[{"key": 5, "number": 5, "first_seq": 7, "body": "[]"}]'
    for name in WRITES:
        assert scanned(plan(full, name, {"rows": rows, "joined": False})) == [], name


def test_an_update_of_a_process_touches_no_index(
    full: PostgreSQLBackend, postgresql_server: Server
) -> None:
    """What every transition changes stands in no index, so the new version of the row can lie beside the old one."""
    with postgresql_server.connect() as admin:
        found = admin.execute(
            "select indexdef from pg_indexes where schemaname = 'plans' and tablename = 'process'"
        ).fetchall()
    for column in ("last_seq", "seen_seq", "digest", "time", "failures", "opened"):
        for (definition,) in found:
            assert column not in str(definition).partition("(")[2].replace("timeout", "").split("status")[0]  # fmt: skip


def in_a_transaction(
    backend: PostgreSQLBackend, name: str, values: dict[str, Any]
) -> list[dict[str, Any]]:
    """Return the nodes of a statement's plan as a transaction that writes makes it: once, for whatever values."""
    statement = numbered(statements(backend.address.schema)[name])
    session = backend._session
    with backend._writers.lend() as connection:
        session(connection).bulk([("begin_write", {}), ("prologue", {})])
        connection.execute(b"prepare hot as " + statement.text)
        given = {"domain": 1, **values}
        literals = [literal(given[parameter]) for parameter in statement.names]
        listed = ", ".join("null" if text is None else f"'{text.decode()}'" for text in literals)
        execute = f"({listed})" if listed else ""
        found = connection.execute(
            f"explain (format json) execute hot{execute}".encode()
        ).fetchone()
        connection.execute("rollback")
        connection.execute("deallocate hot")
    assert found is not None
    nodes: list[dict[str, Any]] = [found[0][0]["Plan"]]
    for node in nodes:
        nodes.extend(node.get("Plans", ()))
    return nodes


@pytest.mark.parametrize("name", sorted(HOT))
def test_a_plan_for_all_values_reads_no_table_as_a_whole_either(
    full: PostgreSQLBackend, name: str
) -> None:
    nodes = in_a_transaction(full, name, HOT[name])

    assert scanned(nodes) == []
    assert any("Index" in node["Node Type"] for node in nodes)
    if name in ("claim_decisions", "claim_activities"):
        # Only the candidates of all names are merged by a sort; what is locked is read in their order.
        assert [n["Node Type"] for n in nodes if "Sort" in n["Node Type"]] == ["Sort"]


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_million_processes_are_found_by_the_same_plans(
    postgresql_server: Server, schema: str
) -> None:
    with PostgreSQLBackend(postgresql_server.url(), schema=schema) as backend:
        fill(postgresql_server, schema, 1_000_000)

        for name, values in HOT.items():
            assert scanned(plan(backend, name, values)) == [], name
            assert scanned(in_a_transaction(backend, name, values)) == [], name
        rows = '[{"key": 5, "number": 5, "first_seq": 7, "body": "[]"}]'
        for name in WRITES:
            assert scanned(plan(backend, name, {"rows": rows, "joined": False})) == [], name


def test_staged_rows_are_written_once() -> None:
    """The store writes what a unit has staged; the unit itself has no statement that writes a row."""
    assert not [name for name in vars(StagedUnit) if name.startswith(("put_", "write_"))]
