"""The task that waits for several parents."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from pyworkflow.clock import SystemClock, to_datetime
from pyworkflow.codec import Json
from pyworkflow.engine.errors import TemplateError
from pyworkflow.engine.event import Event
from pyworkflow.engine.holder import TaskHolder
from pyworkflow.engine.registry import register
from pyworkflow.engine.states import JoinStatus


@register("join", "execute")
class JoinTask(TaskHolder):
    """Begins with the first of its parents and ends when those it waits for have ended, well or not; its output is what the first gave.

    Its configuration has ``wait_for``: the ids of parents, or how many of them; and perhaps ``data_stash``, true if the output is to have under
    this name a list of what each of them gave. It is at its end, too, when no more parents can come.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        wanted = config["wait_for"]
        # One of the two says what it waits for.
        self._number: int | None = wanted if isinstance(wanted, int) else None
        self._missing = set[str]() if isinstance(wanted, int) else set(wanted)
        self._lost = 0
        self._came: dict[str, Json] = {}
        self._ends: list[Json] = []
        self._status = JoinStatus.RUNNING

    @classmethod
    def check_config(cls, config: Mapping[str, Any], what: str, parents: Sequence[str]) -> None:
        """See whether it can ever end.

        Raises:
            TemplateError: ``wait_for`` is missing, is more than there are parents, or names what is no parent.
        """
        wanted = config.get("wait_for")
        if isinstance(wanted, int) and not isinstance(wanted, bool):
            if not 1 <= wanted <= len(parents):
                raise TemplateError(
                    what, f"waits for {wanted} of its parents, and has {len(parents)}"
                )
        elif not isinstance(wanted, list) or not wanted:
            raise TemplateError(what, "needs wait_for, a list of task ids or a number")
        else:
            for name in wanted:
                if name not in parents:
                    raise TemplateError(what, f"waits for {name!r}, which it does not follow")

    def report(self) -> Json:
        """Return which parents have come, and when."""
        return {"tasks": list(self._ends), "status": self._status.value}

    def parent_lost(self, parent: str) -> None:
        """Take notice that a parent never will give anything."""
        self._lost += 1
        self._missing.discard(parent)
        # Data without a source comes from no parent: it only has the task look again.
        self.queue.put_nowait(Event({}))

    async def execute(self, event: Event) -> Json:
        """Wait for the parents."""
        first = event.data
        task: Any = asyncio.current_task()
        parents = task.workflow.plan.parents[task.template.uid] if task.workflow else ()
        self._come(event)
        while not self._is_complete(len(parents)):
            self._come(await self.queue.get())
        self._end(JoinStatus.DONE)
        return self._output(first)

    def teardown(self) -> Json:
        """Return what the first parent gave, after a timeout."""
        self._end(JoinStatus.TIMEOUT)
        first = next(iter(self._came.values()), None)
        return None if first is None else self._output(first)

    def _output(self, first: Json) -> Json:
        if not self.config.get("data_stash"):
            return first
        return {**first, "data_stash": list(self._came.values())}

    def _come(self, event: Event) -> None:
        parent = None if event.source is None else event.source.task_template_id
        if parent is None or parent in self._came:
            return
        self._came[parent] = event.data
        self._missing.discard(parent)
        now = to_datetime(SystemClock().now())
        self._ends.append({"id": parent, "end_time": now.isoformat()})
        self._tell()

    def _is_complete(self, parents: int) -> bool:
        if self._number is None:
            return not self._missing
        return len(self._came) >= min(self._number, parents - self._lost)

    def _end(self, status: JoinStatus) -> None:
        self._status = status
        self._tell()

    def _tell(self) -> None:
        task: Any = asyncio.current_task()
        task.dispatch_progress(self.report())
