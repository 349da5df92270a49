"""The command that looks after a store itself: doctor."""

import click

from pyworkflow.backend.base import MOST_COUNTED, Diagnosis
from pyworkflow.backoff import ride_out
from pyworkflow.cli.common import FAILED, json_option, opened, patience_option, report_outage
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, instant, table
from pyworkflow.clock import FAR_SECONDS
from pyworkflow.codec import fields


@click.command(cls=Command)
@click.option(
    "--repair-clock",
    is_flag=True,
    help="Set the clock of a SQLite file that is ahead to the clock of this machine, which must be right.",
)
@patience_option
@json_option
@click.pass_context
def doctor(context: click.Context, repair_clock: bool, patience: float, as_json: bool) -> None:
    """Examine the store itself: its clock, file, locks, schema; exit code 1 if its clock is far from this machine's."""
    back = 0.0
    with opened(context, patience=patience) as backend:
        if repair_clock:
            back = ride_out(backend.set_clock_back, report_outage, patience)
        diagnosis: Diagnosis = ride_out(backend.diagnose, report_outage, patience)
    far = abs(diagnosis.ahead) > FAR_SECONDS
    if as_json:
        emit({"action": "doctor", "set_back": back, **fields(diagnosis)})
    else:
        if back:
            click.echo(f"the clock was set back by {back:.0f} s")
        table(("what", "is"), _rows(diagnosis), "")
        if far:
            click.echo(_advice(diagnosis))
    context.exit(FAILED if far else 0)


def _rows(diagnosis: Diagnosis) -> list[tuple[str, str]]:
    many = " or more" if diagnosis.parked >= MOST_COUNTED else ""
    parked = f"{diagnosis.parked}{many}" + (": see list --parked" if diagnosis.parked else "")
    return [
        ("backend", diagnosis.backend),
        ("time (UTC)", instant(diagnosis.time)),
        ("ahead of this machine", f"{diagnosis.ahead:.1f} s"),
        ("parked processes", parked),
        *diagnosis.facts.items(),
        ("damaged rows", "not examined: see check"),
    ]


def _advice(diagnosis: Diagnosis) -> str:
    if diagnosis.ahead < 0:
        return (
            "The store's clock is behind this machine's: either this machine's is wrong, or it was wrong when it was started."
            " Correct it; a SQLite file goes on from the right time after the next start of the machine."
        )
    if diagnosis.backend != "sqlite":
        return "The store's clock is ahead of this machine's. Correct whichever is wrong."
    return (
        "The store's clock is ahead of this machine's: it was wrong when the machine was started, or is wrong now. Events are dated"
        " too late, and purge takes processes for younger than they are. Make sure that this machine's clock is right, then run"
        " 'pyworkflow doctor --repair-clock'."
    )
