"""Statements on one connection."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pyworkflow.backend.postgresql.connections import Connection, OwnConnection
from pyworkflow.backend.postgresql.rows import (
    ACTIVITY,
    CHILD,
    DECISION,
    PROCESS,
    TIMER,
    Values,
)
from pyworkflow.backend.postgresql.wire import Statement, numbered
from pyworkflow.backend.statements import queries

Call = tuple[str, Mapping[str, Any]]
"""A statement's name and its values."""


@cache
def statements(schema: str) -> dict[str, bytes]:
    """Return the statements on the tables of a schema, by name."""
    texts = queries(__package__)
    places: dict[str, sql.Composable] = {
        "schema": sql.Identifier(schema),
        # A setting that ends with the transaction: the last cursor that it has used.
        "feed_setting": sql.Literal(f"pyworkflow.{schema}"),
        "server_time": _microseconds("clock_timestamp()"),
        # The time of a test's clock, or else the server's.
        "now": sql.SQL("coalesce(%(now)s::bigint, {})").format(
            _microseconds("statement_timestamp()")
        ),
        "process": _columns("p", PROCESS),
        "decision": _columns("d", DECISION),
        "activity": _columns("a", ACTIVITY),
        "timer": _columns("t", TIMER),
        "child": _columns("c", CHILD),
    }
    # Those that others contain are not among them.
    for name in ("touched", "next_due", "server_run", "decision_names", "activity_names"):
        places[name] = own_text(texts[name].rstrip(";")).format(**places)
    return {name: own_text(text).format(**places).as_bytes(None) for name, text in texts.items()}


def own_text(text: Any) -> sql.SQL:
    """Return SQL of this package's own files, which is as good as the literals that the driver asks for."""
    return sql.SQL(text)


@cache
def _numbered(schema: str) -> dict[str, Statement]:
    return {name: numbered(text) for name, text in statements(schema).items()}


def _microseconds(instant: LiteralString) -> sql.SQL:
    return sql.SQL(f"(extract(epoch from {instant}) * 1000000)::bigint")


def _columns(table: str, names: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join(sql.Identifier(table, name) for name in names)


class Session:
    """Statements on one connection, for one domain.

    Args:
        connection: The connection.
        schema: The schema of the tables.
        domain: The number of the domain.
    """

    def __init__(self, connection: Connection, schema: str, domain: int) -> None:
        self.connection = connection
        self.domain = domain
        self._schema = schema

    def rows(self, name: str, /, **values: Any) -> list[Values]:
        """Run a statement; return what it finds."""
        return self.bulk([(name, values)])[0]

    def bulk(self, calls: Sequence[Call]) -> list[list[Values]]:
        """Run statements, sent together; return what each finds."""
        connection = self.connection
        if isinstance(connection, OwnConnection):
            known = _numbered(self._schema)
            sent: list[tuple[Statement, list[Any]]] = []
            for name, values in calls:
                given = {"domain": self.domain, **values}
                statement = known[name]
                sent.append((statement, [given[parameter] for parameter in statement.names]))
            return connection.wire.send(sent)
        # The caller's own may begin its transaction with this, and may be in a pipeline.
        with connection.pipeline():
            cursors = [self._execute(name, values) for name, values in calls]
        return [self._fetch(cursor) for cursor in cursors]

    def _execute(self, name: str, values: Mapping[str, Any]) -> psycopg.Cursor[Any]:
        # Not by the connection's own factories: they are the caller's.
        cursor = psycopg.Cursor(self.connection, row_factory=tuple_row)
        text = statements(self._schema)[name]
        return cursor.execute(text, {"domain": self.domain, **values}, binary=True)

    def _fetch(self, cursor: psycopg.Cursor[Any]) -> list[Values]:
        return [] if cursor.description is None else cursor.fetchall()
