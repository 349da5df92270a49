"""The engine: keeps templates, starts workflows of them when data comes, and follows them to their end."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Generator, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

from pyworkflow.clock import Clock, SystemClock
from pyworkflow.engine.broker import get_broker
from pyworkflow.engine.errors import RescueError
from pyworkflow.engine.event import Event
from pyworkflow.engine.reporting import restore, uid_of
from pyworkflow.engine.runner import LoopRunner, Runner
from pyworkflow.engine.selector import Selector, WorkflowSelector
from pyworkflow.engine.states import FutureState, OverrunPolicy
from pyworkflow.engine.template import WorkflowTemplate
from pyworkflow.engine.workflow import Workflow

if TYPE_CHECKING:
    from pyworkflow.backend.base import Backend
    from pyworkflow.engine.durable import DurableRunner

log = logging.getLogger("pyworkflow.engine")


class Engine:
    """Starts and follows workflows in one event loop. Awaited after `stop`, it returns when all of them are over.

    Args:
        backend: Where workflows are recorded, as a backend or its URL: they survive the end of this OS process then, see `rescue`. Without
            one they live in the memory of the loop.
        selector: What keeps the templates.
        loop: Accepted for programs of the first tukio; the loop is the one that runs when a workflow is started.
        name: What the workflows of this engine go by on the backend: one engine of a name at a time takes care of them.
        lease: With a backend: the seconds after which another engine of the name takes over from one that is gone.
        clock: What to read the time from.

    Raises:
        InvalidRequestError: No backend has the scheme of the URL, or the name is not acceptable.
    """

    def __init__(
        self,
        *,
        backend: Backend | str | None = None,
        selector: Selector | None = None,
        loop: asyncio.AbstractEventLoop | None = None,
        name: str = "engine",
        lease: float = 30.0,
        clock: Clock | None = None,
    ) -> None:
        self.selector: Selector = selector or WorkflowSelector()
        self._clock = clock or SystemClock()
        self._workflows: dict[str, Workflow] = {}
        self._by_template: dict[str, dict[str, Workflow]] = {}
        self._waiting: set[asyncio.Task[None]] = set()
        self._stopping = False
        self._stopped: asyncio.Future[None] | None = None
        self._durable: DurableRunner | None = None
        if backend is not None:
            from pyworkflow.engine.durable import DurableRunner

            self._durable = DurableRunner(backend, name, lease, self._new)
        self._runner: Runner = self._durable or LoopRunner()

    @property
    def instances(self) -> list[Workflow]:
        """The workflows that are not over, the oldest first."""
        return list(self._workflows.values())

    # -- templates ------------------------------------------------------------------------------------------------------------------

    async def load(self, template: WorkflowTemplate) -> None:
        """Have a template triggered from now on, instead of the one of its id. Those that run are not affected.

        Raises:
            TemplateError: It cannot run; the subclass says what is wrong, the message names the culprit.
            UnknownTaskName: It names a task that is not registered.
        """
        template.validate()
        self.selector.load(template)

    async def reload(self, templates: Iterable[WorkflowTemplate]) -> None:
        """Replace all templates.

        Raises:
            TemplateError: One of them cannot run; then nothing is replaced.
            UnknownTaskName: One of them names a task that is not registered; likewise.
        """
        checked = list(templates)
        for template in checked:
            template.validate()
        self.selector.clear()
        for template in checked:
            self.selector.load(template)

    async def unload(self, template_id: str) -> WorkflowTemplate:
        """Have a template triggered no more, and return it. Those that run are not affected.

        Raises:
            UnknownTemplateError: No template of this id is loaded (also a KeyError).
        """
        return self.selector.unload(template_id)

    # -- starting -------------------------------------------------------------------------------------------------------------------

    async def data_received(
        self, data: dict[str, Any] | Event, topic: str | None = None
    ) -> list[Workflow] | None:
        """Pass data on to running tasks that listen, and start workflows of all templates that it triggers.

        Args:
            data: Any JSON object.
            topic: The topic it comes by; None for none, which only reaches those who want everything.

        Returns:
            The workflows that were started; None if the engine is stopping.

        Raises:
            InvalidRequestError: The data is no dict, or is not JSON.
        """
        event = Event(data, topic)
        broker = get_broker()
        if broker.is_heard:
            broker.dispatch(event, topic)
        if self._stopping:
            return None
        selected = self.selector.select(topic)
        templates = await selected if inspect.isawaitable(selected) else selected
        started = [await self._trigger(template, event) for template in templates]
        return [workflow for workflow in started if workflow is not None]

    async def trigger(self, template_id: str, data: dict[str, Any] | Event) -> Workflow | None:
        """Start a workflow of a template, whatever its topics.

        Returns:
            The workflow; None if the template is unknown, its policy says no, or the engine is stopping.

        Raises:
            InvalidRequestError: The data is no dict, or is not JSON.
        """
        found = self.selector.get(template_id)
        template = await found if inspect.isawaitable(found) else found
        return None if template is None else await self._trigger(template, Event(data))

    async def run_once(
        self, template: WorkflowTemplate, data: dict[str, Any] | Event
    ) -> Workflow | None:
        """Start a workflow of a template that need not be loaded, whatever its policy; None if the engine is stopping.

        Raises:
            TemplateError: The template cannot run.
            UnknownTaskName: It names a task that is not registered.
            InvalidRequestError: The data is no dict, or is not JSON.
        """
        template.validate()
        event = Event(data)
        if self._stopping:
            return None
        workflow = self._new(template)
        await self._begin(workflow, event)
        return workflow

    async def _trigger(self, template: WorkflowTemplate, event: Event) -> Workflow | None:
        if self._stopping:
            return None
        policy, others = template.policy, self._by_template.get(template.uid, {})
        if policy is OverrunPolicy.SKIP and others:
            return None
        if policy is OverrunPolicy.SKIP_UNTIL_UNLOCK and any(w.locked for w in others.values()):
            return None
        aborted = list(others.values()) if policy is OverrunPolicy.ABORT_RUNNING else []
        workflow = self._new(template)
        if not aborted:
            await self._begin(workflow, event)
            return workflow
        for other in aborted:
            other.cancel()
        task = asyncio.create_task(self._begin_after(aborted, workflow, event))
        self._waiting.add(task)
        task.add_done_callback(self._waited)
        return workflow

    def _waited(self, task: asyncio.Task[None]) -> None:
        self._waiting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a workflow could not begin after those that it aborted", exc_info=error)

    async def _begin_after(self, others: list[Workflow], workflow: Workflow, event: Event) -> None:
        await asyncio.wait(others)
        # Another trigger, or the end of the engine, may have canceled it meanwhile.
        if not workflow.done():
            await self._begin(workflow, event)

    def _new(self, template: WorkflowTemplate, uid: str | None = None) -> Workflow:
        """Return a new workflow. It counts as one of those that run from now on."""
        loop = asyncio.get_running_loop()
        workflow = Workflow(template, self._runner, loop=loop, uid=uid, clock=self._clock)
        self._workflows[workflow.uid] = workflow
        self._by_template.setdefault(template.uid, {})[workflow.uid] = workflow
        workflow.add_done_callback(self._over)
        return workflow

    async def _begin(self, workflow: Workflow, event: Event) -> None:
        # The event may have triggered others, too.
        workflow.opened(event.copy())
        await self._run(workflow)

    async def _run(self, workflow: Workflow) -> None:
        try:
            await self._runner.begin(workflow)
        except asyncio.CancelledError:
            workflow.cancel()
            raise
        except BaseException:
            self._drop(workflow)
            raise

    def _drop(self, workflow: Workflow) -> None:
        """Let a workflow go that could not begin."""
        workflow.conclude(FutureState.cancelled)
        self._over(workflow)

    def _over(self, future: asyncio.Future[Any]) -> None:
        uid = getattr(future, "uid", "")
        workflow = self._workflows.get(uid)
        if workflow is None or workflow is not future:
            return
        del self._workflows[uid]
        same = self._by_template[workflow.template.uid]
        del same[uid]
        if not same:
            del self._by_template[workflow.template.uid]
        self._stop_if_idle()

    # -- resuming -------------------------------------------------------------------------------------------------------------------

    @overload
    async def rescue(self) -> list[Workflow]: ...

    @overload
    async def rescue(
        self, template: WorkflowTemplate, report: Mapping[str, Any]
    ) -> Workflow | None: ...

    async def rescue(
        self, template: WorkflowTemplate | None = None, report: Mapping[str, Any] | None = None
    ) -> list[Workflow] | Workflow | None:
        """Resume workflows that were left behind, each under its own id.

        Tasks that had ended are not run again; those that had begun and not ended are, with what they were given.

        Args:
            template: With a report: the template of the workflow.
            report: What `Workflow.report` returned last, also from JSON. With a backend, the history is what counts of it. Without a
                report, all workflows of this engine's name on the backend are resumed.

        Returns:
            The workflows that this engine did not follow before; of a report, the one workflow, or None if it is over on the backend, or
            the engine is stopping.

        Raises:
            RescueError: The report is none of this template, its first task had never begun, or the workflow runs here.
            TemplateError: The template cannot run; without a report, that of one process on the backend. The others are followed.
            UnknownTaskName: It has a task that is not registered; likewise.
            UnknownProcessError: The backend does not have the workflow of the report.
        """
        if template is None or report is None:
            return [] if self._stopping or self._durable is None else await self._durable.rescue()
        if self._stopping:
            return None
        template.validate()
        uid = uid_of(report)
        if uid in self._workflows:
            raise RescueError(uid, "it runs")
        if self._durable is not None:
            return await self._durable.take_over(uid)
        workflow = self._new(template, uid)
        try:
            restore(workflow, report)
        except BaseException:
            self._drop(workflow)
            raise
        await self._run(workflow)
        return workflow

    # -- stopping -------------------------------------------------------------------------------------------------------------------

    def stop(self, force: bool = False) -> Engine:
        """Start nothing any more. Await what is returned (the engine) for the end of what runs.

        Args:
            force: Whether to cancel what runs.
        """
        self._stopping = True
        for workflow in self.instances:
            if force or workflow.start is None:
                workflow.cancel()
        self._stop_if_idle()
        return self

    def done(self) -> bool:
        """Tell whether it was stopped and nothing runs any more."""
        return self._stopping and not self._workflows

    def _stop_if_idle(self) -> None:
        if self.done() and self._stopped is not None and not self._stopped.done():
            self._stopped.set_result(None)

    async def _wait(self) -> None:
        if not self.done():
            if self._stopped is None:
                self._stopped = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._stopped)
        await self._close()

    async def _close(self) -> None:
        durable, self._durable = self._durable, None
        if durable is not None:
            await durable.stop()

    async def close(self) -> None:
        """End now. With a backend, what runs is left to the next engine of the name, which has it at once; without one, it is canceled."""
        if self._durable is None:
            await self.stop(force=True)
            return
        self._stopping = True
        self._durable.leave()
        tasks = [task for workflow in self.instances for task in workflow.running.values()]
        for workflow in self.instances:
            workflow.abandon()
        # The next engine is not to begin them while they still run here.
        if others := set(tasks) - {asyncio.current_task()}:
            await asyncio.wait(others)
        await self._close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None:
            await self.close()
            return
        try:
            await self.stop()
        except BaseException:
            # Canceled while it waited: as in the block.
            await self.close()
            raise

    def __await__(self) -> Generator[Any, None, None]:
        return self._wait().__await__()
