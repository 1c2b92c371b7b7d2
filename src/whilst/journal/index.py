"""Which inputs are done, and where in the journal are their outcomes?

One dict for all inputs, from 60 bits of the digest to the number of a block of outcomes: a shared int, so that an
input costs its key and its share of the dict (measured: 74 to 92 bytes). The rest of the digest is compared when the
block is read. An input that was seen in this run has None instead of a block, and so equal inputs are noticed.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate, islice, repeat
from typing import Any, Final

from .failure import Failure
from .frame import OUTCOMES, Columns, Head, checked
from .identity import nth
from .store import Store

BLOCK = 4096  # outcomes; small commits are read many at a time
BLOCK_BYTES = 4 * 1024 * 1024
KEPT_BYTES = 24 * 1024 * 1024  # of blocks in memory, at least
KEPT_EACH = 30  # bytes of blocks in memory for each input: most of a journal of small values, for inputs in any order
UNFOLDED = 4  # blocks; an outcome takes 250 bytes more there, and inputs mostly come about as they were done
WORTH = 16  # a block is unfolded for this part of its outcomes at once; fewer are searched, 5 µs each

NOWHERE: Final[Any] = -1
_ABSENT = (-1, -1)  # no rest is negative


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
        self._kept = 0

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
        new: dict[int, int | None] = dict.fromkeys(keys)
        if len(new) == len(keys) and table.keys().isdisjoint(new):  # none was ever seen: half of what a look takes
            table.update(new)
            return [NOWHERE] * len(keys)
        blocks: list[Any] = list(map(table.get, keys, repeat(NOWHERE)))
        if None in blocks or len(new) < len(keys):  # some were seen before: one after another
            return self._with_repeats(keys, rests)
        table.update(new)
        return blocks

    def block(self, number: int, store: Store, journal: bytes) -> Block:
        """Return a block, read if it is not in memory."""
        blocks = self._blocks
        found = blocks.get(number)
        if found is None:
            found = blocks[number] = Block(store.between(*self._rows[number]), journal)
            self._kept += found.size
            most = max(KEPT_BYTES, KEPT_EACH * len(self._table))
            while self._kept > most and len(blocks) > 1:
                self._kept -= blocks.popitem(last=False)[1].size
        else:
            blocks.move_to_end(number)
        for older in islice(reversed(blocks.values()), UNFOLDED, UNFOLDED + 1):
            older.fold()
        return found

    def _with_repeats(self, keys: list[int], rests: list[int]) -> list[int]:
        """Tell occurrences apart; what a later one is known by follows from the first one and its number."""
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
    """Some rows in a row, in memory; an outcome is found by its place among all of them.

    Attributes:
        failures: the failures, by place.
        attempts: how many there were, by place, where it was not one.
        size: about how many bytes it takes, folded.
    """

    __slots__ = ("_columns", "_places", "_starts", "_texts", "attempts", "failures", "size")

    def __init__(self, frames: list[bytes], journal: bytes) -> None:
        heads = ((frame, checked(frame, journal)) for frame in frames)
        self._columns = [Columns(frame, head) for frame, head in heads if head is not None and head.kind == OUTCOMES]
        self._starts = [0, *accumulate(columns.count for columns in self._columns)]
        self.failures: dict[int, Failure] = {}
        self.attempts: dict[int, int] = {}
        for start, columns in zip(self._starts, self._columns, strict=False):
            self.failures.update((start + place, failure) for place, failure in columns.failures.items())
            self.attempts.update((start + place, number) for place, number in columns.attempts.items())
        self.size: int = sum(map(len, frames))
        self._places: dict[int, tuple[int, int]] = {}
        self._texts: list[bytes] = []

    def places(self, keys: Sequence[int], rests: Sequence[int]) -> list[int]:
        """Return where outcomes are; -1 for one that is not here."""
        if not self._texts:
            if len(keys) * WORTH < self._starts[-1]:
                return list(map(self._search, keys, rests))
            self._unfold()
        found = map(self._places.get, keys, repeat(_ABSENT))
        return [place if rest == own else -1 for rest, (place, own) in zip(rests, found, strict=True)]

    def texts(self, places: Sequence[int]) -> list[bytes]:
        """Return values as JSON; `null` for a failure."""
        if self._texts:
            return list(map(self._texts.__getitem__, places))
        which = [bisect_right(self._starts, place) - 1 for place in places]
        return [self._columns[at].value(place - self._starts[at]) for at, place in zip(which, places, strict=True)]

    def fold(self) -> None:
        """Give back the memory that makes looking up many fast."""
        self._places, self._texts = {}, []

    def _search(self, key: int, rest: int) -> int:
        for start, columns in zip(reversed(self._starts[:-1]), reversed(self._columns), strict=True):
            place = columns.find(key)
            if place >= 0:
                return start + place if columns.rests[place] == rest else -1
        return -1

    def _unfold(self) -> None:
        for start, columns in zip(self._starts, self._columns, strict=False):
            places = range(start, start + columns.count)
            self._places.update(zip(columns.keys, zip(places, columns.rests, strict=True), strict=True))
            self._texts += columns.values()
