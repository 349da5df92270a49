"""Commands for looking on: why, queues, workers."""

from datetime import datetime as DateTime
from typing import Any

import click

from pyworkflow.backend.base import Pending
from pyworkflow.cli.common import json_option, opened, process_argument
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, instant, safe, short, state, table
from pyworkflow.codec import fields


@click.command(cls=Command)
@process_argument
@json_option
@click.pass_context
def why(context: click.Context, process_id: str, as_json: bool) -> None:
    """Say what a process waits for."""
    with opened(context) as backend:
        process = backend.process_by_id(process_id)
        pending = backend.pending(process_id)
    if as_json:
        emit(
            {
                "id": process.id,
                "run": process.run,
                "workflow": process.workflow,
                "status": state(process),
                "pending": [fields(item) for item in pending],
            }
        )
    elif not process.is_open:
        click.echo(f"it is {process.status.value} and waits for nothing")
    elif not pending:
        click.echo("it waits for a signal: nothing else can move it")
    for item in () if as_json or not process.is_open else pending:
        click.echo(safe(reason(item)))


def reason(item: Pending) -> str:
    """Return in words what is waited for."""
    return {"decision": _decision, "activity": _activity, "timer": _timer, "child_process": _child}[
        item.kind
    ](item)


def _at(moment: DateTime | None) -> str:
    return "" if moment is None else moment.strftime("%H:%M:%S UTC on %Y-%m-%d")


def _nobody(item: Pending) -> str:
    if item.pollers is None:
        return "" if item.details is None else f"; {item.details}"
    return "" if item.unclaimed is None else f"; {item.unclaimed}"


def _decision(item: Pending) -> str:
    if item.state == "parked":
        return f"it is parked: {item.details}; resume it with: pyworkflow retry"
    if item.state == "delayed":
        cause = "" if item.details is None else f": {item.details}"
        return f"its decider failed{cause}; it is decided again at {_at(item.until)}, attempt {item.attempt}"
    if item.state == "started":
        return f"{item.identity or 'somebody'} is deciding it, until {_at(item.until)} at most"
    return f"a decision waits in category {item.category!r} since {_at(item.since)}{_nobody(item)}"


def _activity(item: Pending) -> str:
    name = f"activity {item.name} ({item.id})"
    if item.state == "delayed":
        return f"{name} failed and is tried again at {_at(item.until)}, attempt {item.attempt}"
    if item.state == "started":
        told = "" if item.details is None else f", last heard: {short(item.details)}"
        asked = ", asked to cancel itself" if item.cancel_requested else ""
        return f"{name} runs on {item.identity or 'a worker'} since {_at(item.since)}{told}{asked}"
    return f"{name} waits in category {item.category!r} since {_at(item.since)}{_nobody(item)}"


def _timer(item: Pending) -> str:
    return f"timer {item.id} fires at {_at(item.until)}"


def _child(item: Pending) -> str:
    return f"child process {item.id} ({item.name}) is open since {_at(item.since)}"


@click.command(cls=Command)
@json_option
@click.pass_context
def queues(context: click.Context, as_json: bool) -> None:
    """Show the queues: how much waits, and who polls."""
    with opened(context) as backend:
        found: list[Any] = backend.queues()
    if as_json:
        emit(found)
        return
    rows = [
        (
            q.kind,
            q.category,
            q.waiting,
            q.delayed,
            q.running,
            instant(q.oldest),
            ", ".join(q.pollers) or "nobody",
            ", ".join(q.unclaimed),
        )
        for q in found
    ]
    table(
        (
            "kind",
            "category",
            "waiting",
            "delayed",
            "running",
            "oldest (UTC)",
            "pollers",
            "no live worker has",
        ),
        rows,
        "no queues",
    )


@click.command(cls=Command)
@click.option(
    "--within",
    default=60.0,
    show_default=True,
    help="Only workers that polled in the last so many seconds.",
)
@json_option
@click.pass_context
def workers(context: click.Context, within: float, as_json: bool) -> None:
    """Show the workers: what each polls, and which workflows and activities it has."""
    with opened(context) as backend:
        pollers: list[Any] = backend.pollers(within)
    if as_json:
        emit(pollers)
        return
    rows = [
        (
            poller.identity,
            instant(poller.seen),
            poller.kind,
            poller.category,
            "anything" if poller.names is None else ", ".join(poller.names),
        )
        for poller in pollers
    ]
    table(("worker", "last contact (UTC)", "kind", "category", "has"), rows, "no workers")
