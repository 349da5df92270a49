"""The command line: ``pyworkflow``, or ``python -m pyworkflow``."""

import sys
from typing import NoReturn

import click

from pyworkflow import __version__
from pyworkflow.cli.common import DEFAULT_BACKEND, DONE, FAILED, INTERRUPTED, USAGE, exit_code
from pyworkflow.cli.group import Group, asked
from pyworkflow.cli.output import drop_output, safe
from pyworkflow.errors import PyworkflowError
from pyworkflow.similar import similar

COMMANDS = {
    "worker": ("worker", "worker"),
    "start": ("process", "start"),
    "list": ("process", "list_"),
    "show": ("process", "show"),
    "history": ("events", "history"),
    "replay": ("replaying", "replay"),
    "signal": ("process", "signal"),
    "cancel": ("process", "cancel"),
    "terminate": ("process", "terminate"),
    "retry": ("process", "retry"),
    "watch": ("events", "watch"),
    "why": ("looking", "why"),
    "queues": ("looking", "queues"),
    "workers": ("looking", "workers"),
    "job": ("job", "job"),
    "serve": ("serve", "serve"),
    "token": ("serve", "token"),
    "check": ("house", "check"),
    "purge": ("house", "purge"),
    "doctor": ("doctor", "doctor"),
}
"""Each command's module and name in it; the module is imported when the command is used."""


@click.group(
    cls=Group,
    table=COMMANDS,
    invoke_without_command=True,
    context_settings={"auto_envvar_prefix": "PYWORKFLOW"},
)
@click.option("--backend", default=DEFAULT_BACKEND, show_default=True, help="URL of the backend.")
@click.version_option(__version__, prog_name="pyworkflow")
@click.pass_context
def cli(context: click.Context, backend: str) -> None:
    """Run and look after workflow processes.

    Every option has an environment variable: PYWORKFLOW_BACKEND, PYWORKFLOW_WORKER_CONCURRENCY, and so on.

    Exit codes: 0 done; 1 a process failed, an invariant is violated, or replayed code decides something else; 2 bad usage or bad
    input; 3 the backend cannot be used; 4 unknown process, workflow or activity; 5 conflict: it exists, is closed or was done before;
    6 a wait timed out; 130 interrupted.
    """
    context.obj = {"backend": backend}
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main() -> None:
    """Run the command line and exit."""
    try:
        _check_encoding(sys.argv)
        try:
            code = cli.main(standalone_mode=False)
        finally:
            sys.stdout.flush()
    except PyworkflowError as error:
        _fail(str(error), exit_code(error))
    except click.ClickException as error:
        _fail(_usage(error), USAGE)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except OSError as error:
        drop_output()
        _fail(f"{error.filename or 'output'}: {error.strerror or error}", FAILED)
    sys.exit(code if isinstance(code, int) else DONE)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"error: {safe(message)}", err=True)
    sys.exit(code)


def _usage(error: click.ClickException) -> str:
    """Return click's error on one line and in our words."""
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        message = asked(f"no such option {name!r}", similar(name, error.possibilities or ()))
    else:
        message = " ".join(error.format_message().split())
        message = message[:1].lower() + message[1:].rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message} (see: {context.command_path} --help)" if context else message


def _check_encoding(words: list[str]) -> None:
    """Refuse what is no UTF-8: no name, id or JSON can be that, and stores cannot look for it.

    Raises:
        UsageError: A word of the command line is none.
    """
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{word!r} is no UTF-8") from None
