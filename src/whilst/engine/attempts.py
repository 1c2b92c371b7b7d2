"""Which inputs of a map wait for another attempt, and until when?

A waiting input stands in a heap with one alarm for all; it holds no lane, no permit and no thread. Its last failure is
kept until the next attempt has ended: should that never be made, the failure is what became of the input.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from ..core.attempt import Attempts
from ..core.budget import Budget
from ..core.outcome import Record
from ..core.pushback import Pushback
from ..core.still import Still
from ..lanes.chance import draw

if TYPE_CHECKING:
    from ..core.retry import Retry


class Waiting:
    """The retries of one map; `now` is the run's clock."""

    def __init__(
        self,
        retry: Retry,
        now: float,
        draw: Callable[[], float] = draw,
        ask: Callable[..., Any] | None = None,
        still: Still | None = None,
    ) -> None:
        self.attempts: Attempts = Attempts(retry, now, draw, ask, still, gated=True)
        self._still = still if still is not None else Still()
        self.made: int = 0
        """How many retries have been started."""
        self.tried: dict[int, tuple[Record, float]] = {}
        """By index, for inputs that failed and have no outcome yet: the last failure, and when the first call began."""
        self._total = inf if retry.total is None else retry.total
        self._heap: list[tuple[float, int]] = []  # (due, index)

    @property
    def budget(self) -> Budget | None:
        """What bounds the retries."""
        return self.attempts.budget

    def __len__(self) -> int:
        return len(self._heap)

    @property
    def next_due(self) -> float | None:
        """When the first of those that wait is due."""
        return self._heap[0][0] if self._heap else None

    def number(self, index: int) -> int:
        """Return which attempt the next call for this input is, from 1."""
        before = self.tried.get(index)
        return 1 if before is None else before[0][6] + 1

    def first(self, index: int, started: float) -> float:
        """Return when the first call for an input began, if its current one began at `started`."""
        before = self.tried.get(index)
        return started if before is None else before[1]

    def again(self, record: Record, pushback: Pushback | None, calls: int, now: float) -> float | None:
        """Let a failed input wait for another attempt, and return the seconds; None: this failure is its outcome.

        `calls` is how many inputs have been called so far.
        """
        index, error, attempt = record[0], record[3], record[6]
        assert isinstance(error, Exception)
        first = self.first(index, record[4])
        wait = self.attempts.wait(error, pushback, attempt=attempt, first=first, calls=calls, now=now)
        if wait is None:
            return None
        self.tried[index] = (record, first)
        heapq.heappush(self._heap, (now + wait, index))
        return wait

    def due(self, now: float) -> list[tuple[int, Any]]:
        """Return the inputs whose time has come."""
        found: list[tuple[int, Any]] = []
        while self._heap and self._heap[0][0] <= now:
            record = self.tried[heapq.heappop(self._heap)[1]][0]
            found.append((record[0], record[1]))
        self.made += len(found)
        return found

    def settle(self, unwanted: Callable[[int], bool]) -> list[Record]:
        """Give up waiting inputs, by their index; return their last failures."""
        settled = [self.tried.pop(index)[0] for _, index in self._heap if unwanted(index)]
        if settled:
            self._heap = [entry for entry in self._heap if not unwanted(entry[1])]
            heapq.heapify(self._heap)
        return settled

    def unmade(self, index: int) -> Record | None:
        """Return the last failure of an input that was due and will not be called; None if it never failed."""
        before = self.tried.pop(index, None)
        if before is None:
            return None
        self.made -= 1
        return before[0]

    def late(self, now: float) -> tuple[set[int], float]:
        """Return the inputs whose time for all attempts is over, and when the next one's will be."""
        late: set[int] = set()
        following = inf
        if self._total < inf:
            for index, (_, first) in self.tried.items():
                due = first + self._total + self._still.within(first, now)
                if due <= now:
                    late.add(index)
                else:
                    following = min(following, due)
        return late, following
