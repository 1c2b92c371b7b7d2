"""How is a `.json` read: one array, an element an input, without ever holding the whole.

Elements are cut at the commas between them, by a pattern that passes over texts, and each is then read as strictly as
a line of JSON lines. A bad element costs itself; where the array itself is broken, nothing after it can be trusted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from .jsonl import rows_of
from .lines import BOM, ByteStream
from .refusal import BrokenInput
from .rows import EXCERPT, MAX_ROW, Overlong, Rejected, Row, Rows

_BLANK = b" \t\r\n"
# A text that has ended, the begin of one that has not, or a bracket or comma outside of any.
_REST = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)  # of a text, with its end
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"|["\[\]{},]', re.DOTALL)


def read_json(source: ByteStream, limit: int = MAX_ROW) -> Rows:
    """Give the elements of one array, numbered from 1; ValueError if it is none, BrokenInput where it breaks off."""
    return Rows(_batches(source, limit))


def _batches(source: ByteStream, limit: int) -> Iterator[Sequence[Row | Rejected]]:
    number = 1
    for elements in _Cutter(limit).cut(source.chunks()):
        yield rows_of(number, elements, limit)
        number += len(elements)


class _Cutter:
    """Cuts the elements of an array out of bytes as they come."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._held = b""  # of the element that has not ended
        self._scanned = 0  # bytes of it that were looked at
        self._depth = 0
        self._in_text = False
        self._lost = 0  # bytes of an element over the limit that are not held
        self._is_over = False
        self._count = 0

    def cut(self, chunks: Iterator[bytes]) -> Iterator[list[bytes | Overlong]]:
        """Give elements, some at a time."""
        chunks = self._opened(chunks)
        for chunk in chunks:
            if self._is_over:
                if chunk.strip(_BLANK):
                    raise BrokenInput(f"something follows the array: {_excerpt(chunk.strip(_BLANK))}")
                continue
            if found := self._elements(chunk):
                self._count += len(found)
                yield found
        if not self._is_over:
            raise BrokenInput(f"the array is cut off (after element {self._count:,})")

    def _opened(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Pass over the bracket that begins the array."""
        head = b""
        for chunk in chunks:
            head = (head + chunk).removeprefix(BOM).lstrip(_BLANK)
            if head and head != BOM[: len(head)]:
                break
        if not head:
            raise ValueError("it is empty, and should hold one array")
        if head[:1] != b"[":
            lines = "a .jsonl holds a value a line: --format jsonl"
            raise ValueError(f"it should hold one array, and begins with {_excerpt(head[:20])} ({lines})")
        yield head[1:]
        yield from chunks

    def _elements(self, chunk: bytes) -> list[bytes | Overlong]:
        data = self._held + chunk
        found: list[bytes | Overlong] = []
        begin, at = 0, self._scanned
        if self._in_text:
            if (rest := _REST.match(data, at)) is None:
                self._hold(data, 0, _before_escape(data))
                return found
            at, self._in_text = rest.end(), False
        for token in _TOKEN.finditer(data, at):
            mark = data[token.start()]
            at = token.end()
            if mark == 0x22:  # a quote
                if at - token.start() == 1:  # of a text that does not end here
                    self._in_text, at = True, _before_escape(data)
                    break
            elif mark in b"[{":
                self._depth += 1
            elif mark in b"]}" and self._depth:
                self._depth -= 1
            elif not self._depth:  # a comma between elements, or the bracket that ends them
                self._add(found, data[begin : token.start()], mark)
                begin = at
                if self._is_over:
                    break
        else:
            at = len(data)
        self._hold(data, begin, at)
        if self._is_over and data[begin:].strip(_BLANK):
            raise BrokenInput(f"something follows the array: {_excerpt(data[begin:].strip(_BLANK))}")
        return found

    def _add(self, found: list[bytes | Overlong], element: bytes, mark: int) -> None:
        element = element.strip(_BLANK)
        self._is_over = mark != 0x2C
        if mark == 0x7D:
            raise BrokenInput("the array ends with }")
        if self._is_over and not element and not self._lost and not (self._count or found):
            return  # an empty array
        if self._lost or len(element) > self._limit:
            found.append(Overlong(self._lost + len(element), element[:EXCERPT]))
            self._lost = 0
        else:
            found.append(element)

    def _hold(self, data: bytes, begin: int, at: int) -> None:
        self._held, self._scanned = data[begin:], at - begin
        if len(self._held) > self._limit + EXCERPT:  # its begin tells enough
            kept = self._held[:EXCERPT] + self._held[self._scanned :]
            self._lost += len(self._held) - len(kept)
            self._held, self._scanned = kept, EXCERPT


def _before_escape(data: bytes) -> int:
    """Return where to go on in a text that has not ended: before a backslash whose letter is still to come."""
    return len(data) - (len(data) - len(data.rstrip(b"\\"))) % 2


def _excerpt(data: bytes) -> str:
    return repr(data[:20].decode("utf-8", "replace"))
