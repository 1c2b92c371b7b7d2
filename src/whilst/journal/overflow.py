"""Where do outcomes go that the journal cannot take any more? Into a file of lines beside it, and back at the next run.

When the disk is full, the directory of the journal may still have room for a few lines, or else the one for temporary
files. Every line has the CRC of what is in it.
"""

from __future__ import annotations

import base64
import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any
from zlib import crc32

import msgspec

from ..files import open_regular
from .failure import Failure
from .frame import Item
from .store import sync_directory
from .tagged import json_of, natural


class Line(msgspec.Struct, omit_defaults=True):
    """One outcome: what a reader wants to see first, then what is needed to take it in again."""

    input: msgspec.Raw
    value: msgspec.Raw = msgspec.Raw(b"null")
    error: Failure | None = None
    attempts: int = 1
    raw: str = ""
    """Input and value with their tags, where they have any: base64 of both and their ends."""
    key: int = 0
    rest: int = 0
    started: float = 0.0
    took: float = 0.0
    began: float = 0.0
    crc: int = 0


_line_of = msgspec.json.Decoder(Line).decode


class Overflow:
    """The rescue file of one journal."""

    def __init__(self, path: str, journal: bytes) -> None:
        self.candidates: tuple[str, ...] = (
            f"{path}.rescue.jsonl",
            os.path.join(tempfile.gettempdir(), f"whilst-{journal.hex()}.rescue.jsonl"),
        )
        self._journal = journal
        self.path: str = ""
        """Where outcomes were written to."""
        self.written: int = 0
        self.failed: int = 0

    def write(self, items: Sequence[Item]) -> bool:
        """Write outcomes to the first place that takes them; return whether they are on its disk."""
        lines = b"".join(map(self._line, items))
        for path in (self.path,) if self.path else self.candidates:
            if _append(path, lines):
                self.path = path
                self.written += len(items)
                return True
        self.failed += len(items)
        return False

    def read(self) -> Iterator[Item]:
        """Give the whole outcomes of earlier runs' rescue files."""
        for path in self.candidates:
            try:
                with open(open_regular(path), "rb") as file:
                    for text in file:
                        item = self._item(text)
                        if item is not None:
                            yield item
            except OSError:
                continue

    def remove(self) -> None:
        """Remove the files, when what they held is in the journal."""
        for path in self.candidates:
            with contextlib.suppress(OSError):
                os.unlink(path)

    def _line(self, item: Item) -> bytes:
        is_failure = isinstance(item.value, Failure)
        value = b"null" if is_failure else item.value if isinstance(item.value, bytes) else json_of(item.value)
        both = b"%d %b%b" % (len(item.input), item.input, value)
        line = Line(
            input=msgspec.Raw(natural(item.input)),
            value=msgspec.Raw(natural(value)),
            error=item.value if isinstance(item.value, Failure) else None,
            attempts=item.attempts,
            raw=base64.b64encode(both).decode(),
            key=item.key,
            rest=item.rest,
            started=item.started,
            took=item.took,
            began=item.began,
        )
        line.crc = self._crc(line)
        return json_of(line) + b"\n"

    def _item(self, text: bytes) -> Item | None:
        try:
            line = _line_of(text)
            if line.crc != self._crc(line):
                return None
            size, _, both = base64.b64decode(line.raw).partition(b" ")
            value: Any = both[int(size) :] if line.error is None else line.error
            times = line.started, line.took, line.began
            return Item(line.key, line.rest, both[: int(size)], value, line.attempts, *times)
        except (msgspec.DecodeError, ValueError):  # a line that was cut off
            return None

    def _crc(self, line: Line) -> int:
        bare = [line.error, line.attempts, line.raw, line.key, line.rest, line.started, line.took]
        if line.began:  # lines of 0.1 have none
            bare.append(line.began)
        return crc32(json_of(bare), crc32(self._journal))


def _append(path: str, data: bytes) -> bool:
    """Append to a file of our own, all or nothing."""
    try:
        fd = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    except OSError:
        return False
    try:
        before = os.fstat(fd).st_size
        try:
            while data:
                data = data[os.write(fd, data) :]
            os.fsync(fd)
            if not before:  # its name is not on the disk yet
                sync_directory(os.path.dirname(path))
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(fd, before)
            return False
        return True
    finally:
        os.close(fd)
