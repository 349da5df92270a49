"""The driver's errors in our own words, and what they say about a transaction."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from pyworkflow.errors import (
    BackendFullError,
    BackendReadOnlyError,
    BackendUnavailableError,
    BackendVersionError,
)

AGAIN = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
"""Another transaction was in the way; it has ended, and the same works may do now."""

READ_ONLY = (errors.ReadOnlySqlTransaction, errors.InsufficientPrivilege)
"""The server is a standby, or the role may not write."""

_NO_SCHEMA = (
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.UndefinedObject,
    errors.InvalidSchemaName,
)


@contextmanager
def translated(label: str) -> Generator[None]:
    """Turn the driver's errors into ours, with the server's place in them."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, label) from error
    except OSError as error:
        raise BackendUnavailableError(f"{label} cannot be reached: {error.strerror}") from error


def translate(error: psycopg.Error, label: str) -> BackendUnavailableError:
    """Return our error for one of the driver's."""
    message = str(error).strip() or type(error).__name__
    for kinds, kind, reason in _REASONS:
        if isinstance(error, kinds):
            return kind(reason.format(label=label, message=message))
    return BackendUnavailableError(f"{label} cannot be used: {message}")


_REASONS: tuple[tuple[tuple[type[psycopg.Error], ...], type[BackendUnavailableError], str], ...] = (
    ((errors.DiskFull,), BackendFullError, "no space left for {label}: {message}"),
    (READ_ONLY, BackendReadOnlyError, "{label} cannot be written: {message}"),
    (_NO_SCHEMA, BackendVersionError, "{label} lacks a part of the schema: {message}"),
    (
        (errors.LockNotAvailable,),
        BackendUnavailableError,
        "{label}: another transaction holds its locks: {message}",
    ),
    (
        AGAIN,
        BackendUnavailableError,
        "{label}: another transaction was in the way, roll back and do the same once more: {message}",
    ),
)
"""What the driver's errors mean. All others are outages, too: a caller tries again later, or reads what is wrong with the server."""


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether the connection is gone, and not the statement at fault.

    Mostly the driver finds out by itself, and gives no SQLSTATE; or the server says that it shuts down, that it crashed, or that the
    connection was idle for too long, as its last word.
    """
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
    return state[:2] == "08" or state in _LAST_WORDS


_LAST_WORDS = {
    "57P01", "57P02", "57P03", "57P04", "57P05",  # the server stops, crashed, starts; the database is gone; idle session
    "25P03", "25P04",  # idle in a transaction, a transaction for too long
}  # fmt: skip
