"""How many calls a second does the other side permit?

Between two moments at which it had nothing left to give, it gave exactly what it permits. So what was answered between
one cut and the next, by the time between them, is the limit itself, whatever kind it is: a bucket of tokens, a leaky
one, a window of ten seconds (where the quiet rest of a window counts too). Only a bucket that was full at first
gives more once.

From a little below that (`most`) the rate grows as in CUBIC: fast at first, flat around `most`, then faster and faster
into the unknown, so that a limit that was raised is found within a few periods.
"""

from __future__ import annotations

from math import inf

FIRST, ROUGH, FINE = 0.7, 0.9, 0.97  # what a cut leaves: nothing is known; two estimates differ; two agree
AGREE = 0.1
ENOUGH = 10  # successes that make an estimate; with fewer the time before the last cut counts too
LEAST_PERIOD, MOST_PERIOD = 2.0, 16.0  # seconds from a cut until the rate is back where it was
SURE = 32  # calls in such a period, so that it is long enough where the rate is low
PAUSES = 40  # such a period is at least so many Retry-Afters long, because each look above the limit costs one
FADED = 4.0  # times the old limit without a refusal: the limit is gone
CATCH_UP = 0.005  # seconds of calls that a late timer may make up for
LEAST_GAP, MOST_GAP = 0.002, 5.0  # seconds between single calls while all of them are refused
MATTERS = 0.1
SEARCH = 0.5
MOST_CYCLE = 30.0
LEAST_RATE = 0.01
RECENT = 0.5  # seconds; the rate just before a refusal is that of the last one or two of these


