"""Checkpoints as JSON files."""

import os
from pathlib import Path

from pyworkflow.codec import decode, encode
from pyworkflow.errors import PayloadError
from pyworkflow.jobs.checkpointer.checkpointer import (
    CheckpointContents,
    Checkpointer,
    NoCheckpointAvailableError,
    checkpointer,
)
from pyworkflow.jobs.names import file_name


@checkpointer
class FileCheckpointer(Checkpointer):
    """Keeps ``<checkpoint_dir>/<name>.json``, replaced as a whole: there is never half a checkpoint, and never none in between.

    Attributes:
        checkpoint_dir: Relative to the project's folder.
    """

    checkpoint_dir: str = "./.flowmancer"

    def write_checkpoint(self, name: str, content: CheckpointContents) -> None:
        """Keep a checkpoint instead of the last one."""
        path = self._path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        states = {letter: sorted(names) for letter, names in content.states.items()}
        written = {"name": name, "states": states, "shared_dict": content.shared_dict}
        with beside.open("wb") as file:
            file.write(encode(written))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)

    def read_checkpoint(self, name: str) -> CheckpointContents:
        """Return the checkpoint.

        Raises:
            NoCheckpointAvailableError: There is none, or the file is none.
        """
        try:
            return decode(self._path(name).read_bytes(), CheckpointContents)
        except (FileNotFoundError, PayloadError) as error:
            raise NoCheckpointAvailableError(f"no checkpoint of {name!r}: {error}") from None

    def clear_checkpoint(self, name: str) -> None:
        """Forget the checkpoint, if there is one."""
        self._path(name).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return Path(self.checkpoint_dir) / f"{file_name(name)}.json"
