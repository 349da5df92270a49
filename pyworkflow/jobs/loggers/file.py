"""The logger that every job has unless its file names others: a folder for each run, a file for each task."""

import re
from io import TextIOWrapper
from pathlib import Path

from pydantic import PrivateAttr

from pyworkflow.clock import SECOND, SystemClock, to_datetime
from pyworkflow.jobs.eventbus.log import (
    LogEndEvent,
    LogStartEvent,
    LogWriteEvent,
    SerializableLogEvent,
)
from pyworkflow.jobs.loggers.logger import Logger, logger
from pyworkflow.jobs.names import file_name

DAY = 86_400

_OWN = re.compile(r"\d{4}-\d\d-\d\d\.\d\d\.\d\d\.\d\d(-\d+)?")


@logger
class FileLogger(Logger):
    """Writes ``<base_log_dir>/<YYYY-mm-dd.HH.MM.SS>/<task>.log``, a line ``[time] SEVERITY - text`` for each line that is said. Times are UTC.

    Attributes:
        base_log_dir: Relative to the project's folder.
        retention_days: At the end of a job, log files of runs are removed that nobody has written to for so long, and their folders
            that are empty then. Negative keeps all.
    """

    base_log_dir: str = "./logs"
    retention_days: int = 10

    _folder: Path | None = PrivateAttr(default=None)
    _files: dict[str, TextIOWrapper] = PrivateAttr(default_factory=dict)

    def on_create(self) -> None:
        """Make the folder of this run."""
        began = to_datetime(SystemClock().now()).strftime("%Y-%m-%d.%H.%M.%S")
        base = Path(self.base_log_dir).absolute()
        base.mkdir(parents=True, exist_ok=True)
        folder, number = base / began, 1
        while self._folder is None:
            try:
                folder.mkdir()
                self._folder = folder
            except FileExistsError:  # another run began in the same second
                number += 1
                folder = base / f"{began}-{number}"

    def update(self, evt: SerializableLogEvent) -> None:
        """Write an event down; none if there is no folder for it."""
        if self._folder is None:
            return
        if isinstance(evt, LogStartEvent):
            self._close(evt.name)
            path = self._folder / f"{file_name(evt.name)}.log"
            self._files[evt.name] = path.open("a", encoding="utf-8", buffering=1)
        elif isinstance(evt, LogWriteEvent) and evt.name in self._files:
            when = evt.timestamp.isoformat(" ", "milliseconds").removesuffix("+00:00")
            # Every line says whose it is, so that no text passes for another's line.
            lines = evt.message.splitlines() or [""]
            head = f"[{when}] {evt.severity.value} - "
            self._files[evt.name].write("".join(f"{head}{line}\n" for line in lines))
        elif isinstance(evt, LogEndEvent):
            self._close(evt.name)

    def on_destroy(self) -> None:
        """Close what is open, and remove what is old."""
        for name in list(self._files):
            self._close(name)
        if self.retention_days >= 0 and self._folder is not None:
            self._tidy(self._folder, SystemClock().now() / SECOND - self.retention_days * DAY)

    def _close(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            file.close()

    def _tidy(self, own: Path, since: float) -> None:
        for folder in own.parent.iterdir():
            # What else is there, such as the logs of other programs, is not ours.
            if folder == own or not _OWN.fullmatch(folder.name):
                continue
            if folder.is_symlink() or not folder.is_dir():
                continue
            for path in folder.glob("*.log"):
                if path.lstat().st_mtime < since:
                    path.unlink()
            if not any(folder.iterdir()):
                folder.rmdir()
