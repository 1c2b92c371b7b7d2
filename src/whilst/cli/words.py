"""`whilst help [COMMAND]` and `whilst version`: what people type who have not read about `--help`."""

from __future__ import annotations

import click

from .messages import OK


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name", metavar="[COMMAND]", required=False)
@click.pass_context
def help_of(ctx: click.Context, name: str | None) -> int:
    """Say what COMMAND does, or which commands there are."""
    from .main import group

    outer = ctx.parent or click.Context(group, info_name="whilst")
    if name is None:
        click.echo(group.get_help(outer))
        return OK
    _, command, _ = group.resolve_command(outer, [name])
    assert command is not None
    with click.Context(command, info_name=name, parent=outer) as inner:
        click.echo(command.get_help(inner))
    return OK


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def version() -> int:
    """Print the version."""
    from whilst import __version__

    click.echo(f"whilst {__version__}")
    return OK
