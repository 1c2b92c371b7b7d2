"""Which inputs are done, and where in the journal are their outcomes?

A table has 60 bits of the digest of each input and the number of a block of outcomes (see `table`); the rest of the
digest is compared when the block is read. An input that was seen in this run has None instead of a block, and so equal
inputs are noticed.

Inputs mostly come about as they were done. When there are more than the dict of the table takes, those of a block
that is in memory are found there, and which of them were seen is kept beside it until all were, or the run turns to
other blocks.
"""

from __future__ import annotations

from collections.abc import Callable, KeysView, Sequence
from itertools import accumulate, repeat
from typing import Any, NamedTuple

from .failure import Failure
from .frame import OUTCOMES, Columns, Head, checked
from .identity import nth
from .table import NOWHERE, Table

BLOCK = 4096  # outcomes; small commits are read many at a time
BLOCK_BYTES = 4 * 1024 * 1024
WORTH = 16  # a block is unfolded for this part of its outcomes at once; fewer are searched, 5 µs each
UNDER_WAY = 3  # blocks: outcomes lie about as the inputs came, so some of two come at a time

_ABSENT = (-1, -1)  # no rest is negative

KeysOf = Callable[[int], KeysView[int] | None]


class Index:
    """The digests of a journal, and of the inputs of this run."""

    def __init__(self) -> None:
        self.failed: dict[int, str] = {}
        """The kinds of the failures that no success came after, by key."""
        self.rows: list[tuple[int, int]] = []
        """The first and the last row of each block."""
        self._table = Table()
        self._again: set[int] = set()  # keys of failures that are to be called again
        self._repeats: dict[int, int] = {}
        self._count = self._bytes = 0
        self._follows = False  # whether inputs are looked for where they are expected
        self._keys_in: list[int] = []  # how many each block has
        self._under_way: dict[int, set[int]] = {}  # what was seen of some blocks; the table may not know of it
        self._all_seen: set[int] = set()  # blocks; the table does not know of it
        self._told: set[int] = set()  # blocks of which the table knows what was seen, or which are not whole
        self._latest = NOWHERE  # block that was found in the table

    def __len__(self) -> int:
        return len(self._table)

    def expect(self, count: int) -> None:
        """Make room for so many outcomes that are about to be loaded."""
        self._table.expect(count)

    def load(self, n: int, frame: bytes, head: Head) -> None:
        """Take the outcomes of a row; what comes later counts."""
        columns = Columns(frame, head)
        keys = list(columns.keys)
        if not self.rows or self._count + head.count > BLOCK or self._bytes + len(frame) > BLOCK_BYTES:
            self.rows.append((n, n))
            self._keys_in.append(0)
            self._count = self._bytes = 0
        self.rows[-1] = (self.rows[-1][0], n)
        self._count += head.count
        self._bytes += len(frame)
        block = len(self.rows) - 1
        before = len(self._table)
        self._told |= self._table.put(keys, block)
        self._follows = self._table.is_crowded
        self._keys_in[block] += len(self._table) - before
        if self.failed:
            for key in self.failed.keys() & set(keys):
                del self.failed[key]
        for place, failure in columns.failures.items():
            self.failed[keys[place]] = failure.kind
            self._told.add(block)

    def forget_failed(self) -> None:
        """Have failed inputs called again."""
        self._again = set(self.failed)

    def look_up(self, keys: list[int], rests: list[int], keys_of: KeysOf) -> list[int]:
        """Count inputs as seen, in order, and return the blocks they are in; -1: in none, so they are to be called.

        `keys` and `rests` become those of their occurrences, where equal ones were seen before. `keys_of` gives the
        keys of a block that is in memory, if they are at hand.
        """
        blocks = self._as_they_were_done(keys, keys_of) if self._under_way else None
        if blocks is None:
            blocks = self._see(keys)
            if None in blocks:
                self._tell_apart(keys, rests, blocks)
        return blocks

    def _as_they_were_done(self, keys: list[int], keys_of: KeysOf) -> list[int] | None:
        """Do it for inputs that all are of blocks under way and come for the first time; None if they are not."""
        left = set(keys)
        if len(left) < len(keys):
            return None
        parts: dict[int, set[int]] = {}
        for number, seen in self._under_way.items():
            here = keys_of(number)
            if here is None:
                continue
            if not seen.isdisjoint(left):
                return None
            parts[number] = left if here >= left else {key for key in left if key in here}
            left = left - parts[number]
            if not left:
                break
        if left:
            return None
        for number, part in parts.items():
            self._under_way[number] |= part
        if len(parts) == 1:
            return [*parts] * len(keys)
        where = {key: number for number, part in parts.items() for key in part}
        return [where[key] for key in keys]

    def _see(self, keys: list[int]) -> list[Any]:
        """Count inputs as seen, and return the blocks they are in, None for those that were seen before."""
        blocks = self._table.see(keys)
        if self._again and not self._again.isdisjoint(keys):
            for place, key in enumerate(keys):
                if key in self._again:
                    self._again.discard(key)
                    blocks[place] = NOWHERE
        if self._follows:
            for place, number in enumerate(blocks):
                if number is not None and number != NOWHERE and number not in self._told:
                    self._see_in(number, keys[place], blocks, place)
        return blocks

    def _see_in(self, number: int, key: int, blocks: list[Any], place: int) -> None:
        """Look whether an input was seen that the table has in a block of which it may not know that."""
        seen = self._under_way.get(number)
        if number in self._all_seen or (seen is not None and key in seen):
            blocks[place] = None
            return
        if seen is not None:
            seen.add(key)
        elif self._latest in (NOWHERE, number - 1):
            self._begin(number, key)
        else:
            self._told.add(number)
        self._latest = number

    def _begin(self, number: int, key: int) -> None:
        """Keep beside the table what is seen of a block from here on."""
        self._under_way[number] = {key}
        if len(self._under_way) > UNDER_WAY:
            left = next(iter(self._under_way))
            seen = self._under_way.pop(left)
            if len(seen) == self._keys_in[left]:
                self._all_seen.add(left)
            else:
                self._told.add(left)
                self._table.see(list(seen))

    def _tell_apart(self, keys: list[int], rests: list[int], blocks: list[Any]) -> None:
        """Tell occurrences apart; what a later one is known by follows from the first one and its number."""
        for place, (first, rest) in enumerate(zip(keys, rests, strict=True)):
            while blocks[place] is None:
                number = self._repeats[first] = self._repeats.get(first, 0) + 1
                keys[place], rests[place] = nth(first, rest, number)
                (blocks[place],) = self._see([keys[place]])


