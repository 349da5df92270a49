"""Coroutines of activities in one event loop, and what becomes of them when one of them blocks it."""

import asyncio
from collections.abc import Sequence
from threading import Event, Thread
from typing import Any

from pyworkflow.manager import Manager
from pyworkflow.task import ActivityTask
from pyworkflow.watch import drop, stack_of
from pyworkflow.worker.execute import (
    ActivityOutcome,
    Postponed,
    execute_async,
    failure,
    is_async,
)
from pyworkflow.worker.pools import Pool, Report, ThreadPool, log, name_of

BLOCKED_SECONDS = 1.0
"""How long the event loop may not answer before it counts as blocked."""


class AsyncPool(Pool):
    """Runs ``async def`` activities in one event loop, the others in threads.

    While a coroutine blocks the loop, no other one is begun here: what has not begun is given back, and the pool is not able to do any. When the
    one that blocks it is abandoned and does not end, the loop is replaced, and what had begun in it is done again.
    """

    def __init__(self, manager: Manager, size: int, report: Report) -> None:
        super().__init__(manager, size, report)
        self._threads = ThreadPool(manager, size, report)
        self._threads.heartbeat = lambda *beat: self.heartbeat(*beat)
        self._queued: dict[int, ActivityTask] = {}
        self._running: dict[asyncio.Task[None], ActivityTask] = {}
        self._abandoned: set[asyncio.Task[None]] = set()
        self._blocked = self._closing = False
        self._used, self._closed = Event(), Event()
        self._start_loop()
        Thread(target=self._watch, daemon=True, name="pyworkflow-loop-watch").start()

    def _start_loop(self) -> None:
        self._loop = asyncio.new_event_loop()
        run = (self._loop,)
        self._thread = Thread(target=self._run, args=run, daemon=True, name="pyworkflow-loop")
        self._thread.start()

    # -- tasks ---------------------------------------------------------------------------------------------------------------------

    def submit(self, tasks: Sequence[ActivityTask]) -> None:
        """Begin to execute tasks."""
        others: list[ActivityTask] = []
        for task in tasks:
            if not self._is_coroutine(task.activity_execution.activity):
                others.append(task)
                continue
            self._queued[id(task)] = task
            self._used.set()
            try:
                self._loop.call_soon_threadsafe(self._begin, task)
            except RuntimeError as error:  # an activity has closed the loop just now
                self._unqueue(task, failure(error))
        if others:
            self._threads.submit(others)

    def _is_coroutine(self, name: str) -> bool:
        activity = self.manager.find_activity(name)
        return activity is not None and is_async(activity)

    def able(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return which of some activities could begin at once: no coroutine, while one blocks the loop."""
        if not self._blocked:
            return names
        return tuple(name for name in names if not self._is_coroutine(name))

    def abandon(self, task: ActivityTask) -> None:
        """Cancel the coroutine of a task; see `_unblock` for one that does not hear of it."""
        for running, own in list(self._running.items()):
            if own is task and self._running.pop(running, None) is not None:
                self._abandoned.add(running)
                self._loop.call_soon_threadsafe(running.cancel)
                self.answer_abandoned(task)
                return
        self._threads.abandon(task)

    def waiting(self) -> bool:
        """Tell whether a task waits for another to end, or for `spread`."""
        return self._threads.waiting()

    def spread(self) -> None:
        """Let no task wait for another."""
        self._threads.spread()

    def close(self) -> None:
        """Cancel the coroutines."""
        self._threads.close()
        self._closing = True
        self._closed.set()
        self._used.set()
        self._loop.call_soon_threadsafe(_stop, self._loop)
        self._thread.join(5)

    # -- the loop ------------------------------------------------------------------------------------------------------------------

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._closing and loop is self._loop:
            asyncio.set_event_loop(loop)
            try:
                loop.run_forever()
            except BaseException as error:
                # asyncio stops the loop when a task of the user's own raises SystemExit; the other activities go on.
                log.exception("an activity tried to end the event loop")
                if loop.is_closed():
                    self._replace_loop(failure(error))
        if not loop.is_closed():
            loop.close()

    def _replace_loop(self, outcome: ActivityOutcome) -> None:
        """Go on with a new loop; what ran in the old one gets an outcome."""
        lost, self._running = list(self._running.values()), {}
        self._abandoned.clear()
        self._start_loop()
        for task in lost:
            self.answer(task, outcome)
        self._give_back_queued()

    def _begin(self, task: ActivityTask) -> None:
        try:
            running = self._loop.create_task(self._execute(task))
        except BaseException as error:  # a task factory of the user's own
            self._unqueue(task, failure(error))
            return
        running.add_done_callback(self._forget)

    def _forget(self, ended: asyncio.Task[None]) -> None:
        self._running.pop(ended, None)
        self._abandoned.discard(ended)

    async def _execute(self, task: ActivityTask) -> None:
        me: Any = asyncio.current_task()
        if self._queued.pop(id(task), None) is None:
            # It was given back.
            return
        self._running[me] = task
        try:
            outcome = await execute_async(self.manager, task, self.monitor(task))
        except asyncio.CancelledError as error:
            if self._closing:
                raise
            outcome = failure(error)
        # One that was abandoned has its outcome.
        if self._running.pop(me, None) is not None:
            self.answer(task, outcome)

    def _give_back_queued(self) -> None:
        for task in list(self._queued.values()):
            self._unqueue(task, Postponed("the event loop could not begin it", begun=False))

    def _unqueue(self, task: ActivityTask, outcome: ActivityOutcome) -> None:
        if self._queued.pop(id(task), None) is not None:
            self.answer(task, outcome)

    # -- a coroutine that blocks it ------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """See whether the loop answers, as long as coroutines run in it."""
        while self._used.wait() and not self._closing:
            try:
                self._look()
            except Exception:
                log.exception("the event loop is not watched for a moment")
            self._closed.wait(BLOCKED_SECONDS)

    def _look(self) -> None:
        self._used.clear()
        if self._queued or self._running or self._abandoned:
            self._used.set()
        loop, thread, answered = self._loop, self._thread, Event()
        loop.call_soon_threadsafe(answered.set)
        blocker: object = None
        while not answered.wait(BLOCKED_SECONDS) and loop is self._loop and not self._closing:
            self._blocked = True
            present = asyncio.current_task(loop)
            if present is not blocker:
                blocker = present
                self._log_blocker(present, stack_of(thread))
            self._give_back_queued()
            if self._abandoned and present not in self._running:
                self._unblock(loop, thread, answered)
        self._blocked = False

    def _log_blocker(self, blocker: "asyncio.Task[Any] | None", stack: str) -> None:
        task = self._running.get(blocker) if blocker else None
        log.warning(
            "%s blocks the event loop, and all coroutines with it. Use await, or asyncio.to_thread for what cannot be awaited. It is here:\n%s",
            "a task" if task is None else name_of(task),
            stack,
        )

    def _unblock(self, loop: asyncio.AbstractEventLoop, thread: Thread, answered: Event) -> None:
        """End an abandoned coroutine that blocks the loop; if it cannot be reached, leave the loop to it."""
        drop(thread)
        if answered.wait(BLOCKED_SECONDS):
            return
        log.error("the event loop is replaced: an abandoned coroutine blocks it for ever")
        self._replace_loop(Postponed("a coroutine blocked the event loop for ever"))
        # Should it ever come to that.
        loop.call_soon_threadsafe(_stop, loop)


def _stop(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what runs in a loop, and stop it."""
    for running in asyncio.all_tasks(loop):
        running.cancel()
    # One more round, in which the coroutines hear of it.
    loop.call_soon(loop.call_soon, loop.stop)
