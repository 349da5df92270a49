"""The command that runs a job."""

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import click

from pyworkflow.cli.common import backend_is_default, json_option, opened
from pyworkflow.cli.help import Command
from pyworkflow.cli.job import JobFile, job_file, selection, telling
from pyworkflow.cli.output import emit, safe

if TYPE_CHECKING:
    from pyworkflow.jobs.definition import JobDefinition
    from pyworkflow.jobs.runner import JobReport
    from pyworkflow.jobs.select import Selection


@click.command(cls=Command)
@job_file()
@click.option("-r", "--restart", is_flag=True, help="Go on where the last run failed.")
@click.option("--max-concurrency", type=int, help="Tasks that run at a time; 0 is no limit.")
@selection
@json_option
@click.pass_context
def run(
    context: click.Context,
    source: JobFile,
    restart: bool,
    max_concurrency: int | None,
    selected: "Callable[[JobDefinition], Selection]",
    as_json: bool,
) -> None:
    """Run a job.

    Its history is kept in .flowmancer/jobs.db below the root, if --backend does not say otherwise. The exit code is the number of tasks
    that failed or never ran because of that, 125 at most; 130 after SIGINT.
    """
    with telling(context, as_json):
        definition = source.load()
    from pyworkflow.jobs.flowmancer import limited, status_of
    from pyworkflow.jobs.runner import run_job

    began = time.monotonic()
    with ExitStack() as stack:
        backend = None if backend_is_default(context) else stack.enter_context(opened(context))
        report = run_job(
            limited(definition, max_concurrency),
            backend=backend,
            restart=restart,
            skipped=selected(definition).skipped,
            say=lambda text: click.echo(safe(text), err=True),
        )
    if as_json:
        emit({"action": "run", **_told(report)})
    else:
        _summarize(report, time.monotonic() - began)
    context.exit(status_of(report))


def _told(report: "JobReport") -> dict[str, object]:
    return {
        "name": report.name,
        "process": f"{report.process_id}:{report.run}",
        "status": report.status.value,
        "restarted": report.restarted,
        "tasks": {name: state.word for name, state in report.states.items()},
    }


def _summarize(report: "JobReport", seconds: float) -> None:
    counts = Counter(state.word for state in report.states.values())
    told = ", ".join(f"{count} {word}" for word, count in counts.items())
    click.echo(f"{safe(report.name)}: {report.status.value} after {seconds:.1f} s: {told}")
    for word in ("failed", "aborted", "not run"):
        names = [name for name, state in report.states.items() if state.word == word]
        if names:
            click.echo(f"{word}: {safe(', '.join(names))}")
    if report.status.value != "completed":
        click.echo("run it again with -r to go on from here")
