"""`whilst doctor SCRIPT [ARGS…]`: run a program, then say which line held the loop and which waits could overlap."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from . import collector
from .messages import Become, Problem, columns, emit, is_terminal

if TYPE_CHECKING:
    from ..doctoring.program import Program
    from ..doctoring.supervise import Ending


class ProgramCommand(click.Command):
    """A command whose options end where the program begins: all after SCRIPT or `-m MODULE` is the program's."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put a `--` behind the module."""
        for index, argument in enumerate(args):
            if argument == "-m" and index + 1 < len(args):
                args = [*args[: index + 2], "--", *args[index + 2 :]]
                break
            if not argument.startswith("-") and args[index - 1 : index] != ["--threshold"]:
                break
        return super().parse_args(ctx, args)


@click.command(
    cls=ProgramCommand,
    context_settings={
        "help_option_names": ["-h", "--help"], "max_content_width": 80, "allow_interspersed_args": False,
    },
)  # fmt: skip
@click.argument("program", nargs=-1, type=click.UNPROCESSED, metavar="SCRIPT [ARGS]...")
@click.option("-m", "module", metavar="MODULE", help="Run a module, as python -m does: pytest, uvicorn.")
@click.option("--threshold", metavar="TIME", default="50ms", show_default=True, help="Report only what takes longer.")
@click.option("--json", "as_json", is_flag=True, help="Write the findings as JSON, also to stderr.")
@click.option("--fail", is_flag=True, help="Exit with 1 if anything was found and the program ended with 0.")
def command(program: tuple[str, ...], module: str | None, threshold: str, as_json: bool, fail: bool) -> int:
    """Run a program, then say which lines held its event loop and which waits could overlap.

    The program is not changed: it has its own arguments, standard input, signals and exit code. The report comes on
    stderr when it has ended, worst first; for a server, after Ctrl-C. A line that ends with "# whilst: ignore" is left
    out. Imports are not counted, and child processes are not observed.

    \b
    whilst doctor slow.py --its-own-option
    whilst doctor --threshold 100ms -m pytest -q
    whilst doctor -m uvicorn app:app
    """
    if not hasattr(os, "fork"):
        fact = "whilst doctor runs a program in a child of its own (os.fork), which this system lacks"
        raise Problem(fact, remedy="with whilst.doctor(): … in the program itself")
    seconds = _seconds(threshold)
    wanted = _program(program, module)
    from ..doctoring.supervise import Ending, end_by, run

    collector.take_up()
    ending = run(wanted, seconds)
    if not isinstance(ending, Ending):
        raise Become(ending)
    code = _tell(ending, as_json, fail)
    if ending.signal:
        end_by(ending.signal)
    return code


def _seconds(threshold: str) -> float:
    from ..doctoring.duration import seconds

    try:
        return seconds(threshold)
    except ValueError as error:
        raise Problem(f"--threshold {error}", remedy="--threshold 50ms") from None


def _program(program: tuple[str, ...], module: str | None) -> Program:
    from ..doctoring.program import NoProgram, Program

    if module is None and not program:
        raise Problem("no program was given", remedy="whilst doctor slow.py, or whilst doctor -m pytest")
    try:
        if module is not None:
            return Program(module, program, module=True)
        return Program(program[0], program[1:], module=False)
    except NoProgram as error:
        raise Problem(str(error), remedy=_likely(program[0])) from None


def _likely(name: str) -> str:
    """Return the command that was likely meant by a script that is not there."""
    import os

    from ..io.refusal import closest

    folder = os.path.dirname(name)
    scripts = [it for it in _listing(folder or ".") if it.endswith(".py")]
    close = closest(os.path.basename(name), scripts)
    if close:
        return f"whilst doctor {os.path.join(folder, close)}"
    return f"whilst doctor -m {name}" if name.replace(".", "").isidentifier() and not name.endswith(".py") else ""


def _listing(folder: str) -> list[str]:
    import os

    try:
        return os.listdir(folder)
    except OSError:
        return []


def _tell(ending: Ending, as_json: bool, fail: bool) -> int:
    """Print what was found and return the exit code."""
    from ..doctoring import report

    found = report.findings(ending.seen)
    if as_json:
        emit(report.as_json(ending.seen, found) + "\n")
    else:
        width = min(columns(), 100) if is_terminal() else report.WIDTH
        emit(("\n" if is_terminal() else "") + report.report(ending.seen, found, width=width, notes=_notes(ending)))
    return 1 if fail and found and not ending.code else ending.code


def _notes(ending: Ending) -> list[str]:
    if ending.seen.ended:
        return []
    return [
        "it did not end by itself (os._exit, exec, a signal): of its last tenth of a second something may be missing"
    ]
