"""The SQLite backend: one file, many OS processes, everything acknowledged is on the disk."""

from pyworkflow.backend.sqlite.store import SQLiteBackend, open_url

__all__ = ["SQLiteBackend", "open_url"]
