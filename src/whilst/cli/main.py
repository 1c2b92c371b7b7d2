"""The `whilst` command: which subcommands there are, and how every ending becomes an exit code.

Nothing but click is imported before a subcommand is chosen: `whilst --help` answers within 150 ms.
"""

from __future__ import annotations

import errno
import importlib
import os
import re
import signal
import sys
from collections.abc import Sequence
from typing import Any

import click

from . import collector
from .messages import BROKEN_PIPE, DISK, USAGE, Become, Problem, say
from .streams import streams

OF_A_STREAM = (errno.EBADF, errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)  # what a write to one meets

# name: where the command is, and what `whilst --help` says of it (so that it need not be imported for that)
COMMANDS: dict[str, tuple[str, str]] = {
    "map": ("whilst.cli.map:command", "Call a function on every input, many at a time."),
    "get": ("whilst.cli.get:command", "Fetch many URLs, many at a time."),
    "run": ("whilst.cli.run:command", "Run a flow, once or over every input."),
    "resume": ("whilst.cli.resume:command", "Continue the run that wrote a journal."),
    "status": ("whilst.cli.status:command", "Show the progress of a run that has a journal."),
    "export": ("whilst.cli.export:command", "Write the outcomes in a journal to a file of any format."),
    "report": ("whilst.cli.report:command", "Make a web page of a run, from a trace or a journal."),
    "plan": ("whilst.cli.plan:command", "Print the tree of a flow, without running it."),
    "doctor": ("whilst.cli.doctor:command", "Find lines that block the event loop, and waits that could overlap."),
    "demo": ("whilst.cli.demo:command", "Make the same calls one by one, then together."),
    "completion": ("whilst.cli.completion:command", "Print a script for completion in your shell."),
    "help": ("whilst.cli.words:help_of", "Show the help of a command: whilst help map."),
    "version": ("whilst.cli.words:version", "Print the version."),
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
        if name not in COMMANDS and not name.startswith("-") and not ctx.resilient_parsing:
            raise _unknown("command", name, list(COMMANDS), "whilst", "whilst --help")
        return super().resolve_command(ctx, args)


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from whilst import __version__

        click.echo(f"whilst {__version__}")
        ctx.exit()


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "-V",
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def group() -> None:
    """Do something else whilst you wait: run the functions you have, concurrently.

    \b
    Exit codes:
      0    all inputs are done
      1    some inputs failed, or the function ended the run
      2    the command line is wrong: an option, a name, a target
      3    stopped: --stop-after, --deadline, or all calls failed the same way
      4    a problem with the journal, the disk or the output
      129  ended by SIGHUP (the terminal was closed)
      130  ended by Ctrl-C
      141  nobody reads the output any more
      143  ended by SIGTERM

    After the first signal nothing new starts, and calls in flight are finished; a second Ctrl-C ends at once. SIGUSR1
    prints the status.
    """


def main() -> None:
    """Run the command line and exit."""
    code, become = 128 + signal.SIGINT, None
    try:
        _change_interrupts(signal.SIG_DFL, signal.default_int_handler)
        streams.open_closed()
        collector.put_off()
        code = perform(sys.argv[1:])
    except KeyboardInterrupt:  # in the few lines around the command itself, which has its own way
        say("interrupted: nothing was called")
    except Become as other:
        become = other.program
    finally:
        _change_interrupts(signal.default_int_handler, signal.SIG_DFL)
        collector.leave()
    if become is not None:
        streams.close_again()
        become()
    streams.leave()
    sys.exit(code)


def _change_interrupts(now: Any, then: Any) -> None:
    """Have Ctrl-C be an exception while that is caught; before and after it just ends the process (see `entry`)."""
    if signal.getsignal(signal.SIGINT) is now:
        signal.signal(signal.SIGINT, then)


def run(arguments: Sequence[str]) -> int:
    """Run the command line in a process that goes on, and return its exit code."""
    try:
        return perform(arguments)
    finally:
        streams.put_back()


def perform(arguments: Sequence[str]) -> int:
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
        remedy = _mended(error) or _with_a_value(error, arguments) or f"{_command(error, arguments)} --help"
        say(str(Problem(_in_words(_as_fact(error.format_message())), remedy=remedy)))
        return USAGE
    except click.ClickException as error:
        say(f"error: {_as_fact(error.format_message())}")
        return error.exit_code
    except click.Abort:
        say("interrupted: nothing was called")
        return 130
    except SystemExit:  # what click makes of a reader that has gone
        return BROKEN_PIPE
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and "thread" not in str(error):
            raise
        what = "threads" if isinstance(error, RuntimeError) else "memory"
        say(f"error: this machine, or a limit of it, gives no more {what}\n  nothing was called")
        return DISK
    except OSError as error:
        if _is_nowhere():
            say(str(Problem("the directory you are in was removed", remedy="cd")))
            return USAGE
        if error.filename is not None or error.errno not in OF_A_STREAM:
            raise
        say(f"error: standard output cannot be written: {error.strerror or error}")
        return DISK
    return code if isinstance(code, int) else 0


def _is_nowhere() -> bool:
    """Whether the working directory was removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _in_words(fact: str) -> str:
    """Say of a number what the library says, where click speaks of its types.

    >>> _in_words("invalid value for '--take': 'x' is not a valid integer range")
    "--take must be a whole number, got 'x'"
    >>> _in_words("invalid value for '--batch': 0 is not in the range x>=1")
    '--batch must be at least 1, got 0'
    """
    found = re.fullmatch(r"invalid value for '(--[\w-]+)': (.+) is not (.+)", fact, re.IGNORECASE | re.DOTALL)
    if found is None:
        return fact
    flag, given, what = found.groups()
    if what.rstrip(".") in ("a valid integer range", "a valid integer"):
        return f"{flag} must be a whole number, got {given}"
    least = re.fullmatch(r"in the range x>=(\d+)\.?", what)
    return f"{flag} must be at least {least[1]}, got {given}" if least else fact


def _mended(error: click.UsageError) -> str:
    """Return the option with a value that it takes, where it is known which was meant."""
    parameter = error.param if isinstance(error, click.BadParameter) else None
    if isinstance(parameter, click.Argument) and isinstance(parameter.type, click.Choice) and error.ctx is not None:
        return f"{error.ctx.command_path} {parameter.type.choices[0]}"
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


def _with_a_value(error: click.UsageError, arguments: Sequence[str]) -> str:
    """Return an option as it is written in the help: it came without the value that it takes, or with one too many."""
    if not isinstance(error, click.BadOptionUsage):
        return ""
    ctx = click.Context(group)
    command = group.get_command(ctx, next(iter(arguments), ""))
    found = (one for one in getattr(command, "params", ()) if error.option_name in one.opts)
    value = next((f" {one.make_metavar(ctx)}" if not one.is_flag else "" for one in found), None)
    return "" if value is None else f"{error.option_name}{value}"


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
    from ..core.habits import flag

    habit = flag(error.option_name, known)
    if habit is not None:
        whole = f"{command} {habit}" if habit.startswith("-") else habit
        return Problem(f"{command} has no option {error.option_name}", remedy=whole)
    other = next((f"whilst {name}" for name in COMMANDS if error.option_name in _options_of(name)), "")
    if other:
        return Problem(f"{command} has no option {error.option_name}, but {other} has", remedy=f"{other} --help")
    return _unknown("option", error.option_name, known, command, f"{command} --help")


def _options_of(name: str) -> list[str]:
    found = group.get_command(click.Context(group), name)
    return [option for parameter in getattr(found, "params", ()) for option in parameter.opts if option[:1] == "-"]


def _unknown(kind: str, given: str, known: list[str], command: str, else_try: str) -> Problem:
    """Say what was likely meant by a name that is not known."""
    from ..io.refusal import closest

    close = closest(given, known, alike=0.75 if kind == "option" else 0.6)  # many options are a little alike
    return Problem(f"{command} has no {kind} {given}", remedy=f"{command} {close}" if close else else_try)


def _as_fact(text: str) -> str:
    text = text.rstrip(".")
    return text[:1].lower() + text[1:]


if __name__ == "__main__":
    _change_interrupts(signal.default_int_handler, signal.SIG_DFL)
    main()
