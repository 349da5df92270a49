"""Identifiers: the only place that draws random bytes."""

import os


def new_id() -> str:
    """Return a new id of 32 hexadecimal digits, random in all its 128 bits."""
    return os.urandom(16).hex()
