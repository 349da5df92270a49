"""One driver for a job at a time, on one machine. The lock goes with the driver, however that ends."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from pyworkflow.jobs.errors import JobError


@contextmanager
def locked(path: Path, name: str) -> Generator[None]:
    """Hold the lock of a job.

    Args:
        path: The file to lock.
        name: Of the job.

    Raises:
        JobError: Another driver holds it.
    """
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "another process"
            raise JobError(f"job {name!r} is running already, in OS process {holder}") from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
