"""Which line of whose code is a frame at? Reads stacks of threads and chains of coroutines."""

from __future__ import annotations

import gc
import os
import sys
from enum import IntEnum
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from itertools import islice
from types import AsyncGeneratorType, CodeType, FrameType
from typing import Any

from ..core.frozen import NamedTuple

DEPTH = 150  # frames that are looked at; deeper ones are a recursion
KNOWN = 20_000  # code objects whose owner is remembered


class Whose(IntEnum):
    """Whose code it is."""

    USER = 0
    PACKAGE = 1
    PYTHON = 2
    OURS = 3
    IMPORT = 4


class Place(NamedTuple):
    """A position in a function; `span` is first line, last line, first column, last column of the expression there."""

    file: str
    function: str
    line: int
    span: tuple[int, int, int, int] | None
    is_async: bool
    whose: Whose
    yields: bool = False  # whether it is a generator


_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_PLATFORM = os.path.join(
    sys.base_exec_prefix, sys.platlibdir, f"python{sys.version_info.major}.{sys.version_info.minor}"
)
_PYTHON = tuple({os.path.realpath(folder) + os.sep for folder in (os.path.dirname(os.__file__), _PLATFORM)})
_PACKAGES = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
_known: dict[int, tuple[CodeType, Whose]] = {}


def whose(code: CodeType) -> Whose:
    """Say whose code that is."""
    known = _known.get(id(code))
    if known is not None:
        return known[1]
    if len(_known) >= KNOWN:
        _known.clear()
    _known[id(code)] = code, (found := _owner(code.co_filename))
    return found


def _owner(file: str) -> Whose:
    if file.startswith("<frozen importlib"):
        return Whose.IMPORT
    if file.startswith(_OURS):
        return Whose.OURS
    if any(part in file for part in _PACKAGES):
        return Whose.PACKAGE
    if file.startswith(("<frozen", "<string>")) or os.path.realpath(file).startswith(_PYTHON):
        return Whose.PYTHON
    return Whose.USER


def package(code: CodeType) -> str:
    """Return the name of the installed package that a function is of, or nothing.

    >>> package(package.__code__)
    ''
    """
    found = next((part for part in _PACKAGES if part in code.co_filename), None)
    return code.co_filename.rpartition(found)[2].split(os.sep)[0].removesuffix(".py") if found else ""


def name_of(code: CodeType) -> str:
    """Return a function's name, with that of its class and without that of the function it is defined in."""
    return code.co_qualname.rpartition("<locals>.")[2]


def place(code: CodeType, lasti: int) -> Place:
    """Describe a position for good; what the program keeps of it is text."""
    position = next(islice(code.co_positions(), max(lasti, 0) // 2, None), (None,) * 4)
    line = position[0] or code.co_firstlineno
    span = position if None not in position else None
    yields = bool(code.co_flags & CO_GENERATOR)
    is_async = bool(code.co_flags & (CO_COROUTINE | CO_ASYNC_GENERATOR))
    return Place(code.co_filename, name_of(code), line, span, is_async, whose(code), yields)  # type: ignore[arg-type]


def line_of(code: CodeType, lasti: int) -> int:
    """Return the line of an instruction."""
    position = next(islice(code.co_positions(), max(lasti, 0) // 2, None), (None,))
    return position[0] or code.co_firstlineno


def stack(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of a thread, outermost first; for as short as possible, as they keep what they hold alive."""
    frames: list[FrameType] = []
    while frame is not None and len(frames) < DEPTH:
        frames.append(frame)
        frame = frame.f_back
    frames.reverse()
    return frames


def chain(awaited: Any) -> list[FrameType]:
    """Return the frames of a suspended coroutine and of what it awaits, outermost first."""
    frames: list[FrameType] = []
    while awaited is not None and len(frames) < DEPTH:
        for kind in ("cr", "gi", "ag"):
            frame = getattr(awaited, f"{kind}_frame", None)
            if frame is not None:
                frames.append(frame)
                awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            if not (type(awaited).__name__.startswith("async_generator_") and (inner := _generator_of(awaited))):
                break
            awaited = inner
    return frames


def _generator_of(step: Any) -> Any:
    """Return the async generator that a step of it (`__anext__`, `asend`) belongs to; it does not say so itself."""
    found: list[Any] = [it for it in gc.get_referents(step) if isinstance(it, AsyncGeneratorType)]
    return found[0] if found else None


def of_user(codes: list[CodeType]) -> list[int]:
    """Return the indices of what is the user's own; without any, of the innermost package's, or of the last."""
    found = [i for i, code in enumerate(codes) if whose(code) == Whose.USER]
    if not found:
        found = [i for i, code in enumerate(codes) if whose(code) == Whose.PACKAGE][-1:]
    return found or [len(codes) - 1]


def imports(codes: list[CodeType]) -> bool:
    """Whether a module is being imported there: a program does that once, and it is nobody's mistake."""
    return any(code.co_name == "_find_and_load" and whose(code) == Whose.IMPORT for code in codes)


def is_collector(code: CodeType) -> bool:
    """Whether it is what the garbage collector calls in the middle of anything: finalizers, and the import system's."""
    return whose(code) == Whose.IMPORT or code.co_filename.endswith("weakref.py")
