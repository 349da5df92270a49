"""Where a worker executes the tasks of a job: one OS process for each attempt."""

from collections.abc import Callable, Collection, Mapping, Sequence

from pyworkflow.activity import Activity
from pyworkflow.codec import Json
from pyworkflow.graph.keys import Key, read_key
from pyworkflow.jobs.board import Board
from pyworkflow.jobs.channel import Assignment, Ended
from pyworkflow.jobs.compile import ACTIVITY
from pyworkflow.jobs.definition import TaskDefinition
from pyworkflow.jobs.eventbus.execution import ExecutionState
from pyworkflow.jobs.eventbus.log import LogEndEvent, LogStartEvent, SerializableLogEvent
from pyworkflow.jobs.shared import KEY, Changes
from pyworkflow.jobs.supervisor import Supervisor
from pyworkflow.jobs.task import TaskMetadata
from pyworkflow.manager import Manager
from pyworkflow.result import ActivityCanceled, ActivityCompleted, ActivityFailed, ActivityResult
from pyworkflow.task import ActivityTask
from pyworkflow.values import check_text
from pyworkflow.worker.pools import Pool, Report


class TaskActivity(Activity):
    """The activity of every task; `TaskPool` is what executes it."""

    name = ACTIVITY


class TaskPool(Pool):
    """Runs attempts of tasks.

    Args:
        manager: The manager of the job's process.
        size: Attempts at a time.
        report: Takes the results.
        tasks: The tasks of the job.
        restarted: Tasks whose `on_restart` is called.
        supervisor: Looks after the OS processes.
        board: Is told where the tasks stand.
        tell: Takes what tasks say.
    """

    isolates = True

    def __init__(
        self,
        manager: Manager,
        size: int,
        report: Report,
        *,
        tasks: Mapping[str, TaskDefinition],
        restarted: Collection[str],
        supervisor: Supervisor,
        board: Board,
        tell: Callable[[SerializableLogEvent], None],
    ) -> None:
        super().__init__(manager, size, report)
        self._tasks = tasks
        self._restarted = restarted
        self._supervisor = supervisor
        self._board = board
        self._tell = tell

    def submit(self, tasks: Sequence[ActivityTask]) -> None:
        """Begin to execute tasks."""
        for task in tasks:
            key = read_key(task.activity_execution.id)
            if key is None or key.step not in self._tasks:
                told = f"the job has no task for {task.activity_execution.id!r}"
                self.report(task, ActivityFailed(told, None, "UnknownTask"))
            else:
                self._begin(task, key)

    def _begin(self, task: ActivityTask, key: Key) -> None:
        name = key.step
        definition = self._tasks[name]
        metadata = TaskMetadata(
            name,
            definition.task,
            definition.dependencies,
            attempt=key.attempt,
            max_attempts=definition.max_attempts,
        )
        assignment = Assignment(metadata, definition.parameters, name in self._restarted)

        def ended(ended: Ended, changes: Changes) -> None:
            self._tell(LogEndEvent(name))
            self._board.move(name, self._state(ended, metadata))
            self.report(task, self._result(ended, changes))

        self._board.move(name, ExecutionState.RUNNING)
        self._tell(LogStartEvent(name))
        self._supervisor.launch(assignment, ended)

    def _state(self, ended: Ended, metadata: TaskMetadata) -> ExecutionState:
        if ended.how == "completed":
            return ExecutionState.COMPLETED
        if self._supervisor.aborting:
            return ExecutionState.ABORTED
        if metadata.attempt < metadata.max_attempts:
            return ExecutionState.PENDING
        return ExecutionState.FAILED

    def _result(self, ended: Ended, changes: Changes) -> ActivityResult:
        """Return what goes into the history, the writes to the shared dictionary included."""
        written: dict[str, Json] = {KEY: changes} if changes else {}
        if ended.how == "completed":
            return ActivityCompleted(written or None)
        if self._supervisor.aborting:
            return ActivityCanceled(written or None)
        shown = check_text(ended.details, "details")
        details = {"traceback": shown, **written} if written else shown
        return ActivityFailed(ended.reason, details, ended.type_name)

    def waiting(self) -> bool:
        """Tell that no task waits for another."""
        return False

    def spread(self) -> None:
        """Do nothing: each task has an OS process."""

    def close(self) -> None:
        """End what runs by force."""
        self._supervisor.close()
