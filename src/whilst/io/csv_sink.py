"""How is CSV written: which columns, and what stands in a cell?

Outcomes have the input's columns, then `value`, `error` and `attempts`. Values alone have a column for each field of
those that are dicts, and `value` for others: the first thousand rows decide, and a later value with another field is a
failure of its own input, whose message holds it.
"""

from __future__ import annotations

import csv
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import isfinite
from typing import Any, cast

import msgspec

from .jsonl import json_text
from .kinds import simplified
from .output import LARGE, Output
from .refusal import closest, listed
from .rows import Rejected, Row
from .sink import LineSink, Misfit, Shape, Unfit, beside

DECIDE = 1000  # rows whose values decide which columns there are
DECIDE_BYTES = 4 * 1024 * 1024


def csv_sink(output: Output) -> LineSink:
    """Return the sink that writes CSV to `output`."""
    return CsvSink(output)


def tsv_sink(output: Output) -> LineSink:
    """Return the sink that writes CSV with tabs between its fields to `output`."""
    return CsvSink(output, delimiter="\t")


class CsvSink(LineSink):
    """A sink of CSV; of values alone, it holds the first back until the columns are known."""

    def __init__(self, output: Output, *, delimiter: str = ",") -> None:
        self._line: Callable[[Sequence[Any]], bytes] = _Lines(delimiter).line
        self._held: list[dict[str, Any]] = []
        self._size = 0
        self._columns: list[str] | None = None
        self._is_tried = False  # whether a value fitted the columns
        self._guard = threading.Lock()  # a signal's rescue may finish while the main thread writes
        super().__init__(output, lambda shape: CsvWriter(shape, delimiter=delimiter))

    def begin(self, shape: Shape) -> None:
        """Choose the columns, or let the first values choose them."""
        if not shape.values_only:
            super().begin(shape)
            return
        self.prepare: Callable[[object], Any] = cells_of
        self.write: Callable[[Row, Any], None] = self._write_value
        self.write_all: Callable[[Sequence[Row], Sequence[Any]], None] | None = None  # one of them may be Unfit
        self.finish: Callable[[], str | None] = self._finish
        if shape.header is not None:
            self._begin_columns(shape.header)

    def _write_value(self, row: Row, cells: dict[str, Any]) -> None:
        with self._guard:
            if self._columns is None:
                self._held.append(cells)
                self._size += len(row.raw) + sum(len(it) for it in cells.values() if isinstance(it, str))
                if len(self._held) >= DECIDE or self._size >= DECIDE_BYTES:
                    self._decide()
                return
            if not cells.keys() <= self._known:
                raise self._unfit(cells)
            self._is_tried = True
            self._output.write(self._line([cells.get(name) for name in self._columns]))

    def _decide(self) -> None:
        columns = [*dict.fromkeys(name for cells in self._held for name in cells)] or ["value"]
        held, self._held = self._held, []
        self._is_tried = bool(held)
        self._begin_columns(columns)
        for cells in held:
            self._output.write(self._line([cells.get(name) for name in columns]))

    def _begin_columns(self, columns: list[str]) -> None:
        self._columns, self._known = columns, set(columns)
        self._output.write(self._line(columns))

    def _unfit(self, cells: dict[str, Any]) -> Unfit:
        """Say what is no column; where the very first value has it, most likely each one has."""
        name = next(it for it in cells if it not in self._known)
        likely = closest(name, self._known)
        more = f"{likely!r} is" if likely else f"which are {listed(self._columns or [])}"
        whose = f"the first {DECIDE:,} rows" if self._is_tried else "the file"
        kind = Unfit if self._is_tried else Misfit
        return kind(f"{name!r} is not a column of {whose}, {more}; {json_text(cells).decode()}")

    def _finish(self) -> str | None:
        with self._guard, suppress(OSError):  # it is `broken`; what could be written keeps its own name
            if self._columns is None:
                self._decide()
        return self._output.finish()


