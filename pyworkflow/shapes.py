"""What callers hand to a manager: refused in one line, with a hint, where it is of another kind than the call takes."""

from collections.abc import Iterable, Mapping
from typing import TypeVar

from pyworkflow.activity import Activity, ActivityFunction, AnyActivity
from pyworkflow.backend.base import Backend
from pyworkflow.errors import InvalidRequestError
from pyworkflow.failure import repr_of
from pyworkflow.process import Process
from pyworkflow.workflow import Workflow, is_activity

T = TypeVar("T")


def wrong(what: str, thing: object, wanted: str, hint: str = "") -> InvalidRequestError:
    """Return the error for a thing of another kind than is wanted."""
    reason = f"must be {wanted}" + (f": {hint}" if hint else "")
    return InvalidRequestError(f"{what} {repr_of(thing, 80)}", reason)


def check_backend(backend: object) -> Backend:
    """Return a backend.

    Raises:
        InvalidRequestError: It is something else.
    """
    if isinstance(backend, Backend):
        return backend
    hint = ""
    if isinstance(backend, str):
        hint = f"did you mean Manager.connect({backend!r})?"
    elif isinstance(backend, type) and issubclass(backend, Backend):
        hint = f"did you forget the () of {backend.__name__}()?"
    raise wrong("backend", backend, "a backend object", hint)


def each(things: Iterable[T], what: str) -> Iterable[T]:
    """Return several workflows or activities.

    Raises:
        InvalidRequestError: It is a single one, a text or no iterable.
    """
    several: object = things
    if isinstance(several, Iterable) and not isinstance(several, str | bytes | Mapping | type):
        return things
    single = isinstance(several, type | ActivityFunction) or callable(several)
    raise wrong(what, several, f"a list of {what}", "did you forget the []?" if single else "")


def check_workflow(workflow: object) -> type[Workflow]:
    """Return a workflow class.

    Raises:
        InvalidRequestError: It is something else.
    """
    if isinstance(workflow, type) and issubclass(workflow, Workflow):
        return workflow
    hint = ""
    if isinstance(workflow, Workflow):
        hint = f"did you mean the class, {type(workflow).__name__} without ()?"
    elif is_activity(workflow):
        hint = "it is an activity: pass it in activities=[...]"
    elif callable(workflow) and not isinstance(workflow, type):
        hint = "did you forget @workflow?"
    raise wrong("workflow", workflow, "a subclass of Workflow", hint)


def check_activity(activity: object) -> AnyActivity:
    """Return an activity class or function.

    Raises:
        InvalidRequestError: It is something else.
    """
    if is_activity(activity):
        return activity
    hint = ""
    if isinstance(activity, Activity):
        hint = f"did you mean the class, {type(activity).__name__} without ()?"
    elif isinstance(activity, type) and issubclass(activity, Workflow):
        hint = "it is a workflow: pass it in workflows=[...]"
    elif callable(activity) and not isinstance(activity, type):
        hint = "did you forget @activity?"
    raise wrong("activity", activity, "a subclass of Activity or a function with @activity", hint)


def check_process(process: object) -> Process:
    """Return a process that may be started.

    Raises:
        InvalidRequestError: It is something else.
    """
    if isinstance(process, Process):
        return process
    hint = ""
    if isinstance(process, type):
        hint = f"did you mean Process({process.__name__})?"
    elif isinstance(process, str):
        hint = f"did you mean Process({process!r})?"
    raise wrong("process", process, "a Process", hint)


def id_of(process: object) -> str:
    """Return the id of a process that is given itself or by its id.

    Raises:
        InvalidRequestError: It is neither, or has not been started.
    """
    if isinstance(process, str):
        return process
    if not isinstance(process, Process):
        raise wrong("process", process, "a Process or its id")
    if process.id is None:
        raise InvalidRequestError(
            f"process of workflow {process.workflow!r}",
            "has no id: start it first, or use the id that start_process returned",
        )
    return process.id


def check_different(kind: str, name: str, before: object, new: object) -> None:
    """Refuse a second workflow or activity of a name: which of the two ran would depend on their order.

    Raises:
        InvalidRequestError: They are different objects.
    """
    if before is not None and before is not new:
        raise InvalidRequestError(
            f"{kind} {name!r}",
            f"two of this program have the name, {_place(before)} and {_place(new)}: give one of them another `name`",
        )


def _place(thing: object) -> str:
    module, name = getattr(thing, "__module__", "?"), getattr(thing, "__qualname__", "?")
    return f"{module}.{name}"
