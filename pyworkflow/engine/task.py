"""Tasks that run: asyncio tasks that know their template, their workflow and what became of them."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from pyworkflow.clock import Clock, SystemClock
from pyworkflow.codec import Json
from pyworkflow.engine.broker import get_broker
from pyworkflow.engine.errors import SkipTask, TukioTaskError
from pyworkflow.engine.event import Event, EventSource, thaw
from pyworkflow.engine.messages import tell
from pyworkflow.engine.record import TaskRecord
from pyworkflow.engine.registry import TaskRegistry
from pyworkflow.engine.states import FutureState, TaskExecState
from pyworkflow.engine.template import TaskTemplate
from pyworkflow.failure import describe
from pyworkflow.ids import new_id
from pyworkflow.mistakes import is_mistake
from pyworkflow.values import check_payload

if TYPE_CHECKING:
    from pyworkflow.engine.workflow import Workflow

log = logging.getLogger("pyworkflow.engine")

_CLOCK = SystemClock()
_OUTSIDE = EventSource()


class TukioTask(asyncio.Task[Any]):
    """One execution of a task. It is what `asyncio.current_task` returns inside.

    Args:
        template: The template of the task.
        event: What it is given.
        loop: The loop.
        workflow: The workflow it belongs to, which is told of its end; without one, its result or exception is that of this asyncio task.
        children: Whether there are tasks that what it returns is given to.
        clock: What to read the time from.

    Attributes:
        template: The template of the task.
        workflow: The workflow it belongs to.
        holder: The object that does the work, if its class is registered.
        record: What is known of the execution.
        event: What it was given.
        next: The ids of the tasks that are to follow; None for all.
        unheard: The parents, besides the first, that it has not been told of.
    """

    __slots__ = (
        "_broken",
        "_children",
        "_clock",
        "_entered",
        "_function",
        "_mistakes",
        "_queue",
        "_timer",
        "_topics",
        "event",
        "holder",
        "next",
        "record",
        "suspending",
        "template",
        "timed_out",
        "unheard",
        "workflow",
    )

    def __init__(
        self,
        template: TaskTemplate,
        event: Event,
        *,
        loop: asyncio.AbstractEventLoop,
        workflow: Workflow | None = None,
        children: bool = False,
        clock: Clock = _CLOCK,
    ) -> None:
        self.template = template
        self.workflow = workflow
        self.event = event
        self.next: list[str] | None = None
        self.unheard: set[str] = set()
        self.timed_out = False
        self.suspending = False
        self.holder: Any = None
        self._broken: Exception | None = None
        self._mistakes: tuple[type[BaseException], ...] = ()
        self._children = children
        self._clock = clock
        self._entered = False
        self._queue: asyncio.Queue[Event] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._topics: dict[str | None, int] = {}
        uid = self._prepare() or new_id()
        self.record = TaskRecord(template.uid, uid, event.freeze(), clock.now())
        super().__init__(self._run(), loop=loop)
        if template.timeout is not None:
            self._timer = loop.call_later(template.timeout, self.timeout)

    def _prepare(self) -> str | None:
        """Make the holder; return the id that it has for this execution."""
        try:
            holder, self._function = TaskRegistry.get(self.template.name)
            self._mistakes = getattr(holder or self._function, "parks_on", ())
            if holder is None:
                return None
            self.holder = holder(deepcopy(self.template.config))
            if isinstance(getattr(self.holder, "queue", None), asyncio.Queue):
                self._queue = self.holder.queue
            else:
                self.holder.queue = self.queue
            return getattr(self.holder, "uid", None)
        except Exception as error:
            # The task fails with it as soon as it runs, as it would with any other.
            self._broken = error
            return None

    # -- for those inside -----------------------------------------------------------------------------------------------------------

    @property
    def uid(self) -> str:
        """The id of this execution."""
        return self.record.uid

    @property
    def inputs(self) -> Json:
        """The data it was given, as it was."""
        return thaw(self.record.inputs)

    def beginning(self) -> Event:
        """Return the event it was given, as it was then."""
        return Event.thawed(self.record.inputs, self.event.topic, self.event.source)

    @property
    def outputs(self) -> Json:
        """What it returned; None while it runs."""
        return None if self.record.outputs is None else thaw(self.record.outputs)

    @property
    def queue(self) -> asyncio.Queue[Event]:
        """What it is told while it runs: from its topics, and from parents after the first."""
        if self._queue is None:
            self._queue = asyncio.Queue()
        return self._queue

    @property
    def event_source(self) -> EventSource:
        """The source of the events that come from it."""
        return self.record.source(_OUTSIDE if self.workflow is None else self.workflow.source)

    @property
    def committed(self) -> bool:
        """Whether it is not suspended."""
        return not self.suspending

    def in_progress(self) -> bool:
        """Tell whether it has begun and not ended."""
        return self._entered and not self.done()

    def data_received(self, event: Event) -> None:
        """Put an event into the queue."""
        self.queue.put_nowait(event)

    def listen(self, topic: str | None) -> None:
        """Have what is dispatched to a topic, or anything at all, put into the queue: until `unlisten` is called as often, or its end."""
        if topic not in self._topics:
            get_broker(self.get_loop()).register(self.data_received, topic)
        self._topics[topic] = self._topics.get(topic, 0) + 1

    def unlisten(self, topic: str | None) -> None:
        """Take a `listen` back.

        Raises:
            KeyError: There is none.
        """
        self._topics[topic] -= 1
        if not self._topics[topic]:
            self._turn_deaf(topic)

    def _turn_deaf(self, topic: str | None) -> None:
        del self._topics[topic]
        # The task itself may have been there before.
        with suppress(KeyError):
            get_broker(self.get_loop()).unregister(self.data_received, topic)

    def dispatch_progress(self, data: Json, event_type: str | None = None) -> None:
        """Tell those who listen to the topics of messages how it comes on.

        Args:
            data: Any JSON.
            event_type: The type of the message; ``task-progress`` if left out.
        """
        broker = get_broker(self.get_loop())
        tell(broker, self.event_source, event_type or TaskExecState.PROGRESS, data)

    # -- its end --------------------------------------------------------------------------------------------------------------------

    def timeout(self) -> None:
        """Cancel it, because its time is over."""
        self.timed_out = True
        self.end()

    def suspend(self) -> None:
        """Cancel it, to be run again from its beginning."""
        self.suspending = True
        self.end()

    def cancel(self, msg: Any = None) -> bool:
        """Cancel it: it ends when it has heard of that."""
        if self.workflow is not None and not self.get_loop().is_running():
            # That is what `asyncio.run` does with all tasks when it ends.
            self.workflow.runner.loop_ends()
        return self.end(msg)

    def end(self, msg: Any = None) -> bool:
        """Cancel it, for the engine."""
        if not self._entered and not self.done():
            # What has not begun to run will not be able to say how it ended.
            self._entered = True
            self.add_done_callback(TukioTask._never_ran)
        return super().cancel(msg)

    def _never_ran(self) -> None:
        self._stop(self._fate(), None)

    async def _run(self) -> Any:
        self._entered = True
        result: Any = None
        ended: BaseException | None = None
        try:
            if self._broken is not None:
                raise self._broken
            result = await (
                self._function(self.event)
                if self.holder is None
                else self._function(self.holder, self.event)
            )
            self._keep(result)
            state = FutureState.finished
        except SkipTask as skipped:
            state, ended = FutureState.skipped, skipped
            self.record.gives = self.record.inputs
        except asyncio.CancelledError:
            # Said now: what else befalls it while the holder cleans up changes nothing.
            fate = self._fate()
            self._stop(fate, await self._torn_down(fate))
            if self.timed_out and self.workflow is None:
                raise TimeoutError(f"task {self.template.name!r} timed out") from None
            raise
        except GeneratorExit:
            # The loop is gone, and with it whatever could follow.
            raise
        except BaseException as failure:
            # Whatever it is: an end that nobody tells of would have the workflow wait for ever.
            ended = failure
            parked = self.suspending or self._suspends_for(failure)
            interrupted = parked or isinstance(failure, KeyboardInterrupt)
            state = FutureState.suspended if interrupted else FutureState.exception
        if ended is not None:
            self._fail(ended)
        self._conclude(state)
        if ended is not None and (self.workflow is None or isinstance(ended, KeyboardInterrupt)):
            raise ended
        return result

    def _keep(self, result: object) -> None:
        """Keep what it returned, and say what the next tasks are given."""
        record = self.record
        if isinstance(result, Event):
            record.outputs = record.gives = result.freeze()
            return
        if result is not None:
            record.outputs = check_payload(result, f"what task {self.template.name!r} returned")
        if result is None or not self._children:
            record.gives = record.inputs
        elif isinstance(result, dict):
            record.gives = record.outputs
        else:
            raise TypeError(
                f"task {self.template.name!r} returned {type(result).__name__}: what the next tasks"
                " are given must be a dict or an Event"
            )

    def _fail(self, error: BaseException) -> None:
        self.record.error = describe(error).reason
        self.record.error_type = type(error).__name__
        if isinstance(error, TukioTaskError):
            self.record.outputs = _frozen_or_none(error.task_outputs)
        if not isinstance(error, SkipTask) and self.workflow is not None:
            log.warning("task %s failed", self.template, exc_info=error)

    def _suspends_for(self, error: BaseException) -> bool:
        """Suspend the workflow if an exception is a mistake in the code: the repaired code runs the task again."""
        if self.workflow is None or not self._mistakes or not is_mistake(error, self._mistakes):
            return False
        self.workflow.suspend()
        return True

    def _fate(self) -> FutureState:
        """Return how it ends, being canceled."""
        if self.suspending:
            return FutureState.suspended
        return FutureState.timeout if self.timed_out else FutureState.cancelled

    async def _torn_down(self, fate: FutureState) -> bytes | None:
        """Have the holder clean up; return what it gives instead of an output."""
        self._stop_timer()
        if fate is FutureState.suspended or not hasattr(self.holder, "teardown"):
            return None
        try:
            told = self.holder.teardown()
            return _frozen_or_none(await told if inspect.isawaitable(told) else told)
        except (GeneratorExit, KeyboardInterrupt):
            raise
        except BaseException:
            # It may have been canceled in the middle of that, too.
            log.exception("task %s did not clean up", self.template)
            return None

    def _stop(self, fate: FutureState, output: bytes | None) -> None:
        if fate is FutureState.timeout:
            record = self.record
            record.outputs = record.inputs if output is None else output
            is_given = isinstance(thaw(record.outputs), dict)
            record.gives = record.outputs if is_given else record.inputs
        self._conclude(fate)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _conclude(self, state: FutureState) -> None:
        self._stop_timer()
        for topic in list(self._topics):
            self._turn_deaf(topic)
        record = self.record
        record.state = state
        record.end = self._clock.now()
        record.next = self.next
        record.reporting = self.reporting()
        if self.workflow is not None:
            self.workflow.task_ended(self)

    def reporting(self) -> Json:
        """Return what its holder has to report."""
        if self.holder is None or not hasattr(self.holder, "report"):
            return None
        try:
            # Frozen, because it is to be what it is now, and JSON wherever it is kept.
            return thaw(check_payload(self.holder.report(), "report"))
        except Exception:
            log.exception("task %s did not report", self.template)
            return None


def _frozen_or_none(value: Json) -> bytes | None:
    return None if value is None else check_payload(value, "task outputs")


def new_task(
    name: str,
    *,
    data: dict[str, Any] | Event | None = None,
    config: Mapping[str, Any] | None = None,
    timeout: float | None = None,
    loop: asyncio.AbstractEventLoop | None = None,
) -> TukioTask:
    """Run a registered task outside any workflow; what is returned can be awaited.

    Args:
        name: What it is registered under.
        data: What it is given.
        config: The configuration of its holder.
        timeout: Seconds it may run; after them, awaiting it raises TimeoutError.
        loop: The loop; the running one if left out.

    Raises:
        UnknownTaskName: Nothing is registered under the name.
        InvalidRequestError: A value cannot be.
    """
    event = data if isinstance(data, Event) else Event({} if data is None else data)
    template = TaskTemplate(name, config=config, timeout=timeout)
    TaskRegistry.get(name)
    return TukioTask(template, event, loop=loop or asyncio.get_running_loop())
