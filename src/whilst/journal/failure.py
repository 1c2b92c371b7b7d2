"""What does the journal keep of a failure, and how is it given back?

Words only: class, message, notes, and the calls it came through. What stands in URLs as user-info or query is left
out, because that is where credentials are.
"""

from __future__ import annotations

import linecache
import os
from types import TracebackType
from typing import Any

import msgspec

from ..core.failures import kind_of
from ..core.secrets import without_secrets
from ..errors import Recorded

MOST_TEXT = 16_384  # characters of a message
MOST_NOTES = 20
MOST_CALLS = 30  # of a traceback: the outermost few and the innermost
_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class Failure(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A failure in words."""

    kind: str
    class_name: str
    message: str
    notes: tuple[str, ...] = ()
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Put an exception into words; whatever its methods do, this does not raise."""
        if isinstance(error, Recorded):
            return cls(error.kind, error.class_name, error.message, _notes(error), error.traceback)
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        try:
            kind = kind_of(error)
        except Exception:  # properties of the user's exceptions may do anything
            kind = type(error).__name__
        return cls(_text(kind), _text(name), _message(error), _notes(error), _calls(error.__traceback__))

    def recorded(self) -> Recorded:
        """Return the exception that stands for it."""
        error = Recorded(self.kind, self.class_name, self.message, self.traceback)
        for note in self.notes:
            error.add_note(note)
        return error


def _message(error: BaseException) -> str:
    try:
        return _text(str(error))
    except Exception as broken:  # __str__ is code of the user's
        return f"(its text cannot be made: {type(broken).__name__})"


def _notes(error: BaseException) -> tuple[str, ...]:
    notes: Any = getattr(error, "__notes__", ())
    return tuple(_text(note) for note in list(notes)[:MOST_NOTES] if isinstance(note, str))


def _text(text: str) -> str:
    """Return text that is bounded, can be written, and has no credentials."""
    if len(text) > MOST_TEXT:
        text = f"{text[:MOST_TEXT]}… ({len(text):,} characters)"
    if not text.isascii():
        text = text.encode("utf-8", "backslashreplace").decode()
    return without_secrets(text)


def _calls(traceback: TracebackType | None) -> str:
    """Return the calls outside this library, a line each and its source below, innermost last."""
    lines: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith(_OURS):
            source = linecache.getline(code.co_filename, traceback.tb_lineno).strip()
            where = f'File "{code.co_filename}", line {traceback.tb_lineno}, in {code.co_name}'
            lines.append(f"{where}\n  {source[:200]}" if source else where)
        traceback = traceback.tb_next
    if len(lines) > MOST_CALLS:
        lines[5 : len(lines) - MOST_CALLS + 5] = [f"… {len(lines) - MOST_CALLS} calls"]
    return _text("\n".join(lines))
