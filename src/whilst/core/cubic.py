"""How many calls a second does the other side permit?

Three things are measured. Just before a refusal, the rate was a little above what is permitted (a bucket of tokens
that ran dry). Where everything is refused for a while, single calls find out when that ends, and from the end of one
silence to the end of the next exactly what is permitted was given, whatever kind of limit it is: a bucket that was
full at first, or a window of ten seconds whose thousand calls were gone in the first one. And refusals that come only
while some call is in flight, however slowly calls are sent, are those of a few slots and no rate at all.

=========  =================================================  ====================================================
state      what it does                                       leaves for
=========  =================================================  ====================================================
no rate    counts                                             searching, at the first cut
searching  comes down to 0.7 or 0.9 of the estimate and back  keeping, when two estimates agree
           within half a second
keeping    comes down to 0.97 and back within 2 to 16 s       searching, when two estimates differ
silent     sends single calls, further and further apart      where it was, with a better estimate, at a success
any        the rate grows to four times what was permitted    no rate: the limit is gone
=========  =================================================  ====================================================

Between cuts the rate grows as in CUBIC (RFC 9438): fast at first, flat around the estimate, then faster and faster
into the unknown, so that a limit that was raised is found within a few periods. It grows with the time for which it
held the run back; a slow source proves nothing.
"""

from __future__ import annotations

from math import inf

FIRST, ROUGH, FINE = 0.7, 0.9, 0.97  # what a cut leaves: nothing is known; two estimates differ; two agree
AGREE = 0.1
ENOUGH = 10  # successes that make an estimate
SEARCH = 0.5  # seconds from a cut until the rate is back where it was, while searching
LEAST_PERIOD, MOST_PERIOD = 2.0, 16.0  # the same while keeping; longer where refusals come soon
SURE = 32  # calls in such a period, so that it is long enough where the rate is low; twice that while keeping
PAUSES = 40  # such a period is at least so many Retry-Afters long, because each look above the limit costs one
FADED = 4.0  # times the old limit without a cut: it is gone
CATCH_UP = 0.005  # seconds of calls that a late timer may make up for; loops wake up to 1 ms late
LEAST_GAP, MOST_GAP = 0.002, 1.0  # seconds between single calls in a silence: with everything refused, one a second
WIDER = 1.3  # from one such gap to the next: the end of a silence is known to a seventh of its length
MATTERS = 0.1  # share of the time that a silence must take to say more than the rate just before it did
MOST_CYCLE = 15.0  # seconds from silence to silence that a period waits for; an outage should be forgotten sooner
LEAST_RATE = 1.0  # a second: slower than that nothing is learned in the time that people wait
RECENT = 0.5  # seconds; "just before" is the last one or two of these
FEW_SLOTS = 3
MOST_HITS = 0.8  # share of the refusals that must have met crowded moments
CHANCE = 0.02  # how unlikely it must be that refusals met crowded moments only by accident


