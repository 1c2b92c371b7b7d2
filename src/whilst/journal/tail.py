"""How long was the journal when it was last seen? Told beside the file, because SQLite does not tell.

A damaged write-ahead log ends, for SQLite, before the damage: committed rows are gone and its own check says "ok". So
after each commit the end of the chain is written here, in two slots by turns, so that one is always whole. It is not
synced: after a power failure it may tell of less than there is, never of more.
"""

from __future__ import annotations

import contextlib
import os
from struct import Struct
from zlib import crc32

from ..files import open_regular
from .frame import Last

_SLOT = Struct("<8sQQII")  # journal, n, total, crc of the last frame, crc of this slot
_STRIDE = 64


class Tail:
    """The file `<path>.tail`."""

    def __init__(self, path: str) -> None:
        self._path = f"{path}.tail"
        self._fd = -1

    def read(self, journal: bytes) -> tuple[bytes, Last] | None:
        """Return of which journal (any, if none is given) which end of the chain was told last; None if of none."""
        try:
            with open(open_regular(self._path), "rb") as file:
                data = file.read(2 * _STRIDE)
        except OSError:
            return None
        ends = (_end(data[at : at + _SLOT.size], journal) for at in (0, _STRIDE))
        return max((end for end in ends if end is not None), key=_place, default=None)

    def write(self, journal: bytes, last: Last) -> None:
        """Tell the end of the chain; OSError if that fails."""
        if self._fd < 0:
            self._fd = open_regular(self._path, os.O_RDWR | os.O_CREAT)
        data = _SLOT.pack(journal, *last, 0)[:-4]
        os.pwrite(self._fd, data + crc32(data).to_bytes(4, "little"), last.n % 2 * _STRIDE)

    def forget(self) -> None:
        """Remove what was told of a journal that is not there any more."""
        with contextlib.suppress(OSError):
            os.unlink(self._path)

    def close(self) -> None:
        """Close the file; idempotent."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _place(end: tuple[bytes, Last]) -> Last:
    return end[1]


def _end(slot: bytes, journal: bytes) -> tuple[bytes, Last] | None:
    if len(slot) < _SLOT.size or crc32(slot[:-4]) != int.from_bytes(slot[-4:], "little"):
        return None
    found, n, total, crc, _ = _SLOT.unpack(slot)
    return (found, Last(n, total, crc)) if found == journal or not journal else None
