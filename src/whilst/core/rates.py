"""How soon may the next call start, so that a rate holds?

The shortest of several rates paces calls evenly (`Gcra`); each longer one is a quota (`Quota`): so many in any window
of that length, spent as fast as the pace allows.
"""

from __future__ import annotations

import itertools
import re
from collections import deque
from collections.abc import Iterable
from math import inf, isfinite
from typing import Any

from .frozen import NamedTuple

LATENESS = 0.005  # seconds that a call may come late without its rate losing them: timers are coarse
SHARE = 0.005  # of what a rate gives in its period: so much may be saved up while another rate holds calls up
BUCKETS = 256  # a quota remembers its calls in so many pieces of its window: late by 0.4 % of it, in bounded memory
NEARLY = 1 + 1e-12  # weights are floats; their sums are off by less than this

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
NAMES = {"sec": "s", "second": "s", "m": "min", "minute": "min", "hour": "h", "day": "d"}
NUMBER = r"[0-9][0-9_]*(?:\.[0-9]+)?"
PATTERN = rf"\s*(?P<count>[-+]?{NUMBER})\s*/\s*(?P<times>{NUMBER})?\s*(?P<unit>[a-z]+)\s*"
EXAMPLES = 'rate="100/s", "30/min", "5000/h" or "1000/10s"'


class Rate(NamedTuple):
    """So many calls, or so much weight, in so many seconds.

    Attributes:
        amount: how many; more than 0, not always whole.
        period: seconds.
        text: how it was written, without spaces.
    """

    amount: float
    period: float
    text: str

    def __str__(self) -> str:
        return self.text


def parse_rates(rate: str | Iterable[str]) -> tuple[Rate, ...]:
    """Return the rates that `"100/s"`, or a list of such texts, names; the shortest period first.

    A rate is a count, a slash, and a unit: ms, s, min (or m), h, d, in words too (`"2.5/second"`), with a number before
    it if the period is several of them (`"1000/10s"`).

    >>> parse_rates(["5000/h", "2.5/s"])
    (Rate(amount=2.5, period=1.0, text='2.5/s'), Rate(amount=5000.0, period=3600.0, text='5000/h'))
    """
    if isinstance(rate, str):
        return (_parse(rate),)
    if isinstance(rate, (bool, int, float, bytes)) or not isinstance(rate, Iterable):
        line = f'rate="{rate}/s" or rate="{rate}/min"' if type(rate) in (int, float) else EXAMPLES
        raise TypeError(f"rate must be text, got {rate!r}; a number alone has no unit of time\n  try: {line}")
    rates = sorted((_parse(each) for each in rate), key=lambda each: each.period)
    if not rates:
        raise ValueError(f"rate must name at least one rate, got {rate!r}\n  try: {EXAMPLES}, or leave it out")
    for shorter, longer in itertools.pairwise(rates):
        if shorter.period == longer.period:
            raise ValueError(f"rate has two values for one period: {shorter} and {longer}\n  try: only the smaller one")
    return tuple(rates)


