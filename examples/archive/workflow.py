"""The decider: scan, archive files and subfolders, ask for confirmation, close."""

from pathlib import PurePosixPath
from typing import Any

from examples.archive.activities import compress, scan
from pyworkflow.activity import ActivityExecution
from pyworkflow.decision import (
    CompleteProcess,
    Decision,
    FailProcess,
    ScheduleActivity,
    StartChildProcess,
    Timer,
)
from pyworkflow.event import ActivityEvent, ChildProcessEvent, SignalEvent
from pyworkflow.process import Process
from pyworkflow.result import ActivityCompleted, ActivityResult, ProcessCompleted, ProcessResult
from pyworkflow.signal import Signal
from pyworkflow.workflow import Decidable, DefaultWorkflow

CONFIRMED = "confirmed"
"""The signal that closes the archive."""


class ArchiveWorkflow(DefaultWorkflow):
    """Archives a folder. Input: ``source``, ``target``, and whether to ``confirm``; result: a list of files."""

    activities = (scan, compress)

    def decide(self, process: Process) -> list[Decision]:
        """React to each event that is new; where several are the last, ask once."""
        decisions = super().decide(process)
        asks = [decision for decision in decisions if isinstance(decision, Timer)]
        return [d for d in decisions if not isinstance(d, Timer)] + asks[:1]

    def initiate(self, process: Process) -> Decidable:
        """Look what is there."""
        return ScheduleActivity(scan, id="scan", input=process.input["source"])

    def respond_to_completed_activity(
        self, process: Process, execution: ActivityExecution, result: Any
    ) -> Decidable:
        """After the scan, archive everything; after the last file, close."""
        if execution.id == "scan":
            return self._archive(process, result) or self._finish(process)
        return self._finish(process)

    def _archive(self, process: Process, found: dict[str, list[str]]) -> list[Decision]:
        source = PurePosixPath(process.input["source"])
        target = PurePosixPath(process.input["target"])
        decisions: list[Decision] = [
            ScheduleActivity(
                compress, id=f"file-{n}", input=[str(source / name), str(target / f"{name}.gz")]
            )
            for n, name in enumerate(found["files"])
        ]
        for n, name in enumerate(found["folders"]):
            child = {"source": str(source / name), "target": str(target / name), "confirm": False}
            decisions.append(
                StartChildProcess(Process(ArchiveWorkflow, id=f"{process.id}.{n}", input=child))
            )
        return decisions

    def respond_to_interrupted_activity(
        self, process: Process, execution: ActivityExecution, result: ActivityResult
    ) -> Decidable:
        """Fail with the activity."""
        return FailProcess(f"{execution.activity} of {execution.input}", str(result))

    def respond_to_child_process(
        self,
        process: Process,
        child_id: str,
        workflow: str | None,
        result: ProcessResult,
        tags: tuple[str, ...],
    ) -> Decidable:
        """After the last subfolder, close; fail with the first that failed."""
        if not isinstance(result, ProcessCompleted):
            return FailProcess(f"child process {child_id}", str(result))
        return self._finish(process)

    def respond_to_signal(self, process: Process, signal: Signal) -> Decidable:
        """Close when told to."""
        return self._finish(process) if signal.name == CONFIRMED else None

    def respond_to_timer(self, process: Process, timer: Timer) -> Decidable:
        """Give up waiting for the confirmation."""
        return FailProcess("nobody confirmed the archive")

    def _finish(self, process: Process) -> Decidable:
        """Close if nothing is open; the first process asks for confirmation before that."""
        files = [*_own_files(process), *_files_of_children(process)]
        if process.unfinished_activities() or _children(process) > len(_ended(process)):
            return None
        if not process.input["confirm"] or process.history.find(SignalEvent):
            return CompleteProcess(files)
        # The handler runs once for each event: ask once.
        return None if process.history.open_timers() else Timer(3600, {"waiting": CONFIRMED}, "ask")


def _own_files(process: Process) -> list[dict[str, Any]]:
    return [
        {
            "source": event.activity_execution.input[0],
            "target": event.activity_execution.input[1],
            **event.result.result,
        }
        for event in process.history
        if isinstance(event, ActivityEvent)
        and isinstance(event.result, ActivityCompleted)
        and event.activity_execution.id != "scan"
    ]


def _ended(process: Process) -> list[ChildProcessEvent]:
    return [event for event in process.history if isinstance(event, ChildProcessEvent)]


def _children(process: Process) -> int:
    scans = [
        event.result.result["folders"]
        for event in process.history
        if isinstance(event, ActivityEvent)
        and event.activity_execution.id == "scan"
        and isinstance(event.result, ActivityCompleted)
    ]
    return len(scans[0]) if scans else 0


def _files_of_children(process: Process) -> list[dict[str, Any]]:
    return [
        file
        for event in _ended(process)
        if isinstance(event.result, ProcessCompleted)
        for file in event.result.result
    ]
