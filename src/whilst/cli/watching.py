"""How far is the run of a command? What its source says of itself, so that the line on the terminal does not lie.

Rows that were read are not done: a small file is read whole before a tenth of it is. So a share is one of rows, and
how many rows there will be is known when the source has ended, counted where that is quick, and else estimated.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from ..core.summary import Summary
from ..sinks.extent import Extent
from .feed import Feed
from .messages import words

if TYPE_CHECKING:
    from ..sinks.progress import Progress

PIECE = 1024 * 1024  # bytes counted at once
PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")  # how gzip and Zstandard begin, whatever the name
FEWEST = 4 * 256 * 1024  # bytes that must have been read before they say how many rows there are in all


class Reading(Protocol):
    """How much of an input has been read; `ByteSource` tells."""

    @property
    def size(self) -> int | None:
        """How much there is, where that is known."""
        ...

    @property
    def consumed(self) -> int:
        """How much of it was read."""
        ...


class Watched:
    """How many rows the source of a run has."""

    def __init__(self, feed: Feed, reading: Reading, *, take: int | None, path: str, format: str) -> None:
        self._feed = feed
        self._reading = reading
        self._take = take
        self._counted: Extent | None = None
        self._count: Callable[[], Extent] = lambda: _counted(path, format)
        self._before = (0, 0)  # bytes that were read when the last ones were, and the rows that came of them
        self._consumed = 0

    def __call__(self) -> Extent:
        """Return what is known of it now."""
        if self._feed.ended:
            return Extent(total=self._feed.given)
        if self._counted is None:
            self._counted = self._count()
        found = self._counted if self._counted != Extent() else Extent(about=self._estimated())
        if self._take is None:
            return found
        if found.total is not None:
            return Extent(total=min(found.total, self._take))
        return Extent(about=self._take if found.about is None else min(found.about, self._take))

    def _estimated(self) -> int | None:
        """Return how many rows there will be if the rest is like what was read.

        Bytes are read in pieces, so those whose rows have all been given are those before the last piece.
        """
        size, consumed, given = self._reading.size, self._reading.consumed, self._feed.given
        if consumed != self._consumed:
            self._before, self._consumed = (self._consumed, given), consumed
        read, rows = self._before
        return rows * size // read if size and read >= FEWEST and rows else None


def show_progress(
    summary: Callable[[], Summary], *, wanted: bool | None, extent: Callable[[], Extent] = Extent
) -> Progress | None:
    """Show how far a command is; None if nothing is to be shown."""
    if wanted is False:
        return None
    from ..sinks.progress import Progress, display

    display.stream = words
    shown = Progress(summary, at_once=True, leave=False, extent=extent)
    shown.start()
    return shown


def _counted(path: str, format: str) -> Extent:
    """Count the rows of a file here, where they are its lines or it says how many there are."""
    if not os.path.isfile(path):
        return Extent()
    try:
        if format == "parquet":
            return Extent(total=_rows_in(path))
        if format in ("text", "jsonl", "csv"):
            lines, blank = _lines_in(path)
            if format == "csv":  # whose records may span lines
                return Extent(about=max(0, lines - blank - 1))
            return Extent(about=lines - blank) if blank else Extent(total=lines)
    except Exception:  # whatever is wrong with it, its reader says so
        pass
    return Extent()


def _lines_in(path: str) -> tuple[int, int]:
    """Count the lines of a file, and those of them that are likely to be empty."""
    count, blank, last = 0, 0, b"\n"
    with open(path, "rb", buffering=0) as file:
        if file.read(4).startswith(PACKED):
            raise ValueError("these are no lines")
        file.seek(0)
        while piece := file.read(PIECE):
            count += piece.count(b"\n")
            blank += piece.count(b"\n\n") + piece.count(b"\n\r\n") + (last == b"\n" and piece[:1] in (b"\n", b"\r"))
            last = piece[-1:]
    return count + (last != b"\n"), blank


def _rows_in(path: str) -> int:
    import importlib

    parquet: Any = importlib.import_module("pyarrow.parquet")
    return int(parquet.read_metadata(path).num_rows)
