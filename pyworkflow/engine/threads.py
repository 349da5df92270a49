"""The two threads that an engine on a backend has: a worker, and one that follows the feed."""

import asyncio
import logging
from collections.abc import Callable
from threading import Thread

from pyworkflow.backend.base import Backend, FeedEntry
from pyworkflow.backend.listener import Listener
from pyworkflow.engine.decider import EngineWorkflow
from pyworkflow.engine.pool import Begin, LoopPool, post
from pyworkflow.errors import BackendUnavailableError, StaleCursorError
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityResult
from pyworkflow.task import ActivityTask
from pyworkflow.worker import Worker
from pyworkflow.worker.pools import Pool, Report

log = logging.getLogger("pyworkflow.engine")

AT_ONCE = 10_000
"""Tasks that run at a time, at most; they share a thread."""


class _End:
    """Begins at the end of the feed and is not kept: what was before is read from the histories."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def load(self) -> str:
        return self._backend.feed_end()

    def save(self, cursor: str) -> None:
        pass


class Threads:
    """Decide, and pass on to an event loop what there is to run and what was recorded.

    Args:
        manager: Whose processes.
        category: Their category.
        lease: Seconds after which others take over.
        loop: The event loop.
        begin: Called in the loop with tasks that are to run.
        hear: Called in the loop with what was recorded.
        lost: Called in any thread when the loop is found closed.

    Attributes:
        stopping: Whether it is to end.

    Raises:
        BackendUnavailableError: The feed cannot be read.
    """

    def __init__(
        self,
        manager: Manager,
        category: str,
        lease: float,
        loop: asyncio.AbstractEventLoop,
        *,
        begin: Begin,
        hear: Callable[[list[FeedEntry]], None],
        lost: Callable[[], None],
    ) -> None:
        self.loop = loop
        self._begin = begin
        self._hear = hear
        self._lost = lost
        self._report: Report | None = None
        self.stopping = False
        self._listener = Listener(manager.backend, self._tell, _End(manager.backend))
        self._worker = Worker(
            manager, category=category, concurrency=AT_ONCE, pool=self._pool, lease=lease
        )
        self._thread = Thread(target=self._run, args=(self._worker.run,), daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        # It may sit in a poll for a second when the engine ends, and is not waited for.
        Thread(target=self._run, args=(self._listener.run,), daemon=True).start()

    def give(self, task: ActivityTask, result: ActivityResult | None) -> None:
        """Have the result of a task recorded; None if nobody waits for one."""
        if self._report is not None:
            self._report(task, result)

    def stop(self) -> None:
        """Send what is finished, give back what is not, and end."""
        self.stopping = True
        self._listener.stop()
        # The first time it would wait for what still runs.
        self._worker.stop()
        self._worker.stop()

    def join(self) -> None:
        """Wait until that is done."""
        self._thread.join()

    def _run(self, run: Callable[[], None]) -> None:
        try:
            run()
        except (BackendUnavailableError, StaleCursorError) as error:
            if not self.stopping:
                log.error("an engine has lost its backend: %s", error)
        except Exception:
            log.exception("a thread of an engine has ended")
        # Nothing is heard of the workflows any more: who waits for them is told so.
        if not self.stopping:
            self._lost()

    def _pool(self, manager: Manager, size: int, report: Report) -> Pool:
        self._report = report
        return LoopPool(manager, size, report, self.loop, self._begin, self._lost)

    def _tell(self, entries: list[FeedEntry]) -> None:
        own = [entry for entry in entries if entry.workflow == EngineWorkflow.name]
        if own and not post(self.loop, self._hear, own):
            self._lost()
