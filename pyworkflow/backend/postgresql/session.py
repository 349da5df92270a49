"""Statements on one connection."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import tuple_row

from pyworkflow.backend.postgresql.connections import Connection
from pyworkflow.backend.postgresql.rows import (
    ACTIVITY,
    CHILD,
    DECISION,
    PROCESS,
    TIMER,
    Values,
)
from pyworkflow.backend.statements import queries

Call = tuple[str, Mapping[str, Any]]
"""A statement's name and its values."""


@cache
def statements(schema: str) -> dict[str, bytes]:
    """Return the statements on the tables of a schema, by name."""
    places = {
        "schema": sql.Identifier(schema),
        "process": _columns("p", PROCESS),
        "decision": _columns("d", DECISION),
        "activity": _columns("a", ACTIVITY),
        "timer": _columns("t", TIMER),
        "child": _columns("c", CHILD),
    }
    return {
        # The text is of this package's own file.
        name: sql.SQL(text).format(**places).as_bytes(None)
        for name, text in queries(__package__).items()
    }


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
        self._statements = statements(schema)

    def rows(self, name: str, /, **values: Any) -> list[Values]:
        """Run a statement; return what it finds."""
        return self.bulk([(name, values)])[0]

    def bulk(self, calls: Sequence[Call]) -> list[list[Values]]:
        """Run statements, sent together; return what each finds."""
        if len(calls) == 1:
            return [self._fetch(self._execute(*calls[0]))]
        with self.connection.pipeline():
            cursors = [self._execute(name, values) for name, values in calls]
        return [self._fetch(cursor) for cursor in cursors]

    def _execute(self, name: str, values: Mapping[str, Any]) -> Any:
        # Not by the connection's own factories: it may be the caller's.
        cursor = psycopg.Cursor(self.connection, row_factory=tuple_row)
        return cursor.execute(
            self._statements[name], {"domain": self.domain, **values}, binary=True
        )

    def _fetch(self, cursor: Any) -> list[Values]:
        return [] if cursor.description is None else cursor.fetchall()
