"""Commands about processes: start, list, show, history, signal, cancel, terminate, retry."""

from typing import Any

import click

from pyworkflow.backend.base import Reuse
from pyworkflow.cli.common import DONE, FAILED, json_option, opened, parsed
from pyworkflow.cli.output import emit, instant, safe, short, table
from pyworkflow.event import Event
from pyworkflow.process import Process, Status
from pyworkflow.values import check_seconds


def summary(process: Process) -> dict[str, Any]:
    """Return a process without its history, for machines."""
    return {
        "id": process.id,
        "run": process.run,
        "workflow": process.workflow,
        "status": "parked" if process.parked else process.status.value,
        "tags": list(process.tags),
        "parent": process.parent,
        "input": process.input,
        "result": process.result,
        "started": process.started,
        "closed": process.closed,
        "parked": process.parked,
    }


def describe(event: Event) -> str:
    """Return what an event says beside its type, on one line."""
    told = {n: getattr(event, n) for n in event.__struct_fields__ if n != "datetime"}
    from pyworkflow.codec import to_plain

    plain = to_plain(told)
    return short(plain, 100) if plain else ""


@click.command()
@click.argument("workflow")
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
    with opened(context) as backend:
        started = backend.start_process(process, reuse=Reuse(reuse))
        if wait is None:
            emit({"id": started}) if as_json else click.echo(safe(started))
            return
        ended = backend.wait_for_process(started, wait)
    emit(summary(ended)) if as_json else _print_process(ended)
    context.exit(DONE if ended.status is Status.COMPLETED else FAILED)


@click.command("list")
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
    if as_json:
        emit([summary(process) for process in found])
        return
    rows = [
        (
            p.id,
            p.workflow,
            summary(p)["status"],
            instant(p.started),
            instant(p.closed),
            ",".join(p.tags),
        )
        for p in found
    ]
    table(
        ("id", "workflow", "status", "started (UTC)", "closed (UTC)", "tags"),
        rows,
        "no such processes",
    )


def _print_process(process: Process) -> None:
    for name, value in summary(process).items():
        if value not in (None, [], 1):
            shown = (
                value
                if isinstance(value, str)
                else instant(value)
                if hasattr(value, "year")
                else short(_plain(value), 200)
            )
            click.echo(f"{name:9} {safe(shown)}")


def _plain(value: Any) -> Any:
    from pyworkflow.codec import to_plain

    return to_plain(value)


@click.command()
@click.argument("process_id")
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


@click.command()
@click.argument("process_id")
@click.option(
    "--since", type=click.IntRange(min=0), default=0, help="Only events after this number."
)
@json_option
@click.pass_context
def history(context: click.Context, process_id: str, since: int, as_json: bool) -> None:
    """Print the history of a process; with --json, one event a line."""
    with opened(context) as backend:
        events = backend.history(process_id, since)
    if as_json:
        for event in events:
            emit(event)
        return
    rows = [(n, instant(e.datetime), e.type, describe(e)) for n, e in enumerate(events, since + 1)]
    table(("#", "time (UTC)", "event", "what"), rows, "no such events")


@click.command()
@click.argument("process_id")
@click.argument("name")
@click.option("--data", default="{}", help="JSON, @file, or - for standard input.")
@click.option("--signal-id", help="Your id of this signal: repeating it changes nothing.")
@click.pass_context
def signal(
    context: click.Context, process_id: str, name: str, data: str, signal_id: str | None
) -> None:
    """Tell a process something."""
    told = parsed(data, "data")
    with opened(context) as backend:
        backend.signal_process(process_id, name, told, signal_id=signal_id)


@click.command()
@click.argument("process_id")
@click.option("--details", default="null", help="JSON: why.")
@click.pass_context
def cancel(context: click.Context, process_id: str, details: str) -> None:
    """Cancel a process: ask it to, if its workflow handles that; else close it."""
    why = parsed(details, "details")
    with opened(context) as backend:
        backend.cancel_process(process_id, why)


@click.command()
@click.argument("process_id")
@click.option("--reason", help="Why, in a line.")
@click.pass_context
def terminate(context: click.Context, process_id: str, reason: str | None) -> None:
    """Close a process by force."""
    with opened(context) as backend:
        backend.terminate_process(process_id, reason)


@click.command()
@click.argument("process_id", required=False)
@click.option("--all", "every", is_flag=True, help="All parked processes.")
@click.pass_context
def retry(context: click.Context, process_id: str | None, every: bool) -> None:
    """Have a parked process decided again, or all of them."""
    if bool(process_id) == every:
        raise click.UsageError("name a process, or say --all")
    with opened(context) as backend:
        ids = [p.id for p in backend.processes(parked=True)] if every else [process_id]
        for parked in ids:
            backend.retry_process(parked)
            click.echo(safe(parked))
