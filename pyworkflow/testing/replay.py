"""Recorded histories as regression tests: code that runs along them must decide what they hold."""

from pathlib import Path

from pyworkflow import codec
from pyworkflow.decision import Decision
from pyworkflow.process import Process
from pyworkflow.replay import ReplayWorkflow, RunCache


def record(process: Process, path: Path | str) -> None:
    """Write a process with its history to a file, for `replay`."""
    Path(path).write_bytes(codec.encode(process) + b"\n")


def replay(workflow: type[ReplayWorkflow], recorded: Process | Path | str) -> list[Decision]:
    """Run code along the history of a process; return what it decides last.

    Args:
        workflow: The code.
        recorded: The process, or a file that `record` wrote.

    Raises:
        NondeterminismError: The code does not decide what the history holds.
    """
    process: Process = (
        recorded
        if isinstance(recorded, Process)
        else codec.decode(Path(recorded).read_bytes(), Process)
    )
    # What live processes have kept must not answer for the code.
    alone = type(workflow.__name__, (workflow,), {"name": workflow.name, "cache": RunCache(0)})
    decided: list[Decision] = alone().decide(process)
    return decided