class Pace:
    """Calls a second, where the other side was found to limit them.

    Attributes:
        rate: calls a second, or None.
        most: what was permitted by the last estimate; 0.0 before the first.
        next_at: when the next call may be sent.
    """

    __slots__ = (
        "_accepted", "_age", "_aged_at", "_bound_at", "_crowds", "_cut_at", "_cycle", "_doubted", "_epoch", "_fresh",
        "_gap", "_left", "_newer", "_older", "_period", "_quiet", "_refusals", "_started", "_stretch",
        "most", "next_at", "rate",
    )  # fmt: skip

    def __init__(self) -> None:
        self.rate: float | None = None
        self.most: float = 0.0
        self.next_at: float = 0.0
        self._started = False
        self._gap = 0.0  # > 0 in a silence: seconds between single calls
        self._quiet = -inf  # since when there is, or was, a silence
        self._fresh = False  # whether a call that was sent after the last cut was taken
        self._accepted = 0  # successes in all
        self._epoch = self._older = self._newer = (0.0, 0)  # moments, and how many successes there had been
        self._left = FIRST
        self._stretch = self._period = LEAST_PERIOD
        self._doubted = False  # whether the last silence was a long one
        self._cycle = 0.0  # seconds from silence to silence
        self._age = self._aged_at = 0.0  # how long the rate has been growing
        self._bound_at = self._cut_at = -inf
        self._crowds = [0] * (
            FEW_SLOTS + 1
        )  # calls under a pace, by how many others were in flight when they were sent
        self._refusals = [0] * (FEW_SLOTS + 1)  # the same of those that were refused

    @property
    def silent(self) -> bool:
        """Whether nothing but refusals comes back, so that only single calls are sent."""
        return self._gap > 0.0

    def bound(self, now: float) -> None:
        """Hear that a call had to wait for the pace: the rate is what holds the run back."""
        self._bound_at = now

    def sent(self, in_flight: int, now: float) -> None:
        """Hear that a call was sent: the next one is due one interval later."""
        if not self._started:
            self._started = True
            self._epoch = self._older = self._newer = (now, 0)
        if self._gap:
            self.next_at = now + self._gap
        elif self.rate is not None:
            self._crowds[in_flight - 1 if in_flight <= FEW_SLOTS else FEW_SLOTS] += 1
            due = now - CATCH_UP
            self.next_at = (self.next_at if self.next_at > due else due) + 1.0 / self.rate

    def succeeded(self, sent: float, now: float, latency: float) -> None:
        """Count one, and grow; `latency`: seconds a success takes on average."""
        self._accepted += 1
        if now - self._newer[0] > RECENT + 5 * latency and self._accepted - self._newer[1] >= ENOUGH:
            self._older, self._newer = self._newer, (now, self._accepted)
        self.answered(sent, now, latency)
        if self.rate is not None:
            self._grow(now, latency)

    def answered(self, sent: float, now: float, latency: float) -> None:
        """Hear that a call was taken."""
        if sent >= self._cut_at:
            self._fresh = True
            if self._gap:
                self._end_silence(sent, now, latency)

    def refused(self, in_flight: int) -> int:
        """Count a refusal; return N where they are those of N slots, else 0.

        A rate refuses whatever is sent too soon, N slots only what is sent while N calls are in flight. Under a pace
        those are a part of all calls, and that so many refusals fell into that part is unlikely otherwise. (Not all
        do: the N may be back before the refusal is.)
        """
        self._refusals[min(in_flight, FEW_SLOTS)] += 1
        for slots in range(FEW_SLOTS, 0, -1):
            hits, refusals = sum(self._refusals[slots:]), sum(self._refusals)
            crowded, calls = sum(self._crowds[slots:]), sum(self._crowds)
            if hits >= max(2, MOST_HITS * refusals) and calls and (crowded / calls) ** min(hits, 1000) < CHANCE:
                return slots
        return 0

    def drop(self, now: float) -> None:
        """Give the rate up: it is no rate. `most` is then what was got with it, for comparison."""
        elapsed, seen = now - self._older[0], self._accepted - self._older[1]
        if seen >= ENOUGH and elapsed > 0:
            self.most = max(self.most, seen / elapsed)
        self.rate = None
        self.next_at = self._gap = 0.0

    def resume(self) -> None:
        """Take the rate up again: it was one."""
        self.rate = self.most

    def cut(self, now: float, latency: float, retry_after: float) -> None:
        """Come down after a refusal; `retry_after`: seconds, or 0.0."""
        silent, since = not self._fresh, now - self._cut_at
        self._cut_at, self._fresh = now, False
        if silent:  # what is known of the rate stays
            if not self._gap:
                self._quiet = now
            interval = 1.0 / self.rate if self.rate is not None else 0.0
            self._gap = min(MOST_GAP, max(WIDER * self._gap, LEAST_GAP, latency, interval))
            self.next_at = now + self._gap
            return
        most = self._recent(now, latency)
        if self.rate is None:
            self._left = FIRST
        else:
            # With Retry-After the pause has filled the bucket, so an early refusal says that the estimate is too high.
            agree = abs(most / self.most - 1) < AGREE and (not retry_after or since > self._period / 2)
            self._left = FINE if agree else ROUGH
            self._set_stretch(since)
        self._restart(most or self.rate or 0.0, now, latency, retry_after)
        self.next_at = now + 1.0 / (self.rate or LEAST_RATE)

    def _grow(self, now: float, latency: float) -> None:
        if now - self._bound_at <= 2 * latency + 0.05:
            self._age += max(0.0, now - self._aged_at)
            x = self._age / self._period - 1.0
            self.rate = self.most * (1.0 + (1.0 - self._left) * x * x * x)
            if self.rate > FADED * self.most:
                self.rate = None
                self.next_at = 0.0
        self._aged_at = now

    def _recent(self, now: float, latency: float) -> float:
        """Return how many a second were taken just before now; 0.0 where too few were seen."""
        elapsed, seen = max(now - self._older[0], 1e-3), self._accepted - self._older[1]
        if self.rate is None:
            return seen / elapsed
        if seen < ENOUGH or elapsed < 5 * latency:
            return 0.0
        # While that was measured the rate grew: what is permitted lies between the average and where it got to.
        return float((min(seen / elapsed, self.rate) * self.rate) ** 0.5)

    def _restart(self, most: float, now: float, latency: float, retry_after: float = 0.0) -> None:
        """Begin a period of growth from a little below `most`."""
        self.most = most = max(LEAST_RATE, most)
        keeping = self._left == FINE
        self._period = max(
            self._stretch if keeping else SEARCH,
            10 * latency,
            (2 if keeping else 1) * SURE / most,
            (2 if keeping else 1) * self._cycle,
            (PAUSES / 4 if self._left == FIRST else PAUSES) * retry_after,
        )
        self._age, self._aged_at = 0.0, now
        self.rate = self._left * most
        self._older = self._newer = (now + retry_after, self._accepted)

    def _end_silence(self, sent: float, now: float, latency: float) -> None:
        """Correct the estimate by what was given from the end of the last silence to the end of this one."""
        ended = max(sent - self._gap / 2, self._quiet)  # between the last call that was refused and this one
        elapsed, seen = max(ended - self._epoch[0], 1e-3), self._accepted - self._epoch[1]
        if self.rate is not None:
            # A rate that two estimates agree on is not given up for one long silence: that may have been an outage.
            matters, kept = ended - self._quiet > MATTERS * elapsed, self._left == FINE
            if matters and (self._doubted or not kept):
                self._left = ROUGH
                self._cycle = min(MOST_CYCLE, elapsed)
                self._stretch = LEAST_PERIOD
                counted = seen if seen >= ENOUGH else seen + 1  # of a few, one more or less is a lot
                self._restart(min(self.rate, counted / elapsed), now, latency)
            self._doubted = matters
        if seen >= ENOUGH:
            self._epoch = (ended, self._accepted)
        self._gap = 0.0
        self.next_at = self._aged_at = now

    def _set_stretch(self, since: float) -> None:
        """Wait longer where refusals come soon after each other, less long where they are rare."""
        if since < 3 * self._stretch:
            self._stretch = min(MOST_PERIOD, 1.5 * self._stretch)
        elif since > 8 * self._stretch:
            self._stretch = max(LEAST_PERIOD, self._stretch / 2)