class Kept(NamedTuple):
    """What the journal kept of some inputs, column by column.

    Attributes:
        texts: values as JSON, `null` for a failure; None for an input that is not here after all.
        took: seconds of their last calls.
        attempts: how many there were.
        failures: the failures, by place.
    """

    texts: list[bytes | None]
    took: list[float]
    attempts: list[int]
    failures: dict[int, Failure]

    @classmethod
    def nothing(cls, count: int) -> Kept:
        """Return what is kept of so many inputs that are not here."""
        return cls([None] * count, [0.0] * count, [1] * count, {})

    def put(self, places: list[int], some: Kept) -> None:
        """Take what was kept of the inputs at some places."""
        for at, place in enumerate(places):
            self.texts[place], self.took[place], self.attempts[place] = some.texts[at], some.took[at], some.attempts[at]
        self.failures.update((places[at], failure) for at, failure in some.failures.items())

    def cut(self, begin: int, end: int) -> Kept:
        """Return those between two places."""
        failures = {place - begin: each for place, each in self.failures.items() if begin <= place < end}
        return Kept(self.texts[begin:end], self.took[begin:end], self.attempts[begin:end], failures)


class Unfolded(NamedTuple):
    """The outcomes of a block one by one: place and rest by key, values as JSON, seconds, by place."""

    places: dict[int, tuple[int, int]]
    texts: list[bytes]
    took: list[float]


