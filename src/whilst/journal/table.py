"""In which block is what is known by a key? A dict says so for the first keys, a few bytes each for all others.

A dict takes 74 to 92 bytes a key, and as long for a look as memory takes twice. Beyond `DICT` keys, others go into flat
tables with open addressing: 4 bytes a slot, and 2 more where the block must be known. A slot is found by some bits of a
key and holds 31 more, so of ten million inputs one is taken for another in one run of a hundred, and called once too
often: what was kept of the other does not fit (see `index`), so no value is ever wrong.

A full table is left as it is, and another one begun: nothing is moved, which would hold the loop for seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress, repeat
from mmap import ACCESS_COPY, mmap
from typing import Any, Final, Literal

DICT = (
    (1 << 21) * 2 // 3
)  # keys in the dict, as many as one of 2^21 slots takes: 90 MiB; a look at it takes half as long
BITS = 24  # of a flat table: 64 MiB, for ten million keys; each further one costs every key a look, 0.5 µs
FULL = 0.625  # of the slots are taken, and a look meets 4 of them: all on one line of memory
NOWHERE: Final[Any] = -1

_WIDTH = 60
_ALL = (1 << _WIDTH) - 1
_PART, _TAKEN = (1 << 31) - 1, 1 << 31
# Keys may be ints in a row, or multiples of something; times the golden ratio they spread.
_SPREAD = 0x9E3779B97F4A7C1
_SEEN = 0
_NARROW = (1 << 16) - 2  # blocks that two bytes can tell

Where = int | None


class Table:
    """What is known of keys: the block of an earlier run's outcome, or None for one that was seen in this run."""

    def __init__(self) -> None:
        self._dict: dict[int, Where] = {}
        self._flat: list[Flat] = []

    def __len__(self) -> int:
        return len(self._dict) + sum(flat.count for flat in self._flat)

    @property
    def is_crowded(self) -> bool:
        """Whether there is more than the dict."""
        return bool(self._flat)

    def expect(self, count: int) -> None:
        """Make room for keys that are about to be put, so that one table takes them."""
        if count > DICT:
            self._flat.append(Flat(int(count / FULL).bit_length()))

    def put(self, keys: Sequence[int], block: int) -> set[int]:
        """Say of keys in which block they are; return the blocks in which some were before."""
        before: list[Any]
        if self._flat or len(self._dict) + len(keys) > DICT:
            before = self._exchange(keys, block)
        else:
            before = [] if self._dict.keys().isdisjoint(keys) else list(map(self._dict.get, keys, repeat(NOWHERE)))
            self._dict.update(zip(keys, repeat(block)))
        return {*before} - {NOWHERE}

    def see(self, keys: list[int]) -> list[Any]:
        """Say of keys, in order, that they were seen, and return where they were: a block, `NOWHERE`, or None."""
        if self._flat or len(self._dict) + len(keys) > DICT:
            return self._exchange(keys, None)
        known = self._dict
        new: dict[int, Where] = dict.fromkeys(keys)
        if len(new) < len(keys):
            return [self._swap(key, None) for key in keys]
        before = [NOWHERE] * len(keys) if known.keys().isdisjoint(new) else list(map(known.get, keys, repeat(NOWHERE)))
        known.update(new)
        return before

    # -- private, in order of use -----------------------------------------------------------------------------

    def _exchange(self, keys: Sequence[int], block: Where) -> list[Any]:
        """Say of keys, in order, where they are, and return where they were, when there is more than the dict."""
        if self._dict.keys().isdisjoint(keys):
            return self._exchange_in_flat(keys, block)
        in_dict = [key in self._dict for key in keys]
        others = iter(self._exchange_in_flat(list(compress(keys, [not each for each in in_dict])), block))
        return [self._swap(key, block) if is_in else next(others) for key, is_in in zip(keys, in_dict, strict=True)]

    def _swap(self, key: int, block: Where) -> Any:
        before = self._dict.get(key, NOWHERE)
        self._dict[key] = block
        return before

    def _exchange_in_flat(self, keys: Sequence[int], block: Where) -> list[Any]:
        if not self._flat or self._flat[-1].room < len(keys):
            self._flat.append(Flat(BITS))
        return self._exchange_from(0, keys, block)

    def _exchange_from(self, level: int, keys: Sequence[int], block: Where) -> list[Any]:
        """Change what a flat table or one after it has; what none has goes into the last."""
        is_last = level + 1 == len(self._flat)
        before = self._flat[level].exchange(keys, block, add=is_last)
        if is_last or not (lost := before.count(NOWHERE)):
            return before
        if lost == len(keys):
            return self._exchange_from(level + 1, keys, block)
        is_lost = [each == NOWHERE for each in before]
        others = iter(self._exchange_from(level + 1, list(compress(keys, is_lost)), block))
        return [next(others) if lost else each for each, lost in zip(before, is_lost, strict=True)]


class Flat:
    """A table of a fixed size."""

    def __init__(self, bits: int) -> None:
        self.count: int = 0
        self.bits: int = bits
        self._slots = _zeros("I", bits)  # 0: free, else 31 bits of a key, and the highest bit
        self._blocks: memoryview[int] | None = None  # plus one; `_SEEN`: in this run

    @property
    def room(self) -> int:
        """How many more keys it takes."""
        return int(FULL * (1 << self.bits)) - self.count

    def exchange(self, keys: Sequence[int], block: Where, *, add: bool) -> list[Any]:
        """Say of keys, in order, where they are, and return where they were; those that are new are added, or not."""
        slots, shift, last = self._slots, _WIDTH - self.bits, (1 << self.bits) - 1
        blocks = self._blocks if block is None else self._blocks_for(block)
        mark, new = _SEEN if block is None else block + 1, 0
        before: list[Any] = [NOWHERE] * len(keys)
        for place, key in enumerate(keys):
            spread = key * _SPREAD & _ALL
            own, at = spread & _PART | _TAKEN, spread >> shift
            while (found := slots[at]) != own:
                if not found:
                    if add:
                        slots[at] = own
                        new += 1
                        if mark and blocks is not None:
                            blocks[at] = mark
                    break
                at = at + 1 & last
            else:
                before[place] = None
                if blocks is not None:
                    if was := blocks[at]:
                        before[place] = was - 1
                    blocks[at] = mark
        self.count += new
        return before

    def _blocks_for(self, block: int) -> memoryview[int]:
        """Return the blocks, with room for the number of one more."""
        if self._blocks is None:
            self._blocks = _zeros("H", self.bits)
        if block >= _NARROW and self._blocks.format == "H":
            narrow, self._blocks = self._blocks, _zeros("I", self.bits)
            for at in compress(range(len(narrow)), narrow):
                self._blocks[at] = narrow[at]
        return self._blocks


def _zeros(code: Literal["H", "I"], bits: int) -> memoryview[int]:
    """Return numbers that take no memory, and no time, before they are used."""
    size = 2 if code == "H" else 4
    return memoryview(mmap(-1, size << bits, access=ACCESS_COPY)).cast(code)  # for itself: a child has its own
