"""Commands about events: history, watch."""

from collections.abc import Iterator
from typing import Any

import click

from pyworkflow.backend.base import FEED_START, FeedEntry
from pyworkflow.backoff import ride_out
from pyworkflow.cli.common import json_option, opened, process_argument, report_outage
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, instant, safe, table
from pyworkflow.cli.replaying import record
from pyworkflow.cli.words import describe
from pyworkflow.codec import fields
from pyworkflow.event import Event
from pyworkflow.process import Process, Status

WAIT = 60.0
"""Seconds after which the feed is asked again; what is recorded ends the wait at once."""


@click.command(cls=Command)
@process_argument
@click.option(
    "--since", type=click.IntRange(min=0), default=0, help="Only events after this number."
)
@click.option("--follow", is_flag=True, help="Go on with new events until the process is closed.")
@click.option("--record", "path", metavar="FILE", help="Write the process to a file, for replay.")
@json_option
@click.pass_context
def history(
    context: click.Context,
    process_id: str,
    since: int,
    follow: bool,
    path: str | None,
    as_json: bool,
) -> None:
    """Print the history of a process; with --json, one event a line."""
    if follow and path is not None:
        raise click.UsageError("--record writes what there is: it does not go with --follow")
    with opened(context) as backend:
        if follow:
            for run, seq, event in followed(backend, process_id, since):
                emit(_record(run, seq, event)) if as_json else click.echo(_line(str(seq), event))
            return
        process: Process = backend.process_by_id(process_id)
    if path is not None:
        record(process, path)
        if as_json:
            emit({"action": "record", "id": process.id, "run": process.run, "file": path})
        return
    events = list(enumerate(process.history[since:], since + 1))
    if as_json:
        for seq, event in events:
            emit(_record(process.run, seq, event))
        return
    rows = [(seq, instant(event.datetime), event.type, describe(event)) for seq, event in events]
    table(("#", "time (UTC)", "event", "what"), rows, "no such events")


def followed(backend: Any, process_id: str, since: int = 0) -> Iterator[tuple[int, int, Event]]:
    """Yield run, number and event, those of the past first, until the process is closed.

    A process that continues as new is followed into its next run, unless ``id:run`` names one run.
    """
    # The feed's end is read before the history: what comes in between is in both, and nothing is in neither.
    cursor = backend.feed_end()
    process = _process(backend, process_id)
    one_run = process_id != process.id
    while True:
        for seq, event in enumerate(process.history[since:], since + 1):
            yield process.run, seq, event
        since = max(since, len(process.history))
        if process.status is Status.CONTINUED and not one_run:
            process, since = _process(backend, f"{process.id}:{process.run + 1}"), 0
            continue
        if not process.is_open:
            return
        cursor = _next_news(backend, cursor, process)
        process = _process(backend, f"{process.id}:{process.run}")


def _process(backend: Any, process_id: str) -> Process:
    process: Process = ride_out(lambda: backend.process_by_id(process_id), report_outage)
    return process


def _feed(backend: Any, cursor: str) -> list[FeedEntry]:
    entries: list[FeedEntry] = ride_out(lambda: backend.feed(cursor, wait=WAIT), report_outage)
    return entries


def _next_news(backend: Any, cursor: str, process: Process) -> str:
    """Wait until the feed tells of a run; return the cursor up to which it was read."""
    while True:
        entries = _feed(backend, cursor)
        cursor = entries[-1].cursor if entries else cursor
        if any(e.process_id == process.id and e.run == process.run for e in entries):
            return cursor


def _record(run: int, seq: int, event: Event) -> dict[str, Any]:
    return {"run": run, "seq": seq, **fields(event)}


@click.command(cls=Command)
@click.option("--from-start", is_flag=True, help="Begin with the oldest event instead of the next.")
@click.option("--limit", type=click.IntRange(min=1), help="Stop after this many events.")
@json_option
@click.pass_context
def watch(context: click.Context, from_start: bool, limit: int | None, as_json: bool) -> None:
    """Print the events of all processes as they are recorded, also by other programs."""
    seen = 0
    with opened(context) as backend:
        cursor = FEED_START if from_start else backend.feed_end()
        while limit is None or seen < limit:
            entries = _feed(backend, cursor)
            for entry in entries[: None if limit is None else limit - seen]:
                seen += 1
                if as_json:
                    emit(fields(entry) | {"event": fields(entry.event)})
                else:
                    click.echo(_line(f"{f'{entry.process_id}#{entry.seq}':40}", entry.event))
            cursor = entries[-1].cursor if entries else cursor


def _line(name: str, event: Event) -> str:
    return safe(
        f"{instant(event.datetime)}  {name:>4}  {event.type:18}  {describe(event)}"
    ).rstrip()
