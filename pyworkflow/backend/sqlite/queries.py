"""The statements and migrations of this store."""

from pyworkflow.backend import statements


def queries() -> dict[str, str]:
    """Return each statement by the name in the comment above it."""
    return statements.queries(__package__)


def migrations() -> list[str]:
    """Return the migrations, in the order of their numbers."""
    return statements.migrations(__package__)
