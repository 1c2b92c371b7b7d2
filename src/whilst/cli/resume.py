"""`whilst resume JOURNAL`: the command that a journal is of, once more, from where it ended."""

from __future__ import annotations

import os
import shlex
import sys

import click

from ..errors import JournalError
from .messages import Problem, say


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("journal")
@click.option("--accept-old", is_flag=True, help="Keep results of a function that has changed since.")
@click.option("--fresh", is_flag=True, help="Put the journal aside and start a new one.")
@click.option("--keep-failed", is_flag=True, help="Do not try again what failed before.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing on stderr but errors.")
def command(journal: str, accept_old: bool, fresh: bool, keep_failed: bool, quiet: bool) -> int:
    """Go on with the command that JOURNAL is of, in the directory where it was given.

    What is done comes from the journal, what failed is tried again, what is missing is called. Outputs are written
    anew, with everything in them.

    \b
    whilst map jobs.py:check hosts.txt --journal run.db -o out.jsonl
    whilst resume run.db
    """
    argv, directory = _command_of(journal)
    more = {"--accept-old": accept_old, "--fresh": fresh, "--keep-failed": keep_failed, "--quiet": quiet}
    argv += [flag for flag, wanted in more.items() if wanted and flag not in argv]
    if not quiet:
        say(f"whilst {shlex.join(argv)}")
    try:
        os.chdir(directory)
    except OSError as error:
        raise Problem(f"{directory} cannot be entered: {error.strerror}", "the command was given there") from None
    sys.argv[1:] = argv
    from .main import run

    return run(argv)


def _command_of(journal: str) -> tuple[list[str], str]:
    from ..journal import read_header

    try:
        found = read_header(journal).command
    except JournalError as error:
        raise problem_of(error) from None
    if found is None:
        raise Problem(
            f"{journal} was written from Python, and does not know which command to run again",
            "the program that made it goes on where it ended when it is run again",
            remedy=f"whilst status {shlex.quote(journal)}",
        )
    argv = list(found.argv)
    return _with_journal(argv, os.path.realpath(journal)), found.cwd


def _with_journal(argv: list[str], path: str) -> list[str]:
    """Name the journal as it is called now: it may have been moved; and start afresh only if that is said again."""
    found: list[str] = []
    words = iter([word for word in argv if word not in ("--fresh", "--overwrite")])
    for word in words:
        if word == "--journal":
            next(words, None)
        elif not word.startswith("--journal="):
            found.append(word)
    return [*found, f"--journal={path}"]


def problem_of(error: JournalError) -> Problem:
    """Say in the command line's way what a journal says."""
    return Problem(error.fact, *error.evidence, remedy=error.remedy, code=4)
