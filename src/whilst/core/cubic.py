"""How many calls a second does the other side permit?

Between two moments at which it had nothing left to give, it gave exactly what it permits. So what was answered between
one cut and the next, by the time between them, is the limit itself, whatever kind it is: a bucket of tokens, a leaky
one, a window of ten seconds (where the quiet rest of a window counts too). Only a bucket that was full at first
gives more once.

From a little below that (`most`) the rate grows as in CUBIC: fast at first, flat around `most`, then faster and faster
into the unknown, so that a limit that was raised is found within a few periods.
"""

from __future__ import annotations

FIRST, ROUGH, FINE = 0.7, 0.9, 0.97  # what a cut leaves: nothing is known; two estimates differ; two agree
AGREE = 0.1
ENOUGH = 16  # successes that make an estimate; with fewer the time before the last cut counts too
LEAST_PERIOD, MOST_PERIOD = 2.0, 16.0  # seconds from a cut until the rate is back where it was
SURE = 32  # calls in such a period, so that it is long enough where the rate is low
PAUSES = 40  # such a period is at least so many Retry-Afters long, because each look above the limit costs one
FADED = 4.0  # times the old limit without a refusal: the limit is gone
CATCH_UP = 0.005  # seconds of calls that a late timer may make up for
LEAST_GAP, MOST_GAP = 0.05, 5.0  # seconds between single calls while all of them are refused
LEAST_RATE = 0.01


class Pace:
    """Calls a second, where the other side was found to limit them; `rate` is None where not.

    Attributes:
        rate: calls a second, or None.
        next_at: when the next call may be sent.
    """

    __slots__ = (
        "_accepted", "_aged_at", "_age", "_bound_at", "_epoch", "_fresh", "_gap", "_left", "_most", "_period", "_stretch",
        "_cut_at", "next_at", "rate",
    )  # fmt: skip

    def __init__(self) -> None:
        self.rate: float | None = None
        self.next_at = 0.0
        self._gap = 0.0  # > 0 while nothing but single calls are sent, to see whether the other side is back
        self._fresh = 0  # successes since the last cut
        self._accepted = 0  # successes since `_epoch`
        self._epoch = -1.0
        self._most = 0.0
        self._left = FIRST
        self._stretch = LEAST_PERIOD
        self._period = LEAST_PERIOD
        self._age = self._aged_at = 0.0
        self._bound_at = -1.0
        self._cut_at = -1.0

    def bound(self, now: float) -> None:
        """A call had to wait for the pace, so the rate is what holds the run back."""
        self._bound_at = now

    def sent(self, now: float) -> None:
        """A call was sent: the next one is due one interval later."""
        if self._epoch < 0.0:
            self._epoch = now
        if self._gap:
            self.next_at = now + self._gap
        elif self.rate is not None:
            self.next_at = max(self.next_at, now - CATCH_UP) + 1.0 / self.rate

    def succeeded(self, now: float, latency: float) -> None:
        """Count one; the rate grows with the time for which it held the run back."""
        self._accepted += 1
        self._fresh += 1
        if self._gap:
            self._gap = 0.0
            self.next_at = now
            self._aged_at = now
        if self.rate is None:
            return
        if now - self._bound_at <= 2 * latency + 0.05:
            self._age += now - self._aged_at
            x = self._age / self._period - 1.0
            self.rate = self._most * (1.0 + (1.0 - self._left) * x * x * x)
            if self.rate > FADED * self._most:
                self.rate = None
        self._aged_at = now

    def cut(self, now: float, latency: float, retry_after: float) -> None:
        """Come down after a refusal."""
        if not self._fresh:  # all are refused: what is known of the rate stays, single calls find out when it ends
            self._gap = min(MOST_GAP, max(1.5 * self._gap, LEAST_GAP, latency, 1.0 / self.rate if self.rate else 0.0))
            self.next_at = now + self._gap
            self._epoch += retry_after
            return
        most = self._estimate(now)
        if self.rate is None:
            self._left = FIRST
        else:
            self._left = FINE if abs(most / self._most - 1) < AGREE else ROUGH
            self._pause_between(now)
        self._most = most
        self._period = max(self._stretch, 10 * latency, SURE / most, PAUSES * retry_after)
        self._age, self._aged_at = 0.0, now
        self.rate = self._left * most
        self.next_at = now + 1.0 / self.rate
        self._fresh = 0
        self._cut_at = now
        self._epoch += retry_after  # nothing was asked for in that time

    def _estimate(self, now: float) -> float:
        elapsed = max(now - self._epoch, 1e-3)
        seen = max(LEAST_RATE, self._accepted / elapsed)
        if self._accepted >= ENOUGH:
            self._epoch, self._accepted = now, 0
        return seen if self.rate is None else min(seen, self.rate)

    def _pause_between(self, now: float) -> None:
        since = now - self._cut_at
        if since < 3 * self._stretch:
            self._stretch = min(MOST_PERIOD, 1.5 * self._stretch)
        elif since > 8 * self._stretch:
            self._stretch = max(LEAST_PERIOD, self._stretch / 2)
