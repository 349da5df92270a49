"""Workflows that run: what is known of one, and what it does when something happens to it or to one of its tasks.

What comes next is not said here but by a runner (`pyworkflow.engine.runner`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pyworkflow.clock import Clock, SystemClock
from pyworkflow.codec import Json
from pyworkflow.engine import reporting
from pyworkflow.engine.broker import Broker, get_broker
from pyworkflow.engine.errors import WorkflowError
from pyworkflow.engine.event import Event, EventSource
from pyworkflow.engine.messages import tell, tell_of_end
from pyworkflow.engine.record import TaskRecord
from pyworkflow.engine.states import FutureState, OverrunPolicy, TaskExecState, WorkflowExecState
from pyworkflow.engine.task import TukioTask
from pyworkflow.engine.template import WorkflowTemplate
from pyworkflow.graph.flow import Flow
from pyworkflow.ids import new_id

if TYPE_CHECKING:
    from pyworkflow.engine.runner import Runner

log = logging.getLogger("pyworkflow.engine")

_NOTHING = Event({})


class Workflow(asyncio.Future[Mapping[str, TaskRecord]]):
    """An execution of a template. Awaited, it is what is known of its tasks, or raises `WorkflowError` or CancelledError.

    Args:
        template: The template, as it is now.
        runner: What says what comes next.
        loop: The loop.
        uid: Its id; a new one if left out.
        clock: What to read the time from.

    Attributes:
        uid: Its id.
        template: The template.
        source: The source of messages about it.
        runner: What says what comes next.
        flow: Where each task stands by the rules of the graph.
        records: What is known of the tasks that have begun, by the ids of their templates.
        running: The tasks that run now, by the ids of their templates.
        event: What the first task is given, once it has begun.
        start: When that was, in microseconds since the epoch.
        end: When it ended.
        committed: Whether it is not suspended.
        locked: Whether it keeps others of its template from starting, where the policy asks for that.
    """

    __slots__ = (
        "_announced",
        "_broker",
        "_clock",
        "_closing",
        "_event_loop",
        "_held",
        "_joining",
        "_stands",
        "_timer",
        "committed",
        "end",
        "event",
        "flow",
        "locked",
        "plan",
        "records",
        "runner",
        "running",
        "source",
        "start",
        "template",
        "uid",
    )

    def __init__(
        self,
        template: WorkflowTemplate,
        runner: Runner,
        *,
        loop: asyncio.AbstractEventLoop,
        uid: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        super().__init__(loop=loop)
        self.uid = uid or new_id()
        self.template = template
        self.source = EventSource(template.uid, self.uid)
        self.plan = template.compiled()
        self.flow = Flow(self.plan.graph)
        self.records: dict[str, TaskRecord] = {}
        self.running: dict[str, TukioTask] = {}
        self.event = _NOTHING
        self.start: int | None = None
        self.end: int | None = None
        self.committed = True
        self.locked = template.policy is OverrunPolicy.SKIP_UNTIL_UNLOCK
        self.runner = runner
        self._clock = clock or SystemClock()
        self._event_loop = loop
        self._broker: Broker = get_broker(loop)
        self._joining: dict[str, TukioTask] = {}
        self._held: dict[str, Event] = {}
        self._announced = False
        self._stands = FutureState.pending
        self._closing: FutureState | None = None
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    def current_workflow(cls, loop: asyncio.AbstractEventLoop | None = None) -> Workflow | None:
        """Return the workflow of the running task, None if it has none."""
        return getattr(asyncio.current_task(loop), "workflow", None)

    def __repr__(self) -> str:
        return f"<Workflow template.uid={self.template.uid!r}, uid={self.uid!r}, {self.state}>"

    # -- looking on -----------------------------------------------------------------------------------------------------------------

    @property
    def policy(self) -> OverrunPolicy:
        """The overrun policy of its template."""
        return self.template.policy

    @property
    def state(self) -> FutureState:
        """Where it stands."""
        if self._stands is FutureState.pending and not self.committed:
            return FutureState.suspended
        return self._stands

    @property
    def timed_out(self) -> bool:
        """Whether its time was over before it ended."""
        return self._stands is FutureState.timeout

    def report(self) -> dict[str, Any]:
        """Return the template as a dict, with what became of the workflow and of each task under ``exec``."""
        return reporting.report(self)

    # -- from outside and from its tasks --------------------------------------------------------------------------------------------

    def set_next_tasks(self, task_tmpl_ids: Iterable[str]) -> None:
        """Have only these tasks follow the running one.

        Args:
            task_tmpl_ids: The ids of their templates; those that do not follow it are logged and left out.

        Raises:
            RuntimeError: The running task is none of this workflow's.
        """
        task = asyncio.current_task()
        if not isinstance(task, TukioTask) or task.workflow is not self:
            raise RuntimeError(f"{task!r} is no task of {self!r}")
        followers = self.plan.children[task.template.uid]
        task.next = []
        for name in dict.fromkeys(task_tmpl_ids):
            if name in followers:
                task.next.append(name)
            else:
                log.error("task %r does not follow %s", name, task.template)

    def unlock_when_task_done(self, task: asyncio.Task[Any] | None = None) -> None:
        """Have others of the template start from when a task has ended: the running one, if none is given."""
        waited_for = task or asyncio.current_task()
        if waited_for is not None:
            waited_for.add_done_callback(self._unlock)

    def _unlock(self, _: object) -> None:
        self.locked = False

    def suspend(self) -> None:
        """Cancel what runs, and begin nothing until `resume`. Nothing happens if it is suspended or over."""
        if self.committed and self._stands is FutureState.pending:
            self.committed = False
            for task in list(self.running.values()):
                task.suspend()
            self._tell(WorkflowExecState.SUSPEND)
            self.runner.suspended(self)

    def resume(self) -> None:
        """Run again, from their beginning, the tasks that were suspended. Nothing happens if it is not suspended."""
        if self.committed or self._stands is not FutureState.pending:
            return
        self.committed = True
        self._tell(WorkflowExecState.RESUME)
        self.runner.suspended(self)
        held, self._held = self._held, {}
        for task, event in held.items():
            self.begin_task(task, event)

    def cancel(self, msg: Any = None) -> bool:
        """Cancel what runs; when that is over, the workflow is canceled. Return False if it is over already."""
        if self.done():
            return False
        self.close(FutureState.cancelled)
        return True

    # -- for its runner -------------------------------------------------------------------------------------------------------------

    def opened(self, event: Event, start: int | None = None) -> None:
        """Take notice that it has begun; the first task is ready then.

        Args:
            event: What the first task is given.
            start: When that was; now, if left out.
        """
        self.event = event
        self.start = start or self._clock.now()
        self.flow.begin(None)

    def limit(self) -> None:
        """Close it when its time is over."""
        if self.template.timeout is not None:
            seconds = self.template.timeout
            self._timer = self._event_loop.call_later(seconds, self.close, FutureState.timeout)

    def ready(self) -> list[str]:
        """Return the tasks that can begin, in the order of the template, each of them once."""
        todo = list(self.flow.todo)
        self.flow.todo.clear()
        if len(todo) > 1:
            todo.sort(key=self.plan.graph.place.__getitem__)
        return todo

    def event_for(self, task: str) -> Event:
        """Return what a task is given: by the first parent that gave something, or from outside."""
        first = self.flow.states[task].first
        record = None if first is None else self.records.get(first)
        return self.event if record is None else record.event(self.source)

    @property
    def is_settled(self) -> bool:
        """Whether all tasks have ended, or never will begin."""
        return not self.flow.unfinished

    def ending(self) -> FutureState:
        """Return how it ends, when it is settled."""
        return FutureState.exception if self.flow.failed else FutureState.finished

    def begin_task(self, task_id: str, event: Event) -> None:
        """Run a task; if the workflow is suspended, when it is resumed."""
        if self._closing is not None or self._stands is not FutureState.pending:
            return
        if not self.committed:
            self._held[task_id] = event
            return
        if not self._announced:
            self._announced = True
            if self._broker.is_heard:
                self._tell(WorkflowExecState.BEGIN, self.event.data)
        task = TukioTask(
            self.plan.tasks[task_id],
            event,
            loop=self._event_loop,
            workflow=self,
            children=bool(self.plan.children[task_id]),
            clock=self._clock,
        )
        self.running[task_id] = task
        self.records[task_id] = task.record
        topics = task.template.topics
        for topic in (None,) if topics is None else topics:
            task.listen(topic)
        if self._broker.is_heard:
            tell(self._broker, task.event_source, TaskExecState.BEGIN, task.inputs)
        if len(self.plan.parents[task_id]) > 1:
            self._join(task)

    def _join(self, task: TukioTask) -> None:
        """Have a task told of its other parents: now, and from now on."""
        task.unheard.update(self.plan.parents[task.template.uid])
        if event_source := task.event.source:
            task.unheard.discard(str(event_source.task_template_id))
        self._joining[task.template.uid] = task
        self._tell_of_parents(task, list(task.unheard))

    def task_ended(self, task: TukioTask) -> None:
        """Take notice that a task has ended."""
        self.running.pop(task.template.uid, None)
        self._joining.pop(task.template.uid, None)
        if self.done():
            return
        if self._closing is not None:
            self.close_if_idle()
        elif task.record.state is FutureState.suspended:
            self._held[task.template.uid] = task.beginning()
            if self.committed:
                self.begin_task(task.template.uid, self._held.pop(task.template.uid))
        else:
            self.runner.task_ended(self, task.record)

    def settle(self, record: TaskRecord, *, told: bool = False) -> None:
        """Count a task as ended, and let tasks with other parents know. Nothing happens the second time.

        Args:
            record: How it ended.
            told: Whether those who listen have been told of that before.
        """
        step = self.flow.states[record.task]
        if step.is_ended:
            return
        self.records[record.task] = record
        unfinished = self.flow.unfinished
        self.flow.end(step, record.outcome(), record.next)
        if not told:
            tell_of_end(self._broker, self.source, record)
        if unfinished - self.flow.unfinished == 1:
            for child in self.plan.children[record.task]:
                if (task := self._joining.get(child)) is not None:
                    self._tell_of_parents(task, [record.task])
        else:
            # Others ended with it: those that cannot begin any more.
            for task in list(self._joining.values()):
                self._tell_of_parents(task, list(task.unheard))

    def _tell_of_parents(self, task: TukioTask, parents: Iterable[str]) -> None:
        """Let a running task have what other parents gave, and know of those that never will give anything."""
        own = task.template.uid
        for parent in parents:
            if parent not in task.unheard or not self.flow.states[parent].is_ended:
                continue
            task.unheard.discard(parent)
            record = self.records.get(parent)
            if record is not None and record.gives_to(own):
                task.data_received(record.event(self.source))
            elif hasattr(task.holder, "parent_lost"):
                task.holder.parent_lost(parent)

    # -- its end --------------------------------------------------------------------------------------------------------------------

    def close(self, state: FutureState) -> None:
        """Cancel what runs; when that is over, the workflow ends in a state."""
        if self._closing is None and not self.done():
            self._closing = state
            self._held.clear()
            self._end_tasks()
            self.close_if_idle()

    def _end_tasks(self) -> None:
        for task in list(self.running.values()):
            task.end()

    def close_if_idle(self) -> None:
        """Tell the runner, once none of the tasks runs, that it is to end: if it is."""
        if self.running or self._closing is None or self.done():
            return
        if self.start is None:
            self.conclude(self._closing)
        else:
            self.runner.closed(self, self._closing)

    def abandon(self) -> None:
        """Cancel what runs as if it had not begun, and be awaited no more: the workflow goes on elsewhere."""
        self.committed = False
        for task in list(self.running.values()):
            task.suspend()
        super().cancel()

    def conclude(self, state: FutureState, reason: str | None = None) -> None:
        """End it.

        Args:
            state: How.
            reason: Why it failed, if that is not the failure of its first task.
        """
        if self.done():
            return
        self._stands = state
        self.end = self._clock.now()
        if self._timer is not None:
            self._timer.cancel()
        self._end_tasks()
        if state is FutureState.finished:
            self._tell(WorkflowExecState.END)
            self.set_result(self.records)
        elif state is FutureState.exception:
            error = WorkflowError(self.uid, reason or self._why())
            self._tell(WorkflowExecState.ERROR, {"exception": error.reason})
            self.set_exception(error)
            # It was told and logged: nobody has to ask for it.
            self.exception()
        else:
            self._tell(WorkflowExecState.END, {"cancel": True})
            super().cancel()

    def _why(self) -> str:
        record = self.records.get(self.plan.root)
        error = None if record is None else record.error or record.state.value
        return f"its first task {self.plan.root!r} failed: {error}"

    def _tell(self, type: str, content: Json = None) -> None:
        tell(self._broker, self.source, type, content)
