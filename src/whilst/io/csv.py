"""How is CSV read?

A record may span lines (a quoted field may hold line ends), so records are cut by the `csv` module, from lines that
are bounded before it sees them. It is strict: what is not CSV is rejected, not guessed. A quote that is never
closed would swallow the lines after it; those are read again, so it costs its own line only.

Many lines are read at once where each is a record of its own, and nothing has to be said of any; others one by one.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import deque
from collections.abc import Iterator, Sequence
from typing import cast

import msgspec

from .lines import ByteStream, split_batches
from .refusal import Refused, twice_in
from .rows import MAX_ROW, Overlong, Rejected, Row, Rows, rejected

MAX_FIELD = 1024 * 1024  # bytes; the csv module's own limit of 128 KiB is less than a long document
TOGETHER = 512  # lines that are read at once

_SEPARATOR = re.compile(r'"?sep=([^\n"])"?\r?')  # what Excel writes before the header


class _NotALine(ValueError):
    """A line that cannot be part of a record."""


def read_csv(
    source: ByteStream, limit: int = MAX_ROW, delimiter: str | None = None, notes: list[str] | None = None
) -> Rows:
    """Give each record as a dict, by the names in the first one; values are strings, empty lines are skipped.

    A record with more or fewer fields than there are names, with text that is not UTF-8, or over the limits is
    rejected; those after it are read. ValueError if the first record cannot be a header. Without a `delimiter` it is a
    comma, unless the header has none of these and one of others, or a line `sep=;` says which: `notes` then tells.
    """
    return Rows(_batches(source, limit, delimiter, notes))


def read_tsv(
    source: ByteStream, limit: int = MAX_ROW, delimiter: str | None = None, notes: list[str] | None = None
) -> Rows:
    """Give each record as `read_csv` does, with tabs between its fields."""
    return read_csv(source, limit, delimiter or "\t", notes)


def _batches(
    source: ByteStream, limit: int, delimiter: str | None, notes: list[str] | None
) -> Iterator[Sequence[Row | Rejected]]:
    csv.field_size_limit(max(csv.field_size_limit(), MAX_FIELD))  # the module has one limit for all its readers
    lines = _Lines(source, limit)
    delimiter, note = delimiter_of(lines.first_lines(), delimiter, source.name)
    if note and notes is not None:
        notes.append(note)
    records = _records(lines, delimiter)
    first = next(records, None)
    if first is None:
        return
    header = _header(first)
    while some := lines.several():
        number = lines.number - len(some)
        if (plain := _plain_rows(number, some, header, delimiter)) is None:
            lines.put_back(some)
            plain = [*_any_rows(lines, number + len(some), header, delimiter)]
        yield plain


def _plain_rows(
    first: int, lines: list[bytes | Overlong], header: list[str], delimiter: str
) -> Sequence[Row | Rejected] | None:
    """Read lines of which each is a record with all fields, at once; None if one is not."""
    try:
        text = b"\n".join(cast("list[bytes]", lines))
        records = [*csv.reader(text.decode().split("\n"), strict=True, delimiter=delimiter)]
    except (TypeError, UnicodeDecodeError, csv.Error):
        return None
    if b"\0" in text or len(records) != len(lines) or {*map(len, records)} != {len(header)}:
        return None
    values = [dict(zip(header, record, strict=True)) for record in records]
    return [*map(Row, itertools.count(first), values, map(_encode, values))]


def _any_rows(lines: _Lines, until: int, header: list[str], delimiter: str) -> Iterator[Row | Rejected]:
    """Read lines one by one, to the end of the record that the one before `until` is part of."""
    records = _records(lines, delimiter)
    while lines.number < until and (record := next(records, None)) is not None:
        if isinstance(record, Rejected):
            yield record
        elif len(record) != len(header):
            fields = "1 field" if len(record) == 1 else f"{len(record)} fields"
            reason = f"the row has {fields}, the header names {len(header)}"
            yield rejected(lines.start, reason, delimiter.join(record).encode())
        else:
            value = dict(zip(header, record, strict=True))
            yield Row(lines.start, value, _encode(value))


def _records(lines: _Lines, delimiter: str) -> Iterator[list[str] | Rejected]:
    reader = csv.reader(lines, strict=True, delimiter=delimiter)
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
        self._chunks = split_batches(source.chunks(), limit)
        self._limit = limit
        self._here: deque[bytes | Overlong] = deque()  # lines that are read next
        self.number = 1  # of the first of them
        self._again_until = 0  # lines up to here were read twice already, and will not be a third time
        self._taken: list[bytes | Overlong] = []
        self._size = 0

    def first_lines(self) -> list[str]:
        """Return the first two lines without taking them, as far as they are text; one that says the separator is."""
        while len(self._here) < 2 and self._more():
            pass
        texts = [it.decode("utf-8", "replace") if isinstance(it, bytes) else "" for it in [*self._here][:2]]
        if texts and _SEPARATOR.fullmatch(texts[0]):
            self._take()
        return texts

    def begin(self) -> None:
        self._taken.clear()
        self._size = 0

    def several(self) -> list[bytes | Overlong]:
        """Take some lines, as many as are there; none at the end."""
        if not self._here:
            self._more()
        many = min(len(self._here), TOGETHER)
        self.number += many
        return [self._here.popleft() for _ in range(many)]

    def put_back(self, lines: Sequence[bytes | Overlong]) -> None:
        """Have lines read again that were taken last."""
        self._here.extendleft(reversed(lines))
        self.number -= len(lines)

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if not self._here and not self._more():
            raise StopIteration
        if not self._taken:
            self.start = self.number
        line = self._take()
        self._taken.append(line)
        if isinstance(line, Overlong):
            raise _NotALine(f"the row has {line.size:,} bytes, the limit is {self._limit:,}; it was not read")
        self._size += len(line) + (len(self._taken) > 1)
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
        head, *others = self._taken
        first, last = self.start, self.start + len(others)
        start = head.head if isinstance(head, Overlong) else head
        if others and first > self._again_until:
            self._again_until = last
            self.put_back(others)
            reason = f"{reason} (looking for the end of a quoted field up to line {last})"
        elif others:
            reason = f"{reason} (lines {first} to {last})"
        return rejected(first, f"not CSV: {reason}", start)

    def _take(self) -> bytes | Overlong:
        self.number += 1
        return self._here.popleft()

    def _more(self) -> bool:
        """Read on; whether there was something."""
        found = next(self._chunks, None)
        if found is not None:
            self._here.extend(found[1])
        return found is not None


def delimiter_of(lines: list[str], given: str | None, name: str) -> tuple[str, str]:
    """Return what stands between the fields of a file that begins so, and what to say if it is not what one thinks.

    It is a comma, unless another one makes more fields of the header, and as many of the line after it.

    >>> delimiter_of(["id;name", "1;2,5"], None, "a.csv")
    (';', "a.csv has ';' between its fields; --delimiter , would read it with commas")
    >>> delimiter_of(["a,b;c;d", "1,2"], None, "a.csv")
    (',', '')
    """
    first, second = (*lines, "", "")[:2]
    if given is not None:
        return given, ""
    if found := _SEPARATOR.fullmatch(first):
        return found[1], f"{name} has {found[1]!r} between its fields, as its first line says"
    best, most = ",", _count(first, ",")
    for other in ";\t|":
        count = _count(first, other)
        if count > most and (most == 1 or count == _count(second, other)):
            best, most = other, count
    return (
        best,
        "" if best == "," else f"{name} has {best!r} between its fields; --delimiter , would read it with commas",
    )


def checked_delimiter(given: str) -> str:
    r"""Return what a user means by a delimiter; Refused if it cannot stand between fields.

    >>> checked_delimiter(r"\t"), checked_delimiter("tab")
    ('\t', '\t')
    """
    delimiter = "\t" if given.lower() in (r"\t", "tab") else given
    if len(delimiter) != 1 or delimiter in '"\r\n\0':
        raise Refused(f"{given!r} cannot stand between fields", "it is one character", remedy="--delimiter ';'")
    return delimiter


def _count(line: str, delimiter: str) -> int:
    try:
        fields = next(csv.reader([line.rstrip("\r")], delimiter=delimiter), None)
    except csv.Error:
        return 0
    return len(fields) if fields else 0


def _header(record: list[str] | Rejected) -> list[str]:
    if isinstance(record, Rejected):
        hint = " (--encoding latin-1 reads it, if it is that)" if "not UTF-8" in record.reason else ""
        raise ValueError(f"its first line cannot be a header: {record.reason}{hint}")
    if (twice := twice_in(record)) is not None:
        raise ValueError(f"its header names {twice!r} twice")
    return record


_encode = msgspec.json.Encoder().encode
