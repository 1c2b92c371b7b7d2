"""What did the journal keep of these inputs? Read on the writer's thread, block by block; made into values on the loop.

The loop asks about some inputs at once and goes on; it is told when the answer is there. So it never waits for the
disk, and values are made (by the user's classes and codec too) where they always were. What is in memory it sees
itself: where inputs come about as they were done, it asks once a block, and the next one is read meanwhile.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, KeysView
from itertools import compress, islice
from typing import Any, NamedTuple

from ..core.outcome import ELSEWHEN, Record, short
from ..errors import Unstorable
from .codec import Values
from .index import Block, Index, Kept
from .store import Store

KEPT_BYTES = 24 * 1024 * 1024  # of blocks in memory: half a million small values, for inputs in any order
UNFOLDED = 4  # blocks; an outcome takes 250 bytes more there, and inputs mostly come about as they were done

Pair = tuple[int, Any]


class Inputs(NamedTuple):
    """Some inputs, column by column: themselves, what they are known by, their JSON, and the block each is in."""

    pairs: list[Pair]
    keys: list[int]
    rests: list[int]
    texts: list[bytes]
    blocks: list[int]

    def only(self, which: list[bool]) -> Inputs:
        """Return some of them."""
        return Inputs(
            list(compress(self.pairs, which)),
            list(compress(self.keys, which)),
            list(compress(self.rests, which)),
            list(compress(self.texts, which)),
            list(compress(self.blocks, which)),
        )

    def cut(self, begin: int, end: int) -> Inputs:
        """Return those between two places."""
        some = slice(begin, end)
        return Inputs(self.pairs[some], self.keys[some], self.rests[some], self.texts[some], self.blocks[some])


class Blocks:
    """The blocks of an open journal. The writer's thread reads them; the loop looks into those that are in memory."""

    def __init__(self, index: Index, store: Store, journal: bytes) -> None:
        self._index = index
        self._store = store
        self._journal = journal
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._size = 0
        self._wanted = -1
        self._guard = threading.Lock()  # of the two above; never held while the disk is read

    def at_hand(self, inputs: Inputs) -> Kept | None:
        """Return what was kept of inputs if that is in memory, on the loop."""
        blocks = {number: self._in_memory(number) for number in set(inputs.blocks)}
        return None if None in blocks.values() else _gathered(inputs, blocks.__getitem__)

    def keys_of(self, number: int) -> KeysView[int] | None:
        """Return the keys of a block that is in memory, if that takes no time, on the loop."""
        block = self._blocks.get(number)
        return None if block is None else block.keys

    def answer(self, inputs: Inputs) -> Kept:
        """Return what was kept of inputs, read from the disk, on the writer's thread."""
        return _gathered(inputs, self._read)

    def next_wanted(self, inputs: Inputs) -> int | None:
        """Return the block that is likely to be asked for next and is not in memory, if inputs come as they were done.

        Each is told once, so that it is read once.
        """
        number = inputs.blocks[-1] + 1
        if number == self._wanted or number in self._blocks or number >= len(self._index.rows):
            return None
        if len(set(inputs.blocks)) > 2:
            return None
        self._wanted = number
        return number

    def read_on(self, number: int) -> None:
        """Read a block before it is asked for."""
        if block := self._read(number):
            block.unfold()

    def _in_memory(self, number: int) -> Block | None:
        with self._guard:
            found = self._blocks.get(number)
            if found is not None:
                self._blocks.move_to_end(number)
                for older in islice(reversed(self._blocks.values()), UNFOLDED, UNFOLDED + 1):
                    older.fold()
        return found

    def _read(self, number: int) -> Block | None:
        """Return a block, from the disk if it is not in memory; None if the disk refuses: calling again is left."""
        found = self._in_memory(number)
        if found is not None:
            return found
        try:
            found = Block(self._store.between(*self._index.rows[number]), self._journal)
        except (sqlite3.Error, OSError):
            return None
        with self._guard:
            self._blocks[number] = found
            self._size += found.size
            while self._size > KEPT_BYTES and len(self._blocks) > 1:
                self._size -= self._blocks.popitem(last=False)[1].size
        return found


def _gathered(inputs: Inputs, block_of: Callable[[int], Block | None]) -> Kept:
    """Return what blocks have of inputs; nothing of one that is to be called after all.

    That is what has the same 60 bits as something else, or stood in a row that has been damaged since.
    """
    keys, rests, blocks = inputs.keys, inputs.rests, inputs.blocks
    if len(set(blocks)) == 1:
        block = block_of(blocks[0])
        return block.kept(keys, rests) if block is not None else Kept.nothing(len(keys))
    kept = Kept.nothing(len(keys))
    in_block: defaultdict[int, list[int]] = defaultdict(list)
    for place, number in enumerate(blocks):
        in_block[number].append(place)
    for number, places in in_block.items():
        if (block := block_of(number)) is not None:
            kept.put(places, block.kept([keys[place] for place in places], [rests[place] for place in places]))
    return kept


def records_of(values: Values, inputs: Inputs, kept: Kept) -> tuple[list[Record], list[bool]]:
    """Make records of what was kept, and say which inputs it was not kept of."""
    pairs = inputs.pairs
    if not kept.failures:
        try:
            made = values.decode_all(kept.texts)  # type: ignore[arg-type]  # if one is None, that raises
            rows = zip(pairs, made, kept.took, kept.attempts, strict=True)
            return [(index, item, value, None, ELSEWHEN, took, n) for (index, item), value, took, n in rows], []
        except Exception:  # one of them is not here, or does not fit any more: one by one
            pass
    missing = [text is None for text in kept.texts]
    places = [place for place, lost in enumerate(missing) if not lost]
    return [_record(values, pairs[place], kept, place) for place in places], missing if True in missing else []


def _record(values: Values, pair: Pair, kept: Kept, place: int) -> Record:
    value, took, attempts = None, kept.took[place], kept.attempts[place]
    error: Exception | None = None
    text = kept.texts[place] or b""
    if (failure := kept.failures.get(place)) is not None:
        error = failure.recorded()
    else:
        try:
            value = values.decode(text)
        except Exception as caught:  # msgspec's, or the user's codec's
            error = _unreadable(text, caught)
    return (*pair, value, error, ELSEWHEN, took, attempts)


def _unreadable(text: bytes, error: Exception) -> Unstorable:
    return Unstorable(
        f"the stored value does not fit any more: {text[:60].decode('utf-8', 'replace')}",
        f"{type(error).__name__}: {short(str(error), 200)}",
        remedy='Journal(…, codec=…) with the type it was stored as, or accept="fresh"',
    )
