"""Who says what comes next in a workflow: the event loop's own memory, or (`pyworkflow.engine.durable`) a backend."""

from typing import Protocol

from pyworkflow.engine.record import TaskRecord
from pyworkflow.engine.states import FutureState
from pyworkflow.engine.workflow import Workflow


class Runner(Protocol):
    """What a workflow tells of itself. The answers are calls of its methods, at once or later, in the thread of its loop."""

    async def begin(self, workflow: Workflow) -> None:
        """Have begin what is ready: the first task, or all that a restored workflow is to run again."""
        ...

    def task_ended(self, workflow: Workflow, record: TaskRecord) -> None:
        """Have the next tasks begin, or the workflow end."""
        ...

    def suspended(self, workflow: Workflow) -> None:
        """Take notice that it is suspended, or resumed."""
        ...

    def closed(self, workflow: Workflow, state: FutureState) -> None:
        """Have it end: it was canceled, or its time is over, and none of its tasks runs."""
        ...

    def loop_ends(self) -> None:
        """Take notice that the event loop is brought to its end: what is canceled from now on is not over."""
        ...


class LoopRunner:
    """Decides in the loop, at once, by the rules of the graph. Nothing is recorded but what the workflow itself keeps."""

    async def begin(self, workflow: Workflow) -> None:
        """Have begin what is ready."""
        workflow.limit()
        self._go_on(workflow)

    def task_ended(self, workflow: Workflow, record: TaskRecord) -> None:
        """Have the next tasks begin, or the workflow end."""
        workflow.settle(record)
        self._go_on(workflow)

    def _go_on(self, workflow: Workflow) -> None:
        for task in workflow.ready():
            workflow.begin_task(task, workflow.event_for(task))
        if workflow.is_settled:
            workflow.conclude(workflow.ending())

    def suspended(self, workflow: Workflow) -> None:
        """Do nothing: the workflow itself knows."""

    def closed(self, workflow: Workflow, state: FutureState) -> None:
        """Have it end at once."""
        workflow.conclude(state)

    def loop_ends(self) -> None:
        """Do nothing: all that there is ends with the loop."""