class Pace:
    """Calls a second, where the other side was found to limit them; `rate` is None where not.

    Attributes:
        rate: calls a second, or None.
        next_at: when the next call may be sent.
    """

    __slots__ = (
        "_accepted", "_age", "_aged_at", "_bound_at", "_crowded", "_cut_at", "_cycle", "_epoch", "_fresh", "_gap", "_least", "_left", "_newer",
        "_older", "_period", "_quiet", "_refusals", "_sends", "_stretch", "most", "next_at", "rate",
    )  # fmt: skip

    def __init__(self) -> None:
        self.rate: float | None = None
        self.next_at = 0.0
        self._gap = 0.0  # > 0 while nothing but single calls are sent, to see whether the other side is back
        self._quiet = -inf  # since when it refused everything
        self._fresh = 0  # successes of calls that were sent after the last cut
        self._accepted = 0  # successes in all
        self._epoch = self._older = self._newer = (0.0, 0)  # moments, and how many there had been
        self.most = 0.0
        self._left = FIRST
        self._stretch = LEAST_PERIOD
        self._cycle = 0.0
        self._least = inf
        self._refusals = self._sends = self._crowded = 0
        self._period = LEAST_PERIOD
        self._age = self._aged_at = 0.0
        self._bound_at = -inf
        self._cut_at = -inf

    def bound(self, now: float) -> None:
        """A call had to wait for the pace, so the rate is what holds the run back."""
        self._bound_at = now

    def crowded(self, in_flight: int) -> bool:
        if in_flight < self._least:
            self._least = in_flight
            self._refusals = self._sends = self._crowded = 0
        self._refusals += 1
        return 1 <= self._least <= 3 and self._refusals >= 2 and (self._crowded / max(1, self._sends)) ** self._refusals < 0.02

    def resume(self) -> None:
        self.rate = self.most

    def drop(self) -> None:
        self.rate = None
        self.next_at = self._gap = 0.0
        self._least = inf

    def sent(self, now: float, in_flight: int) -> None:
        """A call was sent: the next one is due one interval later."""
        if not self._older[0]:
            self._epoch = self._older = self._newer = (now, 0)
        if self._gap:
            self.next_at = now + self._gap
        elif self.rate is not None:
            self._sends += 1
            if in_flight > self._least:
                self._crowded += 1
            self.next_at = max(self.next_at, now - CATCH_UP) + 1.0 / self.rate

    def succeeded(self, sent: float, now: float, latency: float) -> None:
        """Count one; the rate grows with the time for which it held the run back."""
        self._accepted += 1
        if now - self._newer[0] > RECENT + 5 * latency and self._accepted - self._newer[1] >= ENOUGH:
            self._older, self._newer = self._newer, (now, self._accepted)
        if sent >= self._cut_at:
            self._fresh += 1
            if self._gap:
                self._heard(now, latency)
        if self.rate is None:
            return
        if now - self._bound_at <= 2 * latency + 0.05:
            self._age += now - self._aged_at
            x = self._age / self._period - 1.0
            self.rate = self.most * (1.0 + (1.0 - self._left) * x * x * x)
            if self.rate > FADED * self.most:
                self.rate = None
        self._aged_at = now

    def cut(self, now: float, latency: float, retry_after: float) -> None:
        """Come down after a refusal."""
        blocked, self._cut_at, since = not self._fresh, now, now - self._cut_at
        self._fresh = 0
        if blocked and not self._gap:
            self._quiet = now
        if blocked:  # all are refused: what is known of the rate stays, single calls find out when it ends
            self._gap = min(MOST_GAP, max(1.3 * self._gap, LEAST_GAP, latency, 1.0 / self.rate if self.rate else 0.0))
            self.next_at = now + self._gap
            return
        most = self._recent(now, latency)
        if self.rate is None:
            self._left = FIRST
        else:
            agree = most and abs(most / self.most - 1) < AGREE and (since > self._period / 2 or not retry_after)
            self._left = FINE if agree else ROUGH
            self._stretch_to(since)
        self._restart(max(LEAST_RATE, most or self.rate or 0.0), now, latency, retry_after)

    def _restart(self, most: float, now: float, latency: float, retry_after: float) -> None:
        self.most = most
        if self._left == FINE:
            self._period = max(self._stretch, 10 * latency, 2 * SURE / most, PAUSES * retry_after, 2 * self._cycle)
        else:
            self._period = max(SEARCH, 10 * latency, SURE / most, PAUSES / 4 * retry_after, self._cycle)
        self._age, self._aged_at = 0.0, now
        self.rate = self._left * most
        self.next_at = now + 1.0 / self.rate
        self._older = self._newer = (now + retry_after, self._accepted)

    def _recent(self, now: float, latency: float) -> float:
        """Return how many a second were taken just before now; 0.0 where too few were seen."""
        elapsed, seen = max(now - self._older[0], 1e-3), self._accepted - self._older[1]
        if self.rate is None:
            return seen / elapsed
        if seen < ENOUGH or elapsed < 5 * latency:
            return 0.0
        return (min(seen / elapsed, self.rate) * self.rate) ** 0.5

    def _heard(self, now: float, latency: float) -> None:
        """The silence is over: from the end of one to the end of the next exactly what is permitted was given."""
        elapsed, seen = now - self._epoch[0], self._accepted - self._epoch[1]
        if self.rate is not None and now - self._quiet > MATTERS * elapsed:
            self._left = FINE if seen >= ENOUGH else ROUGH
            self.most = most = max(LEAST_RATE, min(self.rate, seen / elapsed))
            self._cycle = min(MOST_CYCLE, elapsed)
            self._period = max(SEARCH, 10 * latency, SURE / most, self._cycle)
            self.rate = self._left * most
            self._age = 0.0
            self._older = self._newer = (now, self._accepted)
        if seen >= ENOUGH:
            self._epoch = (now, self._accepted)
        self._gap = 0.0
        self.next_at = self._aged_at = now

    def _stretch_to(self, since: float) -> None:
        if since < 3 * self._stretch:
            self._stretch = min(MOST_PERIOD, 1.5 * self._stretch)
        elif since > 8 * self._stretch:
            self._stretch = max(LEAST_PERIOD, self._stretch / 2)
