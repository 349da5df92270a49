"""Help, drawn with rich-click on a terminal and plain elsewhere; either is imported only when it is printed."""

import sys

import click


class Command(click.Command):
    """A command whose help is drawn on a terminal."""

    def get_help(self, ctx: click.Context) -> str:
        """Return the help."""
        return drawn(self, ctx) if sys.stdout.isatty() else super().get_help(ctx)


def drawn(command: click.Command, context: click.Context) -> str:
    """Return the help of a command with rules and colours.

    The command is copied to a class of rich-click's when its help is asked for: deriving from that class would import rich each time
    that a command is run.
    """
    from rich_click import RichCommand, RichContext, RichGroup

    class Group(RichGroup):
        def list_commands(self, ctx: click.Context) -> list[str]:
            return list(self.commands)

    copy: RichCommand
    if isinstance(command, click.Group):
        names = command.list_commands(context)
        found = {name: command.get_command(context, name) for name in names}
        commands = {name: sub for name, sub in found.items() if sub is not None}
        copy = Group(name=command.name, commands=commands, params=command.params, help=command.help)
    else:
        copy = RichCommand(name=command.name, params=command.params, help=command.help)
    return copy.get_help(RichContext(copy, info_name=context.info_name, parent=context.parent))
