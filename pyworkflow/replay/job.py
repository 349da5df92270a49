"""One decision or query of a replayed workflow, in the thread that does it."""

from typing import TYPE_CHECKING

from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.event import DecisionStartedEvent
from pyworkflow.process import Process
from pyworkflow.replay.arguments import plain
from pyworkflow.replay.forbidden import guarded
from pyworkflow.replay.realtime import check_code
from pyworkflow.replay.run import Run, StaleRunError

if TYPE_CHECKING:
    from pyworkflow.replay.workflow import ReplayWorkflow


class Job:
    """One decision or query.

    Args:
        workflow: The workflow object.
        process: The process.
    """

    def __init__(self, workflow: "ReplayWorkflow", process: Process) -> None:
        self._workflow = workflow
        self._process = process
        self._run: Run | None = None

    def turns(self) -> int:
        """Return a number that changes with progress."""
        return 0 if self._run is None else id(self._run) + self._run.loop.turns

    def decide(self) -> list[Decision]:
        """Return the decisions, with the kept run if it can go on from where it is."""
        process, cache = self._process, self._workflow.cache
        key = (type(self._workflow), process.id, process.run)
        self._run = cache.take(key, process.history)
        try:
            decisions = self._advance()
        except StaleRunError:
            self._drop()
            decisions = self._advance()
        run = self._run
        if run is None or run.finished or not _ends_open(process):
            self._drop()
        else:
            cache.keep(key, run)
        return decisions

    def _advance(self, *, reads: bool = False) -> list[Decision]:
        if self._run is None:
            check_code(type(self._workflow))
            self._run = Run(self._workflow, self._process, reads=reads)
            self._workflow.attach(self._run)
        try:
            with guarded():
                return self._run.advance(self._process.history)
        except BaseException:
            self._drop()
            raise

    def _drop(self) -> None:
        if self._run is not None:
            self._run.drop()
            self._run = None

    def answer(self, method: str, arguments: tuple[Json, ...]) -> Json:
        """Return what a method returns after all that has happened."""
        self._advance(reads=True)
        run = self._run
        assert run is not None  # noqa: S101 - it has advanced
        run.answers = True
        try:
            with guarded():
                return plain(getattr(self._workflow, method)(*arguments), "answer")
        finally:
            self._drop()


def _ends_open(process: Process) -> bool:
    """Tell whether a history ends with the beginning of a decision, as every decision task's does."""
    history = process.history
    return len(history) > 0 and isinstance(history[-1], DecisionStartedEvent)
