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
    told = str(error).strip() or type(error).__name__
    if isinstance(error, errors.DiskFull):
        return BackendFullError(f"no space left for {label}: {told}")
    if isinstance(error, READ_ONLY):
        return BackendReadOnlyError(f"{label} cannot be written: {told}")
    if isinstance(error, _NO_SCHEMA):
        return BackendVersionError(f"{label} lacks a part of the schema: {told}")
    if isinstance(error, errors.LockNotAvailable):
        return BackendUnavailableError(f"{label}: another transaction holds its locks: {told}")
    return BackendUnavailableError(f"{label} cannot be used: {told}")


def is_lost(error: psycopg.Error) -> bool:
    """Tell whether the connection is gone, and not the statement at fault.

    Mostly the driver finds out by itself, and gives no SQLSTATE; or the server says that it shuts down, as its last word.
    """
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    return error.sqlstate is None or error.sqlstate[:3] in ("57P", "08P", "080")
