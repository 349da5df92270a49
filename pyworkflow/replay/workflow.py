"""Workflows written as plain async code, replayed from the history of their process."""

import logging
from collections.abc import Callable, Coroutine
from types import MethodType
from typing import Any, ClassVar, get_type_hints

from pyworkflow.codec import Json
from pyworkflow.decision import Decision
from pyworkflow.errors import (
    BlockedDecisionError,
    InvalidRequestError,
    NondeterminismError,
    UnansweredQueryError,
)
from pyworkflow.mistakes import MISTAKES
from pyworkflow.process import Process
from pyworkflow.replay.arguments import call_of, plain
from pyworkflow.replay.asking import Asking
from pyworkflow.replay.cache import RunCache
from pyworkflow.replay.following import RunFollower
from pyworkflow.replay.handlers import queries, signal_handlers
from pyworkflow.replay.job import Job
from pyworkflow.replay.run import Run
from pyworkflow.watch import Limit, watched
from pyworkflow.workflow import Workflow

BLOCKED_AFTER = 5.0
"""Seconds that code may run without coming back to its event loop."""

_cache = RunCache()
_log = logging.getLogger("pyworkflow.replay")


class ReplayWorkflow(Workflow, Asking):
    """A workflow as an async method ``run``. Override it; what it returns completes the process, what it raises fails it.

    Between two decisions the coroutine is kept alive where it waits. A worker that has not got it makes it again: it runs the code from
    the beginning, with the results that the history holds. So the code must do the same each time, and leave everything else to activities.

    Attributes:
        blocked_after: Seconds that the code may run without awaiting; None for as long as it takes (for a debugger).
        parks_on: Exceptions that leave the process open, parked with the traceback, until the code is mended: mistakes in the
            code. Any other exception fails the process.
        compare_payloads: Whether code that passes another input than the history holds is a mismatch.
        cache: Where the coroutines of waiting processes are kept.
    """

    handles_cancel: ClassVar[bool] = True
    blocked_after: ClassVar[float | None] = BLOCKED_AFTER
    parks_on: ClassVar[tuple[type[BaseException], ...]] = MISTAKES
    compare_payloads: ClassVar[bool] = True
    cache: ClassVar[RunCache] = _cache

    _queries: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._signal_handlers = signal_handlers(cls)
        cls._queries = queries(cls)

    def run(self, *args: Any, **kwargs: Any) -> Coroutine[Any, Any, Any]:
        """Do what the process is for. Every workflow overrides this with an ``async def`` of its own parameters.

        One parameter gets the whole input; several get a list's items by position, or an object's values by name. Values are converted to
        the annotated types.
        """
        raise TypeError(f"workflow {self.name!r} does not say what to run")

    # -- deciding ------------------------------------------------------------------------------------------------------------------

    def decide(self, process: Process) -> list[Decision]:
        """Run the code as far as the history goes, and return what it decides there.

        Raises:
            NondeterminismError: The code does not decide what the history holds.
            BlockedDecisionError: The code does not come back to its event loop.
        """
        job = Job(self, process)
        key = (type(self), process.id, process.run)
        decisions = watched(job.decide, key, self._limit(job.turns))
        for run in self.cache.dropped():
            self._drop(run)
        return decisions

    def _drop(self, run: Run) -> None:
        try:
            watched(run.drop, id(run), self._limit())
        except BlockedDecisionError as error:
            _log.warning("code that was let go blocks its thread: %s", error)

    def follower(self) -> RunFollower:
        """Return what runs the code along a recorded history and tells where it stands."""
        return RunFollower(self)

    def answer(self, process: Process, question: str, *arguments: Json) -> Json:
        """Answer a query from a process's history, open or closed."""
        if question not in self._queries:
            known = ", ".join(sorted(self._queries)) or "none"
            raise InvalidRequestError(
                f"query {question!r}", f"workflow {self.name!r} does not have it; it has: {known}"
            )
        job = Job(self, process)
        try:
            return watched(
                lambda: job.answer(self._queries[question], arguments),
                (type(self), process.id, "query"),
                self._limit(job.turns),
            )
        except NondeterminismError as error:
            cause = (
                f"query {question!r} cannot be answered: another release of workflow {self.name!r} has decided the process. "
                f"Ask a program of that release, or deploy it here. {error.comparison}"
            )
            raise UnansweredQueryError(process.id, cause) from error

    @classmethod
    def check_input(cls, input: Json) -> None:
        """Refuse an input that the parameters of `run` do not take."""
        try:
            call_of(MethodType(cls.run, cls), plain(input, "input"), f"input of {cls.name!r}")
        except TypeError as error:
            _log.debug("the input of %r cannot be checked: %s", cls.name, error)

    def _limit(self, progress: Callable[[], int] | None = None) -> Limit | None:
        seconds = self.blocked_after
        if seconds is None:
            return None
        subject = (
            f"the workflow has blocked its thread for {seconds:g} s. In a workflow only await: "
            "self.sleep(...) to wait, self.activity(...) for work"
        )
        return Limit(seconds, subject, progress)

    def handler_of(self, signal: str) -> Callable[..., Any] | None:
        """Return the method that handles a signal, if one does."""
        method = self._signal_handlers.get(signal)
        return None if method is None else getattr(self, method)

    def attach(self, run: Run) -> None:
        """Have the code of this object decide for a run."""
        self._run = run

    @classmethod
    def result_type(cls) -> Any:
        """Return the type that `run` is annotated to return."""
        try:
            return get_type_hints(cls.run).get("return", Any)
        except (NameError, TypeError):
            return Any
