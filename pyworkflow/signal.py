"""Signals: what is told to a running process from outside."""

from typing import Any

from msgspec import Struct, field

from pyworkflow.codec import Json


class Signal(Struct, frozen=True, gc=False):
    """Something told to a running process.

    Attributes:
        name: What it is about.
        data: Any JSON.
        id: The sender's own id, if any. A repeat of the same id to the same process is one event.
    """

    name: str
    data: Json = field(default_factory=dict[str, Any])
    id: str | None = None
