"""The broker: hands events to whoever registered for their topic, or for all."""

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from types import TracebackType
from typing import Any, Protocol
from weakref import WeakKeyDictionary, ref

from pyworkflow.engine.event import Event, EventSource
from pyworkflow.errors import InvalidRequestError

log = logging.getLogger("pyworkflow.engine")

EXEC_TOPIC = "__exec_topic__"
"""The topic of messages ``{"type": …, "content": …}`` about the engine's own workflows and tasks. Those of a single workflow are dispatched to
``__exec_topic__/<id of the workflow>`` as well."""

Handler = Callable[[Event], Awaitable[object] | object]


def workflow_exec_topics(uid: str | None) -> tuple[str, ...]:
    """Return the topics of the messages about a workflow; about a task that has none, if there is no id."""
    return (EXEC_TOPIC,) if uid is None else (EXEC_TOPIC, f"{EXEC_TOPIC}/{uid}")


class Broker:
    """Hands events on within one event loop; it is used in the thread of that loop only.

    Args:
        loop: The loop; the running one if left out.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        # Held weakly, because the loop's broker is kept for as long as the loop.
        self._loop = ref(loop or asyncio.get_running_loop())
        self._global: dict[Handler, None] = {}
        self._topics: dict[str, dict[Handler, None]] = {}
        self._running: set[asyncio.Task[object]] = set()

    def register(self, coro_or_cb: Handler, topic: str | None = None) -> None:
        """Have a function or coroutine function called with each event of a topic; of all, and of none, if no topic is given.

        Raises:
            TypeError: It cannot be called.
            InvalidRequestError: It is registered for all events, and was to be for a topic, or the other way round (also a ValueError).
        """
        if not callable(coro_or_cb):
            raise TypeError(f"{coro_or_cb!r} cannot be called")
        if topic is None:
            if any(coro_or_cb in handlers for handlers in self._topics.values()):
                raise InvalidRequestError(f"handler {coro_or_cb!r}", "is registered with topics")
            self._global[coro_or_cb] = None
        elif coro_or_cb in self._global:
            raise InvalidRequestError(f"handler {coro_or_cb!r}", "is registered for all events")
        else:
            self._topics.setdefault(topic, {})[coro_or_cb] = None

    def unregister(self, coro_or_cb: Handler, topic: str | None = None) -> None:
        """Take a registration back.

        Raises:
            KeyError: There is none.
        """
        if topic is None:
            del self._global[coro_or_cb]
            return
        del self._topics[topic][coro_or_cb]
        if not self._topics[topic]:
            del self._topics[topic]

    @property
    def is_heard(self) -> bool:
        """Whether anybody is registered for anything: if not, there is no need to make an event."""
        return bool(self._global or self._topics)

    def dispatch(
        self,
        data: dict[str, Any] | Event,
        topics: str | Iterable[str] | None = None,
        source: EventSource | None = None,
    ) -> None:
        """Have all handlers called that registered for all events or one of the topics, each of them once, in the loop's next round.

        Args:
            data: An event, or its data.
            topics: A topic, several, or none.
            source: Where the data comes from, if it is no event yet.

        Raises:
            InvalidRequestError: The data is neither an event nor a dict.
        """
        loop = self._loop()
        if loop is None:
            return
        listed = (topics,) if isinstance(topics, str) else tuple(topics or ())
        topic = listed[0] if listed else None
        event = data if isinstance(data, Event) else Event(data, topic, source)
        handlers = dict(self._global)
        for name in listed:
            handlers.update(self._topics.get(name, {}))
        for handler in handlers:
            # Each has a copy of its own.
            loop.call_soon(self._call, handler, event.copy())

    def _call(self, handler: Handler, event: Event) -> None:
        returned = handler(event)
        if inspect.iscoroutine(returned):
            task: asyncio.Task[object] = asyncio.get_running_loop().create_task(returned)
            # The loop itself holds tasks weakly.
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a handler of events failed: %s", task, exc_info=error)


_brokers: WeakKeyDictionary[asyncio.AbstractEventLoop, Broker] = WeakKeyDictionary()


def get_broker(loop: asyncio.AbstractEventLoop | None = None) -> Broker:
    """Return the one broker of a loop; of the running one, if none is given."""
    loop = loop or asyncio.get_running_loop()
    broker = _brokers.get(loop)
    if broker is None:
        broker = _brokers[loop] = Broker(loop)
    return broker


class _Listening(Protocol):
    def listen(self, topic: str | None) -> None: ...
    def unlisten(self, topic: str | None) -> None: ...


class TopicManager:
    """Has the running task listen to a topic for as long as the block lasts: what is dispatched there lands in its queue.

    Args:
        topic: The topic; None for all events.
        loop: Accepted for programs of the first tukio; the task knows its loop.
    """

    def __init__(self, topic: str | None, *, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.topic = topic

    @staticmethod
    def subscribe(topic: str | None = None) -> None:
        """Have the running task listen to a topic."""
        _current().listen(topic)

    @staticmethod
    def unsubscribe(topic: str | None = None) -> None:
        """Have the running task listen to a topic no more."""
        _current().unlisten(topic)

    def __enter__(self) -> None:
        self.subscribe(self.topic)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.unsubscribe(self.topic)


def _current() -> _Listening:
    task: Any = asyncio.current_task()
    if not hasattr(task, "unlisten"):
        raise RuntimeError("no task of a workflow is running here")
    listening: _Listening = task
    return listening
