"""How does a line stay at the bottom of a terminal to which others write, too?

The line is wiped before anybody else's text and drawn again later, at the start of a line only: so nothing is glued to
it, and half a line stays what it is. For that the `write` of stderr, and of stdout where it is the same terminal, is
wrapped while a line may be there. The streams themselves stay what they are and lead where they led; nothing is
replaced, redirected or held back, and the cursor is never hidden.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ..lanes.clock import monotonic

AGAIN = 0.05  # seconds between two times that the lines are drawn again behind what somebody wrote
WAIT = 0.2  # seconds for the other thread that writes; a stuck terminal, or a handler in the middle, is not waited for
DUMB = frozenset({"", "dumb", "unknown"})  # kinds of terminals that have no word for "wipe this line"


class Terminal:
    """Lines at the bottom of the terminal that a stream leads to."""

    def __init__(self, stream: Any) -> None:
        self.stream: Any = stream
        self._guard = threading.RLock()
        self._drawn: list[int] = []  # columns of each line that is there
        self._lines: Sequence[str] = ()
        self._next = 0.0
        self._at_start: bool | None = None  # whether the cursor is at the start of a line; None: nobody has said
        self._write: Callable[[str], object] = stream.write
        self._watched = [it for it in (stream, *_others(stream)) if _leads_to(it, stream)]
        for it in self._watched:
            self._watch(it)

    def draw(self, lines: Sequence[str]) -> None:
        """Show these lines instead of those that are there; wait while somebody is in the middle of a line."""
        with self._alone():
            if self._at_start is not False:
                self._show(lines)

    def leave(self, text: str) -> None:
        """Let the lines go and leave a text for good."""
        with self._alone():
            self._put(f"{self._to_start()}{self._wiping()}{text}\n")
            self._drawn, self._lines = [], ()

    @contextmanager
    def aside(self, text: str | bytes) -> Generator[None]:
        """Wipe the lines for what somebody is about to write."""
        with self._alone():
            if self._drawn:
                self._put(self._wiping())
                self._drawn = []
            yield
            if text:
                self._at_start = text[-1:] in ("\n", "\r", b"\n", b"\r")
                if self._at_start and self._lines and monotonic() >= self._next:
                    with suppress(OSError, ValueError):  # it is not the writer's affair that the line cannot be drawn
                        self._show(self._lines)

    def is_ours(self) -> bool:
        """Whether this program is in the foreground of the terminal, if that is its terminal at all."""
        try:
            return os.tcgetpgrp(self.stream.fileno()) == os.getpgrp()
        except (OSError, ValueError, AttributeError):
            return True

    def width(self) -> int:
        """Return how many columns there are."""
        try:
            return os.get_terminal_size(self.stream.fileno()).columns or 80
        except (OSError, ValueError, AttributeError):
            return 80

    def close(self) -> None:
        """Wipe the lines, and let the streams be as they were."""
        self._lines = ()
        with suppress(OSError, ValueError), self.aside(""):
            pass
        self.let_go()

    def let_go(self) -> None:
        """Let the streams be as they were; what is drawn stays."""
        for stream in self._watched:
            if getattr(getattr(stream, "__dict__", {}).get("write"), "terminal", None) is self:
                del stream.write

    # -- private ----------------------------------------------------------------------------------------------

    def _watch(self, stream: Any) -> None:
        original, owner = stream.write, os.getpid()

        def write(text: str) -> Any:
            if os.getpid() != owner:
                return original(text)
            with self.aside(text):
                return original(text)

        write.terminal = self  # type: ignore[attr-defined]  # pyright: ignore[reportFunctionMemberAccess]
        with suppress(AttributeError, TypeError):  # a stream of a class without room for it
            stream.write = write

    def _show(self, lines: Sequence[str]) -> None:
        self._put(self._to_start() + self._wiping() + "\n".join(lines))
        self._drawn = [*map(columns_of, lines)]
        self._lines = lines
        self._next = monotonic() + AGAIN

    def _put(self, text: str) -> None:
        self._write(text)
        self.stream.flush()

    def _to_start(self) -> str:
        """Return what moves the cursor to the start of a line, wherever it is.

        A row of blanks ends, after the return, where it began if that was the start of a line, and else one line below:
        shells put their prompts on a line of their own in this way.
        """
        before, self._at_start = self._at_start, True
        return "\n" if before is False else " " * self.width() + "\r" if before is None else ""

    def _wiping(self) -> str:
        """Return what wipes the lines that are there, also where the terminal has become narrower since."""
        if not self._drawn:
            return ""
        width = max(1, self.width())
        rows = sum(max(1, -(-length // width)) for length in self._drawn)
        return f"\r\x1b[{rows - 1}A\x1b[J" if rows > 1 else "\r\x1b[K"

    @contextmanager
    def _alone(self) -> Generator[None]:
        got = self._guard.acquire(timeout=WAIT)
        try:
            yield
        finally:
            if got:
                self._guard.release()


def is_terminal(stream: Any) -> bool:
    """Whether a stream, of whatever kind, leads to a terminal on which a line can be wiped."""
    return _is_a_tty(stream) and os.environ.get("TERM", "") not in DUMB


def columns_of(text: str) -> int:
    """Return how many columns a text takes.

    >>> columns_of("fetch"), columns_of("取る")
    (5, 4)
    """
    if text.isascii():
        return len(text)
    import unicodedata

    return sum(0 if unicodedata.combining(it) else 1 + (unicodedata.east_asian_width(it) in "WF") for it in text)


def _is_a_tty(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except Exception:  # none at all, one that is closed, or of a class that has no such method
        return False


def _others(stream: Any) -> list[Any]:
    """Return the standard streams that are not this one."""
    return [it for it in (sys.stdout, sys.stderr) if it is not stream]


def _leads_to(stream: Any, terminal: Any) -> bool:
    """Whether a stream leads to the same terminal as another."""
    if stream is terminal:
        return True
    try:
        return _is_a_tty(stream) and os.fstat(stream.fileno()).st_rdev == os.fstat(terminal.fileno()).st_rdev
    except Exception:  # it has no descriptor: it leads elsewhere
        return False
