"""Which rows go into the run: those that fit, at most so many bytes of them at once."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, Protocol

from ..core.batches import InBatches
from ..io.rows import Rejected, Row, Rows, rejected

LARGE = 64 * 1024  # bytes; a thousand smaller rows are no burden, so only larger ones are counted
MOST_LARGE = 256 * 1024 * 1024  # bytes of large rows that may be read and not yet delivered

TOGETHER = 64  # rows of which each is asked whether it fits before the first of them goes: they take 0.2 ms

_ONLY_ROWS = frozenset({Row})
_raw: Callable[[Any], bytes] = attrgetter("raw")
_line: Callable[[Any], int] = attrgetter("line")


class RowRejected(Exception):
    """A row that was never an input; its outcome is this, so that it keeps its place among the others."""


class Holder(Protocol):
    """Who holds something for some rows until their outcomes are written."""

    is_holding: bool

    def written(self, row: Row | Rejected) -> None:
        """Take note that a row's outcome has been written; called only while something is held."""


class NoHolder:
    """Who holds nothing."""

    is_holding: bool = False

    def written(self, row: Row | Rejected) -> None:
        """Take note of it."""


class Feed(InBatches):
    """The source of a run. A row that does not fit is rejected on its own; large rows wait for room.

    Without that wait a thousand rows of 16 MiB could be read ahead of a slow call: 16 GB.
    """

    def __init__(
        self,
        rows: Iterator[Row | Rejected],
        misfit: Callable[[Any], str | None] | None,
        source_name: str,
        *,
        after: Callable[[Row | Rejected], Row | None] | None = None,
        holder: Holder | None = None,
        room: int = MOST_LARGE,
        ordered: bool = True,
    ) -> None:
        self.source_name: str = source_name
        self.last_line: int = 0
        """The line of the last row that was delivered."""
        self.given: int = 0
        """How many rows went into the run."""
        self.ended: bool = False
        """Whether those are all."""
        self._open: set[int] | None = None if ordered else set()  # lines that were given and not delivered
        self._rows = rows if after is None else self._with_further(rows)
        self._after = after
        self._holder: Holder = holder or NoHolder()
        self._further: deque[Row] = deque()
        self._known_given = self._delivered = 0
        self._misfit = misfit
        self._room = room
        self._held = 0
        self._closed = False
        self._changed = threading.Condition()

    def __iter__(self) -> Iterator[Row | Rejected]:
        """Give the rows; on the run's own thread."""
        for row in self._one_by_one(self._rows):
            self.given += 1
            if self._open is not None:
                self._open.add(row.line)
            yield row
        self.ended = True

    def _one_by_one(self, rows: Iterable[Row | Rejected]) -> Iterator[Row | Rejected]:
        misfit = self._misfit
        for row in rows:
            if type(row) is Row:
                if len(row.raw) > LARGE and not self._take(len(row.raw)):
                    return
                if misfit is not None and (reason := misfit(row.value)):
                    self._give(len(row.raw))
                    yield rejected(row.line, reason, row.raw)
                    continue
            yield row

    def batches(self) -> Iterator[Sequence[Row | Rejected]]:
        """Give the rows, many at once where nothing has to be said of each; on the run's own thread."""
        if not isinstance(self._rows, Rows):
            yield from ([row] for row in self)
            return
        for rows in self._rows.batches():
            size = len(rows) if self._misfit is None else TOGETHER
            for part in (rows[at : at + size] for at in range(0, len(rows), size)):
                self.given += len(part)
                if self._open is not None:
                    self._open.update(map(_line, part))
                if self._are_plain(part):
                    yield part
                else:
                    yield from ([row] for row in self._one_by_one(part))
                if self._closed:
                    return
        self.ended = True

    def _are_plain(self, rows: Sequence[Row | Rejected]) -> bool:
        """Whether nothing has to be said of any of these rows."""
        if not _ONLY_ROWS.issuperset(map(type, rows)) or max(map(len, map(_raw, rows))) > LARGE:
            return False
        misfit = self._misfit
        return misfit is None or not any(misfit(row.value) for row in rows if isinstance(row, Row))

    def delivered(self, row: Row | Rejected) -> None:
        """Take note that a row's outcome has been written."""
        if row.line > self.last_line:
            self.last_line = row.line
        if self._open is not None:
            self._open.discard(row.line)
        if self._after is not None:
            self._look_further(self._after(row))
        if self._holder.is_holding:
            self._holder.written(row)
        if self._held and type(row) is Row and len(row.raw) > LARGE:
            self._give(len(row.raw))

    def all_delivered(self, rows: Sequence[Row | Rejected]) -> None:
        """Take note that the outcomes of some rows have been written."""
        if self._after is not None or self._held or self._holder.is_holding:
            for row in rows:
                self.delivered(row)
        else:
            self.last_line = max(self.last_line, *map(_line, rows))
            if self._open is not None:
                self._open.difference_update(map(_line, rows))

    def missing(self) -> list[int]:
        """Return the lines before the last that was written of which nothing was: outcomes come as they finish."""
        return sorted(line for line in self._open or () if line < self.last_line)

    def close(self) -> None:
        """Let a reader that waits for room end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _with_further(self, rows: Iterator[Row | Rejected]) -> Iterator[Row | Rejected]:
        """Give the rows and, as soon as they are known, those that follow from the outcomes of others."""
        for row in rows:
            yield from self._known()
            self._known_given += 1
            yield row
        while self._wait_for_further():
            yield from self._known()

    def _known(self) -> Iterator[Row]:
        while self._further:
            self._known_given += 1
            yield self._further.popleft()

    def _wait_for_further(self) -> bool:
        """Wait until a row follows; False once none can: all that were given are delivered."""
        with self._changed:
            while not self._further and self._delivered < self._known_given and not self._closed:
                self._changed.wait()
            return bool(self._further) and not self._closed

    def _look_further(self, row: Row | None) -> None:
        with self._changed:
            if row is not None:
                self._further.append(row)
            self._delivered += 1
            self._changed.notify_all()

    def _take(self, size: int) -> bool:
        with self._changed:
            while self._held and self._held + size > self._room and not self._closed:
                self._changed.wait()
            self._held += size
            return not self._closed

    def _give(self, size: int) -> None:
        if size > LARGE:
            with self._changed:
                self._held -= size
                self._changed.notify_all()
