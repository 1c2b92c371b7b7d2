"""What is in an input, whatever its name says? Its first bytes tell: packed, text in another encoding, or no text.

What can be read all the same is, and it is said; what cannot be meant is refused with the line that works. Nothing is
waited for but the first bytes that come, so a pipe is as quick as before.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from .compression import Unpacked
from .lines import BOM, ByteStream
from .refusal import Refused, closest

LOOK = 4096  # bytes that are looked at

_PACKED = {b"\x1f\x8b\x08": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_PACKED_NAMES = {"gzip": "gzip", "zstd": "Zstandard"}
_MARKS = (  # the longest first: the mark of UTF-32 begins as that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What begins so, and what would work; {name} is the input's.
_KINDS: tuple[tuple[bytes, str, str], ...] = (
    (b"PAR1", "Parquet", "--format parquet"),
    (b"SQLite format 3\0", "an SQLite database", "sqlite:///{name}?table=NAME"),
    (b"PK\x03\x04", "a zip archive, as sheets of Excel are", "in2csv {name} > rows.csv, or unzip -p {name} | … -"),
    (b"%PDF-", "a PDF", "pdftotext {name} rows.txt"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document", "in2csv {name} > rows.csv"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x -so {name} | … -"),
    (b"\xfd7zXZ\0", "xz-packed", "xzcat {name} | … -"),
    (b"\x04\x22\x4d\x18", "lz4-packed", "lz4cat {name} | … -"),
    (b"Obj\x01", "Avro", "another format: .jsonl, .csv, .parquet"),
    (b"ARROW1", "Arrow", "another format: .jsonl, .csv, .parquet"),
    (b"\x89PNG\r\n", "an image", "files:FOLDER/*.png, for a function of paths"),
    (b"\xff\xd8\xff", "an image", "files:FOLDER/*.jpg, for a function of paths"),
    (b"\x7fELF", "a program", ""),
    (b"\x80\x04\x95", "a pickle, which runs code when it is read", "another format: .jsonl, .csv, .parquet"),
    (b"\x80\x05\x95", "a pickle, which runs code when it is read", "another format: .jsonl, .csv, .parquet"),
)
_AT_TAR = 257  # where the name of its kind stands in a tar archive
_BZIP2 = re.compile(rb"BZh[1-9]1AY&SY")

codecs.register_error("whilst-bad", lambda error: ("\udcff", error.end))  # type: ignore[attr-defined]


class Recognised:
    """A byte stream whose first bytes are looked at as they come; what it gives is UTF-8, unpacked.

    Args:
        raw: the bytes as they are.
        kind: the format that its rows will be read in.
        packing: what the name says it is packed with; empty: nothing.
        encoding: what the user says; None: UTF-8, or what a byte order mark says.
        guessed: whether nothing but a guess says that it is text, so that the whole is refused where it is none.
        notes: where what the user should know is added.
    """

    def __init__(
        self, raw: ByteStream, kind: str, packing: str, encoding: str | None, *, guessed: bool, notes: list[str]
    ) -> None:
        self.name: str = raw.name
        self._raw = raw
        self._kind = kind
        self._packing = packing
        self._encoding = encoding
        self._guessed = guessed
        self._notes = notes

    @property
    def size(self) -> int | None:
        """Raw bytes in all, where that is known."""
        return self._raw.size

    @property
    def consumed(self) -> int:
        """Raw bytes read."""
        return self._raw.consumed

    def chunks(self) -> Iterator[bytes]:
        """Give UTF-8 as it comes; Refused where it cannot be meant, BrokenInput where an archive ends too early."""
        chunks = self._unpacked()
        first = next(chunks, b"")
        self._refuse_what_is_no_text(first)
        encoding = self._encoding or next((name for mark, name in _MARKS if first.startswith(mark)), None)
        if encoding is None:
            self._hint(first)
            yield first
            yield from chunks
            return
        if self._encoding is None:
            self._notes.append(f"{self.name} is {encoding.upper()}, as its first bytes say")
        decoder = codecs.getincrementaldecoder(encoding)("whilst-bad")
        yield from (_utf8(decoder.decode(chunk)) for chunk in _and(first, chunks))
        yield _utf8(decoder.decode(b"", final=True))

    def file(self) -> Any:
        """Return a file that can be read anywhere, if it is one."""
        return self._raw.file()

    def close(self) -> None:
        """Close the raw stream."""
        self._raw.close()

    def _unpacked(self) -> Iterator[bytes]:
        chunks = self._raw.chunks()
        first = next(chunks, b"")
        packing = next((kind for magic, kind in _PACKED.items() if first.startswith(magic)), "")
        if self._packing and not packing and len(first) < 4:
            packing = self._packing  # too little to tell
        if packing != self._packing and first:
            is_packed = f"is packed with {_PACKED_NAMES[packing]}" if packing else "is not packed"
            self._notes.append(f"{self.name} {is_packed}, whatever its name says")
            self._guessed = self._guessed or not packing
        both = _and(first, chunks)
        return Unpacked(_Rest(self._raw, both), packing).chunks() if packing else both

    def _refuse_what_is_no_text(self, first: bytes) -> None:
        head = first[:LOOK]
        for magic, what, remedy in _KINDS:
            if head.startswith(magic) and (len(magic) > 4 or not _is_text(head)):
                raise Refused(f"{self.name} is {what}", remedy=remedy.format(name=self.name))
        if _BZIP2.match(head):
            raise Refused(f"{self.name} is bzip2-packed", remedy=f"bzcat {self.name} | … -")
        if head[_AT_TAR:].startswith(b"ustar") and not _is_text(head):
            raise Refused(f"{self.name} is a tar archive", remedy=f"tar -xf {self.name}, then 'files:FOLDER/**'")
        if self._encoding is not None or any(head.startswith(mark) for mark, _ in _MARKS):
            return
        if b"\0" in head and self._kind in ("csv", "tsv", "json", "jsonl", "text") and _looks_wide(head):
            order = "le" if head[1:2] == b"\0" else "be"
            raise Refused(f"{self.name} is UTF-16, by the look of it", remedy=f"--encoding utf-16-{order}")
        if self._guessed:
            self._refuse_guess(head)

    def _refuse_guess(self, head: bytes) -> None:
        if (at := head.find(b"\0")) >= 0:
            raise Refused(f"{self.name} is not text", f"byte {at} is NUL", remedy="--format says what it is")
        try:
            codecs.getincrementaldecoder("utf-8")().decode(head)
        except UnicodeDecodeError as error:
            bad = f"byte 0x{head[error.start]:02x} at position {error.start} is not UTF-8"
            raise Refused(f"{self.name} is not UTF-8 text", bad, remedy="--encoding latin-1") from None

    def _hint(self, first: bytes) -> None:
        line = first[:LOOK].removeprefix(BOM).lstrip().partition(b"\n")[0]
        if self._kind != "text" or line[:1] not in (b"{", b"["):
            return
        try:
            msgspec.json.decode(line)
        except (ValueError, RecursionError):
            return
        self._notes.append(
            f"the first line of {self.name} is JSON, and is read as text; --format jsonl reads its value"
        )


class _Rest:
    """A byte stream of which some was read already."""

    def __init__(self, stream: ByteStream, chunks: Iterator[bytes]) -> None:
        self.name: str = stream.name
        self._stream = stream
        self._chunks = chunks

    @property
    def size(self) -> int | None:
        return self._stream.size

    @property
    def consumed(self) -> int:
        return self._stream.consumed

    def chunks(self) -> Iterator[bytes]:
        return self._chunks

    def file(self) -> Any:
        return self._stream.file()

    def close(self) -> None:
        self._stream.close()


def checked_encoding(name: str) -> str:
    """Return the name of an encoding of text; Refused if there is none of this name.

    >>> checked_encoding("Latin1")
    'iso8859-1'
    """
    try:
        found = codecs.lookup(name)
        if not found._is_text_encoding:  # base64, zlib and their like
            raise LookupError
        found.incrementaldecoder("whilst-bad").decode(b"a", True)  # some can do nothing else than raise
    except (LookupError, TypeError, ValueError):
        known = ("utf-8", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252", "cp1250", "shift_jis", "gb18030")
        likely = closest(name.lower(), known) or "latin-1"
        raise Refused(f"{name!r} is not an encoding of text", "such as " + ", ".join(known), remedy=likely) from None
    return found.name


def _utf8(text: str) -> bytes:
    """Return the UTF-8 of a text; what could not be decoded becomes bytes that are none, and costs its row."""
    return text.encode("utf-8", "surrogatepass")


def _and(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _is_text(head: bytes) -> bool:
    return not re.search(rb"[\0-\x08\x0e-\x1a\x7f]", head)


def _looks_wide(head: bytes) -> bool:
    """Whether every other byte is NUL, and no others are, as in UTF-16 of Latin letters without a mark."""
    head = head[: len(head) // 2 * 2]
    few, many = sorted((head[1::2].count(0), head[::2].count(0)))
    return len(head) >= 8 and many > len(head) * 0.4 and few < len(head) * 0.05