class Block:
    """Some rows in a row, in memory; an outcome is found by its place among all of them.

    Attributes:
        size: about how many bytes it takes, folded.
    """

    __slots__ = ("_attempts", "_columns", "_failures", "_starts", "_unfolded", "size")

    def __init__(self, frames: list[bytes], journal: bytes) -> None:
        heads = ((frame, checked(frame, journal)) for frame in frames)
        self._columns = [Columns(frame, head) for frame, head in heads if head is not None and head.kind == OUTCOMES]
        self._starts = [0, *accumulate(columns.count for columns in self._columns)]
        self._failures: dict[int, Failure] = {}
        self._attempts: dict[int, int] = {}
        for start, columns in zip(self._starts, self._columns, strict=False):
            self._failures.update((start + place, failure) for place, failure in columns.failures.items())
            self._attempts.update((start + place, number) for place, number in columns.attempts.items())
        self.size: int = sum(map(len, frames))
        self._unfolded: Unfolded | None = None

    @property
    def keys(self) -> KeysView[int] | None:
        """The keys of its outcomes, while it is unfolded."""
        unfolded = self._unfolded
        return None if unfolded is None else unfolded.places.keys()

    def kept(self, keys: Sequence[int], rests: Sequence[int]) -> Kept:
        """Return what was kept of inputs."""
        unfolded = self._unfolded
        if unfolded is None:
            if len(keys) * WORTH < self._starts[-1]:
                return self._searched(keys, rests)
            unfolded = self.unfold()
        found = list(map(unfolded.places.get, keys, repeat(_ABSENT)))
        places = [place if rest == own else -1 for rest, (place, own) in zip(rests, found, strict=True)]
        if -1 in places:
            return self._some(places, unfolded)
        attempts, failures = [1] * len(places), dict[int, Failure]()
        if self._attempts:
            attempts = list(map(self._attempts.get, places, attempts))
        if self._failures:
            failures = {at: self._failures[place] for at, place in enumerate(places) if place in self._failures}
        texts, took = unfolded.texts, unfolded.took
        return Kept(list(map(texts.__getitem__, places)), list(map(took.__getitem__, places)), attempts, failures)

    def unfold(self) -> Unfolded:
        """Take the memory that makes looking up many fast."""
        places: dict[int, tuple[int, int]] = {}
        texts: list[bytes] = []
        took: list[float] = []
        for start, columns in zip(self._starts, self._columns, strict=False):
            numbers = range(start, start + columns.count)
            places.update(zip(columns.keys, zip(numbers, columns.rests, strict=True), strict=True))
            texts += columns.values()
            took += columns.took()
        self._unfolded = unfolded = Unfolded(places, texts, took)  # in one step: two threads look here
        return unfolded

    def fold(self) -> None:
        """Give it back."""
        self._unfolded = None

    def _some(self, places: list[int], unfolded: Unfolded) -> Kept:
        """Return what was kept of those that are here."""
        kept = Kept.nothing(len(places))
        for at, place in enumerate(places):
            if place >= 0:
                kept.texts[at], kept.took[at] = unfolded.texts[place], unfolded.took[place]
                self._describe(kept, at, place)
        return kept

    def _searched(self, keys: Sequence[int], rests: Sequence[int]) -> Kept:
        kept = Kept.nothing(len(keys))
        for at, (key, rest) in enumerate(zip(keys, rests, strict=True)):
            for start, columns in zip(reversed(self._starts[:-1]), reversed(self._columns), strict=True):
                place = columns.find(key)
                if place >= 0:
                    if columns.rests[place] == rest:
                        kept.texts[at], kept.took[at] = columns.value(place), columns.took_by(place)
                        self._describe(kept, at, start + place)
                    break
        return kept

    def _describe(self, kept: Kept, at: int, place: int) -> None:
        kept.attempts[at] = self._attempts.get(place, 1)
        if place in self._failures:
            kept.failures[at] = self._failures[place]
