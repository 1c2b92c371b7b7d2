"""Which inputs wait for another attempt, and until when?

A waiting input stands in a heap with one timer for all; it holds no lane, no permit and no thread.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from ..core.outcome import Record, noted_retry
from ..core.pushback import Pushback
from ..core.retry import Budget, Retry


class Attempts:
    """The retries of one run; `now` is the run's clock."""

    def __init__(self, retry: Retry, now: float, draw: Callable[[], float] = random.random) -> None:
        self.retry: Retry = retry
        self.made: int = 0
        """How many retries have been started."""
        self.tried: dict[int, tuple[int, float]] = {}
        """By index, for inputs that failed before: how many attempts were made, and when the first one started."""
        self._draw = draw
        self._budget = Budget(retry.budget, now) if retry.budget is not None else None
        self._waiting: list[tuple[float, int, Record]] = []

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def next_due(self) -> float | None:
        """When the first of those that wait is due."""
        return self._waiting[0][0] if self._waiting else None

    def number(self, index: int) -> int:
        """Return which attempt the next call for this input is, from 1."""
        before = self.tried.get(index)
        return 1 if before is None else before[0] + 1

    def first_started(self, index: int, started: float) -> float:
        """Return when the first attempt of the input began whose current one began at `started`."""
        before = self.tried.get(index)
        return started if before is None else before[1]

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
        if wait is None:
            return False
        first = self.first_started(index, started)
        if self.retry.total is not None and now + wait - first >= self.retry.total:
            return False
        if self._budget is not None:
            wait = max(wait, self._budget.withdraw(calls, now))
        self.tried[index] = (attempt, first)
        heapq.heappush(self._waiting, (now + wait, index, record))
        return True

    def due(self, now: float) -> list[tuple[int, Any]]:
        """Return the inputs whose time has come."""
        found: list[tuple[int, Any]] = []
        while self._waiting and self._waiting[0][0] <= now:
            record = heapq.heappop(self._waiting)[2]
            found.append((record[0], record[1]))
        self.made += len(found)
        return found

    def settle(self, first_index: int) -> list[Record]:
        """Give up the inputs from this index on; return their last failures."""
        settled = [entry[2] for entry in self._waiting if entry[1] >= first_index]
        self._waiting = [entry for entry in self._waiting if entry[1] < first_index]
        heapq.heapify(self._waiting)
        return settled
