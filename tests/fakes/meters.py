"""What do servers count? A bucket that fills evenly, a window that begins anew; in virtual time, for the fakes."""

from __future__ import annotations

import math


class Bucket:
    """`size` calls at once, `rate` a second come back.

    A leaky bucket that refuses what does not fit is the same, told from the other side.
    """

    def __init__(self, size: float, rate: float) -> None:
        self.size, self.rate = size, rate
        self.tokens, self.at = size, 0.0

    def take(self, now: float) -> bool:
        """Count a call; whether there was room for it."""
        self.look(now)
        if self.tokens < 1.0 - 1e-9:
            return False
        self.tokens -= 1.0
        return True

    def look(self, now: float) -> None:
        self.tokens = min(self.size, self.tokens + (now - self.at) * self.rate)
        self.at = now

    @property
    def left(self) -> int:
        return int(self.tokens + 1e-9)

    def until_one(self) -> float:
        """Return the seconds until there is room for a call."""
        return max(0.0, 1.0 - self.tokens) / self.rate

    def until_full(self) -> float:
        return (self.size - self.tokens) / self.rate

    def permits(self, seconds: float) -> float:
        """Return how many calls could be taken in the first so many seconds."""
        return self.size + self.rate * seconds


class Window:
    """`count` calls in each window of `period` seconds; `spent` of the first one have been made `before` its start."""

    def __init__(self, count: int, period: float, *, first: float | None = None, spent: int = 0) -> None:
        self.count, self.period = count, period
        self.ends = period if first is None else first
        self.used = self._spent = spent
        self._first = self.ends

    def take(self, now: float) -> bool:
        self.look(now)
        if self.used >= self.count:
            return False
        self.used += 1
        return True

    def look(self, now: float) -> None:
        while now >= self.ends:
            self.ends += self.period
            self.used = 0

    @property
    def left(self) -> int:
        return self.count - self.used

    def until_new(self, now: float) -> float:
        """Return the seconds until the next window."""
        return self.ends - now

    def permits(self, seconds: float) -> float:
        later = math.ceil((seconds - self._first) / self.period - 1e-9)
        return self.count - self._spent + self.count * max(0, later)
