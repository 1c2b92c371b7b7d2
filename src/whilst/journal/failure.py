"""What does the journal keep of a failure, and how is it given back?

Words only: class, message, notes, and the calls it came through. What stands in URLs as user-info or query is left
out, because that is where credentials are. Source lines are read from the disk, so that is left to the writer's thread;
what the exception says is taken at once, as its owner may change it.
"""

from __future__ import annotations

import linecache
import os
from types import CodeType, TracebackType
from typing import Any, NamedTuple

import msgspec

from ..core.failures import kind_of
from ..core.secrets import bounded, encodable
from ..errors import Recorded

MOST_TEXT = 16_384  # characters of a message
MOST_NOTES = 20
MOST_CALLS = 30  # of a traceback: the outermost few and the innermost
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Caught(NamedTuple):
    """A failure as it was caught: what it says, and the calls outside this library that it came through."""

    kind: str
    class_name: str
    message: str
    notes: tuple[str, ...]
    calls: list[tuple[CodeType, int]] | str
    """Code and line of each, innermost last; or in words already."""

    def failure(self) -> Failure:
        """Put it all into words, with the lines of the source."""
        calls = self.calls if isinstance(self.calls, str) else "\n".join(_lines(self.calls))
        return Failure(
            _text(self.kind), _text(self.class_name), _text(self.message), tuple(map(_text, self.notes)), _text(calls)
        )


class Failure(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A failure in words."""

    kind: str
    class_name: str
    message: str
    notes: tuple[str, ...] = ()
    traceback: str = ""

    def recorded(self) -> Recorded:
        """Return the exception that stands for it."""
        error = Recorded(self.kind, self.class_name, self.message, self.traceback)
        for note in self.notes:
            error.add_note(note)
        return error


def caught(error: BaseException) -> Caught:
    """Take note of an exception; whatever its methods do, this does not raise, and it does not touch the disk."""
    if isinstance(error, Recorded):
        return Caught(error.kind, error.class_name, error.message, _notes(error), error.traceback)
    name = f"{type(error).__module__}.{type(error).__qualname__}"
    try:
        kind = kind_of(error)
    except Exception:  # properties of the user's exceptions may do anything
        kind = type(error).__name__
    return Caught(kind, name, _message(error), _notes(error), _calls(error.__traceback__))


def _message(error: BaseException) -> str:
    try:
        return _plain(str(error))
    except Exception as broken:  # __str__ is code of the user's
        return f"(its text cannot be made: {type(broken).__name__})"


def _notes(error: BaseException) -> tuple[str, ...]:
    notes: Any = getattr(error, "__notes__", ())
    return tuple(_plain(note) for note in list(notes)[:MOST_NOTES] if isinstance(note, str))


def _plain(text: str) -> str:
    """Return text that is no object of a class of the user's: its methods are called on another thread."""
    return "".join((text,))


def _text(text: str) -> str:
    """Return text that is bounded, can be written, and has no credentials."""
    shown = bounded(text, MOST_TEXT)
    if len(text) > MOST_TEXT:
        shown = f"{shown}… ({len(text):,} characters)"
    return encodable(shown)


def _calls(traceback: TracebackType | None) -> list[tuple[CodeType, int]]:
    """Return the calls outside this library, innermost last."""
    calls: list[tuple[CodeType, int]] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(_OURS):
            calls.append((code, traceback.tb_lineno))
        traceback = traceback.tb_next
    return calls


def _lines(calls: list[tuple[CodeType, int]]) -> list[str]:
    """Return a line for each call, and its source below; those in the middle are left out if there are many."""
    left_out = len(calls) - MOST_CALLS
    if left_out <= 0:
        return list(map(_line, calls))
    first, last = calls[:5], calls[5 + left_out :]
    return [*map(_line, first), f"… {left_out} calls", *map(_line, last)]


def _line(call: tuple[CodeType, int]) -> str:
    code, number = call
    source = linecache.getline(code.co_filename, number).strip()
    where = f'File "{code.co_filename}", line {number}, in {code.co_name}'
    return f"{where}\n  {source[:200]}" if source else where
