"""Opening a database file: settings, schema, and errors in our own words."""

import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import apsw

from pyworkflow.backend.sqlite.queries import migrations
from pyworkflow.errors import (
    BackendFullError,
    BackendOutageError,
    BackendReadOnlyError,
    BackendUnavailableError,
    BackendVersionError,
    PayloadError,
)

APPLICATION_ID = 0x70796677
"""What marks a database file as ours: "pyfw"."""

BUSY_SECONDS = 30
"""Seconds to wait for another writer before giving up."""

MEMORY = ":memory:"

_REFUSED = (apsw.TooBigError, apsw.MismatchError, apsw.ConstraintError)
"""What the values of one call are the cause of: it would be refused for ever."""


@contextmanager
def translated(path: str) -> Generator[None]:
    """Turn the driver's errors into ours, with the file's name in them."""
    try:
        yield
    except (*_REFUSED, OverflowError, UnicodeEncodeError) as error:
        raise PayloadError("a value", f"{path} cannot store it: {error}") from error
    except apsw.FullError as error:
        raise BackendFullError(f"no space left for {path}: {error}") from error
    except (apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise BackendReadOnlyError(f"{path} cannot be written: {error}") from error
    except apsw.NotADBError as error:
        raise BackendVersionError(f"{path} is no SQLite database") from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise BackendOutageError(f"{path} is locked by another program: {error}") from error
    except apsw.Error as error:
        raise BackendUnavailableError(f"{path} cannot be used: {error}") from error
    except OSError as error:
        raise BackendUnavailableError(f"{path} cannot be used: {error.strerror}") from error


def open_database(path: str) -> apsw.Connection:
    """Open a connection for writing, making the file and its schema where they are missing.

    Raises:
        BackendUnavailableError: The file cannot be opened, read or written, or is not ours.
    """
    with translated(path):
        if path != MEMORY:
            _make_private(path)
        connection = apsw.Connection(path)
        try:
            connection.set_busy_timeout(BUSY_SECONDS * 1000)
            # What is not ours to write is refused before a byte of it is changed.
            _check_owner(connection, path)
            _version(connection, path)
            connection.execute("pragma journal_mode = wal")
            _configure(connection)
            _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection


def open_reader(path: str) -> apsw.Connection:
    """Open a further connection to a database that `open_database` has opened."""
    with translated(path):
        connection = apsw.Connection(path)
        connection.set_busy_timeout(BUSY_SECONDS * 1000)
        _configure(connection)
        return connection


def _make_private(path: str) -> None:
    # SQLite gives its side files the mode of the database itself.
    if not Path(path).exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


WAL_BYTES = 32 * 1024 * 1024
"""Bytes of the write-ahead log that are kept for reuse: twice of what is checkpointed at once."""


def _configure(connection: apsw.Connection) -> None:
    for setting in (
        "synchronous = full",
        # What is not in it is mostly in the system's own cache, which all OS processes share.
        "cache_size = -16384",
        "temp_store = memory",
        "wal_autocheckpoint = 4000",
        # One long reader makes the log grow; after it the file shrinks to this again.
        f"journal_size_limit = {WAL_BYTES}",
    ):
        connection.execute(f"pragma {setting}")


def _pragma(connection: apsw.Connection, name: str) -> int:
    return int(connection.execute(f"pragma {name}").get)


def _check_owner(connection: apsw.Connection, path: str) -> None:
    owner = _pragma(connection, "application_id")
    tables = connection.execute("select count(*) from sqlite_schema").get
    if owner not in (0, APPLICATION_ID) or (owner == 0 and tables):
        raise BackendVersionError(f"{path} is a database of another program")


def _version(connection: apsw.Connection, path: str) -> int:
    version, known = _pragma(connection, "user_version"), len(migrations())
    if version > known:
        raise BackendVersionError(
            f"{path} has schema {version}; this pyworkflow knows {known}: upgrade it"
        )
    return version


def _migrate(connection: apsw.Connection, path: str) -> None:
    scripts = migrations()
    if _version(connection, path) == len(scripts):
        return
    with writing(connection):
        for script in scripts[_version(connection, path) :]:
            connection.execute(script)
        connection.execute(f"pragma application_id = {APPLICATION_ID}")
        connection.execute(f"pragma user_version = {len(scripts)}")


@contextmanager
def writing(connection: apsw.Connection) -> Generator[None]:
    """Commit what the block writes, or nothing of it if it raises."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        # SQLite has rolled back by itself after some errors, such as a full disk.
        if connection.in_transaction:
            connection.execute("rollback")
        raise
