"""How is text read: a line an input."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .lines import ByteStream, split_batches
from .rows import MAX_ROW, Overlong, Rejected, Row, Rows, bad_text, rejected, too_long


def read_text(source: ByteStream, limit: int = MAX_ROW) -> Rows:
    """Give each line as a string, without its line end; lines of nothing but blanks are skipped.

    A line that is not UTF-8, has a NUL or is over `limit` bytes is rejected; the lines after it are read.
    """
    return Rows([*_rows(first, lines, limit)] for first, lines in split_batches(source.chunks(), limit))


def _rows(first: int, lines: list[bytes | Overlong], limit: int) -> Iterator[Row | Rejected]:
    for number, line in enumerate(lines, first):
        if isinstance(line, Overlong):
            yield too_long(number, line, limit)
            continue
        if not line or line.isspace():
            continue
        if line[-1] == 13:  # \r of a file from Windows
            line = line[:-1]
        if line.find(b"\0") >= 0:  # `in` is five times slower: it tries the bytes as a number first
            yield rejected(number, "the line holds a NUL byte, which text does not", line)
            continue
        try:
            value = line.decode()
        except UnicodeDecodeError as error:
            yield bad_text(number, error, line)
        else:
            yield Row(number, value, _encode(value))


_encode = msgspec.json.Encoder().encode
