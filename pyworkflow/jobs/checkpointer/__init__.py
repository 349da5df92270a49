"""Checkpoints of a job outside its history: the base of checkpointers, and the one that writes a file."""

from pyworkflow.jobs.checkpointer.checkpointer import (
    CHECKPOINTERS,
    CheckpointContents,
    Checkpointer,
    NoCheckpointAvailableError,
    checkpointer,
)
from pyworkflow.jobs.checkpointer.file import FileCheckpointer

__all__ = [
    "CHECKPOINTERS",
    "CheckpointContents",
    "Checkpointer",
    "FileCheckpointer",
    "NoCheckpointAvailableError",
    "checkpointer",
]
