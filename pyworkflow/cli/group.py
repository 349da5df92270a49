"""Groups of commands. The module of a command is imported when the command is used."""

import importlib
import sys
from collections.abc import Mapping
from typing import Any

import click

from pyworkflow.cli.common import DONE
from pyworkflow.cli.help import drawn
from pyworkflow.cli.output import drop_output
from pyworkflow.similar import similar


class Group(click.Group):
    """A group of commands.

    Args:
        settings: What click's own group takes.
        table: Each command's module in this package and its name in there.
    """

    def __init__(self, *, table: Mapping[str, tuple[str, str]], **settings: Any) -> None:
        super().__init__(**settings)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command."""
        if cmd_name not in self._table:
            return None
        module, name = self._table[cmd_name]
        found: click.Command = getattr(importlib.import_module(f"pyworkflow.cli.{module}"), name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments begin with, and the others."""
        name = args[0]
        if name in self._table or name.startswith("-") or ctx.resilient_parsing:
            return super().resolve_command(ctx, args)
        raise click.UsageError(asked(f"no such command {name!r}", similar(name, self._table)), ctx)

    def get_help(self, ctx: click.Context) -> str:
        """Return the help, drawn on a terminal."""
        return drawn(self, ctx) if sys.stdout.isatty() else super().get_help(ctx)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output has had enough of it; click would call that a failure.
            drop_output()
            ctx.exit(DONE)


def asked(message: str, question: str) -> str:
    """Return a message with a question, if there is one."""
    return f"{message}: {question}" if question else message
