"""How is CSV read and written?

A record may span lines (a quoted field may hold line ends), so records are cut by the `csv` module, from lines that
are bounded before it sees them. It is strict: what is not CSV is rejected, not guessed. A quote that is never
closed would swallow the lines after it; those are read again, so it costs its own line only.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from .jsonl import json_text
from .lines import ByteStream, split_lines
from .output import Output
from .rows import MAX_ROW, Overlong, Rejected, Row, rejected
from .sink import LineSink, Shape

MAX_FIELD = 1024 * 1024  # bytes; the csv module's own limit of 128 KiB is less than a long document


class _NotALine(ValueError):
    """A line that cannot be part of a record."""


def read_csv(source: ByteStream, limit: int = MAX_ROW) -> Iterator[Row | Rejected]:
    """Give each record as a dict, by the names in the first one; values are strings, empty lines are skipped.

    A record with more or fewer fields than there are names, with text that is not UTF-8, or over the limits is
    rejected; those after it are read. ValueError if the first record cannot be a header.
    """
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))  # the module has one limit for all its readers
    lines = _Lines(source, limit)
    encode = msgspec.json.Encoder().encode
    header: list[str] | None = None
    for record in _records(lines):
        if header is None:
            header = _header(record)
        elif isinstance(record, Rejected):
            yield record
        elif len(record) != len(header):
            fields = "1 field" if len(record) == 1 else f"{len(record)} fields"
            reason = f"the row has {fields}, the header names {len(header)}"
            yield rejected(lines.start, reason, ",".join(record).encode())
        else:
            value = dict(zip(header, record, strict=True))
            yield Row(lines.start, value, encode(value))


def csv_sink(output: Output) -> LineSink:
    """Return the sink that writes CSV to `output`."""

    def writer(shape: Shape) -> CsvWriter:
        return CsvWriter(columns=shape.columns, values_only=shape.values_only, failures=shape.failures_here)

    return LineSink(output, writer)


class CsvWriter:
    """Makes the lines of a CSV output: the input's columns, then value, error and attempts.

    Inputs that are rows of a CSV keep their `columns`; any other input is one column, `input`. Text, numbers and
    dates are written as they are, anything else as JSON.

    >>> writer = CsvWriter(columns=["id"])
    >>> writer.head(), writer.value(Row(2, {"id": "7"}, b'{"id":"7"}'), writer.prepare([1, 2]))
    (b'id,value,error,attempts\\n', b'7,"[1,2]",,\\n')
    """

    def __init__(self, *, columns: list[str] | None = None, values_only: bool = False, failures: bool = True) -> None:
        self._values_only = values_only
        self._columns = columns
        inputs = [] if values_only else (columns or ["input"])
        ours = ["value", "error", "attempts"] if failures and not values_only else ["value"]
        self._names = inputs + [unused(name, inputs) for name in ours]
        self._blank = [""] * (len(ours) - 1)

    def head(self) -> bytes:
        """Return the line of names."""
        return _line(self._names)

    def prepare(self, value: object) -> Any:
        """Turn a value into a cell; called where the function was called, so that a bad value fails its own input."""
        return _cell(value)

    def value(self, row: Row, prepared: Any) -> bytes:
        """Return the line of a success."""
        if self._values_only:
            return _line([prepared])
        return _line([*self._input(row), prepared, *self._blank])

    def values(self, rows: Sequence[Row], prepared: Sequence[Any]) -> bytes:
        """Return the lines of successes."""
        return b"".join(map(self.value, rows, prepared))

    def failure(self, row: Row | Rejected, error: str, attempts: int) -> bytes:
        """Return the line of a failure, or of a row that was rejected before any call."""
        if isinstance(row, Rejected):
            cells: list[str] = [row.excerpt, *[""] * (len(self._columns or "1") - 1)]
            return _line([*cells, "", f"line {row.line}: {row.reason}", ""])
        return _line([*self._input(row), "", error, str(attempts)])

    def _input(self, row: Row) -> list[Any]:
        if self._columns is None:
            return [_cell(row.value)]
        return [row.value[name] for name in self._columns]


def _records(lines: _Lines) -> Iterator[list[str] | Rejected]:
    reader = csv.reader(lines, strict=True)
    while True:
        lines.begin()
        try:
            record = next(reader)
        except StopIteration:
            return
        except (csv.Error, _NotALine) as error:
            yield lines.reject(str(error))
        else:
            if record:
                yield record


class _Lines:
    """Lines as text for the csv module; knows where the current record began and can go back to its second line."""

    def __init__(self, source: ByteStream, limit: int) -> None:
        self.start = 0
        self._fresh = split_lines(source.chunks(), limit)
        self._limit = limit
        self._again: deque[tuple[int, bytes | Overlong]] = deque()
        self._again_until = 0  # lines up to here were read twice already, and will not be a third time
        self._taken: list[tuple[int, bytes | Overlong]] = []
        self._size = 0

    def begin(self) -> None:
        self._taken.clear()
        self._size = 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        number, line = item = self._again.popleft() if self._again else next(self._fresh)
        if not self._taken:
            self.start = number
        self._taken.append(item)
        if isinstance(line, Overlong):
            raise _NotALine(f"the row has {line.size:,} bytes, the limit is {self._limit:,}; it was not read")
        self._size += len(line) + 1
        if self._size > self._limit:
            raise _NotALine(f"the row is over the limit of {self._limit:,} bytes")
        if line.find(b"\0") >= 0:
            raise _NotALine("the row holds a NUL byte, which text does not")
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError as error:
            bad = f"0x{line[error.start]:02x} at position {error.start}"
            raise _NotALine(f"not UTF-8: byte {bad}") from None

    def reject(self, reason: str) -> Rejected:
        """Reject the record under way: its first line if the others can be read again, else all of them."""
        (first, head), *others = self._taken
        start = head.head if isinstance(head, Overlong) else head
        if others and first > self._again_until:
            self._again_until = others[-1][0]
            self._again.extendleft(reversed(others))
            reason = f"{reason} (looking for the end of a quoted field up to line {others[-1][0]})"
        elif others:
            reason = f"{reason} (lines {first} to {others[-1][0]})"
        return rejected(first, f"not CSV: {reason}", start)


def _header(record: list[str] | Rejected) -> list[str]:
    if isinstance(record, Rejected):
        raise ValueError(f"its first line cannot be a header: {record.reason}")
    twice = sorted({name for name in record if record.count(name) > 1})
    if twice:
        raise ValueError(f"its header names {twice[0]!r} twice")
    return record


def _cell(value: object) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    text = json_text(value)
    return msgspec.json.decode(text) if text[:1] == b'"' else text.decode()


def _line(cells: list[Any]) -> bytes:
    sink = _Sink()
    csv.writer(cast("Any", sink), lineterminator="\n").writerow(cells)
    return sink.text.encode("utf-8", "replace")


class _Sink:
    text = ""

    def write(self, text: str) -> None:
        self.text = text


def unused(name: str, names: Sequence[str]) -> str:
    """Return `name`, with underscores behind it while it is one of `names`."""
    while name in names:
        name += "_"
    return name
