"""The command that works."""

import logging
import signal
from contextlib import ExitStack
from types import FrameType
from typing import Unpack

import click

from pyworkflow.cli.app import app_option, managed
from pyworkflow.cli.common import json_option, opened
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, safe
from pyworkflow.cli.services import (
    ServiceOptions,
    install,
    make_services,
    service_options,
)
from pyworkflow.values import check_seconds


@click.command(cls=Command)
@app_option(required=False)
@click.option("--category", help="The queue; `default`, or `services` with --services.")
@click.option(
    "--concurrency",
    type=click.IntRange(min=1),
    default=8,
    show_default=True,
    help="Activities at a time.",
)
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
@service_options
@click.option("--grace", default=30.0, show_default=True, help="Seconds to finish in when stopped.")
@json_option
@click.pass_context
def worker(
    context: click.Context,
    app: str | None,
    category: str | None,
    concurrency: int,
    pool: str,
    decisions: bool,
    activities: bool,
    lease: float,
    grace: float,
    as_json: bool,
    **given: Unpack[ServiceOptions],
) -> None:
    """Work until stopped: decide processes and execute activities."""
    if app is None and not given["services"]:
        raise click.UsageError("missing option '-A' / '--app', or '--services'")
    if not decisions and not activities:
        raise click.UsageError("--no-decisions and --no-activities leave nothing to do")
    check_seconds(lease, "lease", positive=True)
    check_seconds(grace, "grace")
    from pyworkflow.backend.base import DEFAULT_CATEGORY
    from pyworkflow.manager import Manager
    from pyworkflow.worker import Worker

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s %(message)s", level=logging.INFO)
    with ExitStack() as stack:
        if app is not None:
            manager = stack.enter_context(managed(context, app))
        else:
            manager = Manager(stack.enter_context(opened(context)))
        if given["services"]:
            from pyworkflow.services import CATEGORY

            category = category or CATEGORY
            install(make_services(manager, given, None))
        works = Worker(
            manager,
            category=category or DEFAULT_CATEGORY,
            concurrency=concurrency,
            pool=pool,
            decisions=decisions,
            activities=activities,
            lease=lease,
            grace=grace,
        )
        polls = f"{works.identity} polls category {works.category!r} of the {manager.backend.name} backend"

        def stop(number: int, frame: FrameType | None) -> None:
            works.stop()

        # Whoever reads the lines below may stop the worker at once, before it has handlers of its own.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        click.echo(safe(polls), err=True)
        if as_json:
            emit(
                {
                    "action": "worker",
                    "identity": works.identity,
                    "category": works.category,
                    "workflows": [workflow.name for workflow in manager.workflows],
                    "activities": [activity.name for activity in manager.activities],
                }
            )
        works.run()
