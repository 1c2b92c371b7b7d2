"""What stands beside a value: all of its input, or some fields of it; and when its call began and how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, cast

import msgspec

from ..io.jsonl import json_text
from ..io.rows import Rejected, Row
from ..io.sink import beside
from .messages import Problem
from .options import RunOptions
from .pace import no_such_field

STARTED, TOOK = "started", "took"


class Beside:
    """The rows that outputs are given instead of those that were read."""

    def __init__(self, fields: Sequence[str] | None, *, times: bool, format: str) -> None:
        self._fields = fields
        self._times = times
        self._as_lines = format == "jsonl"  # one object a line, to which members can be added; else a table of columns
        self._is_typed = format == "parquet"
        self._columns: list[str] | None = None
        self._timed = ["input", STARTED, TOOK]  # the columns of a table, once they are known
        self._offset: float | None = None

    def columns(self, columns: list[str] | None) -> list[str] | None:
        """Return the columns of the input as the output is to have them; None where it is no table."""
        self._columns = columns if self._fields is None else [*self._fields]
        if self._as_lines or not self._times:
            return self._columns
        self._timed = beside(self._columns or ["input"], (STARTED, TOOK))
        return self._timed

    def timed_by(self, clock: Callable[[], float]) -> None:
        """Say which clock calls are timed by; what counts is the first word, as a machine's clock may be set."""
        if self._offset is None:
            self._offset = time.time() - clock()

    def row(self, row: Row | Rejected, *, ok: bool, started: float, took: float) -> Any:
        """Return what is written of a row; lines of failures have the whole input, so that they can be tried again."""
        if not isinstance(row, Row):
            return row
        return self.row_at(row, self._moment(started) if self._times else None, took, ok=ok)

    def row_at(self, row: Row, started: str | None, took: float, *, ok: bool) -> Row:
        """Return the same where it is known already when the call started, in UTC."""
        raw = row.raw
        value: Any = row.value if self._is_typed else msgspec.json.decode(raw)  # as it came, whatever became of it
        if self._fields is not None and (ok or not self._as_lines):
            has = cast("dict[str, Any]", value) if isinstance(value, dict) else {}  # as one that has none of them
            value = {name: has.get(name) for name in self._fields}
            raw = json_text(value)
        if self._times:
            times: dict[str, Any] = {STARTED: started, TOOK: round(took, 6)}
            if self._as_lines:
                raw = raw + b"," + json_text(times)[1:-1]  # which go on in the object that the line is
            elif self._columns is None:
                value = {"input": value if isinstance(value, str | int | float) else json_text(value).decode(), **times}
            else:
                value = {**value, **dict(zip(self._timed[-2:], times.values(), strict=True))}
        return Row(row.line, value, raw if self._as_lines else json_text(value))

    def _moment(self, started: float) -> str | None:
        """Return a moment of the run's clock in UTC; None for what came from a journal, which knows it."""
        return None if started != started or self._offset is None else utc(self._offset + started)


def utc(seconds: float) -> str:
    """Return seconds since the epoch as ISO 8601.

    >>> utc(0.25)
    '1970-01-01T00:00:00.250Z'
    """
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def beside_of(options: RunOptions, format: str) -> Beside | None:
    """Return what the options say of it; None where it is all of the input. Problem if it cannot be meant."""
    if options.fields is None and not options.times:
        return None
    _check("--times" if options.times else "--fields", format, values=options.values)
    return Beside(options.fields, times=options.times, format=format)


def _check(flag: str, format: str, *, values: bool) -> None:
    """Refuse what an output has no place for."""
    if values:
        raise Problem(
            f"{flag} is for what is written beside a value, and --values writes only the values",
            remedy="leave out --values",
        )
    if format == "sql":
        raise Problem(
            f"{flag} cannot be used with a table of a database",
            "such a table has the whole input, and columns for the fields of the value",
            remedy=f"{flag} -o out.jsonl, or a query that selects the columns",
        )


def beside_for(format: str, *, times: bool, values: bool) -> Beside | None:
    """Return what stands beside the values of an export."""
    if not times:
        return None
    _check("--times", format, values=values)
    return Beside(None, times=True, format=format)


def check_fields(options: RunOptions, first: Row | Rejected | None, source_name: str) -> None:
    """Refuse a field that the first row has not: most likely none has."""
    if options.fields is None or not isinstance(first, Row):
        return
    value = first.value
    known = cast("dict[str, Any]", value) if isinstance(value, dict) else {}
    for name in options.fields:
        if name not in known:
            raise no_such_field("--fields", name, first, source_name)