class CsvWriter:
    """Makes the lines of outcomes: the input's columns, then value, error and attempts.

    Inputs that are rows of a table keep their columns; any other input is one column, `input`.

    >>> writer = CsvWriter(Shape(columns=["id"]))
    >>> writer.head(), writer.value(Row(2, {"id": "7"}, b'{"id":"7"}'), writer.prepare([1, 2]))
    (b'id,value,error,attempts\\n', b'7,"[1,2]",,\\n')
    """

    def __init__(self, shape: Shape, *, delimiter: str = ",") -> None:
        lines = _Lines(delimiter)
        self._line: Callable[[Sequence[Any]], bytes] = lines.line
        self._line_of_any_size: Callable[[Sequence[Any]], bytes] = lines.line_of_any_size
        self._columns = shape.columns
        inputs = shape.columns or ["input"]
        ours = ["value", "error", "attempts"] if shape.failures_here else ["value"]
        self._names = beside(inputs, ours)
        self._blank = [""] * (len(ours) - 1)

    def head(self) -> bytes:
        """Return the line of names."""
        return self._line(self._names)

    def prepare(self, value: object) -> Any:
        """Turn a value into a cell; called where the function was called, so that a bad value fails its own input."""
        return cell_of(value)

    def value(self, row: Row, prepared: Any) -> bytes:
        """Return the line of a success."""
        is_large = len(row.raw) > LARGE or (type(prepared) is str and len(prepared) > LARGE)
        line = self._line_of_any_size if is_large else self._line
        return line([*self._input(row), prepared, *self._blank])

    def values(self, rows: Sequence[Row], prepared: Sequence[Any]) -> bytes:
        """Return the lines of successes."""
        return b"".join(map(self.value, rows, prepared))

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> bytes:
        """Return the line of a failure, or of a row that was rejected before any call."""
        if isinstance(row, Rejected):
            cells: list[str] = [row.excerpt, *[""] * (len(self._columns or "1") - 1)]
            return self._line([*cells, "", f"line {row.line}: {row.reason}", ""])
        return self._line([*self._input(row), "", error, str(attempts)])

    def _input(self, row: Row) -> list[Any]:
        value: Any = msgspec.json.decode(row.raw)  # as it came: the function may have changed `row.value`
        if self._columns is None:
            return [cell_of(value)]
        return [it if type(it := value.get(name)) is str else cell_of(it) for name in self._columns]


def cells_of(value: object) -> dict[str, Any]:
    """Return the cells of a value by their columns; TypeError or ValueError if it cannot be written.

    >>> cells_of({"a": 1, "b": [1]}), cells_of(7)
    ({'a': 1, 'b': '[1]'}, {'value': 7})
    """
    made: Any = cast("dict[str, Any]", value) if type(value) is dict else simplified(value)
    if type(made) is not dict:
        return {"value": cell_of(made)}
    fields = cast("dict[str, Any]", made)
    if not all(type(name) is str for name in fields):
        fields = simplified(fields)
    return {name: cell_of(it) for name, it in fields.items()}


def cell_of(value: object) -> Any:
    """Return what stands in a cell: text, numbers and dates as they are, no value as nothing, anything else as JSON.

    >>> cell_of("=1+1"), cell_of(7), cell_of(None), cell_of(float("nan")), cell_of(True), cell_of({"a": None})
    ('=1+1', 7, None, None, 'true', '{"a":null}')
    """
    if value is None or type(value) is str:
        return value
    if type(value) is int:
        return value if value.bit_length() <= 64 else str(value)
    if type(value) is float:
        return value if isfinite(value) else None
    text = json_text(value)
    if text == b"null":  # of NumPy and pandas there are more that are no value
        return None
    return msgspec.json.decode(text) if text[:1] == b'"' else text.decode()


class _Lines:
    """Makes lines of cells."""

    def __init__(self, delimiter: str) -> None:
        self._text = ""
        self._delimiter = delimiter.encode()
        self._writer: Any = csv.writer(cast("Any", self), lineterminator="\n", delimiter=delimiter)
        self._careful: Any = csv.writer(
            cast("Any", self), lineterminator="\n", delimiter=delimiter, quoting=csv.QUOTE_ALL
        )

    def write(self, text: str) -> None:
        self._text = text

    def line(self, cells: Sequence[Any]) -> bytes:
        """Return the line of some cells; for one thread."""
        self._writer.writerow(cells)
        if "\r" in self._text:  # before Python 3.13 it would stand there without quotes, and end a line
            self._careful.writerow(cells)
        return self._text.encode("utf-8", "replace")

    def line_of_any_size(self, cells: Sequence[Any]) -> bytes:
        """Do so without the csv module for texts of megabytes: it needs five bytes for each character of them."""
        if not any(type(it) is str and len(it) > LARGE for it in cells):
            return self.line(cells)
        return self._delimiter.join(map(self._cell, cells)) + b"\n"

    def _cell(self, cell: Any) -> bytes:
        if type(cell) is not str or len(cell) <= LARGE:
            return self.line([cell]).removesuffix(b"\n")
        if '"' in cell:
            cell = cell.replace('"', '""')
        return b"".join((b'"', cell.encode("utf-8", "replace"), b'"'))
