"""The `whilst` command: which subcommands there are, and how every ending becomes an exit code.

Nothing but click is imported before a subcommand is chosen: `whilst --help` answers within 150 ms.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from . import collector
from .messages import USAGE, Problem, say

# name: where the command is, and what `whilst --help` says of it (so that it need not be imported for that)
COMMANDS: dict[str, tuple[str, str]] = {
    "map": ("whilst.cli.map:command", "Call a function on every input, many at a time."),
    "get": ("whilst.cli.get:command", "Fetch many URLs, many at a time."),
    "run": ("whilst.cli.run:command", "Run a flow, once or over every input."),
    "resume": ("whilst.cli.resume:command", "Go on with the command that a journal is of."),
    "status": ("whilst.cli.status:command", "Say how the run of a journal is doing."),
    "export": ("whilst.cli.export:command", "Write the outcomes of a journal to a file of any kind."),
    "plan": ("whilst.cli.plan:command", "Print the tree of a flow; nothing runs."),
    "demo": ("whilst.cli.demo:command", "See the same work done one by one, then together."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names, in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, or None for a name that is not in the table."""
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table, importing nothing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry[1]) for name, entry in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or say which one was likely meant."""
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            raise _unknown("command", name, list(COMMANDS), "whilst", "whilst --help")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from whilst import __version__

        click.echo(f"whilst {__version__}")
        ctx.exit()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Say which.")
def group() -> None:
    """Do something else whilst you wait: run the functions you have, concurrently.

    Exit codes: 0 all ok, 1 some inputs failed, 2 usage, 3 stopped by the failure policy, 4 journal or
    disk, 130 and 143 for signals, 141 where nobody reads the output any more.
    """


def main() -> None:
    """Run the command line and exit."""
    collector.put_off()
    try:
        code = run(sys.argv[1:])
    finally:
        collector.leave()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code; whatever ends it is said in its own words on stderr."""
    try:
        code: Any = group.main(list(arguments), prog_name="whilst", standalone_mode=False)
    except Problem as problem:
        say(str(problem))
        return problem.code
    except click.NoSuchOption as error:
        say(str(_no_such_option(error)))
        return USAGE
    except click.UsageError as error:
        remedy = _mended(error) or f"{_command(error, arguments)} --help"
        say(str(Problem(_as_fact(error.format_message()), remedy=remedy)))
        return USAGE
    except click.ClickException as error:
        say(f"error: {_as_fact(error.format_message())}")
        return error.exit_code
    except click.Abort:
        say("interrupted: nothing was called")
        return 130
    return code if isinstance(code, int) else 0


def _mended(error: click.UsageError) -> str:
    """Return the option with a value that it takes, where it is known which was meant."""
    parameter = error.param if isinstance(error, click.BadParameter) else None
    if not isinstance(parameter, click.Option):
        return ""
    from ..io.refusal import closest

    match parameter.type:
        case click.Choice(choices=choices):
            given = error.format_message().partition(": ")[2].partition(" is not")[0].strip("'")
            return f"{parameter.opts[-1]} {closest(given, choices) or choices[0]}"
        case click.IntRange(min=int(least)):
            return f"{parameter.opts[-1]} {least}"
        case _:
            return ""


def _command(error: click.UsageError, arguments: Sequence[str]) -> str:
    """Return the command that was called wrongly; click's parser does not always say."""
    if error.ctx is not None:
        return error.ctx.command_path
    return f"whilst {arguments[0]}" if arguments and arguments[0] in COMMANDS else "whilst"


def _no_such_option(error: click.NoSuchOption) -> Problem:
    command = error.ctx.command_path if error.ctx is not None else "whilst"
    known: list[str] = []
    if error.ctx is not None:
        for parameter in error.ctx.command.get_params(error.ctx):
            known += [*parameter.opts, *parameter.secondary_opts]
    return _unknown("option", error.option_name, known, command, f"{command} --help")


def _unknown(kind: str, given: str, known: list[str], command: str, else_try: str) -> Problem:
    """Say what was likely meant by a name that is not known."""
    from ..io.refusal import closest

    close = closest(given, known)
    return Problem(f"{command} has no {kind} {given}", remedy=f"{command} {close}" if close else else_try)


def _as_fact(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]


if __name__ == "__main__":
    main()
