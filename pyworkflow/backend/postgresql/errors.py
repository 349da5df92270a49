"""The driver's errors in our own words, and what they say about a transaction."""

from collections.abc import Generator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from pyworkflow.errors import (
    BackendFullError,
    BackendOutageError,
    BackendReadOnlyError,
    BackendUnavailableError,
    BackendVersionError,
    PayloadError,
    PyworkflowError,
)

AGAIN = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
"""Another transaction was in the way; it has ended, and the same works may do now."""


@contextmanager
def translated(label: str) -> Generator[None]:
    """Turn the driver's errors into ours, with the server's place in them."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error, label) from error
    except OSError as error:
        raise BackendOutageError(f"{label} cannot be reached: {error.strerror}") from error


def translate(error: psycopg.Error, label: str) -> PyworkflowError:
    """Return our error for one of the driver's."""
    message = str(error).strip() or type(error).__name__
    if isinstance(error, errors.DataError) or (error.sqlstate or "").startswith(_REFUSED):
        return PayloadError("a value", f"{label} cannot store it: {message}")
    for states, kind, reason in _REASONS:
        if (error.sqlstate or "").startswith(states):
            return kind(f"{label}{reason}: {message}")
    if is_lost(error):
        return BackendOutageError(f"{label} cannot be reached: {message}")
    return BackendUnavailableError(f"{label} cannot be used: {message}")


_REFUSED = ("22", "23502", "23514", "54")
"""What the values of one call are the cause of: data, missing values, checks, limits. It would be refused for ever."""

_REASONS: tuple[tuple[tuple[str, ...], type[BackendUnavailableError], str], ...] = (
    (("53100",), BackendFullError, " has no space left"),
    (("25006", "42501"), BackendReadOnlyError, " cannot be written"),
    (("42P01", "42703", "42704", "3F000"), BackendVersionError, " lacks a part of the schema"),
    (("55P03",), BackendOutageError, ": another transaction holds its locks"),
    (
        ("40001", "40P01", "23505"),
        BackendOutageError,
        ": another transaction was in the way, roll back and do the same once more",
    ),
    # Too many connections, no memory; a system call that failed.
    (("53", "58"), BackendOutageError, " has no resources left"),
)
"""What SQLSTATEs mean, by their beginnings. Whatever else the server says, a caller tries again later, and people read what it is."""


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
