"""Jobs: tasks in Python, their order in a YAML file, run with retries, logs and restarts.

The front end for job files (`pyworkflow job run job.yaml`). A job compiles to a graph; each attempt of its tasks
runs in an operating-system process of its own, and the process history is the checkpoint.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyworkflow.jobs.flowmancer import Flowmancer as Flowmancer

__all__ = ["Flowmancer"]


def __getattr__(name: str) -> object:
    # The fork server imports this package, too, and has no use for what the driver needs.
    if name == "Flowmancer":
        from pyworkflow.jobs.flowmancer import Flowmancer

        return Flowmancer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
