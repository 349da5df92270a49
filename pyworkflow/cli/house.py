"""Commands for keeping house: check, purge."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, timedelta
from datetime import datetime as DateTime

import click

from pyworkflow.backoff import ride_out
from pyworkflow.cli.common import (
    FAILED,
    duration,
    json_option,
    opened,
    patience_option,
    report_outage,
)
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, instant, safe
from pyworkflow.clock import SystemClock, to_datetime


@contextmanager
def progress(label: str, shown: bool) -> Generator[Callable[[int, int], None] | None]:
    """Show a progress bar on a terminal."""
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task(label)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@click.command(cls=Command)
@patience_option
@json_option
@click.pass_context
def check(context: click.Context, patience: float, as_json: bool) -> None:
    """Check the invariants of all processes; exit code 1 if one does not hold. Changes nothing."""
    with (
        opened(context, patience=patience) as backend,
        progress("checking", not as_json) as tell,
    ):
        violations = ride_out(lambda: backend.check(tell), report_outage, patience)
    if as_json:
        emit(violations)
    else:
        for found in violations:
            click.echo(safe(f"{found.invariant}  {found.process_id or ''}  {found.message}"))
        click.echo(
            "no invariant is violated" if not violations else f"{len(violations)} violations"
        )
    context.exit(FAILED if violations else 0)


@click.command(cls=Command)
@click.option("--older", required=True, help="Age since their end, such as 30d or 12h.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@patience_option
@json_option
@click.pass_context
def purge(context: click.Context, older: str, yes: bool, patience: float, as_json: bool) -> None:
    """Remove processes that closed long ago, with their histories."""
    before = _now() - timedelta(seconds=duration(older))
    if not yes:
        question = f"Remove all processes closed before {instant(before)} UTC?"
        click.confirm(question, abort=True, err=True)
    total = 0
    with opened(context, patience=patience) as backend:
        while removed := ride_out(lambda: backend.purge(before), report_outage, patience):
            total += removed
    if as_json:
        emit({"action": "purge", "removed": total, "closed_before": before})
    else:
        click.echo(f"{total} removed")


def _now() -> DateTime:
    return to_datetime(SystemClock().now()).astimezone(UTC)
