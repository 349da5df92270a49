"""What a replayed workflow may know of its own process."""

from datetime import datetime as DateTime
from typing import Any

from pyworkflow.codec import Payload, Value, payloads


@payloads(input=Any)
class Info(Value, frozen=True):
    """A replayed process, as its code sees it.

    Attributes:
        workflow: The name of its workflow.
        id: Its id.
        input: What it was started with, as JSON.
        tags: Its tags.
        parent: The id of the process that started it, if one did.
        run: The number of this run of the id.
        started: When it was started.
        events: How many events its history had at the beginning of the present decision.
        cancel_requested: Whether somebody has asked the process to cancel itself.
        replaying: Whether the present decision has been made before. For logs only: code that decides by it cannot be replayed.
    """

    workflow: str
    id: str | None
    input: Payload
    tags: tuple[str, ...]
    parent: str | None
    run: int
    started: DateTime | None
    events: int
    cancel_requested: bool
    replaying: bool
