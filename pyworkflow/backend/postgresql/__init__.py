"""The PostgreSQL backend: many machines on one database."""

from pyworkflow.backend.postgresql.store import PostgreSQLBackend, open_url

__all__ = ["PostgreSQLBackend", "open_url"]
