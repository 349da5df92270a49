"""The command line: ``pyworkflow``, or ``python -m pyworkflow``."""

import importlib
import os
import sys

import click

from pyworkflow import __version__
from pyworkflow.cli.common import DEFAULT_BACKEND, INTERRUPTED, exit_code
from pyworkflow.cli.output import safe
from pyworkflow.errors import PyworkflowError

COMMANDS = {
    "worker": ("worker", "worker"),
    "start": ("process", "start"),
    "list": ("process", "list_"),
    "show": ("process", "show"),
    "history": ("process", "history"),
    "signal": ("process", "signal"),
    "cancel": ("process", "cancel"),
    "terminate": ("process", "terminate"),
    "retry": ("process", "retry"),
    "watch": ("looking", "watch"),
    "why": ("looking", "why"),
    "queues": ("looking", "queues"),
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


@click.group(cls=_Commands, context_settings={"auto_envvar_prefix": "PYWORKFLOW"})
@click.option("--backend", default=DEFAULT_BACKEND, show_default=True, help="URL of the backend.")
@click.version_option(__version__, prog_name="pyworkflow")
@click.pass_context
def cli(context: click.Context, backend: str) -> None:
    """Run and look after workflow processes.

    Every option has an environment variable: PYWORKFLOW_BACKEND, PYWORKFLOW_WORKER_CONCURRENCY, and so on.

    Exit codes: 0 done; 1 a process failed, or an invariant is violated; 2 bad usage or bad input; 3 the backend cannot be used; 4 unknown
    process, workflow or activity; 5 conflict: it exists, is closed or was done before; 6 a wait timed out; 130 interrupted.
    """
    context.obj = {"backend": backend}


def main() -> None:
    """Run the command line and exit."""
    try:
        code = cli.main(standalone_mode=False)
    except PyworkflowError as error:
        click.echo(f"error: {safe(error)}", err=True)
        sys.exit(exit_code(error))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output has had enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(code if isinstance(code, int) else 0)
