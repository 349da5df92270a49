"""Waiting for the end of a process: no thread waits, and no end goes unheard."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from starlette.requests import Request

from pyworkflow.web.endpoint import Call

T = TypeVar("T")


async def last_look(
    call: Call,
    process_id: str,
    seconds: float,
    look: Callable[[], Awaitable[T]],
    is_over: Callable[[T], bool],
) -> T:
    """Look at a process whenever something has happened to it; return the look that shows its end, or the last when the time is up.

    Args:
        call: The request.
        process_id: The process, without a run.
        seconds: How long to wait at most; the server has a limit of its own.
        look: Looks.
        is_over: Whether a look shows the end.

    Raises:
        Problem: Too many wait already.
    """
    end = time.monotonic() + min(seconds, call.site.limits.wait_seconds)
    hub = call.site.hub
    with hub.place():
        # Listened for before it is looked at: no end can come in between unheard.
        await call.run(hub.start)
        listener, _ = hub.listen(process_id)
        gone = asyncio.create_task(_gone(call.request))
        gone.add_done_callback(lambda _: listener.news.set())
        try:
            while True:
                listener.news.clear()
                seen = await look()
                left = end - time.monotonic()
                if is_over(seen) or left <= 0 or listener.ended or gone.done():
                    return seen
                listener.kept.clear()
                try:
                    await asyncio.wait_for(listener.news.wait(), left)
                except TimeoutError:
                    continue
        finally:
            gone.cancel()
            hub.leave(listener)


async def _gone(request: Request) -> None:
    """Return when the client hangs up: nobody would read the answer."""
    while (await request.receive())["type"] != "http.disconnect":
        await asyncio.sleep(0)
