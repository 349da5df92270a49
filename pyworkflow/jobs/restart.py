"""What an earlier run of a job has left: where a restart goes on."""

from collections.abc import Collection, Iterator

from msgspec import Struct

from pyworkflow.backend.base import Backend
from pyworkflow.codec import Json, convert
from pyworkflow.errors import PayloadError, UnknownProcessError
from pyworkflow.event import ActivityEvent, ActivityStartedEvent
from pyworkflow.graph.keys import read_key
from pyworkflow.jobs.checkpointer.checkpointer import CheckpointContents
from pyworkflow.jobs.errors import JobError
from pyworkflow.jobs.eventbus.execution import ExecutionState
from pyworkflow.jobs.shared import KEY, Changes, merged
from pyworkflow.process import Process, Status
from pyworkflow.result import (
    ActivityCanceled,
    ActivityCompleted,
    ActivityFailed,
    ActivityResult,
)


class Beginning(Struct, frozen=True):
    """What a run of a job begins with: the input of its process.

    Attributes:
        tasks: All tasks of the job.
        done: Those that an earlier run has completed.
        restarted: Those that an earlier run had begun and not completed.
        shared_dict: What the tasks have left for each other.
    """

    tasks: tuple[str, ...]
    done: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    shared_dict: dict[str, Json] = {}

    def check(self, name: str, tasks: Collection[str]) -> None:
        """See whether a job still has the tasks that it had.

        Raises:
            JobError: It has not.
        """
        gone = sorted(set(self.tasks) - set(tasks))
        new = sorted(set(tasks) - set(self.tasks))
        told = [
            f"{what}: {', '.join(names)}" for what, names in (("new", new), ("gone", gone)) if names
        ]
        if told:
            raise JobError(
                f"job {name!r} cannot be restarted: its tasks have changed ({'; '.join(told)});"
                " start it without a restart"
            )


def left_in_history(backend: Backend, process_id: str) -> Beginning | None:
    """Return what the last run of a job has left; None if there was none, or it succeeded."""
    try:
        process = backend.process_by_id(process_id)
    except UnknownProcessError:
        return None
    if process.status is Status.COMPLETED:
        return None
    try:
        began: Beginning = convert(process.input, Beginning, "the input of a job's process")
    except PayloadError:
        return None
    begun, done = dict.fromkeys(began.restarted), dict.fromkeys(began.done)
    changes: list[Changes] = []
    for name, result in _attempts(process):
        begun[name] = None
        if isinstance(result, ActivityCompleted):
            done[name] = None
        if written := _written(result):
            changes.append(written)
    return Beginning(
        began.tasks,
        tuple(done),
        tuple(name for name in begun if name not in done),
        merged(began.shared_dict, changes),
    )


def _attempts(process: Process) -> Iterator[tuple[str, ActivityResult | None]]:
    """Yield the attempts that were begun, and again those that ended, with the result."""
    for event in process.history:
        if isinstance(event, ActivityStartedEvent | ActivityEvent):
            key = read_key(event.activity_execution.id)
            if key is not None:
                yield key.step, event.result if isinstance(event, ActivityEvent) else None


def _written(result: ActivityResult | None) -> Changes:
    match result:
        case ActivityCompleted(result=told) | ActivityFailed(details=told):
            pass
        case ActivityCanceled(details=told):
            pass
        case _:
            told = None
    changes: Changes = told.get(KEY, {}) if isinstance(told, dict) else {}
    return changes


def left_in_checkpoint(content: CheckpointContents) -> Beginning:
    """Return what a checkpoint holds."""
    begun = (ExecutionState.FAILED, ExecutionState.RUNNING, ExecutionState.ABORTED)
    return Beginning(
        tuple(sorted(name for names in content.states.values() for name in names)),
        tuple(sorted(content.states.get(ExecutionState.COMPLETED.value, ()))),
        tuple(sorted(name for s in begun for name in content.states.get(s.value, ()))),
        dict(content.shared_dict),
    )
