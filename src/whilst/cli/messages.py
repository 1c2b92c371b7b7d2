"""How does the command line speak? One fact, the evidence, the line that fixes it; all of it on stderr.

That is the stderr which the command was given: what a function puts in its place, for itself or to silence another
library, is not for us, and would swallow the end of the run.
"""

from __future__ import annotations

import os
import re
import sys
import textwrap
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any, NoReturn

from ..core.secrets import bounded, without_secrets

OK, FAILED, USAGE, STOPPED, DISK = 0, 1, 2, 3, 4
BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended

LOOKED_AT = 4000  # characters of a text that is cut: a secret that the cut would hit is found first
NARROWEST = 20  # columns that a message is wrapped to; what is narrower breaks it by itself
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep

_own: Any = None  # the stream that the command speaks to, once it was given one


class Become(BaseException):
    """The process is to go on as another program, run when the command line has left the stack."""

    def __init__(self, program: Callable[[], NoReturn]) -> None:
        super().__init__(program)
        self.program = program


class Problem(Exception):
    """What ends a command before it did anything: the fact, the evidence, what would work."""

    def __init__(self, fact: str, *evidence: str, remedy: str = "", code: int = USAGE) -> None:
        super().__init__(fact)
        self.fact = fact
        self.evidence = evidence
        self.remedy = remedy
        self.code = code

    def __str__(self) -> str:
        lines = [f"error: {self.fact}", *self.evidence]
        return "\n  ".join([*lines, f"try: {self.remedy}"] if self.remedy else lines)


def say(text: str) -> None:
    """Write a message to stderr, wrapped on a terminal, without secrets; what arrived cannot steer the terminal."""
    lines = clean(without_secrets(text)).split("\n")
    if is_terminal():
        lines = [part for line in lines for part in _wrapped(line)]
        lines[0] = _coloured(lines[0])
    emit("\n".join(lines) + "\n")


def emit(text: str) -> None:
    """Write to stderr as it is; a stderr that is closed harms nothing."""
    stream = words()
    try:
        stream.write(text)
        stream.flush()
    except (OSError, ValueError, AttributeError):
        pass


def speak_to(stream: Any) -> None:
    """Speak to this stream from now on, whatever becomes of `sys.stderr`; to that for None."""
    global _own
    _own = stream


def words() -> Any:
    """Return the stream that the command speaks to."""
    return sys.stderr if _own is None else _own


def descriptor() -> int:
    """Return the descriptor of that."""
    try:
        number: int = words().fileno()
    except (OSError, ValueError, AttributeError):  # a stream of somebody who calls the command line from Python
        return 2
    return number


def is_terminal() -> bool:
    """Whether stderr is looked at by a person now."""
    try:
        return bool(words().isatty())
    except (ValueError, AttributeError):
        return False


def agreed(question: str) -> bool:
    """Ask whoever sits at the terminal; the end of input is a no, and click.Abort is raised for a Ctrl-C."""
    import click  # loaded when used

    try:
        return click.confirm(question, err=True)
    except click.Abort as ended:
        if not isinstance(ended.__context__, EOFError):
            raise
    emit("\n")
    return False


def columns() -> int:
    """Return the width of the terminal on stderr."""
    try:
        return os.get_terminal_size(words().fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80


def room() -> int:
    """Return how many columns a line of a message may take on the terminal."""
    return max(NARROWEST, columns() - 1)


def clean(text: str) -> str:
    r"""Make control characters and direction marks visible, so that none acts on the terminal.

    >>> clean("\x1b[2Jgone")
    '\\x1b[2Jgone'
    """
    if text.isprintable():  # which most is: the pattern takes longer to compile than the message to write
        return text
    return re.sub(_CONTROL, lambda found: found[0].encode("unicode_escape").decode(), text)


def short(text: str, limit: int = 100) -> str:
    """Return `text` on one line of at most `limit` characters, without secrets.

    >>> short("a  long\\ntext", 7)
    'a long…'
    """
    text = bounded(" ".join(text[: limit * 4 + LOOKED_AT].split()), limit + 1)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def place(error: BaseException) -> str:
    """Return `jobs.py line 12` for the innermost frame that is the user's own, or nothing."""
    frames = users_frames(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)} line {frames[-1].lineno}" if frames else ""


def users_frames(trace: TracebackType | None) -> list[traceback.FrameSummary]:
    """Return the frames of a traceback that are neither this library's, the interpreter's nor a package's."""
    frames = traceback.extract_tb(trace)
    return [frame for frame in frames if not _is_foreign(frame.filename)]


def _is_foreign(filename: str) -> bool:
    library = os.path.dirname(os.__file__) + os.sep
    return filename.startswith((_OURS, library, "<frozen")) or f"{os.sep}site-packages{os.sep}" in filename


def _wrapped(line: str) -> list[str]:
    indent = "  " if line.startswith("  ") else ""
    return textwrap.wrap(
        line,
        room(),
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [""]


def _coloured(line: str) -> str:
    word, colon, rest = line.partition(":")
    bad = word in ("error", "stopped", "interrupted")
    if not colon or not bad or os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return line
    return f"\x1b[31m{word}:\x1b[0m{rest}"
