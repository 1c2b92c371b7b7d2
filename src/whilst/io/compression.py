"""How are gzip and Zstandard read and written, in pieces that stay small whatever an archive claims to hold?

A small archive may hold terabytes of zeros: what is unpacked is given in pieces of a few MiB, and the line limit of
the format above bounds the rest. An archive that ends too early or is damaged gives what could be unpacked before,
then raises `BrokenInput`.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from .lines import CHUNK, ByteStream
from .refusal import BrokenInput, Refused, load_extra

ENDINGS: Mapping[str, str] = {".gz": "gzip", ".zst": "zstd"}
GZIP = 31  # zlib's word for "a gzip header, the largest window"
LEVEL = 6
PIECE = 256  # bytes of Zstandard unpacked at once; four of them can stand for a block of 128 KiB


class Compressor(Protocol):
    """Packs a stream piece by piece, as `zlib.compressobj` does."""

    def compress(self, data: bytes, /) -> bytes:
        """Return what is packed so far; often nothing."""
        ...

    def flush(self) -> bytes:
        """Return the rest, with the end mark."""
        ...


class Unpacked:
    """A byte stream inside another; progress is that of the packed one."""

    def __init__(self, packed: ByteStream, kind: str) -> None:
        self.name: str = packed.name
        self._packed = packed
        self._unpack = _unpackers[kind]
        load_unpacker(kind)

    @property
    def size(self) -> int | None:
        """Packed bytes in all, where that is known."""
        return self._packed.size

    @property
    def consumed(self) -> int:
        """Packed bytes read."""
        return self._packed.consumed

    def chunks(self) -> Iterator[bytes]:
        """Give the unpacked bytes; BrokenInput where they end too early or are damaged."""
        return self._unpack(self._packed.chunks())

    def file(self) -> Any:
        """Refuse: an archive can be read from its beginning only."""
        raise Refused(f"{self.name} is packed, and its format is read from the end", remedy="unpack it first")

    def close(self) -> None:
        """Close the packed stream."""
        self._packed.close()


def load_unpacker(kind: str) -> None:
    """Have what unpacks ready, or raise Refused: before the run, not at its first row."""
    if kind == "zstd":
        _zstandard()


def compressor(kind: str) -> Compressor:
    """Return a new compressor; Refused if a package is missing.

    >>> packer = compressor("gzip")
    >>> zlib.decompress(packer.compress(b"abc") + packer.flush(), GZIP)
    b'abc'
    """
    if kind == "gzip":
        return zlib.compressobj(LEVEL, wbits=GZIP)
    made: Compressor = _zstandard().ZstdCompressor().compressobj()
    return made


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip; several archives one after the other are one, zeros behind them are padding."""
    unpacker, full = None, False
    for chunk in chunks:
        data = chunk
        while data or full:
            if unpacker is None:
                if not (data := data.lstrip(b"\0")):
                    break
                unpacker = zlib.decompressobj(GZIP)
            try:
                unpacked = unpacker.decompress(data, CHUNK)
            except zlib.error as error:
                raise BrokenInput(f"the gzip archive is damaged ({_reason(error)})") from None
            if unpacked:
                yield unpacked
            data, full = unpacker.unconsumed_tail, len(unpacked) == CHUNK  # then zlib may hold more without any input
            if unpacker.eof:
                data, unpacker, full = unpacker.unused_data, None, False
    if unpacker is not None:
        raise BrokenInput("the gzip archive is cut off: its end is missing")


def _unzstd(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack Zstandard; several frames one after the other are one stream."""
    module = _zstandard()
    unpacker: Any = None
    for chunk in chunks:
        for at in range(0, len(chunk), PIECE):
            data = chunk[at : at + PIECE]
            while data:
                unpacker = unpacker or module.ZstdDecompressor().decompressobj()
                try:
                    unpacked = unpacker.decompress(data)
                except module.ZstdError as error:
                    raise BrokenInput(f"the Zstandard archive is damaged ({_reason(error)})") from None
                if unpacked:
                    yield unpacked
                data, unpacker = (unpacker.unused_data, None) if unpacker.eof else (b"", unpacker)
    if unpacker is not None:
        raise BrokenInput("the Zstandard archive is cut off: its end is missing")


_unpackers: Mapping[str, Callable[[Iterator[bytes]], Iterator[bytes]]] = {"gzip": _gunzip, "zstd": _unzstd}


def _zstandard() -> Any:
    return load_extra("zstandard", "zstd", "a .zst file")


def _reason(error: Exception) -> str:
    return str(error).rpartition(": ")[2]
