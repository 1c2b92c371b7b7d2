"""Which standard streams are the command's own, and which the function's? Rows and outcomes mix with nothing else.

What a function, an import or a child process prints must not land between the JSON lines, and what it reads must not
be rows. So where OUT is standard output, the command keeps that under a descriptor of its own, and what is printed goes
to standard error; where INPUT is standard input, the function finds an empty one. Standard error is kept, too: who
silences a library redirects it for all threads, and how a run ended must not vanish there. All of it happens before any
code of the user is imported, and only in the command line: the library never touches a descriptor.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from contextlib import suppress
from typing import Any, NoReturn, cast

from .messages import DISK, Problem, descriptor, say, speak_to

STDIN, STDOUT, STDERR = 0, 1, 2
NAMES = {
    **dict.fromkeys(("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"), STDIN),
    **dict.fromkeys(("/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"), STDOUT),
}


class Streams:
    """The standard streams of one process."""

    def __init__(self) -> None:
        self._closed: set[int] = set()
        self._kept: dict[int, int] = {}
        self._words = -1  # the descriptor that the command speaks to
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._let_go)

    def open_closed(self) -> None:
        """Put an empty stream where there is none, or the first file that is opened would become one."""
        for number in (STDIN, STDOUT, STDERR):
            try:
                os.fstat(number)
            except OSError:
                self._closed.add(number)
                with suppress(OSError):
                    os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
        if STDOUT in self._closed and sys.stdout is None:  # pyright: ignore[reportUnnecessaryComparison]
            sys.stdout = _Closed()
        if STDERR not in self._closed:
            self._keep_words()

    def close_again(self) -> None:
        """Close what `open_closed` opened, for a program that is to find its streams as they came."""
        self.give()
        for number in self._closed:
            with suppress(OSError):
                os.close(number)

    def give(self) -> None:
        """Leave standard output to the function from now on, as it came; what is printed to a closed one vanishes."""
        if isinstance(sys.stdout, _Closed):
            sys.stdout = cast("Any", None)
        else:
            _reconfigure(errors="backslashreplace")

    def errors(self) -> int:
        """Return the descriptor that failures are written to where they go to standard error."""
        if STDERR in self._closed:
            raise Problem("standard error is closed, and failures go there", remedy="--failed FILE", code=DISK)
        return descriptor()

    def leave(self) -> None:
        """Write what was printed and is not written yet, so that the interpreter does not fail over it at its end."""
        for number, stream in ((STDOUT, sys.stdout), (STDERR, sys.stderr)):
            try:
                stream.flush()
            except OSError as error:
                with suppress(OSError):
                    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
                if number == STDOUT and error.errno != errno.EPIPE:
                    say(f"note: a part of what was printed is missing on standard output: {error.strerror}")
            except (ValueError, AttributeError):  # closed, or none
                pass

    def input(self) -> int:
        """Return the descriptor that rows are read from; from now on the function finds an empty standard input."""
        if STDIN in self._closed:
            raise Problem("standard input is closed, and INPUT is -", remedy="INPUT, or < FILE")
        if STDIN not in self._kept:
            self._kept[STDIN] = os.dup(STDIN)
            empty = os.open(os.devnull, os.O_RDONLY)
            os.dup2(empty, STDIN)
            os.close(empty)
        return self._kept[STDIN]

    def output(self, instead: str = "-o FILE") -> int:
        """Return the descriptor that outcomes are written to; from now on what is printed goes to standard error.

        Problem, with what would do `instead`, if it is closed.
        """
        self.check_output(instead)
        if STDOUT not in self._kept:
            # First: the stream looks where in a file it is when its errors are changed, and a pipe has no such place.
            _reconfigure(errors="backslashreplace")
            self._kept[STDOUT] = os.dup(STDOUT)
            os.dup2(STDERR, STDOUT)
            _reconfigure(line_buffering=True)  # what is printed shows when it is
        return self._kept[STDOUT]

    def show(self, text: str) -> None:
        """Write a line of ours to what is standard output, whoever printed what before; OSError as ever."""
        with open(self.output(), "wb", closefd=False) as file:
            file.write(f"{text}\n".encode("utf-8", "replace"))

    def check_output(self, instead: str) -> None:
        """Problem if what is to be written could only vanish."""
        if STDOUT in self._closed or not _is_open_for_writing(STDOUT):
            raise Problem("standard output is closed: nothing could be written to it", remedy=instead, code=DISK)

    def put_back(self) -> None:
        """Make the standard streams what they were, in a process that goes on; threads that were left print to them."""
        for number, ours in self._kept.items():
            with suppress(OSError):
                os.dup2(ours, number)
                os.close(ours)
        self._kept.clear()

    def _let_go(self) -> None:
        """Leave a forked child without ours: a reader of our output waits until all who hold it have ended."""
        for ours in (*self._kept.values(), self._words):
            with suppress(OSError):
                os.close(ours)
        self._kept.clear()
        self._words = -1
        speak_to(None)

    def _keep_words(self) -> None:
        """Speak to the standard error of now, whatever the function makes of the stream and its descriptor."""
        self._words = os.dup(STDERR)
        encoding: str = getattr(sys.stderr, "encoding", None) or "utf-8"
        file = io.FileIO(self._words, "w", closefd=False)
        speak_to(io.TextIOWrapper(io.BufferedWriter(file), encoding=encoding, errors="backslashreplace"))


def _reconfigure(**manner: Any) -> None:
    """Have what is printed come out as on standard error: whole, whatever characters the terminal or a cron job has."""
    with suppress(OSError, ValueError, AttributeError):
        cast("Any", sys.stdout).reconfigure(**manner)


class _Closed(io.TextIOBase):
    """A standard output that was closed, to who would write to it unseen: help, a status, a plan."""

    def write(self, _: str, /) -> NoReturn:
        raise OSError(errno.EBADF, "it is closed")


def _is_open_for_writing(descriptor: int) -> bool:
    try:
        import fcntl
    except ImportError:  # no Unix
        return True
    return fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY


streams: Streams = Streams()
"""Those of this process."""


def plain_name(name: str) -> str:
    """Return `-` for the names that the system has for a standard stream; any other name as it is.

    >>> plain_name("/dev/stdout"), plain_name("out.jsonl")
    ('-', 'out.jsonl')
    """
    return "-" if name in NAMES else name
