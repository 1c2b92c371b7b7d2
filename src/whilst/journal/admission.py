"""Which inputs are to be called, and which are done? A few at a time, so that the loop is never held for long.

Inputs are identified on the loop. Those that seem to be in the journal are asked for; the writer's thread reads what
was kept of them, and values are made of that on the loop again, in portions.
"""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from itertools import accumulate, islice

from ..core.outcome import Record
from .codec import Values
from .identity import Identity
from .index import Index, Kept
from .lookup import Blocks, Inputs, Pair, records_of
from .table import NOWHERE
from .writer import Writer

FIRST_SLICE, SLICE = 64, 1024  # inputs that are taken at once
MOMENT = 0.004  # seconds that taking some holds the loop, about; the next time it is half as many, or twice
PORTION = 256 * 1024  # bytes of JSON that values are made of at once: 1 to 3 ms


class Admission:
    """The inputs of one run on their way to a call or to their outcome; on the loop, and never waiting for the disk.

    Attributes:
        looking: how many inputs it has taken of which it is not known yet whether they are to be called.
        called: how many are to be called.
        asked: how many questions the writer has not answered.
    """

    def __init__(
        self,
        index: Index,
        blocks: Blocks,
        identity: Identity,
        values: Values,
        writer: Writer,
        clock: Callable[[], float],
    ) -> None:
        self.looking: int = 0
        self.called: int = 0
        self.asked: int = 0
        self._index = index
        self._blocks = blocks
        self._identify = identity.of_some
        self._values = values
        self._writer = writer
        self._clock = clock
        self._slice = FIRST_SLICE
        self._answers: deque[tuple[Inputs, Kept]] = deque()

    @property
    def has_found(self) -> bool:
        """Whether `admit` has outcomes to give."""
        return bool(self._answers)

    def admit(self, inbox: deque[Pair], most: int) -> tuple[list[Pair], list[Record]]:
        """Take inputs, at most so many, and return those to call; and records of some taken earlier that are done."""
        calls: list[Pair] = []
        records: list[Record] = []
        count = min(most, len(inbox), self._slice)
        if count > 0:
            began = time.perf_counter()
            calls = self._take(inbox, count, records)
            took = time.perf_counter() - began
            if took > MOMENT:
                self._slice = max(1, count // 2)
            elif took < MOMENT / 4:
                self._slice = min(2 * self._slice, SLICE)
        self._give(calls, records)
        return calls, records

    def answer(self, inputs: Inputs, kept: Kept) -> None:
        """Take what the writer has found."""
        self.asked -= 1
        self._answers.append((inputs, kept))

    # -- private, in order of use -----------------------------------------------------------------------------

    def _take(self, inbox: deque[Pair], count: int, records: list[Record]) -> list[Pair]:
        """Identify inputs; have those looked up that seem to be done, return those to call, add those that failed."""
        pairs = list(islice(iter(inbox.popleft, None), count))
        keys, rests, texts, failed = self._identify([item for _, item in pairs])
        if (taken := len(keys) + len(failed)) < count:  # `key` is slow: the others come in the next round
            inbox.extendleft(reversed(pairs[taken:]))
            del pairs[taken:]
        if failed:  # no canonical form, or `key` raised: these fail, the others go on
            now = self._clock()
            records += [(*pairs[place], None, error, now, 0.0, 0) for place, error in failed.items()]
            pairs = [pair for place, pair in enumerate(pairs) if place not in failed]
            failed.clear()  # the frames of these failures keep this one
        inputs = Inputs(pairs, keys, rests, texts, self._index.look_up(keys, rests, self._blocks.keys_of))
        new = inputs.blocks.count(NOWHERE)
        if new == len(pairs):
            return self._to_call(inputs)
        known = [block != NOWHERE for block in inputs.blocks] if new else []
        self._ask(inputs.only(known) if new else inputs)
        return self._to_call(inputs.only([not each for each in known])) if new else []

    def _to_call(self, inputs: Inputs) -> list[Pair]:
        """Take note of inputs that are to be called."""
        self._writer.pending.update(
            zip(
                [index for index, _ in inputs.pairs],
                zip(inputs.keys, inputs.rests, inputs.texts, strict=True),
                strict=True,
            )
        )
        self.called += len(inputs.pairs)
        return inputs.pairs

    def _ask(self, inputs: Inputs) -> None:
        self.looking += len(inputs.pairs)
        kept = self._blocks.at_hand(inputs)
        if kept is not None:
            self._answers.append((inputs, kept))
        else:
            self.asked += 1
            self._writer.ask(inputs)
        if (following := self._blocks.next_wanted(inputs)) is not None:
            self._writer.read_on(following)

    def _give(self, calls: list[Pair], records: list[Record]) -> None:
        """Add of what was found as much as takes a moment to make values of."""
        if not self._answers:
            return
        inputs, kept = self._answers.popleft()
        count = len(inputs.pairs)
        if (end := _portion(kept.texts)) < count:
            self._answers.appendleft((inputs.cut(end, count), kept.cut(end, count)))
            inputs, kept = inputs.cut(0, end), kept.cut(0, end)
        self.looking -= end
        found, missing = records_of(self._values, inputs, kept)
        records += found
        if missing:
            calls += self._to_call(inputs.only(missing))


def _portion(texts: list[bytes | None]) -> int:
    """Return how many values have about `PORTION` bytes, at least one."""
    sizes = list(accumulate([0 if text is None else len(text) for text in texts]))
    return min(bisect_right(sizes, PORTION) + 1, len(sizes))
