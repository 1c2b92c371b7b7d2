"""Which inputs wait for another attempt, and until when?

A waiting input stands in a heap with one timer for all; it holds no lane, no permit and no thread. Its last failure is
kept until the next attempt has ended: should that never be made, the failure is what became of the input.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any

from ..core.budget import Budget
from ..core.outcome import Record, noted_retry
from ..core.pushback import Pushback
from ..lanes.chance import draw

if TYPE_CHECKING:
    from ..core.retry import Retry


class Attempts:
    """The retries of one run; `now` is the run's clock."""

    def __init__(self, retry: Retry, now: float, draw: Callable[[], float] = draw) -> None:
        self.retry: Retry = retry
        self.made: int = 0
        """How many retries have been started."""
        self.tried: dict[int, tuple[Record, float]] = {}
        """By index, for inputs that failed and have no outcome yet: the last failure, and when the first call began."""
        self._draw = draw
        self._total = inf if retry.total is None else retry.total
        self._budget = Budget(retry.budget, now) if retry.budget is not None else None
        self._waiting: list[tuple[float, int]] = []  # (due, index)

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def next_due(self) -> float | None:
        """When the first of those that wait is due."""
        return self._waiting[0][0] if self._waiting else None

    def number(self, index: int) -> int:
        """Return which attempt the next call for this input is, from 1."""
        before = self.tried.get(index)
        return 1 if before is None else before[0][6] + 1

    def ends_at(self, index: int, started: float) -> float:
        """Return when the time for all attempts of an input is over, if its current one began at `started`."""
        before = self.tried.get(index)
        return (started if before is None else before[1]) + self._total

    def again(self, record: Record, pushback: Pushback | None, calls: int, now: float) -> bool:
        """Let a failed input wait for another attempt, or return False: this failure is its outcome.

        `calls` is how many inputs have been called so far. A judge that raises ends the attempts, with a note.
        """
        index, _, _, error, started, _, attempt = record
        assert error is not None
        try:
            wait = self.retry.wait(error, attempt, self._draw(), pushback)
        except Exception as broken:
            noted_retry(error, broken)
            return False
        before = self.tried.get(index)
        first = started if before is None else before[1]
        left = first + self._total - now
        if wait is None or wait >= left:
            return False
        if self._budget is not None:
            allowed = self._budget.withdraw(calls, now, left)
            if allowed is None:
                return False
            wait = max(wait, allowed)
        self.tried[index] = (record, first)
        heapq.heappush(self._waiting, (now + wait, index))
        return True

    def due(self, now: float) -> list[tuple[int, Any]]:
        """Return the inputs whose time has come."""
        found: list[tuple[int, Any]] = []
        while self._waiting and self._waiting[0][0] <= now:
            record = self.tried[heapq.heappop(self._waiting)[1]][0]
            found.append((record[0], record[1]))
        self.made += len(found)
        return found

    def settle(self, unwanted: Callable[[int], bool]) -> list[Record]:
        """Give up waiting inputs, by their index; return their last failures."""
        settled = [self.tried.pop(index)[0] for _, index in self._waiting if unwanted(index)]
        if settled:
            self._waiting = [entry for entry in self._waiting if not unwanted(entry[1])]
            heapq.heapify(self._waiting)
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
                if first + self._total <= now:
                    late.add(index)
                else:
                    following = min(following, first + self._total)
        return late, following
