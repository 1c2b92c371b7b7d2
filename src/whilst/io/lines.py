"""How are bytes cut into lines, whatever their length and however they arrive?

Reading is `os.read` on the bare descriptor, never a `BufferedReader`: the thread that reads may still be inside
`read` on a silent standard input when the interpreter ends, and a buffered reader's lock would then abort it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from .refusal import Refused
from .rows import EXCERPT, MAX_ROW, Overlong

CHUNK = 256 * 1024  # bytes a read; pipes give 64 KiB at most, larger chunks gain nothing on files
BOM = b"\xef\xbb\xbf"


class ByteStream(Protocol):
    """Bytes on their way in, wherever from; a file, a pipe, an object in a store, an archive around one of these."""

    name: str

    @property
    def size(self) -> int | None:
        """How many there are in all, where that is known."""
        ...

    @property
    def consumed(self) -> int:
        """How many were read, so that progress can be told."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Give them as they come, once; OSError where they end too early."""
        ...

    def file(self) -> Any:
        """Return a file that can be read anywhere, instead of `chunks`; Refused where there is none."""
        ...

    def close(self) -> None:
        """Let go of what is open; also in the middle of reading."""
        ...


class ByteSource:
    """An open descriptor, read in chunks; counts what was read so that progress can be told."""

    def __init__(self, descriptor: int, name: str, *, size: int | None = None, owned: bool = True) -> None:
        self.name: str = name
        self.size: int | None = size
        """Bytes in all, where that is known."""
        self.consumed: int = 0
        self._descriptor: int | None = descriptor
        self._owned = owned

    def chunks(self) -> Iterator[bytes]:
        """Give what is there as it comes; a pipe's writer is not waited for longer than it takes to get some."""
        try:
            while self._descriptor is not None and (chunk := os.read(self._descriptor, CHUNK)):
                self.consumed += len(chunk)
                yield chunk
        finally:
            self.close()

    def file(self) -> Any:
        """Return a file that can be read anywhere; Refused for a pipe."""
        if self._descriptor is None or not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            raise Refused(f"{self.name} is not a file, and its format is read from the end", remedy="a file's name")
        return os.fdopen(self._descriptor, "rb", closefd=False)

    def close(self) -> None:
        """Close the descriptor; by whoever reads, or by the opener when nobody began to."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None and self._owned:
            os.close(descriptor)

    def __repr__(self) -> str:
        return f"<ByteSource {self.name}, {self.consumed:,} bytes read>"


def split_lines(chunks: Iterable[bytes], limit: int = MAX_ROW) -> Iterator[tuple[int, bytes | Overlong]]:
    r"""Give each line without its `\n`, numbered from 1; of a line over `limit` only length and head.

    Nothing but `\n` ends a line, the last one needs none, and a byte order mark before the first is dropped. At
    most `limit` bytes and one chunk are held.

    >>> list(split_lines([b"a\nb", b"c\n", b"a very long line\nd"], limit=5))
    [(1, b'a'), (2, b'bc'), (3, Overlong(size=16, head=b'a very long line')), (4, b'd')]
    """
    for number, lines in split_batches(chunks, limit):
        yield from enumerate(lines, number)


def split_batches(
    chunks: Iterable[bytes], limit: int = MAX_ROW, end: bytes = b"\n"
) -> Iterator[tuple[int, list[bytes | Overlong]]]:
    """Give what `split_lines` gives, all lines that end in a chunk at once, with the number of the first.

    One call a line costs as much as the line itself. `end` is the byte that ends a line.
    """
    number = 1
    pending = _Pending(limit)
    for chunk in chunks:
        lines: list[bytes | Overlong] = [*chunk.split(end)]
        rest = lines.pop()
        assert isinstance(rest, bytes)
        if lines:
            if len(chunk) > limit:
                lines = [_measured(line, limit) for line in lines]
            if pending.size:
                pending.add(_bytes(chunk, lines[0]))
                lines[0] = pending.take()
            if number == 1:
                lines[0] = _without_mark(lines[0])
            yield number, lines
            number += len(lines)
        pending.add(rest)
    if pending.size:
        last = pending.take()
        yield number, [_without_mark(last) if number == 1 else last]


class _Pending:
    """The line that has not ended yet, in pieces; past the limit its head and length only."""

    def __init__(self, limit: int) -> None:
        self.size = 0
        self._limit = limit
        self._pieces: list[bytes] = []

    def add(self, piece: bytes) -> None:
        if not piece:
            return
        if self.size <= self._limit:
            self._pieces.append(piece)
        self.size += len(piece)
        if self.size > self._limit:
            self._pieces = [b"".join(self._pieces)[:EXCERPT]]

    def take(self) -> bytes | Overlong:
        line: bytes | Overlong = b"".join(self._pieces)
        if self.size > self._limit:
            line = Overlong(self.size, b"".join(self._pieces)[:EXCERPT])
        self.size, self._pieces = 0, []
        return line


def _bytes(chunk: bytes, line: bytes | Overlong) -> bytes:
    """Return the first line of a chunk as it was before it was measured."""
    return line if isinstance(line, bytes) else chunk[: line.size]


def _measured(line: bytes | Overlong, limit: int) -> bytes | Overlong:
    return line if isinstance(line, Overlong) or len(line) <= limit else Overlong(len(line), line[:EXCERPT])


def _without_mark(line: bytes | Overlong) -> bytes | Overlong:
    return line.removeprefix(BOM) if isinstance(line, bytes) else line
