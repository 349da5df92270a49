"""Commands about processes: start, list, show, signal, cancel, terminate, retry."""

import time
from contextlib import suppress
from typing import Any

import click

from pyworkflow.backend.base import Reuse
from pyworkflow.backoff import ride_out
from pyworkflow.cli.app import app_option, managed
from pyworkflow.cli.common import (
    DONE,
    FAILED,
    json_option,
    opened,
    parsed,
    process_argument,
    report_outage,
)
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, instant, safe, short, state, table
from pyworkflow.cli.suggest import similar_workflow
from pyworkflow.codec import to_plain
from pyworkflow.errors import InvalidRequestError, ProcessClosedError, UnknownProcessError
from pyworkflow.process import Process, Status
from pyworkflow.values import check_seconds


def summary(process: Process) -> dict[str, Any]:
    """Return a process without its history, for machines."""
    return {
        "id": process.id,
        "run": process.run,
        "workflow": process.workflow,
        "status": state(process),
        "tags": list(process.tags),
        "parent": process.parent,
        "input": process.input,
        "result": process.result,
        "started": process.started,
        "closed": process.closed,
        "parked": process.parked,
    }


@click.command(cls=Command)
@click.argument("workflow")
@app_option(required=False)
@click.option("--input", "given", default="null", help="JSON, @file, or - for standard input.")
@click.option("--id", "process_id", help="Its id; a new one if left out.")
@click.option("--tag", "tags", multiple=True, help="A tag; up to five.")
@click.option(
    "--reuse",
    type=click.Choice([r.value for r in Reuse]),
    default=Reuse.REJECT.value,
    help="Whether a closed process's id may be used again.",
)
@click.option("--wait", type=float, help="Wait this many seconds for its end.")
@json_option
@click.pass_context
def start(
    context: click.Context,
    workflow: str,
    app: str | None,
    given: str,
    process_id: str | None,
    tags: tuple[str, ...],
    reuse: str,
    wait: float | None,
    as_json: bool,
) -> None:
    """Start a process of a registered workflow and print its id."""
    process = Process(workflow, process_id, parsed(given, "input"), tags)
    if wait is not None:
        check_seconds(wait, "wait")
    # A backend and a manager have these two methods in common.
    with opened(context) if app is None else managed(context, app) as starter:
        started = starter.start_process(process, reuse=Reuse(reuse))
        if wait is None:
            done = {"action": "start", "id": started, "workflow": workflow}
            emit(done) if as_json else click.echo(safe(started))
            return
        end = time.monotonic() + wait
        ended = ride_out(
            lambda: starter.wait_for_process(started, max(0.0, end - time.monotonic())),
            report_outage,
            wait,
        )
    emit({"action": "start", **summary(ended)}) if as_json else _print_process(ended)
    context.exit(DONE if ended.status is Status.COMPLETED else FAILED)


@click.command("list", cls=Command)
@click.option("--workflow", help="Only processes of this workflow.")
@click.option("--tag", help="Only processes with this tag.")
@click.option(
    "--status",
    type=click.Choice([s.value for s in Status]),
    default=Status.OPEN.value,
    show_default=True,
    help="Only processes in this state.",
)
@click.option("--all", "every", is_flag=True, help="Processes in any state.")
@click.option("--parked", is_flag=True, help="Only parked processes.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many at most."
)
@json_option
@click.pass_context
def list_(
    context: click.Context,
    workflow: str | None,
    tag: str | None,
    status: str,
    every: bool,
    parked: bool,
    limit: int,
    as_json: bool,
) -> None:
    """List processes, oldest first."""
    with opened(context) as backend:
        found = backend.processes(
            workflow,
            tag,
            status=None if every else Status(status),
            parked=True if parked else None,
            limit=limit,
        )
        question = "" if found or workflow is None else similar_workflow(workflow, backend)
    if as_json:
        emit([summary(process) for process in found])
        return
    rows = [
        (
            p.id,
            p.workflow,
            state(p),
            instant(p.started),
            instant(p.closed),
            ",".join(p.tags),
        )
        for p in found
    ]
    table(
        ("id", "workflow", "status", "started (UTC)", "closed (UTC)", "tags"),
        rows,
        f"no such processes; {question}" if question else "no such processes",
    )


