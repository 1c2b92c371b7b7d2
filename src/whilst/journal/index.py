"""Which inputs are done, and where in the journal are their outcomes?

One dict for all inputs, from 60 bits of the digest to the number of a block of outcomes: a shared int, so that an
input costs its key and its share of the dict (measured: 74 to 92 bytes). The rest of the digest is compared when the
block is read. An input that was seen in this run has None instead of a block, and so equal inputs are noticed.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import repeat
from typing import Any, Final

from .frame import Columns, Head, checked
from .identity import KEY_MASK, halves, nth_digest
from .store import Store

BLOCK = 4096  # outcomes; small commits are read many at a time
BLOCK_BYTES = 4 * 1024 * 1024
KEPT = 4  # blocks in memory; inputs mostly come in about the order in which they were done
FIRST_LOOKS = 8  # in a block, before a dict of it pays

_NEW: Final[Any] = -1


class Index:
    """The digests of a journal, and of the inputs of this run."""

    def __init__(self) -> None:
        self.failed: dict[int, str] = {}
        """The kinds of the failures that no success came after, by key."""
        self._table: dict[int, int | None] = {}
        self._repeats: dict[int, int] = {}
        self._rows: list[tuple[int, int]] = []
        self._count = self._bytes = 0
        self._blocks: OrderedDict[int, Block] = OrderedDict()

    def __len__(self) -> int:
        return len(self._table)

    def load(self, n: int, frame: bytes, head: Head) -> None:
        """Take the outcomes of a row; what comes later counts."""
        columns = Columns(frame, head)
        if not self._rows or self._count + head.count > BLOCK or self._bytes + len(frame) > BLOCK_BYTES:
            self._rows.append((n, n))
            self._count = self._bytes = 0
        self._rows[-1] = (self._rows[-1][0], n)
        self._count += head.count
        self._bytes += len(frame)
        keys = columns.keys
        self._table.update(zip(keys, repeat(len(self._rows) - 1)))
        if self.failed:
            for key in self.failed.keys() & set(keys):
                del self.failed[key]
        for place, failure in columns.failures.items():
            self.failed[keys[place]] = failure.kind

    def forget_failed(self) -> None:
        """Have failed inputs called again."""
        for key in self.failed:
            self._table.pop(key, None)

    def look_up(self, digest: bytes) -> tuple[int, int, int | None]:
        """Count an input as seen; return its key, the rest of its digest, and the block of its outcome, if any."""
        table = self._table
        key, rest = halves(digest)
        key &= KEY_MASK
        block = table.get(key, _NEW)
        if block is None:
            return self._repeated(digest, key)
        table[key] = None
        return key, rest, None if block == _NEW else block

    def block(self, number: int, store: Store, journal: bytes) -> Block:
        """Return a block, read if it is not in memory."""
        blocks = self._blocks
        found = blocks.get(number)
        if found is None:
            found = blocks[number] = Block(store.between(*self._rows[number]), journal)
            if len(blocks) > KEPT:
                blocks.popitem(last=False)
        else:
            blocks.move_to_end(number)
        return found

    def _repeated(self, first: bytes, key: int) -> tuple[int, int, int | None]:
        """Count a further occurrence of a content; its digest follows from the first one's and its number."""
        while True:
            number = self._repeats.get(key, 0) + 1
            self._repeats[key] = number
            nth, rest = halves(nth_digest(first, number))
            nth &= KEY_MASK
            block = self._table.get(nth, _NEW)
            if block is not None:
                self._table[nth] = None
                return nth, rest, None if block == _NEW else block


class Block:
    """Some rows in a row, in memory."""

    __slots__ = ("_columns", "_looks", "_places")

    def __init__(self, frames: list[bytes], journal: bytes) -> None:
        heads = ((frame, checked(frame, journal)) for frame in frames)
        self._columns = [Columns(frame, head) for frame, head in heads if head is not None]
        self._looks = 0
        self._places: dict[int, tuple[Columns, int]] = {}

    def find(self, key: int, rest: int) -> tuple[Columns, int] | None:
        """Return where an outcome is; None if it is not here."""
        self._looks += 1
        if self._looks == FIRST_LOOKS:
            for columns in self._columns:
                self._places.update(zip(columns.keys, zip(repeat(columns), range(columns.count)), strict=False))
        found = self._places.get(key) if self._looks >= FIRST_LOOKS else self._search(key)
        return found if found is not None and found[0].rests[found[1]] == rest else None

    def _search(self, key: int) -> tuple[Columns, int] | None:
        for columns in reversed(self._columns):
            place = columns.find(key)
            if place >= 0:
                return columns, place
        return None
