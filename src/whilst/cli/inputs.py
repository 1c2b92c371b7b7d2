"""How is the input of a command opened, and its first row looked at?"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from ..io.open import AS_IT_SAYS, Input, Manner, UnknownKind, given_input, open_input
from ..io.refusal import Refused, closest
from ..io.rows import Rejected, Row, Rows
from .messages import DISK, Problem
from .outputs import problem_of
from .streams import plain_name, streams
from .watching import Reading


class Source(Protocol):
    """Rows and what they are called; `whilst.io.open.Input` is one."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def format(self) -> str:
        """What it holds: text, jsonl, csv, …"""
        ...

    @property
    def is_table(self) -> bool:
        """Whether its rows are dicts of the same columns."""
        ...

    @property
    def source(self) -> Reading:
        """How much of it has been read."""
        ...

    def rows(self) -> Iterator[Row | Rejected]:
        """Give the rows, once; ValueError if the whole cannot be of this format."""
        ...


def open_source(name: str, format: str | None, manner: Manner = AS_IT_SAYS) -> Input:
    """Open INPUT by its name; Problem if it cannot be read, or nothing says what is in it."""
    name = plain_name(name)
    try:
        return open_input(name, format, manner, **({"stdin": streams.input()} if name == "-" else {}))
    except UnknownKind as unknown:
        raise Problem(unknown.fact, *unknown.evidence, remedy="--format text|jsonl|csv") from None
    except Refused as refused:
        raise problem_of(refused) from None
    except OSError as error:
        raise Problem(f"{name} cannot be read: {error.strerror}", remedy=_close_file(name)) from None


def given_source(values: list[str], name: str) -> Input:
    """Open the inputs that stand after `:::`; Problem if there are none, or a `name` of an INPUT too."""
    if name != "-":
        raise Problem(f"INPUT is {name}, and ::: gives other inputs", remedy="one of the two")
    if not values:
        raise Problem("there is nothing after :::", remedy="::: a b c")
    return given_input(values)


def peek(rows: Iterator[Row | Rejected], source: Source) -> tuple[Row | Rejected | None, Iterator[Row | Rejected]]:
    """Read the first row, which decides how rows are handed over."""
    try:
        first = next(rows, None)
    except Refused as refused:
        raise problem_of(refused) from None
    except ValueError as error:
        kind = "a valid input" if source.format in ("sql", "files") else source.format.upper()
        raise Problem(f"{source.name} is not {kind}: {error}") from None
    except OSError as error:
        raise Problem(f"{source.name} cannot be read: {error.strerror}", code=DISK) from None
    if first is None:
        return None, rows
    if isinstance(rows, Rows):  # which can be read many at once as long as nothing is wrapped around it
        rows.unread(first)
        return first, rows
    return first, itertools.chain([first], rows)


def _close_file(name: str) -> str:
    """Return the file that was likely meant."""
    with suppress(OSError):
        close = closest(os.path.basename(name), os.listdir(os.path.dirname(name) or "."))
        if close and close != os.path.basename(name):
            return os.path.join(os.path.dirname(name), close)
    return ""
