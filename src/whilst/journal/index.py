"""Which inputs are done, and where in the journal are their outcomes?

One dict for all inputs, from 60 bits of the digest to the number of a block of outcomes: a shared int, so that an
input costs its key and its share of the dict (measured: 74 to 92 bytes). The rest of the digest is compared when the
block is read. An input that was seen in this run has None instead of a block, and so equal inputs are noticed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from itertools import repeat
from typing import Any, Final

from .frame import Columns, Head, checked
from .identity import nth
from .store import Store

BLOCK = 4096  # outcomes; small commits are read many at a time
BLOCK_BYTES = 4 * 1024 * 1024
KEPT = 4  # blocks in memory; inputs mostly come in about the order in which they were done
FIRST_LOOKS = 8  # in a block, before a dict of it pays

NOWHERE: Final[Any] = -1


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

    def look_up(self, keys: list[int], rests: list[int]) -> list[int]:
        """Count inputs as seen, in order, and return the blocks they are in; -1: in none, so they are to be called.

        `keys` and `rests` become those of their occurrences, where equal ones were seen before.
        """
        table = self._table
        blocks: list[Any] = list(map(table.get, keys, repeat(NOWHERE)))
        if None in blocks or len(set(keys)) < len(keys):  # some were seen before: one after another
            return self._with_repeats(keys, rests)
        table.update(zip(keys, repeat(None)))
        return blocks

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

    def _with_repeats(self, keys: list[int], rests: list[int]) -> list[int]:
        """Tell occurrences of a content apart: a later one is known by the first one and its number."""
        blocks: list[int] = []
        for place, (first, rest) in enumerate(zip(keys, rests, strict=True)):
            key = first
            while (block := self._table.get(key, NOWHERE)) is None:
                number = self._repeats[first] = self._repeats.get(first, 0) + 1
                key, rests[place] = nth(first, rest, number)
            self._table[key] = None
            keys[place] = key
            blocks.append(block)
        return blocks


class Block:
    """Some rows in a row, in memory."""

    __slots__ = ("_columns", "_looks", "_places", "_rows")

    def __init__(self, frames: list[bytes], journal: bytes) -> None:
        heads = ((frame, checked(frame, journal)) for frame in frames)
        self._columns = [Columns(frame, head) for frame, head in heads if head is not None]
        self._looks = 0
        self._places: dict[int, tuple[Columns, int]] = {}
        self._rows: dict[int, int] | None = None

    def find(self, key: int, rest: int) -> tuple[Columns, int] | None:
        """Return where an outcome is; None if it is not here."""
        found = self._places.get(key) if self._looks == FIRST_LOOKS else self._search(key)
        return found if found is not None and found[0].rests[found[1]] == rest else None

    def values(self, keys: Sequence[int], rests: Sequence[int]) -> list[bytes] | None:
        """Return the values of many at once, if all are here and none is a failure or took several attempts."""
        if len(self._columns) != 1 or len(keys) < FIRST_LOOKS or not self._columns[0].plain:
            return None
        (columns,) = self._columns
        if self._rows is None:
            self._rows = dict(zip(columns.keys, range(columns.count), strict=True))
        places: list[Any] = list(map(self._rows.get, keys))
        if None in places or list(map(columns.rests.__getitem__, places)) != rests:
            return None
        return columns.values(places)

    def _search(self, key: int) -> tuple[Columns, int] | None:
        self._looks += 1
        if self._looks == FIRST_LOOKS:
            for columns in self._columns:
                self._places.update(zip(columns.keys, zip(repeat(columns), range(columns.count)), strict=False))
        for columns in reversed(self._columns):
            place = columns.find(key)
            if place >= 0:
                return columns, place
        return None
