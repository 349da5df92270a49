"""Blocking calls of the backend, in a bounded number of threads."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import ParamSpec, TypeVar

from pyworkflow.web.limits import Limits
from pyworkflow.web.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

BUSY = {"Retry-After": "1"}
STOPPED = "the server is being stopped"


class Pool:
    """Runs calls in threads, and refuses more when too many wait.

    Args:
        limits: How many run, how many wait, and for how long.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._threads = ThreadPoolExecutor(limits.threads, "pyworkflow-web")
        self._asked = 0
        self._lock = Lock()

    async def run(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a call returns.

        Raises:
            Problem: Too many calls wait, or this one takes too long; it may still take effect.
        """
        with self._lock:
            if self._asked >= self._limits.threads + self._limits.queued:
                raise Problem(503, "too many requests wait for the backend", headers=BUSY)
            self._asked += 1

        def counted() -> T:
            # A thread cannot be stopped: it counts until it is done, whoever still waits for it.
            try:
                return call(*args, **kwargs)
            finally:
                with self._lock:
                    self._asked -= 1

        try:
            future = asyncio.get_running_loop().run_in_executor(self._threads, counted)
        except RuntimeError:
            with self._lock:
                self._asked -= 1
            raise Problem(503, STOPPED, headers=BUSY) from None
        future.add_done_callback(_seen)
        try:
            return await asyncio.wait_for(asyncio.shield(future), self._limits.request_seconds)
        except asyncio.CancelledError:
            if future.cancelled():
                raise Problem(503, STOPPED, headers=BUSY) from None
            raise
        except TimeoutError:
            if future.done():
                raise
            raise Problem(503, "the backend takes too long", headers=BUSY) from None

    def close(self) -> None:
        """Take no more calls."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _seen(future: "asyncio.Future[T]") -> None:
    """Look at an error that nobody may wait for any more, so that it is not reported as forgotten."""
    if not future.cancelled():
        future.exception()
