"""`whilst resume JOURNAL`: the command that a journal is of, once more, from where it ended."""

from __future__ import annotations

import os
import shlex
import stat
import sys

import click

from ..core.secrets import without_secrets
from ..journal.reading import NoHeader
from .keep import LEFT_OUT, header_of, problem_of
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
    try:
        found = header_of(journal).command
    except NoHeader as error:
        raise problem_of(error) from None
    if found is None:
        raise Problem(
            f"{journal} was written from Python, and does not know which command to run again",
            "the program that made it goes on where it ended when it is run again",
            remedy=f"whilst status {shlex.quote(journal)}",
        )
    argv = _again(found.argv, os.path.realpath(journal))
    _check_password(argv, journal)
    if not quiet:
        say(f"whilst {without_secrets(shlex.join(argv))}")
    try:
        os.chdir(found.cwd)
    except OSError as error:
        raise Problem(f"{found.cwd} cannot be entered: {error.strerror}", "the command was given there") from None
    _check_standard_input(argv, journal)
    sys.argv[1:] = argv  # what the journal remembers, without the flags that are meant this once
    from .main import run

    more = {"--accept-old": accept_old, "--fresh": fresh, "--keep-failed": keep_failed, "--quiet": quiet}
    return run([*argv, *(flag for flag, wanted in more.items() if wanted and flag not in argv)])


def _again(argv: tuple[str, ...], path: str) -> list[str]:
    """Name the journal as it is called now, for it may have been moved, and leave out what was meant that once."""
    found: list[str] = []
    words = iter([word for word in argv if word not in ("--fresh", "--overwrite", "--accept-old")])
    for word in words:
        if word == "--journal":
            next(words, None)
        elif not word.startswith("--journal="):
            found.append(word)
    return [*found, f"--journal={path}"]


def _check_password(argv: list[str], journal: str) -> None:
    for word in argv:
        if LEFT_OUT in word:
            raise Problem(
                "a URL of the command had a password, which a journal does not keep",
                f"it is {without_secrets(word)}",
                remedy=f"the whole command once more, with --journal {shlex.quote(journal)}; "
                "databases take passwords from PGPASSWORD or ~/.pgpass, too",
            )


def _check_standard_input(argv: list[str], journal: str) -> None:
    """Refuse to go on without the inputs: outputs would be written anew, with nothing in them."""
    if "-" not in _inputs_in(argv):
        return
    try:
        status = os.fstat(0)
        is_terminal = os.isatty(0)
        left = status.st_size - os.lseek(0, 0, os.SEEK_CUR) if stat.S_ISREG(status.st_mode) else 0
        is_there = not is_terminal and (left > 0 or not (stat.S_ISREG(status.st_mode) or stat.S_ISCHR(status.st_mode)))
    except OSError:  # it is closed
        is_terminal = is_there = False
    if not is_there:
        what = "a terminal" if is_terminal else "empty"
        raise Problem(
            f"the inputs of {journal} came from standard input, which is {what} now",
            "they are needed once more, to be compared with what is done",
            remedy=f"whilst resume {shlex.quote(journal)} < INPUT",
        )


def _inputs_in(argv: list[str]) -> list[str]:
    """Return the inputs that a command line names."""
    from .main import group

    context = click.Context(group)
    command = group.get_command(context, argv[0])
    if command is None:
        return []
    with command.make_context(argv[0], list(argv[1:]), resilient_parsing=True) as parsed:
        given = parsed.params
    return [name for name in (given.get("input"), *given.get("targets", ())) if name is not None]
