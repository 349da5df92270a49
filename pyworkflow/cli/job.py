"""The group ``job``: jobs as YAML files."""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pyworkflow.cli.common import USAGE, json_option, needing
from pyworkflow.cli.group import Group
from pyworkflow.cli.help import Command
from pyworkflow.cli.output import emit, safe

if TYPE_CHECKING:
    from pyworkflow.jobs.definition import JobDefinition
    from pyworkflow.jobs.select import Selection

F = TypeVar("F", bound=Callable[..., Any])

JOB_COMMANDS = {
    "check": ("job", "check"),
    "graph": ("job", "graph"),
    "run": ("job_run", "run"),
    "schema": ("job", "schema"),
}
"""Each command's module and name in it."""


@click.group("job", cls=Group, table=JOB_COMMANDS)
def job() -> None:
    """Check, draw and run jobs: tasks in Python, their order in a YAML file."""


@dataclass(frozen=True)
class JobFile:
    """A job file, as the command line names it, with all that decides how it is read.

    Attributes:
        path: Of the file.
        root: The root of the project.
        variables: The values of ``$VAR{name}``.
        environment: The names that ``$ENV{NAME}`` may read.
    """

    path: Path
    root: Path
    variables: dict[str, str]
    environment: tuple[str, ...]

    def load(self) -> "JobDefinition":
        """Return the definition.

        Raises:
            JobDefinitionError: Something is wrong with the file.
            BackendUnavailableError: The extra is not installed.
        """
        with needing("jobs", "job"):
            from pyworkflow.jobs.load import load
        return load(
            self.path, root=self.root, variables=self.variables, environment=self.environment
        )


def job_file(*, required: bool = True) -> Callable[[F], F]:
    """Add the argument and the options that name a job file; the command is given a `JobFile`, or None."""

    def add(command: F) -> F:
        @click.argument("file", type=click.Path(path_type=Path), required=required)
        @click.option(
            "--root",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            default=".",
            help="The root of the project: tasks and includes are below it; the working directory if left out.",
        )
        @click.option(
            "--var",
            "variables",
            metavar="NAME=VALUE",
            multiple=True,
            callback=_variables,
            help="What $VAR{NAME} stands for in the file; may be given more than once.",
        )
        @click.option(
            "--env",
            "environment",
            metavar="NAME",
            multiple=True,
            help="An environment variable that $ENV{NAME} may read; may be given more than once.",
        )
        @wraps(command)
        def wrapper(
            file: Path | None,
            root: Path,
            variables: dict[str, str],
            environment: tuple[str, ...],
            **others: object,
        ) -> object:
            source = None if file is None else JobFile(file, root, variables, environment)
            return command(source=source, **others)

        return wrapper  # type: ignore[return-value]

    return add


def _variables(
    context: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    for word in given:
        if not word.partition("=")[1]:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE", context, parameter)
    return {name: value for name, _, value in (word.partition("=") for word in given)}


def selection(command: F) -> F:
    """Add the options that select tasks; the command is given a function from a job to a `Selection`."""

    @click.option("--skip", metavar="TASK", multiple=True, help="A task that counts as done.")
    @click.option(
        "--run-to",
        metavar="TASK",
        multiple=True,
        help="Run only this task and all that it depends on.",
    )
    @click.option(
        "--run-from",
        metavar="TASK",
        multiple=True,
        help="Run only this task and all that depends on it.",
    )
    @wraps(command)
    def wrapper(
        skip: tuple[str, ...], run_to: tuple[str, ...], run_from: tuple[str, ...], **others: object
    ) -> object:
        def selected(definition: "JobDefinition") -> "Selection":
            from pyworkflow.jobs.select import select

            return select(definition, skip=skip, run_to=run_to, run_from=run_from)

        return command(selected=selected, **others)

    return wrapper  # type: ignore[return-value]


@contextmanager
def telling(context: click.Context, as_json: bool = False) -> Generator[None]:
    """Tell what is wrong with a job file, a line for each problem, and exit."""
    from pyworkflow.jobs.errors import JobDefinitionError

    try:
        yield
    except JobDefinitionError as error:
        if as_json:
            emit({"action": context.info_name, "problems": error.problems})
        for problem in error.problems:
            click.echo(f"error: {safe(problem)}", err=True)
        context.exit(USAGE)


@click.command(cls=Command)
@job_file()
@selection
@json_option
@click.pass_context
def check(
    context: click.Context,
    source: JobFile,
    selected: "Callable[[JobDefinition], Selection]",
    as_json: bool,
) -> None:
    """Check a job file without running anything, and print its tasks in their order."""
    with telling(context, as_json):
        definition = source.load()
    skipped = selected(definition).skipped
    if as_json:
        tasks = [
            {
                "name": name,
                "task": task.task,
                "dependencies": task.dependencies,
                "max_attempts": task.max_attempts,
                "backoff": task.backoff,
                "skipped": name in skipped,
            }
            for name, task in definition.tasks.items()
        ]
        name = definition.config.name
        emit({"action": "check", "name": name, "tasks": tasks, "problems": []})
        return
    count = len(definition.tasks)
    click.echo(f"{safe(definition.config.name)}: {count} {'task' if count == 1 else 'tasks'}")
    for line in _drawn(definition, skipped, "text").splitlines():
        click.echo(safe(line))


@click.command(cls=Command)
@job_file()
@selection
@click.option(
    "--format",
    "form",
    type=click.Choice(["mermaid", "dot", "svg", "text"]),
    default="mermaid",
    show_default=True,
    help="How it is drawn.",
)
@click.pass_context
def graph(
    context: click.Context,
    source: JobFile,
    selected: "Callable[[JobDefinition], Selection]",
    form: str,
) -> None:
    """Draw the tasks of a job file."""
    with telling(context):
        definition = source.load()
    click.echo(_drawn(definition, selected(definition).skipped, form), nl=False)


def _drawn(definition: "JobDefinition", skipped: tuple[str, ...], form: str) -> str:
    from pyworkflow.jobs.compile import graph_of

    drawing = graph_of(definition, activity=None, skipped=skipped)
    draw: Callable[[], str] = getattr(drawing, f"to_{form}")
    return draw().rstrip("\n") + "\n"


@click.command(cls=Command)
@job_file(required=False)
@click.pass_context
def schema(context: click.Context, source: JobFile | None) -> None:
    """Print the JSON Schema of job files, for editors; with FILE, also of the parameters that the classes of its project take."""
    import json

    with needing("jobs", "job"):
        from pyworkflow.jobs.schema import schema_of
    classes = None
    if source is not None:
        with telling(context):
            source.load()
        from pyworkflow.jobs.classes import CLASSES

        classes = CLASSES
    click.echo(json.dumps(schema_of(classes), indent=2, ensure_ascii=False))
