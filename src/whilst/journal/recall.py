"""What did the journal keep of these inputs? Their outcomes, read block by block."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Sequence
from itertools import compress
from operator import itemgetter
from typing import Any

from ..core.outcome import Record, short
from ..errors import Unstorable
from .codec import Values
from .index import NOWHERE, Block, Index
from .store import Store

_by_index = itemgetter(0)


class Recall:
    """Reads the outcomes of inputs that are done from an open journal."""

    def __init__(self, index: Index, store: Store, values: Values, journal: bytes) -> None:
        self._index = index
        self._store = store
        self._values = values
        self._journal = journal

    def outcomes(
        self,
        pairs: Sequence[tuple[int, Any]],
        keys: Sequence[int],
        rests: Sequence[int],
        blocks: Sequence[int],
        records: list[Record],
    ) -> list[bool]:
        """Read the outcomes of inputs that are done, block by block; return which are to be called after all.

        Those are what has the same 60 bits as something else, or stood in a row that has been damaged since.
        """
        if len(set(blocks)) == 1:
            return self._of_block(blocks[0], pairs, keys, rests, records)
        again = [block == NOWHERE for block in blocks]
        in_block: defaultdict[int, list[int]] = defaultdict(list)
        for place, number in enumerate(blocks):
            if number != NOWHERE:
                in_block[number].append(place)
        for number, places in in_block.items():
            some = [pairs[place] for place in places]
            digests = [keys[place] for place in places], [rests[place] for place in places]
            for place, missing in zip(places, self._of_block(number, some, *digests, records), strict=True):
                again[place] = missing
        records.sort(key=_by_index)
        return again

    def _of_block(
        self,
        number: int,
        pairs: Sequence[tuple[int, Any]],
        keys: Sequence[int],
        rests: Sequence[int],
        records: list[Record],
    ) -> list[bool]:
        """Read outcomes that should be in one block."""
        try:
            block = self._index.block(number, self._store, self._journal)
        except (sqlite3.Error, OSError):  # the disk; calling again is what is left
            return [True] * len(pairs)
        places = block.places(keys, rests)
        missing = [place < 0 for place in places]
        if any(missing):
            here = [not each for each in missing]
            pairs, places = list(compress(pairs, here)), list(compress(places, here))
        if block.failures.keys().isdisjoint(places):
            records += self._values_of(pairs, block.texts(places), [block.attempts.get(place, 1) for place in places])
        else:
            records += [self._outcome(*pair, block, place) for pair, place in zip(pairs, places, strict=True)]
        return missing

    def _values_of(self, pairs: Sequence[tuple[int, Any]], texts: list[bytes], attempts: list[int]) -> list[Record]:
        try:
            values = self._values.decode_all(texts)
            return [(*pair, value, None, 0.0, 0.0, n) for pair, value, n in zip(pairs, values, attempts, strict=True)]
        except Exception:  # one of them does not fit any more: one by one
            return [self._record(*pair, text, n) for pair, text, n in zip(pairs, texts, attempts, strict=True)]

    def _outcome(self, index: int, item: Any, block: Block, place: int) -> Record:
        failure, attempts = block.failures.get(place), block.attempts.get(place, 1)
        if failure is not None:
            return index, item, None, failure.recorded(), 0.0, 0.0, attempts
        return self._record(index, item, block.texts([place])[0], attempts)

    def _record(self, index: int, item: Any, text: bytes, attempts: int) -> Record:
        try:
            return index, item, self._values.decode(text), None, 0.0, 0.0, attempts
        except Exception as error:  # msgspec's, or the user's codec's
            return index, item, None, _unreadable(text, error), 0.0, 0.0, attempts


def _unreadable(text: bytes, error: Exception) -> Unstorable:
    return Unstorable(
        f"the stored value does not fit any more: {text[:60].decode('utf-8', 'replace')}",
        f"{type(error).__name__}: {short(str(error), 200)}",
        remedy='Journal(…, codec=…) with the type it was stored as, or accept="fresh"',
    )
