"""How is text read: a line an input."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence

import msgspec

from .lines import ByteStream, split_batches
from .rows import MAX_ROW, Overlong, Rejected, Row, Rows, bad_text, rejected, too_long


def read_text(source: ByteStream, limit: int = MAX_ROW) -> Rows:
    """Give each line as a string, without its line end; lines of nothing but blanks are skipped.

    A line that is not UTF-8, has a NUL or is over `limit` bytes is rejected; the lines after it are read.
    """
    return Rows([*_rows(first, lines, limit)] for first, lines in split_batches(source.chunks(), limit))


def read_nul(source: ByteStream, limit: int = MAX_ROW) -> Rows:
    """Give each text that a NUL ends, as `find -print0` writes them; a line end is a part of it.

    Empty ones are skipped. A text that is not UTF-8 or is over `limit` bytes is rejected.
    """
    batches = split_batches(source.chunks(), limit, b"\0")
    return Rows([*_texts(first, texts, limit)] for first, texts in batches)


def _texts(first: int, texts: list[bytes | Overlong], limit: int) -> Iterator[Row | Rejected]:
    for number, text in enumerate(texts, first):
        if isinstance(text, Overlong):
            yield too_long(number, text, limit)
        elif text:
            try:
                value = text.decode()
            except UnicodeDecodeError as error:
                yield bad_text(number, error, text)
            else:
                yield Row(number, value, _encode(value))


class Arguments:
    """Inputs that are given one by one, `::: a b c`; a source of their own."""

    def __init__(self, values: Sequence[str]) -> None:
        self.size: int | None = len(values)
        self.consumed: int = 0
        self._values = values

    def rows(self) -> Iterator[Row | Rejected]:
        """Give a row for each; one that is not text (a name of a file in another encoding) is rejected."""
        for number, value in enumerate(self._values, 1):
            self.consumed = number
            try:
                yield Row(number, value, _encode(value))
            except UnicodeEncodeError:
                yield rejected(number, "the argument is not UTF-8", os.fsencode(value))

    def close(self) -> None:
        """Do nothing: nothing is open."""


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
