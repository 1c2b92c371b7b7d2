"""When is a call so late that a second one beside it is worth its price?

Dean and Barroso, The Tail at Scale (CACM 2013): a second request after the 95th percentile of latencies cuts the tail
and costs at most 5 % more calls.
"""

from __future__ import annotations

from bisect import insort
from collections import deque

LEAST = 30  # latencies seen before the first hedge
REMEMBERED = 200
QUANTILE = 0.95
SHARE = 0.05  # hedges may be at most this share of the calls
MOST_TOKENS = 10.0
CALM = 10.0  # seconds without hedges after the other side said "slower"


class Hedge:
    """Decides on second calls for one step."""

    __slots__ = ("_calm_until", "_recent", "_sorted", "_tokens", "made")

    def __init__(self) -> None:
        self.made: int = 0
        """How many second calls were started."""
        self._recent: deque[float] = deque()
        self._sorted: list[float] = []
        self._tokens = 0.0
        self._calm_until = 0.0

    def delay(self) -> float | None:
        """Return after how many seconds the call that starts now may be hedged; None while too little is known."""
        self._tokens = min(MOST_TOKENS, self._tokens + SHARE)
        if len(self._sorted) < LEAST:
            return None
        return self._sorted[int(QUANTILE * (len(self._sorted) - 1))]

    def take(self, now: float) -> bool:
        """Whether the second call may be started now; it is paid for if so."""
        if self._tokens < 1.0 or now < self._calm_until:
            return False
        self._tokens -= 1.0
        self.made += 1
        return True

    def succeeded(self, took: float) -> None:
        """Learn the latency of a call."""
        self._recent.append(took)
        insort(self._sorted, took)
        if len(self._recent) > REMEMBERED:
            self._sorted.remove(self._recent.popleft())

    def throttled(self, now: float) -> None:
        """Take note that the other side asked for fewer calls."""
        self._calm_until = now + CALM
