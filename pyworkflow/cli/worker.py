"""The command that works."""

import importlib
import logging
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click

from pyworkflow.cli.common import opened
from pyworkflow.errors import InvalidRequestError


def load(app: str) -> tuple[list[Any], list[Any]]:
    """Return the workflow and activity classes of ``module`` or ``module:name``.

    The operator names the module on the command line; no name from data is ever imported.

    Raises:
        InvalidRequestError: There is no such module or name, or it has no workflows or activities.
    """
    module_name, _, name = app.partition(":")
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(module_name)
        found: Any = getattr(module, name) if name else list(vars(module).values())
    except Exception as error:  # a module that is being imported may raise anything
        raise InvalidRequestError(f"app {app!r}", f"{type(error).__name__}: {error}") from error
    things = list(found) if isinstance(found, Iterable) else [found]
    workflows = [thing for thing in things if _is_workflow(thing)]
    activities = [thing for thing in things if _is_activity(thing)]
    if not workflows and not activities:
        raise InvalidRequestError(f"app {app!r}", "has no workflows or activities")
    return workflows, activities


def _is_workflow(thing: object) -> bool:
    from pyworkflow.workflow import DefaultWorkflow, RuleSetWorkflow, Workflow

    bases = (Workflow, DefaultWorkflow, RuleSetWorkflow)
    return isinstance(thing, type) and issubclass(thing, Workflow) and thing not in bases


def _is_activity(thing: object) -> bool:
    from pyworkflow.activity import Activity, ActivityFunction

    return isinstance(thing, ActivityFunction) or (
        isinstance(thing, type) and issubclass(thing, Activity) and thing is not Activity
    )


@click.command()
@click.option(
    "-A", "--app", required=True, help="module or module:name with the workflows and activities."
)
@click.option("--category", default="default", show_default=True, help="The queue.")
@click.option("--concurrency", default=8, show_default=True, help="Activities at a time.")
@click.option(
    "--pool",
    type=click.Choice(["thread", "asyncio", "process"]),
    default="thread",
    show_default=True,
    help="Where activities run.",
)
@click.option("--decisions/--no-decisions", default=True, help="Whether to decide.")
@click.option("--activities/--no-activities", default=True, help="Whether to execute activities.")
@click.option(
    "--lease",
    default=30.0,
    show_default=True,
    help="Seconds until others take over from a worker that is gone.",
)
@click.option("--grace", default=30.0, show_default=True, help="Seconds to finish in when stopped.")
@click.pass_context
def worker(
    context: click.Context,
    app: str,
    category: str,
    concurrency: int,
    pool: str,
    decisions: bool,
    activities: bool,
    lease: float,
    grace: float,
) -> None:
    """Work until stopped: decide processes and execute activities."""
    from pyworkflow.manager import Manager
    from pyworkflow.worker import Worker

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    workflows, functions = load(app)
    with opened(context) as backend:
        works = Worker(
            Manager(backend, workflows, functions),
            category=category,
            concurrency=concurrency,
            pool=pool,
            decisions=decisions,
            activities=activities,
            lease=lease,
            grace=grace,
        )
        click.echo(
            f"{works.identity} polls category {category!r} on {context.obj['backend']}", err=True
        )
        works.run()
