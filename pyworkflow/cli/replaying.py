"""The command replay: steps through a recorded history with the code of a workflow."""

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import click

from pyworkflow import codec, failure
from pyworkflow.cli.app import load
from pyworkflow.cli.common import FAILED, json_option
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, instant, safe, short
from pyworkflow.cli.words import decided, describe
from pyworkflow.codec import fields
from pyworkflow.errors import InvalidRequestError, NondeterminismError, PayloadError
from pyworkflow.manager import Manager
from pyworkflow.process import Process
from pyworkflow.workflow import Workflow
from pyworkflow.workflow.following import Step, follow

WIDTH = 160
"""Characters of a value that is shown."""


@click.command(cls=Command)
@click.argument("history", metavar="HISTORY.json")
@click.argument("app", metavar="MODULE:WORKFLOW")
@click.option(
    "--decision", type=click.IntRange(min=1), help="Show only the decision of this number."
)
@click.option("--step", "stepwise", is_flag=True, help="Wait for a key after each decision.")
@json_option
@click.pass_context
def replay(
    context: click.Context,
    history: str,
    app: str,
    decision: int | None,
    stepwise: bool,
    as_json: bool,
) -> None:
    """Step through a recorded history: what was new, what was decided then and now, and where the code stands.

    HISTORY.json is what `history ID --record HISTORY.json` wrote. Exit code 1: the code decides something else.
    """
    process = _read(history)
    workflow = _workflow(app, process.workflow)
    if not as_json:
        closed = "" if process.is_open else f", closed {instant(process.closed)}"
        told = f"process {process.id}, workflow {process.workflow}, {len(process.history)} events"
        click.echo(safe(f"{told}, {process.status.value}{closed}"))
    number = differing = 0
    for number, step in _steps(app, workflow(), process):
        differing += step.differs
        if decision not in (None, number):
            continue
        emit({"decision": number, **fields(step)}) if as_json else _print(number, step)
        if stepwise:
            click.pause("")
    if decision is not None and number < decision and not differing:
        raise InvalidRequestError("decision", f"there are {number}")
    if differing and not as_json:
        click.echo("the code decides something else than the history holds")
    context.exit(FAILED if differing else 0)


def record(process: Process, path: str) -> None:
    """Write a process with its history to a file, for `replay`.

    Raises:
        InvalidRequestError: The file cannot be written.
    """
    try:
        Path(path).write_bytes(codec.encode(process) + b"\n")
    except OSError as error:
        raise InvalidRequestError(f"file {path!r}", str(error.strerror)) from error


def _read(path: str) -> Process:
    try:
        process: Process = codec.decode(Path(path).read_bytes(), Process)
    except OSError as error:
        raise InvalidRequestError(f"history {path!r}", str(error.strerror)) from error
    except PayloadError as error:
        told = f"is no recorded process: {error.reason}"
        raise InvalidRequestError(f"history {path!r}", told) from error
    return process


def _workflow(app: str, name: str) -> type[Workflow]:
    """Return the workflow that an argument names: the only one, or among several the one of the process."""
    found = load(app)
    workflows = found.workflows if isinstance(found, Manager) else found[0]
    if not workflows:
        raise InvalidRequestError(f"app {app!r}", "has no workflow")
    if len(workflows) == 1:
        return workflows[0]
    fitting = [workflow for workflow in workflows if workflow.name == name]
    if not fitting:
        known = ", ".join(sorted(workflow.name for workflow in workflows))
        raise InvalidRequestError(f"app {app!r}", f"has no workflow {name!r}; it has: {known}")
    return fitting[-1]


def _steps(app: str, workflow: Workflow, process: Process) -> Iterator[tuple[int, Step]]:
    number = 0
    try:
        for number, step in enumerate(follow(workflow, process), 1):
            yield number, step
    except NondeterminismError:
        # Told when the decision after it is asked for: it was shown already, as the difference that it is.
        return
    except Exception as error:  # it is the program's own code
        told = f"raised {failure.describe(error).line}"
        raise InvalidRequestError(f"decision {number + 1} of {app}", told) from error


def _print(number: int, step: Step) -> None:
    when = f", {instant(step.datetime)}" if step.datetime else ""
    click.echo(f"\ndecision {number}, at event {step.number}{when}")
    for event in step.news:
        _line("new", f"{event.type} {describe(event)}")
    if step.differs:
        for then, now in zip_longest(map(decided, step.recorded or ()), map(decided, step.decided)):
            if then == now:
                _line("decided", then or "")
                continue
            _line("≠ then", then or "nothing")
            _line("≠ now", now or "nothing")
    else:
        for each in step.decided:
            _line("decided" if step.recorded is not None else "decides", decided(each))
    for name, value in step.state.items():
        if value:
            _line(name, short(value, WIDTH))


def _line(name: str, text: str) -> None:
    click.echo(safe(f"  {name:10} {text}").rstrip())
