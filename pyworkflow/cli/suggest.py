"""What somebody may have meant who misspelt a process id or a workflow."""

from collections.abc import Iterable
from typing import Any

from pyworkflow.errors import (
    PyworkflowError,
    UnknownProcessError,
    UnknownResourceError,
    UnknownWorkflowError,
)
from pyworkflow.similar import similar

LOOKED_THROUGH = 1000
"""Open processes, and processes in any state, among which a similar id is looked for."""


def similar_workflow(name: str, backend: Any, workflows: Iterable[str] = ()) -> str:
    """Return a question that names the workflow that comes closest; the empty text if none does, or the name is right.

    Args:
        name: What was typed.
        backend: Its processes tell of further workflows.
        workflows: Names of workflows.
    """
    known = {*workflows, *(process.workflow for process in _processes(backend))}
    return "" if name in known else similar(name, sorted(known))


def hinted(
    error: UnknownResourceError, backend: Any, workflows: Iterable[str] = ()
) -> UnknownResourceError:
    """Return an error that says what may have been meant, or the same error.

    Args:
        error: Something unknown was named.
        backend: Where it was looked for.
        workflows: Names of the workflows that the program of the command line has.
    """
    try:
        if type(error) is UnknownProcessError:
            name, _, _ = error.name.partition(":")
            question = similar(name, (str(p.id) for p in _processes(backend)))
        elif type(error) is UnknownWorkflowError:
            question = similar_workflow(error.name, backend, workflows) or (
                "" if workflows else "name its program with --app, or start its worker first"
            )
        else:
            return error
    except PyworkflowError:
        return error
    return type(error)(error.name, "; ".join(filter(None, (error.detail, question))))


def _processes(backend: Any) -> list[Any]:
    return [
        *backend.processes(limit=LOOKED_THROUGH),
        *backend.processes(status=None, limit=LOOKED_THROUGH),
    ]
