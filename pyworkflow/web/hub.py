"""One follower of the event feed for all who listen: streams, waits, metrics."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator
from contextlib import contextmanager
from threading import Event, Lock, Thread

from msgspec import Struct

from pyworkflow.backend.base import FEED_START, Backend, FeedEntry
from pyworkflow.backend.cursors import place_of
from pyworkflow.errors import PyworkflowError, StaleCursorError
from pyworkflow.web.pool import BUSY, Pool
from pyworkflow.web.problems import Problem

logger = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds after which the follower asks whether it shall end; what is recorded ends the wait at once."""
MOST_KEPT = 5_000
"""Entries kept for a listener that is slow; after more, it reads the feed itself."""
PAGE = 500


class Reset(Struct, frozen=True):
    """What a listener heard is no longer what the store holds: a backup was restored.

    Attributes:
        cursor: From here on it hears everything again.
    """

    cursor: str


class Listener:
    """Gets entries of the feed as they are recorded.

    Args:
        process_id: Only those of this process; None for all.
    """

    def __init__(self, process_id: str | None) -> None:
        self.process_id = process_id
        self.loop = asyncio.get_running_loop()
        self.news = asyncio.Event()
        self.kept: deque[FeedEntry] = deque()
        self.missed = False
        self.reset: Reset | None = None
        self.ended = False

    def wants(self, entry: FeedEntry) -> bool:
        """Tell whether an entry is for this listener."""
        return self.process_id is None or entry.process_id == self.process_id

    def tell(self, entries: list[FeedEntry]) -> None:
        """Take entries, in the listener's own thread."""
        self.kept.extend(entries)
        if len(self.kept) > MOST_KEPT:
            self.kept.clear()
            self.missed = True
        self.news.set()

    def start_over(self, reset: Reset) -> None:
        """Forget the entries of a store that was restored."""
        self.kept.clear()
        self.missed = False
        self.reset = reset
        self.news.set()

    def end(self) -> None:
        """Let the listener go."""
        self.ended = True
        self.news.set()


class Hub:
    """Follows the feed in a thread of its own, and hands on what it finds.

    Args:
        backend: Whose feed.
        pool: Reads what listeners have missed.
        count: Called with every entry.
        places: How many may listen.
    """

    def __init__(
        self, backend: Backend, pool: Pool, count: Callable[[FeedEntry], None], places: int
    ) -> None:
        self._backend = backend
        self._pool = pool
        self._count = count
        self._free = places
        self._listeners: set[Listener] = set()
        self._lock = Lock()
        self._stop = Event()
        self._thread: Thread | None = None
        self._cursor = FEED_START

    @property
    def listening(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def start(self) -> None:
        """Begin to follow the feed, at its end. Does nothing if it has begun."""
        with self._lock:
            if self._thread is None and not self._stop.is_set():
                self._cursor = self._backend.feed_end()
                self._thread = Thread(target=self._follow, name="pyworkflow-feed", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End the follower and all listeners."""
        self._stop.set()
        with self._lock:
            listeners, self._listeners = self._listeners, set()
        for listener in listeners:
            _call(listener, listener.end)

    def join(self) -> None:
        """Wait for the follower's end, after `close`."""
        if self._thread is not None:
            self._backend.wake()
            self._thread.join()

    def _follow(self) -> None:
        while not self._stop.is_set():
            try:
                try:
                    entries = self._backend.feed(self._cursor, PAGE, LOOK)
                except StaleCursorError as error:
                    logger.warning("all streams start over: %s", error)
                    self._start_over(self._backend.feed_end())
                    continue
            except PyworkflowError as error:
                if self._backend.closed:
                    return
                logger.warning("the feed cannot be read: %s", error)
                self._stop.wait(LOOK)
                continue
            if entries:
                with self._lock:
                    self._cursor = entries[-1].cursor
                    self._hand_on(entries)

    def _hand_on(self, entries: list[FeedEntry]) -> None:
        for entry in entries:
            self._count(entry)
        for listener in self._listeners:
            wanted = [entry for entry in entries if listener.wants(entry)]
            if wanted:
                _call(listener, listener.tell, wanted)

    def _start_over(self, cursor: str) -> None:
        with self._lock:
            self._cursor = cursor
            for listener in self._listeners:
                _call(listener, listener.start_over, Reset(cursor))

    # -- listening -----------------------------------------------------------------------------------------------------------------

    @contextmanager
    def place(self) -> Generator[None]:
        """Take the place of one who listens until the end of the block.

        Raises:
            Problem: All are taken.
        """
        with self._lock:
            if self._free <= 0:
                raise Problem(503, "too many streams are open", headers=BUSY)
            self._free -= 1
        try:
            yield
        finally:
            with self._lock:
                self._free += 1

    def listen(self, process_id: str | None = None) -> tuple[Listener, str]:
        """Return a listener, and the cursor after which it hears everything; `start` comes first."""
        listener = Listener(process_id)
        with self._lock:
            if self._stop.is_set():
                listener.ended = True
            self._listeners.add(listener)
            return listener, self._cursor

    def leave(self, listener: Listener) -> None:
        """Let a listener go."""
        with self._lock:
            self._listeners.discard(listener)

    async def entries(
        self, since: str | None, process_id: str | None, quiet: float
    ) -> AsyncGenerator[list[FeedEntry] | Reset]:
        """Yield the entries after a cursor, nothing left out; an empty list once it listens, and after so many quiet seconds.

        A `Reset` comes where the store does not hold the events that the listener has heard: it goes on with what is recorded from then on.

        Args:
            since: The cursor; None for what is recorded from now on.
            process_id: Only those of this process; None for all.
            quiet: Seconds.
        """
        await self._pool.run(self.start)
        listener, live = self.listen(process_id)
        cursor = live if since is None else since
        listener.missed = since is not None
        try:
            yield []
            while not listener.ended:
                if listener.reset is not None:
                    reset, listener.reset = listener.reset, None
                    cursor = reset.cursor
                    yield reset
                elif listener.missed:
                    listener.missed = False
                    try:
                        async for page in self._past(cursor):
                            cursor = page[-1].cursor
                            if wanted := [entry for entry in page if listener.wants(entry)]:
                                yield wanted
                    except StaleCursorError:
                        listener.start_over(Reset(await self._pool.run(self._backend.feed_end)))
                elif listener.kept:
                    entries = list(listener.kept)
                    listener.kept.clear()
                    if place_of(entries[0].cursor) <= place_of(cursor):
                        # The stream has read further than the hub, or a backup was restored: the feed knows which.
                        listener.missed = True
                    else:
                        cursor = entries[-1].cursor
                        yield entries
                else:
                    listener.news.clear()
                    try:
                        await asyncio.wait_for(listener.news.wait(), quiet)
                    except TimeoutError:
                        yield []
        finally:
            self.leave(listener)

    async def _past(self, cursor: str) -> AsyncIterator[list[FeedEntry]]:
        while page := await self._pool.run(self._backend.feed, cursor, PAGE):
            yield page
            cursor = page[-1].cursor


def _call(listener: Listener, call: Callable[..., None], *args: object) -> None:
    try:
        listener.loop.call_soon_threadsafe(call, *args)
    except RuntimeError:
        # Its loop has ended, and it with it.
        listener.ended = True
