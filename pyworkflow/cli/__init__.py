"""The command line: ``pyworkflow``, or ``python -m pyworkflow``."""

import importlib
import os
import sys
from typing import Any, NoReturn

import click

from pyworkflow import __version__
from pyworkflow.cli.common import DEFAULT_BACKEND, DONE, INTERRUPTED, USAGE, exit_code
from pyworkflow.cli.help import drawn
from pyworkflow.cli.output import safe
from pyworkflow.cli.suggest import similar
from pyworkflow.errors import PyworkflowError

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
    "serve": ("serve", "serve"),
    "token": ("serve", "token"),
    "check": ("house", "check"),
    "purge": ("house", "purge"),
}
"""Each command's module and name in it; the module is imported when the command is used."""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name]
        found: click.Command = getattr(importlib.import_module(f"pyworkflow.cli.{module}"), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name in COMMANDS or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise click.UsageError(_asked(f"no such command {name!r}", similar(name, COMMANDS)), ctx)

    def get_help(self, ctx: click.Context) -> str:
        return drawn(self, ctx) if sys.stdout.isatty() else super().get_help(ctx)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output has had enough of it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            ctx.exit(DONE)


@click.group(
    cls=_Commands,
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
        code = cli.main(standalone_mode=False)
    except PyworkflowError as error:
        _fail(str(error), exit_code(error))
    except click.ClickException as error:
        _fail(_usage(error), USAGE)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    sys.exit(code if isinstance(code, int) else DONE)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"error: {safe(message)}", err=True)
    sys.exit(code)


def _usage(error: click.ClickException) -> str:
    """Return click's error on one line and in our words."""
    if isinstance(error, click.NoSuchOption):
        name = error.option_name
        message = _asked(f"no such option {name!r}", similar(name, error.possibilities or ()))
    else:
        message = " ".join(error.format_message().split())
        message = message[:1].lower() + message[1:].rstrip(".")
    context = getattr(error, "ctx", None)
    return f"{message} (see: {context.command_path} --help)" if context else message


def _asked(message: str, question: str) -> str:
    return f"{message}: {question}" if question else message


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
