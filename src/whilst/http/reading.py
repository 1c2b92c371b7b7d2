"""How large may an answer be, and how is its body read and unpacked without ever holding more?

gzip and deflate are unpacked here, for the client stops after the first member of a gzip body. Nothing is unpacked
further than the largest size, so a bomb is refused once it has passed that.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any

from ..core.frozen import NamedTuple
from .errors import BadAnswer, SizeExceeded, TruncatedError

MAX_SIZE = 64 * 1024 * 1024  # bytes of an answer in memory, unpacked, unless told otherwise
FIRST = 64 * 1024  # bytes that are read at once: most answers are smaller, and whole then
NEXT = 1024 * 1024  # bytes that are read at once of larger ones
KEPT_OF_FAILED = 64 * 1024  # bytes of an answer that is a failure: enough to say what it says
SLICE = 8 * 1024  # packed bytes that are unpacked at once: 8 MiB of the worst bomb
UNPACKED = ("gzip", "x-gzip", "deflate")
_MAGIC = b"\x1f\x8b"


class Largest(NamedTuple):
    """The largest size of an answer, and what a message calls it."""

    size: int | None = MAX_SIZE
    name: str = "max_size="


def largest(max_size: Any) -> Largest:
    """Check an argument `max_size`."""
    if max_size == MAX_SIZE and type(max_size) is int:
        return _USUAL
    if max_size is not None and (isinstance(max_size, bool) or not isinstance(max_size, int)):
        raise TypeError(f"max_size must be bytes or None, got {max_size!r}")
    if max_size is not None and max_size < 1:
        raise ValueError(f"max_size must be at least 1 byte, got {max_size}")
    return Largest(max_size)


_USUAL = Largest()


class Body:
    """Takes the chunks of one answer."""

    __slots__ = ("_decoders", "_has_length", "_is_cut", "_kept", "_largest", "_size", "asked")

    def __init__(self, headers: Any, status: int, method: str, largest: Largest, asked: str) -> None:
        self._kept = BytesIO()  # grows in place and is handed over as it is, where joining pieces takes the size twice
        self._size = 0
        self.asked: str = asked
        self._is_cut = not 200 <= status < 300
        self._largest = Largest(KEPT_OF_FAILED) if self._is_cut else largest
        encoding = headers.get("content-encoding")
        self._decoders = [] if encoding is None else _decoders(encoding)
        length = headers.get("content-length")
        self._has_length = length is not None
        told = int(length) if length is not None and length.isdigit() and method != "HEAD" else 0
        if largest.size is not None and not self._is_cut and told > largest.size:
            raise self._too_large(told)

    @property
    def size(self) -> int:
        """How many bytes there are so far, unpacked."""
        return self._size

    @property
    def is_packed(self) -> bool:
        """Whether it is unpacked here."""
        return bool(self._decoders)

    def take(self, chunk: bytes) -> bool:
        """Take a chunk; False if no more is needed. SizeExceeded if there is more than the largest size."""
        if not self._decoders:
            return self._keep(chunk)
        return all(self._keep(piece) for piece in self._unpacked(chunk, 0))

    def taken(self) -> bytes:
        """Return what has been taken since the last time, and forget it; only the size is known further on."""
        kept, self._kept = self._kept, BytesIO()
        return kept.getvalue()

    def whole(self) -> bytes:
        """Return the body, once all of it has been taken."""
        self.end()
        return self.taken()

    def end(self) -> None:
        """See that a packed body is whole."""
        if self._is_cut or all(it.is_whole for it in self._decoders):
            return
        what = f"the packed body ends too early: {self.asked}"
        raise BadAnswer(what) if self._has_length else TruncatedError(what)

    def _keep(self, piece: bytes) -> bool:
        size = self._size + len(piece)
        most = self._largest.size
        if most is not None and size > most:
            if not self._is_cut:
                raise self._too_large(None)
            piece, size = piece[: most - self._size], most
        self._size = size
        self._kept.write(piece)
        return not self._is_cut or most is None or size < most

    def _unpacked(self, chunk: bytes, place: int) -> Iterator[bytes]:
        if place == len(self._decoders):
            yield chunk
            return
        for at in range(0, len(chunk), SLICE):
            try:
                pieces = list(self._decoders[place].feed(chunk[at : at + SLICE]))
            except zlib.error:
                raise BadAnswer(f"the body is not packed as its Content-Encoding says: {self.asked}") from None
            for piece in pieces:
                yield from self._unpacked(piece, place + 1)

    def _too_large(self, told: int | None) -> SizeExceeded:
        most = self._largest.size or 0
        has = f"has {shown_size(told)}, more" if told is not None else "is larger"
        return SizeExceeded(f"the answer {has} than the {shown_size(most)} of {self._largest.name}: {self.asked}")


def shown_size(size: int) -> str:
    """Write a number of bytes as people do.

    >>> shown_size(64 * 1024 * 1024), shown_size(1500)
    ('64 MiB', '1,500 bytes')
    """
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}".replace(".0 ", " ")
    return f"{size:,} bytes"


class Unpacker:
    """Unpacks gzip, all members of it, or deflate, with its head or (as some servers send it) without."""

    def __init__(self, is_gzip: bool) -> None:
        self._is_gzip = is_gzip
        self._one = zlib.decompressobj(31 if is_gzip else 15)
        self._begun = self._ended = False
        self._between = b""  # what follows a member, until it is clear whether it is another one

    @property
    def is_whole(self) -> bool:
        """Whether it may end here."""
        return self._ended or not self._begun

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Give what is in some more bytes; zlib.error if they are not what they should be."""
        data, self._between = self._between + data, b""
        while data:
            if self._ended and not self._next_member(data):
                return
            try:
                piece = self._one.decompress(data)
            except zlib.error:
                if self._is_gzip or self._begun:
                    raise
                self._one = zlib.decompressobj(-15)
                piece = self._one.decompress(data)
            self._begun = True
            if piece:
                yield piece
            self._ended, data = self._one.eof, self._one.unused_data

    def _next_member(self, data: bytes) -> bool:
        """Begin the next member, if these bytes begin one; what else follows is left out, as gzip does."""
        if not self._is_gzip or not data.startswith(_MAGIC[: len(data)]):
            return False
        if len(data) < len(_MAGIC):
            self._between = data
            return False
        self._one, self._ended = zlib.decompressobj(31), False
        return True


def _decoders(encoding: str) -> list[Unpacker]:
    names = [name.strip().lower() for name in encoding.split(",") if name.strip().lower() != "identity"]
    if not all(name in UNPACKED for name in names):
        return []
    return [Unpacker(name != "deflate") for name in reversed(names)]
