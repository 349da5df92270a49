"""Signals: what is told to a running process from outside."""

from typing import Any

from pyworkflow.codec import Payload, Value, fixed, payloads

_NOTHING = fixed({})


@payloads(data=Any)
class Signal(Value, frozen=True, gc=False):
    """Something told to a running process.

    Attributes:
        name: What it is about.
        data: Any JSON.
        id: The sender's own id, if any. A repeat of the same id to the same process is one event.
    """

    name: str
    data: Payload = _NOTHING
    id: str | None = None