class Gcra:
    """Calls at an even pace: the generic cell rate algorithm of ATM, which is a leaky bucket in one number.

    A call of weight 1 costs one cell. In any window of w seconds start at most `w * rate + most_at_once` calls. A heavy
    call starts as soon as a light one could, and the next waits for all its cells.

    Args:
        rate: the pace.
        burst: how many may start at once after a pause.

    >>> pace = Gcra(parse_rates("10/s")[0])
    >>> pace.take(0.0)
    >>> round(pace.delay(0.02), 3)
    0.075
    """

    __slots__ = ("_burst", "_due", "_interval", "_last", "_period", "_saved", "_tolerance")

    def __init__(self, rate: Rate, burst: int = 1) -> None:
        self._burst = burst
        self._interval = self._tolerance = self._period = 0.0
        self._set(rate)
        self._due = -inf  # when the cells taken so far are used up; in the literature: theoretical arrival time
        self._last = -inf
        self._saved = 0.0  # seconds of cells that were not taken because of something else

    @property
    def most_at_once(self) -> float:
        """How many cells may be taken in one moment: `burst`, or what the rate gives in 5 ms if that is more."""
        return 1 + self._tolerance / self._interval

    def delay(self, now: float, weight: float = 1.0) -> float:
        """Return the seconds until a call may start; 0.0 if it may now, as one that weighs nothing always may."""
        wait = self._due - self._tolerance - now
        return wait if wait > 0.0 and weight else 0.0

    def room(self, most: int, now: float, weight: float = 1.0) -> int:
        """Return how many calls of this weight, up to `most`, may start now."""
        if not weight:
            return most
        if self._due - self._tolerance - now > 0.0:  # as in `delay`: the two must not differ by a rounding
            return 0
        ahead = self._due - now
        spare = self._tolerance - ahead if ahead > 0.0 else self._tolerance
        return min(most, int(spare / (weight * self._interval)) + 1) if spare > 0.0 else min(most, 1)

    def take(self, now: float, weight: float = 1.0) -> None:
        """Count a call that starts now, or several of this weight together."""
        self._due = (self._due if self._due > now else now) + weight * self._interval
        self._last = now
        if self._saved:
            self._spend(now)

    def take_one(self, now: float, weight: float = 1.0) -> bool:
        """Count a call that starts now, if it may: `delay` and `take` in one step."""
        due = self._due
        if due - self._tolerance - now > 0.0 and weight:  # as in `delay`
            return False
        self._due = (due if due > now else now) + weight * self._interval
        self._last = now
        if self._saved:
            self._spend(now)
        return True

    def held(self, since: float, now: float, most: float) -> None:
        """Take note that from `since` until now something else than this rate held calls up.

        What the rate gave meanwhile is saved up, at most `most` cells, and makes up for calls that come too soon later:
        else two limits that both bind would lose what each of them lets pass while it waits for the other.
        """
        lost = now - (self._due if self._due > since else since)
        if lost > 0.0:
            self._saved = min(self._saved + lost, most * self._interval)
            self._due = now

    def rest(self) -> None:
        """Forget what was saved up."""
        self._saved = 0.0

    @property
    def share(self) -> float:
        """How many cells may be saved up while another rate holds calls up: see `SHARE`."""
        return SHARE * self._period / self._interval

    def _spend(self, now: float) -> None:
        ahead = self._due - now
        if ahead > 0.0:
            spent = ahead if ahead < self._saved else self._saved
            self._due -= spent
            self._saved -= spent

    def undo(self, taken: float, weight: float = 1.0) -> None:
        """Forget a call that was counted at the time `taken` and never started.

        If others were counted since, nothing comes back: its place in time is gone.
        """
        if self._last <= taken:
            self._due -= weight * self._interval
            if self._due < self._last:  # it had been saved up
                self._saved += self._last - self._due
                self._due = self._last

    def change(self, rate: Rate, now: float) -> None:
        """Go on at another pace."""
        self._set(rate)
        self._due = min(self._due, now + self._interval)

    def become(self, rate: Rate, burst: int, now: float) -> None:
        """Go on at another pace, at which what was taken before is paid off; what was saved up is gone."""
        cells = max(0.0, self._due - now) / self._interval
        self._burst = burst
        self._set(rate)
        self._saved = 0.0
        if cells:
            self._due = now + cells * self._interval

    def correct(self, more: float, now: float) -> None:
        """Take note that a call which was counted cost `more` than that, or less.

        What is given back is owed to the next calls: what is left over, once they need not wait, is saved up, but no
        more than a hundredth of a period's, or what this one call gives.
        """
        due = self._due + more * self._interval
        if more < 0.0 and due < now:
            over = min(now - due, -more * self._interval)
            most = SHARE * self._period
            self._saved = max(self._saved, min(self._saved + over, most))
            due += over
        self._due = due
        if more > 0.0:
            self._spend(now)

    def idle(self, now: float) -> bool:
        """Whether a new one would give the same answers."""
        return self._due <= now

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock."""
        self._due += seconds
        self._last += seconds

    def _set(self, rate: Rate) -> None:
        self._interval, self._period = rate.period / rate.amount, rate.period
        # a ten-thousandth more, or rounding would hold back the last call of a burst
        self._tolerance = max((self._burst - 1) * 1.0001 * self._interval, LATENESS)


class Quota:
    """At most so much weight in any window of the rate's period, half open, spent as fast as one likes.

    Calls are remembered in buckets of at most 1/256 of the window, each forgotten when its last call is a window old:
    never too many, and at most that much later than an exact log, whose size would grow with the quota.

    >>> quota = Quota(parse_rates("2/h")[0])
    >>> quota.take(0.0), quota.take(60.0)
    (None, None)
    >>> quota.delay(100.0)
    3500.0
    """

    __slots__ = ("_buckets", "_most", "_period", "_used")

    def __init__(self, rate: Rate) -> None:
        self._most = rate.amount * NEARLY
        self._period = rate.period
        self._used = 0.0
        self._buckets: deque[list[float]] = deque()  # [time of the first call, of the last, their weight]

    def delay(self, now: float, weight: float = 1.0) -> float:
        """Return the seconds until a call may start; one heavier than the quota starts when all of that is there."""
        self._expire(now)
        excess = self._used + min(weight, self._most) - self._most
        if excess <= 0.0 or not weight:
            return 0.0
        for _, last, spent in self._buckets:
            excess -= spent
            if excess <= 0.0:
                return last + self._period - now
        return self._buckets[-1][1] + self._period - now if self._buckets else 0.0

    def room(self, most: int, now: float, weight: float = 1.0) -> int:
        """Return how many calls of this weight, up to `most`, may start now."""
        if not weight:
            return most
        self._expire(now)
        if self._used + min(weight, self._most) - self._most > 0.0:  # as in `delay`
            return 0
        return min(most, max(1, int((self._most - self._used) / weight)))

    def take(self, now: float, weight: float = 1.0) -> None:
        """Count a call that starts now, or several of this weight together."""
        if not weight:
            return
        self._used += weight
        if self._buckets and now - self._buckets[-1][0] <= self._period / BUCKETS:
            bucket = self._buckets[-1]
            bucket[1] = now
            bucket[2] += weight
        else:
            self._buckets.append([now, now, weight])

    def undo(self, taken: float, weight: float = 1.0) -> None:
        """Forget a call that was counted at the time `taken` and never started."""
        for place in range(len(self._buckets) - 1, -1, -1):
            bucket = self._buckets[place]
            if bucket[0] <= taken:
                weight = min(weight, bucket[2])
                bucket[2] -= weight
                self._used -= weight
                if bucket[2] <= 0.0:
                    del self._buckets[place]
                return

    def become(self, rate: Rate) -> None:
        """Allow another amount in the same period."""
        self._most = rate.amount * NEARLY

    @property
    def period(self) -> float:
        """How many seconds its window has."""
        return self._period

    def correct(self, more: float, taken: float) -> None:
        """Take note that a call which was counted at the time `taken` cost `more` than that, or less."""
        if more < 0.0:
            self.undo(taken, -more)
            return
        for bucket in reversed(self._buckets):
            if bucket[0] <= taken:
                bucket[2] += more
                self._used += more
                return

    def idle(self, now: float) -> bool:
        """Whether a new one would give the same answers."""
        self._expire(now)
        return not self._buckets

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock."""
        for bucket in self._buckets:
            bucket[0] += seconds
            bucket[1] += seconds

    def _expire(self, now: float) -> None:
        buckets = self._buckets
        while buckets and buckets[0][1] + self._period <= now:
            self._used -= buckets.popleft()[2]
        if not buckets:
            self._used = 0.0  # what rounding left over


def _parse(text: Any) -> Rate:
    if not isinstance(text, str):
        raise TypeError(f"rate must be text, got {text!r}\n  try: {EXAMPLES}")
    found = re.fullmatch(PATTERN, text, re.IGNORECASE)
    seconds = _seconds(found["unit"].lower()) if found else None
    if found is None or seconds is None:
        from .meant import rate

        better = f'rate="{meant}"' if (meant := rate(text)) else EXAMPLES
        raise ValueError(f"rate must be a count per unit of time, got {text!r}\n  try: {better}")
    count, period = float(found["count"]), float(found["times"] or 1) * seconds
    if count <= 0:
        raise ValueError(f"rate must be more than 0, got {text!r}: no call could ever start")
    if not (isfinite(count) and isfinite(period) and period > 0):
        raise ValueError(f"rate must be finite and its period more than 0, got {text!r}\n  try: {EXAMPLES}")
    return Rate(count, period, "".join(text.split()))


def _seconds(unit: str) -> float | None:
    for name in (unit, unit.removesuffix("s")):
        if (seconds := SECONDS.get(NAMES.get(name, name))) is not None:
            return seconds
    return None
