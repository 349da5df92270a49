"""Tells the loggers, extensions and the checkpointer of a job what happens, in a thread of their own: none of them can hold the job up.

Nothing is asked at intervals: an event that comes first is passed on at once, and those that come within the interval after it together
when it is over.
"""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from threading import Thread
from typing import Any, Generic, TypeVar

from pyworkflow.failure import describe
from pyworkflow.jobs.checkpointer.checkpointer import CheckpointContents
from pyworkflow.jobs.classes import Plugins
from pyworkflow.jobs.definition import JobConfig
from pyworkflow.jobs.errors import JobError
from pyworkflow.jobs.eventbus.execution import SerializableExecutionEvent
from pyworkflow.jobs.eventbus.log import SerializableLogEvent
from pyworkflow.jobs.lifecycle import Plugin

log = logging.getLogger("pyworkflow.jobs")

PATIENCE = 60.0
"""Seconds that plugins are waited for at the end of a job."""


E = TypeVar("E")
T = TypeVar("T")


class _Outlet(Generic[E]):
    """Passes events on, at most once in an interval.

    Args:
        interval: Seconds.
        emit: Takes the events since the last time.
    """

    def __init__(
        self, interval: float, emit: Callable[[Sequence[E]], Coroutine[Any, Any, None]]
    ) -> None:
        self._interval = max(0.0, interval)
        self._emit = emit
        self._events: list[E] = []
        self._come = asyncio.Event()
        self._closed = asyncio.Event()

    def put(self, event: E) -> None:
        """Take an event."""
        self._events.append(event)
        self._come.set()

    def close(self, *, drop: bool = False) -> None:
        """Pass on what is there, unless it is to be dropped, and stop."""
        if drop:
            self._events.clear()
        self._closed.set()
        self._come.set()

    async def run(self) -> None:
        """Pass events on until closed."""
        while True:
            await self._come.wait()
            self._come.clear()
            events, self._events = self._events, []
            if events:
                await self._emit(events)
            if self._closed.is_set():
                if not self._events:
                    return
                continue
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closed.wait(), self._interval)


class Observers:
    """The plugins of a job, in a thread with an event loop.

    Args:
        config: Says the intervals.
        plugins: Loggers are told what tasks say, extensions where they stand, the checkpointer what to restart from.
        checkpoint: Returns what to restart from; called in the observers' thread.
    """

    def __init__(
        self,
        config: JobConfig,
        plugins: Plugins,
        checkpoint: Callable[[], CheckpointContents],
    ) -> None:
        self._name = config.name
        self._loggers = plugins.loggers
        self._extensions = plugins.extensions
        self._checkpointer = plugins.checkpointer
        self._checkpoint = checkpoint
        self._told: set[tuple[int, str]] = set()
        self._loop = asyncio.new_event_loop()
        self._said = _Outlet(config.loggers_interval_seconds, self._log)
        self._moved = _Outlet(config.extensions_interval_seconds, self._extend)
        self._kept = _Outlet(config.checkpointer_interval_seconds, self._write)
        self._running: list[asyncio.Task[None]] = []
        self._thread = Thread(target=self._loop.run_forever, daemon=True, name="pyworkflow-plugins")
        self._thread.start()

    # -- from the driver -----------------------------------------------------------------------------------------------------------

    def read_checkpoint(self) -> CheckpointContents | None:
        """Return what the checkpointer has kept; None if there is no checkpointer.

        Raises:
            NoCheckpointAvailableError: It has none.
        """
        checkpointer = self._checkpointer
        if checkpointer is None:
            return None
        return self._wait(_awaited(lambda: checkpointer.read_checkpoint(self._name)))

    def start(self, *, restarted: bool) -> None:
        """Call `on_create` (and `on_restart`) of all, and begin to pass events on."""
        self._wait(self._start(restarted))

    def said(self, event: SerializableLogEvent) -> None:
        """Pass on what a task has said, in any thread."""
        self._loop.call_soon_threadsafe(self._said.put, event)

    def moved(self, event: SerializableExecutionEvent) -> None:
        """Pass on where a task stands, in any thread."""
        self._loop.call_soon_threadsafe(self._moved.put, event)
        self._loop.call_soon_threadsafe(self._kept.put, event)

    def finish(self, stage: str) -> None:
        """Pass on what is left, keep or clear the checkpoint, and call the last methods of all.

        Args:
            stage: ``on_success``, ``on_failure`` or ``on_abort``.
        """
        try:
            self._wait(self._finish(stage), PATIENCE)
        except TimeoutError:
            log.error("plugins did not end within %s seconds and are left behind", PATIENCE)

    def close(self) -> None:
        """End the thread; one that a plugin holds is left behind."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(1)
        if not self._thread.is_alive():
            self._loop.close()

    def _wait(self, work: Coroutine[Any, Any, T], patience: float | None = None) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(patience)

    # -- in the loop ---------------------------------------------------------------------------------------------------------------

    async def _start(self, restarted: bool) -> None:
        for plugin in self._plugins():
            await self._call(plugin, "on_create", plugin.on_create)
            if restarted:
                await self._call(plugin, "on_restart", plugin.on_restart)
        outlets = self._said, self._moved, self._kept
        self._running = [asyncio.ensure_future(outlet.run()) for outlet in outlets]

    async def _finish(self, stage: str) -> None:
        self._said.close()
        self._moved.close()
        self._kept.close(drop=True)
        await asyncio.gather(*self._running)
        checkpointer = self._checkpointer
        if checkpointer is not None and stage == "on_success":
            clear = checkpointer.clear_checkpoint
            await self._call(checkpointer, "clear_checkpoint", lambda: clear(self._name))
        else:
            await self._write(())
        for plugin in self._plugins():
            await self._call(plugin, stage, getattr(plugin, stage))
        for plugin in self._plugins():
            await self._call(plugin, "on_destroy", plugin.on_destroy)

    def _plugins(self) -> list[Plugin]:
        last = [] if self._checkpointer is None else [self._checkpointer]
        return [*self._loggers, *self._extensions, *last]

    async def _log(self, events: Sequence[SerializableLogEvent]) -> None:
        for event in events:
            for logger in self._loggers:
                await self._call(logger, "update", partial(logger.update, event))
            for extension in self._extensions:
                await self._call(extension, "on_log", partial(extension.on_log, event))

    async def _extend(self, events: Sequence[SerializableExecutionEvent]) -> None:
        for event in events:
            for extension in self._extensions:
                await self._call(extension, "update", partial(extension.update, event))

    async def _write(self, events: Sequence[SerializableExecutionEvent]) -> None:
        checkpointer = self._checkpointer
        if checkpointer is not None:
            write, content = checkpointer.write_checkpoint, self._checkpoint()
            await self._call(checkpointer, "write_checkpoint", lambda: write(self._name, content))

    async def _call(self, plugin: Plugin, name: str, method: Callable[[], object]) -> None:
        """Call a method of a plugin; tell of the first exception of each."""
        try:
            await _awaited(method)
        except (Exception, asyncio.CancelledError) as error:  # whatever it is, the job goes on
            if (id(plugin), name) not in self._told:
                self._told.add((id(plugin), name))
                told = f"{type(plugin).__name__}.{name} raised {describe(error).line}"
                log.warning("%s; the job goes on", told, exc_info=error)


async def _awaited(method: Callable[[], Awaitable[T] | T]) -> T:
    try:
        returned: Any = method()
        told: T = await returned if inspect.isawaitable(returned) else returned
        return told
    except (
        SystemExit,
        KeyboardInterrupt,
    ) as error:  # would end the loop, and leave the job waiting
        raise JobError(describe(error).line) from error
