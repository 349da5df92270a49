"""Statements kept in ``.sql`` files beside a store: ``queries.sql`` by name, ``migrations/NNN_what.sql`` in order."""

import re
from functools import cache
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)


@cache
def queries(package: str) -> dict[str, str]:
    """Return each statement of a package by the name in the comment above it."""
    text = files(package).joinpath("queries.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {name: body.strip() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def migrations(package: str) -> list[str]:
    """Return the migrations of a package, in the order of their numbers."""
    folder = files(package).joinpath("migrations")
    scripts = sorted((f for f in folder.iterdir() if f.name.endswith(".sql")), key=lambda f: f.name)
    return [script.read_text(encoding="utf-8") for script in scripts]