def _print_process(process: Process) -> None:
    for name, value in summary(process).items():
        if value not in (None, [], 1):
            shown = (
                value
                if isinstance(value, str)
                else instant(value)
                if hasattr(value, "year")
                else short(to_plain(value), 200)
            )
            click.echo(f"{name:9} {safe(shown)}")


@click.command(cls=Command)
@process_argument
@json_option
@click.pass_context
def show(context: click.Context, process_id: str, as_json: bool) -> None:
    """Show a process; ID may be ID:RUN for an earlier run."""
    with opened(context) as backend:
        process = backend.process_by_id(process_id)
    if as_json:
        emit(summary(process) | {"events": len(process.history)})
    else:
        _print_process(process)
        click.echo(f"{'events':9} {len(process.history)}")


@click.command(cls=Command)
@process_argument
@click.argument("name")
@click.option("--data", default="{}", help="JSON, @file, or - for standard input.")
@click.option("--signal-id", help="Your id of this signal: repeating it changes nothing.")
@json_option
@click.pass_context
def signal(
    context: click.Context,
    process_id: str,
    name: str,
    data: str,
    signal_id: str | None,
    as_json: bool,
) -> None:
    """Tell a process something."""
    told = parsed(data, "data")
    with opened(context) as backend:
        backend.signal_process(process_id, name, told, signal_id=signal_id)
    if as_json:
        emit({"action": "signal", "id": process_id, "signal": name, "signal_id": signal_id})


@click.command(cls=Command)
@process_argument
@click.option("--details", default="null", help="JSON, @file, or - for standard input: why.")
@json_option
@click.pass_context
def cancel(context: click.Context, process_id: str, details: str, as_json: bool) -> None:
    """Cancel a process: ask it to, if its workflow handles that; else close it."""
    why = parsed(details, "details")
    with opened(context) as backend:
        backend.cancel_process(process_id, why)
        if as_json:
            status = state(backend.process_by_id(process_id))
            emit({"action": "cancel", "id": process_id, "status": status})


@click.command(cls=Command)
@process_argument
@click.option("--reason", help="Why, in a line.")
@json_option
@click.pass_context
def terminate(context: click.Context, process_id: str, reason: str | None, as_json: bool) -> None:
    """Close a process by force."""
    with opened(context) as backend:
        backend.terminate_process(process_id, reason)
    if as_json:
        emit({"action": "terminate", "id": process_id, "reason": reason})


@click.command(cls=Command)
@click.argument("process_id", required=False)
@click.option("--all", "every", is_flag=True, help="All parked processes.")
@json_option
@click.pass_context
def retry(context: click.Context, process_id: str | None, every: bool, as_json: bool) -> None:
    """Have a parked process decided again, or all of them."""
    if bool(process_id) == every:
        raise click.UsageError("name a process, or say --all")
    with opened(context) as backend:
        done = _retry_all(backend) if process_id is None else [_retry(backend, process_id)]
    if as_json:
        emit({"action": "retry", "ids": done})
        return
    for retried in done:
        click.echo(safe(retried))


def _retry(backend: Any, process_id: str) -> str:
    process = backend.process_by_id(process_id)
    if process.is_open and not process.parked:
        raise InvalidRequestError(f"process {process_id!r}", "is not parked; nothing was changed")
    backend.retry_process(process_id)
    return process_id


def _retry_all(backend: Any) -> list[str]:
    done: list[str] = []
    for process in backend.processes(parked=True):
        # Somebody may have closed it meanwhile: the others are retried all the same.
        with suppress(ProcessClosedError, UnknownProcessError):
            backend.retry_process(process.id)
            done.append(process.id)
    return done
