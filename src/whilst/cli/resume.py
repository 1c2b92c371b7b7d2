"""`whilst resume JOURNAL`: the command that a journal is of, once more, from where it ended."""

from __future__ import annotations

import os
import shlex
import stat
import sys

import click

from ..core.secrets import without_secrets, without_secrets_in
from ..journal.reading import NoHeader
from .given import COLONS, at_colons
from .keep import LEFT_OUT, header_of, problem_of
from .messages import Problem, agreed, is_terminal, say
from .paths import Name


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("journal", type=Name())
@click.option("--accept-old", is_flag=True, help="Keep old results although the function has changed.")
@click.option("--fresh", is_flag=True, help="Move the old journal aside and start a new one.")
@click.option("--keep-failed", is_flag=True, help="Do not try failed inputs again.")
@click.option("--yes", is_flag=True, help="Do not ask first, even if another user wrote JOURNAL.")
@click.option("-q", "--quiet", is_flag=True, help="Print only the command and errors on stderr.")
def command(journal: str, accept_old: bool, fresh: bool, keep_failed: bool, yes: bool, quiet: bool) -> int:
    """Continue the run that wrote JOURNAL: the same command, in the same directory.

    Finished inputs come from the journal; failed and missing ones are called. Outputs are written
    anew, complete. A journal names code that will run, so the command and its directory are always
    printed. On a terminal you are asked first if that directory is not the current one, or not yours.

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
            f"{journal} was written from Python, so there is no command to run again",
            "run the program that wrote it again: it continues where it ended",
            remedy=f"whilst status {shlex.quote(journal)}",
        )
    argv = _again(found.argv, os.path.realpath(journal))
    _check_password(argv, journal)
    say(f"whilst {shlex.join(without_secrets_in(argv))}\n  in {found.cwd}")
    _ask(journal, found.cwd, yes=yes)
    try:
        os.chdir(found.cwd)
    except OSError as error:
        raise Problem(
            f"{found.cwd} cannot be entered: {error.strerror}", "this was the directory of the command"
        ) from None
    _check_standard_input(argv, journal)
    sys.argv[1:] = argv  # what the journal remembers, without the flags that are meant this once
    from .main import perform

    more = {"--accept-old": accept_old, "--fresh": fresh, "--keep-failed": keep_failed, "--quiet": quiet}
    head, inputs = at_colons(argv)
    return perform([*head, *(flag for flag, wanted in more.items() if wanted and flag not in head), *inputs])


def _ask(journal: str, folder: str, *, yes: bool) -> None:
    """Have what somebody else's journal would run agreed to; Problem where nobody can be asked."""
    stranger = _stranger(journal, folder)
    is_elsewhere = os.path.realpath(folder) != os.path.realpath(os.getcwd())
    if yes or not (stranger or is_elsewhere):
        return
    if sys.stdin is not None and sys.stdin.isatty() and is_terminal():
        say(f"  {stranger or 'this is not the current directory'}: its code would run")
        if not agreed("run it?"):
            fact = stranger or f"{folder} is not the current directory"
            raise Problem(fact, "its code was not to run, and nothing was called", remedy=_with_yes(journal))
    elif stranger:
        raise Problem(stranger, "the code that it names would run with your rights", remedy=_with_yes(journal))


def _with_yes(journal: str) -> str:
    return f"whilst resume {shlex.quote(journal)} --yes, if you know that code"


def _stranger(journal: str, folder: str) -> str:
    """Say who else than this user, or root, can have said what is run; nothing if nobody can."""
    if not hasattr(os, "geteuid"):
        return ""
    for name, what in ((journal, journal), (folder, f"the directory {folder}")):
        try:
            owner = os.stat(name).st_uid
        except OSError:  # said when it is used
            continue
        if owner not in (os.geteuid(), 0):
            return f"{what} belongs to {_user(owner)}"
    return ""


def _user(number: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(number).pw_name
    except (ImportError, KeyError):
        return f"user {number}"


def _again(argv: tuple[str, ...], path: str) -> list[str]:
    """Name the journal as it is called now, for it may have been moved, and leave out what was meant that once."""
    head, inputs = at_colons(argv)
    found: list[str] = []
    words = iter([word for word in head if word not in ("--fresh", "--overwrite", "--accept-old")])
    for word in words:
        if word == "--journal":
            next(words, None)
        elif not word.startswith("--journal="):
            found.append(word)
    return [*found, f"--journal={path}", *inputs]


def _check_password(argv: list[str], journal: str) -> None:
    for word in argv:
        if LEFT_OUT in word:
            raise Problem(
                "a URL of the command had a password, and a journal does not store passwords",
                f"it is {without_secrets(word)}",
                remedy=f"the whole command once more, with --journal {shlex.quote(journal)}; "
                "databases take passwords from PGPASSWORD or ~/.pgpass, too",
            )


def _check_standard_input(argv: list[str], journal: str) -> None:
    """Refuse to go on without the inputs: outputs would be written anew, with nothing in them."""
    if COLONS in argv or "-" not in _inputs_in(argv):
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
            "they are needed again, to be compared with the finished ones",
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
