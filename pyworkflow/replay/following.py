"""Replayed code along a recorded history: what it decides at each point, what its object holds, and where it waits."""

import asyncio
from collections.abc import Sequence
from types import CoroutineType
from typing import TYPE_CHECKING, Any

from pyworkflow.codec import Json, to_plain
from pyworkflow.decision import Decision
from pyworkflow.errors import PayloadError
from pyworkflow.process import Process
from pyworkflow.replay.compare import differ
from pyworkflow.replay.forbidden import guarded
from pyworkflow.replay.places import place_of
from pyworkflow.replay.run import Run
from pyworkflow.workflow.following import Follower

if TYPE_CHECKING:
    from pyworkflow.replay.workflow import ReplayWorkflow


class RunFollower(Follower):
    """Runs the code once, from each decision to the next.

    Args:
        workflow: The code.
    """

    def __init__(self, workflow: "ReplayWorkflow") -> None:
        super().__init__(workflow)
        self._code = workflow
        self._run: Run | None = None

    def decide(self, process: Process, recorded: Sequence[Decision] | None) -> list[Decision]:
        """Run the code to the end of a history; return what it decides there.

        Raises:
            NondeterminismError: It has decided something else than the history holds.
        """
        if self._run is None:
            self._run = Run(self._code, process)
            self._code.attach(self._run)
        with guarded():
            return self._run.advance(process.history, known=recorded)

    def state(self, process: Process) -> dict[str, Json]:
        """Return the attributes of the workflow object, where each task of the code waits, and what is open."""
        run = self._run
        held = {k: _shown(v) for k, v in vars(self._code).items() if not k.startswith("_")}
        if run is None or run.finished:
            return {"attributes": held}
        at = {task.get_name(): _where(task) for task in run.loop.tasks()}
        return {"attributes": held, "at": at, "waits for": run.open()}

    def is_alike(self, recorded: Sequence[Decision], decided: Sequence[Decision]) -> bool:
        """Tell whether the code decides what is recorded, as a worker would see it."""
        return self._run is not None and not differ(recorded, decided, self._run.compares)


def _shown(value: Any) -> Json:
    try:
        return to_plain(value)
    except PayloadError:
        return repr(value)


def _where(task: "asyncio.Task[Any]") -> str:
    """Return the place in the users' code where a task waits, the innermost one."""
    place = ""
    awaited: Any = task.get_coro()
    while isinstance(awaited, CoroutineType):
        place = place_of(awaited.cr_frame) or place
        awaited = awaited.cr_await
    return place
