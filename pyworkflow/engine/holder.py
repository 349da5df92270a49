"""Tasks as classes: an object is made of the task's configuration, and one of its methods does the work."""

import asyncio
from collections.abc import Mapping
from typing import Any, ClassVar

from pyworkflow.codec import Json
from pyworkflow.engine.event import Event
from pyworkflow.ids import new_id


class TaskHolder:
    """A base for such classes; anything will do that takes the configuration as its only argument.

    Attributes:
        TASK_NAME: What it is registered under.
        parks_on: Exceptions that suspend the workflow, for the repaired code to run the task again: mistakes in the code. None, unless set.
        config: The configuration, from the template of the task.
        uid: The id of the execution.
        queue: What the task is told while it runs: from its topics, and from further parents.
    """

    TASK_NAME: ClassVar[str | None] = None
    parks_on: ClassVar[tuple[type[BaseException], ...]] = ()

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config: Mapping[str, Any] = config or {}
        self.uid = new_id()
        self.queue: asyncio.Queue[Event] = asyncio.Queue()

    def report(self) -> Json:
        """Return what a report of the workflow is to tell of this task; None for nothing."""
        return None

    def teardown(self) -> Json:
        """Clean up after the task was canceled; what is returned after a timeout is the output of the task."""
        return None
