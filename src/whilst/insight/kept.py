"""Which calls are kept, of a run or of one step of a flow? All up to a bound; then one of many, and what is rare.

A call that went well is appended to three lists. Those that failed, were tried again or took longest cost more. Whoever
writes is given some thousands at a time; neither inputs nor values are kept until then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf
from typing import Final, TypeAlias

from ..core.failures import kind_of
from ..core.outcome import Record
from ..core.secrets import bounded, encodable
from .chunks import HIGH, Chunk
from .spans import FAILED, MOST_KINDS, RETRIED, SLOWEST, Kinds

ROWS: Final = 4096  # in a chunk
FEW: Final = 500  # calls that took longest, and are kept whatever is sampled
EXAMPLES: Final = 5  # failures of each kind that are shown with what they say
LONGEST: Final = 300  # characters of what a failure says


Calls: TypeAlias = "tuple[list[int], list[float], list[float]]"
"""Of some calls what `Columns` has."""


class Kept:
    """Calls that are kept until there is a chunk of them; used on one thread.

    Args:
        give: takes a chunk.
        whole: how many calls are kept before sampling begins, and then again before half as many are.
        path: of the step whose calls they are; "" of whole inputs.
        rows: how many are given at a time.
    """

    def __init__(self, give: Callable[[Calls, Chunk], None], whole: int, path: str = "", rows: int = ROWS) -> None:
        self._rows = rows
        self._give = give
        self._whole = whole
        self._path = path
        self._closed = False
        self._index: list[int] = []
        self._ends: list[float] = []
        self._took: list[float] = []
        self._marks: list[tuple[int, int, int]] = []
        self._kinds = Kinds()
        self._numbers: dict[str, int] = {}  # of kinds, as they are called before secrets are left out
        self._examples: list[tuple[int, int, str, int, float]] = []
        self._recalled = 0
        self._sampled = False
        self._stride = 1
        self._count = 0  # calls since the last one that was kept as one of many
        self._passed = 0  # calls in this chunk
        self._kept = 0
        self._slow = [-inf] * FEW

    def ended(self, record: Record) -> None:
        """Keep what became of a call."""
        index, _, _, error, started, took, attempts = record
        if error is not None or attempts != 1 or self._sampled or started != started:
            self.take(index, error, started, took, attempts)
            return
        self._index.append(index)
        self._ends.append(started + took + HIGH)
        self._took.append(took + HIGH)
        if len(self._took) == self._rows:
            self.hand_over()

    def take(self, index: int, error: BaseException | None, started: float, took: float, attempts: int) -> None:
        """Keep a call that is not as most are, or one of many."""
        if self._closed:
            return
        if started != started:
            self._recalled += 1
            return
        status = RETRIED if attempts != 1 else 0
        if error is not None:
            status = self._failed(index, error, took, attempts)
        elif self._sampled:
            self._passed += 1
            self._count += 1
            if self._count >= self._stride:
                self._count = 0
            elif took > self._slow[0]:
                status = SLOWEST
            else:
                return
            if took > self._slow[0]:
                heapq.heapreplace(self._slow, took)
        if status or attempts != 1:
            self._marks.append((len(self._took), status, attempts))
        self._index.append(index)
        self._ends.append(started + took + HIGH)
        self._took.append(took + HIGH)
        if len(self._took) == self._rows:
            self.hand_over()

    def hand_over(self) -> None:
        """Give what there is, and begin anew."""
        calls = self._index, self._ends, self._took
        count = len(self._took)
        if self._closed or not (count or self._passed):
            return
        self._index, self._ends, self._took = [], [], []
        failed = sum(mark[1] >= FAILED for mark in self._marks) if self._sampled else 0
        head = Chunk(
            *(0, 0.0, self._stride, self._passed + failed if self._sampled else count, self._marks),
            *([*self._kinds.names], [*self._kinds.counts], self._examples),
            recalled=self._recalled,
            path=self._path,
        )
        self._give(calls, head)
        self._passed = 0
        self._marks, self._examples = [], []
        self._kept += count
        if self._kept >= self._whole:
            self._kept = 0
            self._sampled = True
            self._stride *= 2

    def close(self) -> None:
        """Give the rest, and keep nothing any more."""
        self.hand_over()
        self._closed = self._sampled = True  # from here on `take` is asked, which takes nothing
        del self._give  # which leads to who records

    # -- private ----------------------------------------------------------------------------------------------

    def _failed(self, index: int, error: BaseException, took: float, attempts: int) -> int:
        kinds = self._kinds
        kind = kind_of(error)
        number = self._numbers.get(kind)
        if number is None:
            number = kinds.number(bounded(kind, LONGEST))
            if len(self._numbers) < 2 * MOST_KINDS:
                self._numbers[kind] = number
        kinds.counts[number] += 1
        if kinds.counts[number] <= EXAMPLES:
            self._examples.append((number, index, said_by(error), attempts, took))
        return FAILED + number


def said_by(error: BaseException) -> str:
    """Return `ValueError: what it says`, short and without secrets, whatever its `__str__` does."""
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as broken:
        text = f"(its text cannot be made: {type(broken).__name__})"
    return encodable(bounded(" ".join(f"{name}: {text}"[: LONGEST * 4].split()) if text else name, LONGEST))
