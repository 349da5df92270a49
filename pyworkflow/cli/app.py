"""The program that the command line names with ``--app``: its classes, and its backend if it has one."""

import importlib
import inspect
import sys
from collections.abc import Callable, Generator, Iterable
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyworkflow.cli.common import backend_is_default, hinting, opened
from pyworkflow.errors import InvalidRequestError
from pyworkflow.failure import describe
from pyworkflow.similar import similar

if TYPE_CHECKING:
    from pyworkflow.manager import Manager

F = TypeVar("F", bound=Callable[..., Any])

WANTED = (
    "it must be a workflow, an activity, a list of them, a Manager, or a function without parameters"
    " that returns a Manager"
)


def app_option(*, required: bool) -> Callable[[F], F]:
    """Add the option ``--app``."""
    return click.option(
        "-A",
        "--app",
        required=required,
        help="The program: module or module:name, with workflows and activities, a Manager, or a function that returns one.",
    )


@contextmanager
def managed(context: click.Context, app: str) -> Generator["Manager"]:
    """Open the manager of a program, and close its backend at the end.

    A manager that the program has made keeps its backend, unless the command line or the environment names another.

    Raises:
        InvalidRequestError: The program cannot be used.
    """
    from pyworkflow.manager import Manager

    found = load(app)
    if isinstance(found, Manager):
        if backend_is_default(context):
            with found.backend, hinting(found.backend, [w.name for w in found.workflows]):
                yield found
            return
        found.backend.close()
        found = list(found.workflows), list(found.activities)
    workflows, activities = found
    names = [workflow.name for workflow in workflows]
    with opened(context, names) as backend:
        yield Manager(backend, workflows, activities)


def load(app: str) -> "Manager | tuple[list[Any], list[Any]]":
    """Return the workflow and activity classes of ``module`` or ``module:name``, or the manager that the name stands for.

    The operator names the module on the command line; no name from data is ever imported.

    Raises:
        InvalidRequestError: There is no such module or name, or it is nothing of the kind.
    """
    module_name, colon, name = app.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # a module that is being imported may raise anything
        raise InvalidRequestError(f"app {app!r}", describe(error).line) from error
    if not colon:
        return _of_module(app, list(vars(module).values()))
    if not hasattr(module, name):
        question = similar(name, (n for n in vars(module) if not n.startswith("_")))
        reason = f"module {module_name!r} has no {name!r}" + (question and f"; {question}")
        raise InvalidRequestError(f"app {app!r}", reason)
    return _of_name(app, getattr(module, name))


def _of_module(app: str, things: list[Any]) -> tuple[list[Any], list[Any]]:
    from pyworkflow.manager import Manager

    workflows, activities = _sorted(things)
    if not workflows and not activities:
        managers = any(isinstance(thing, Manager) for thing in things)
        more = "; it has a Manager: name it, as in module:name" if managers else ""
        raise InvalidRequestError(f"app {app!r}", f"has no workflows or activities{more}")
    return workflows, activities


def _of_name(app: str, found: Any) -> "Manager | tuple[list[Any], list[Any]]":
    from pyworkflow.manager import Manager

    if isinstance(found, Manager):
        return found
    if _is_workflow(found) or _is_activity(found):
        return _sorted([found])
    if inspect.isroutine(found):
        return _made(app, found)
    if not _is_list(found):
        raise InvalidRequestError(f"app {app!r}", f"is {_told(found)}; {WANTED}")
    things = list(found)
    strange = [thing for thing in things if not (_is_workflow(thing) or _is_activity(thing))]
    if strange or not things:
        holds = f"holds {_told(strange[0])}" if strange else "is empty"
        raise InvalidRequestError(f"app {app!r}", f"{holds}; {WANTED}")
    return _sorted(things)


def _made(app: str, factory: Callable[..., Any]) -> "Manager":
    from pyworkflow.manager import Manager

    try:
        inspect.signature(factory).bind()
    except (TypeError, ValueError):
        told = f"is {_told(factory)}, which needs parameters; {WANTED}"
        raise InvalidRequestError(f"app {app!r}", told) from None
    try:
        made = factory()
    except (Exception, SystemExit) as error:  # it is the program's own code
        raise InvalidRequestError(f"app {app!r}", f"raised {describe(error).line}") from error
    if inspect.iscoroutine(made):
        made.close()
    if not isinstance(made, Manager):
        told = f"is {_told(factory)}, which returned {_told(made)}; {WANTED}"
        raise InvalidRequestError(f"app {app!r}", told)
    return made


def _is_list(thing: object) -> bool:
    return isinstance(thing, Iterable) and not isinstance(thing, str | bytes | type)


def _told(thing: object) -> str:
    """Return what a thing is, in a few words."""
    if thing is None:
        return "None"
    if isinstance(thing, type):
        return f"the class {thing.__name__}"
    if inspect.isroutine(thing):
        return f"the function {thing.__name__}"
    if inspect.ismodule(thing):
        return f"the module {thing.__name__}"
    return f"an object of type {type(thing).__name__}"


def _sorted(things: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return the workflows and the activities among some things."""
    return [t for t in things if _is_workflow(t)], [t for t in things if _is_activity(t)]


def _is_workflow(thing: object) -> bool:
    from pyworkflow.workflow import DefaultWorkflow, RuleSetWorkflow, Workflow

    bases = (Workflow, DefaultWorkflow, RuleSetWorkflow)
    return isinstance(thing, type) and issubclass(thing, Workflow) and thing not in bases


def _is_activity(thing: object) -> bool:
    from pyworkflow.activity import Activity, ActivityFunction

    return isinstance(thing, ActivityFunction) or (
        isinstance(thing, type) and issubclass(thing, Activity) and thing is not Activity
    )
