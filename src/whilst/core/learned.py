"""How many calls a second does the other side permit, as its refusals say, with a Retry-After or without?

Such a refusal says two things: so many calls were taken until now, and nothing is before a certain moment. Whatever is
counted behind it, what was taken from the end of one silence to the end of the next is what it gives in that time. So
that is the rate, of a bucket: `burst` calls at most, `rate` a second come back, and it is empty at a refusal.

=========  ==================================================  ==================================================
state      what it does                                        leaves for
=========  ==================================================  ==================================================
guessing   after the first refusal: what was taken since the   keeping, at the next refusal
           start, although a bucket may have been full then;
           holds two seconds, then doubles in two, thrice
keeping    from 0.98 of an estimate back to it, and then       keeping, with a better estimate, at a refusal; no
           faster and faster beyond, as CUBIC (RFC 9438)       rate, once it is four times what was permitted
probing    nothing was taken between two refusals: a call      where it was, once one is taken
           each second, or Retry-After
=========  ==================================================  ==================================================

A Retry-After of one second is the shortest that HTTP has, and may be nearly all too long. Where that is about half of
the time that was looked at, what was taken in it is less than what is permitted, so the rate grows faster. If a refusal
comes soon after all of a bucket was there, and taken, it is none: so many calls are counted in a window. They are sent
at once after the next silence, and the pace begins when a window is over.

A refusal that says only that there were too many calls is taken for one with a Retry-After of a quarter second, longer
while nothing is taken; and one call looks whether that is over. If it lasts for longer than a bucket would have it,
calls are counted in windows, perhaps (`windows.py` has both). It may mean something else than a rate, so it is heard
once that is likely (`suspicion.py`), and given up where refusals come at any rate.

Where calls are only counted, and nothing is told of single ones, it costs nothing before the first such refusal.
"""

from __future__ import annotations

from collections import deque
from math import inf

from .windows import SAME, Probe, Windows

HOLD, DOUBLES = 2.0, 2.0  # seconds that a guess is kept, and in which it doubles then
MOST_DOUBLINGS = 3.0  # the faster it is, the more is under way when a refusal comes back
FINE = 0.98
AGAIN = 16.0  # seconds from an estimate until the rate is back at it, at least
PAUSES = 40  # that time is at least so many Retry-Afters long, because each look above the limit costs one
SURE = 64  # calls in that time
FEW = 32  # calls; an estimate from fewer is off by one of them
CAREFUL = 0.95  # share of what a bucket had at once that is taken at once
FADED = 4.0  # times what was permitted without a refusal: the limit is gone
RECENT, ENOUGH = 0.5, 10  # seconds and calls that tell a rate while it is kept
DOUBTS, WITHIN = 5, 20.0  # refusals below the estimate, and seconds, after which it is no rate that they tell
BELOW = 1.05  # times the estimate
BLURRED = 2.2  # seconds from one silence to the next of which a second may have been too long
LONG = 4.0  # calls that would have been taken, in a silence that is longer than those of a bucket
SLOWEST = 1.0  # seconds from one probe to the next, but for Retry-After


class Learned:
    """A bucket that is known from refusals only.

    Attributes:
        most: calls a second that are permitted, by the last estimate; 0.0 before the first.

    >>> bucket = Learned()
    >>> bucket.refused(sent=0.9, now=1.0, retry_after=4.0, started=0.0)
    >>> bucket.delay(1.0, taken=30)
    4.0
    >>> bucket.room(100, 5.0, taken=50), round(bucket.most, 1)
    (40, 10.0)
    """

    __slots__ = (
        "_at", "_below", "_blank", "_burst", "_bursting", "_counted", "_cut_at", "_cycle", "_empty", "_estimated",
        "_guess", "_kept", "_late", "_newer", "_older", "_paced_at", "_paid_at", "_passed", "_period", "_probe",
        "_probed", "_probing", "_quiet", "_retry_after", "_rough", "_silent", "_since", "_tentative", "_tokens",
        "_told", "_unsure", "_until", "_windowed", "_windows", "most",
    )  # fmt: skip

    def __init__(self) -> None:
        self.most: float = 0.0
        self._guess = self._told = True
        self._below: deque[float] = deque(maxlen=DOUBTS)  # when calls were refused although the pace was kept
        self._kept = 0.0  # calls a second that came back when the last refusal that counted was sent
        self._probing = False
        self._blank = False  # whether all that is known is that the very first calls were refused
        self._probed = 0  # how many had been taken when there was nothing but refusals
        self._burst = inf
        self._tokens = inf
        self._at = -inf  # when there were `_tokens`
        self._cut_at = self._until = -inf  # of the last refusal that counted
        self._empty = -inf  # when the bucket was empty: the first refused call was sent
        self._retry_after = 0.0
        self._counted, self._silent = (0.0, 0), 0.0  # the cycle of the last estimate, and when it ended in a refusal
        self._cycle = (0.0, 0)  # when the last silence was over, and how many had been taken then
        self._estimated: float | None = (
            None  # when `most` was last corrected; None: it is to be, once this silence is over
        )
        self._period = AGAIN
        self._unsure = 0.0  # by what share an estimate may be wrong, as few calls made it
        self._late = 0.0  # by what share it may be too low, as a silence was told in whole seconds
        self._passed = 0  # how many were taken between two silences of which the second came quickly
        self._since = -inf  # when the last silence was over
        self._windowed = False  # whether all that a bucket should have had was there, and nothing came back
        self._paid_at = -inf  # when a window is over of which all calls were sent at once
        self._bursting = True  # whether what was saved up in the last silence is not used up
        self._paced_at = inf
        self._older = self._newer = (0.0, 0)  # moments of the pace, and how many had been taken
        self._quiet = inf  # since when nothing but single calls has been sent, all of which were refused
        self._probe: Probe | None = None  # looks whether a silence is over, if it was made up
        self._windows = Windows(0.0)
        self._tentative = False  # whether the rate is a guess that no refusal has confirmed
        self._rough = False  # whether that was made in the middle of a window, which lasted

    @classmethod
    def guessed(cls, rate: float, now: float, taken: int) -> Learned:
        """Return a bucket that is thought to be empty and to get so many calls a second back; it may not be one."""
        bucket = cls()
        bucket.most, bucket._burst, bucket._tokens, bucket._tentative = rate, 1.0, 0.0, True
        bucket._at = bucket._until = bucket._cut_at = bucket._estimated = bucket._paced_at = now
        bucket._cycle = bucket._older = bucket._newer = (now, taken)
        bucket._bursting = False
        return bucket

    def begin(self, now: float, taken: int) -> None:
        """Hear that a guessed rate is tried from now on: what was before is the rest of a window that was used up."""
        if self._tentative and self._estimated is not None:
            self._estimated, self._cycle = now, (now, taken)
            self._rough = (now - self._cut_at) * self.most >= LONG

    @property
    def rate(self) -> float | None:
        """Calls a second that come back now; None before the first estimate."""
        return self._rate(self._at) if self.most else None

    def refused(self, sent: float, now: float, retry_after: float, started: float, *, told: bool = True) -> None:
        """Hear of a refusal that wants nothing to be sent for `retry_after` seconds.

        Args:
            sent: when the refused call began.
            now: the time.
            retry_after: seconds.
            started: when the first call of all began.
            told: whether it says so, or has it been made up, and is only the time until the next probe?
        """
        if sent < self._cut_at or (self._estimated is None and now <= self._until):  # it tells nothing new
            self._until = max(self._until, now + retry_after)
            return
        self._kept = self._rate(sent) if self._estimated is not None and self.most else 0.0
        known = self._kept and not (self._guess or self._probing or self._windows.count)
        if known and self._kept <= BELOW * self.most:
            self._below.append(now)
        if self._windows.count:
            self._windows.refused()
        self._told = told
        if self._until == -inf:
            self._cycle = (min(started, sent), 0)
        if told or self._until == -inf:
            self._windows = Windows(self._cycle[0])
        self._cut_at, self._until = now, self._windows.due(now) if self._windows.count else now + retry_after
        self._empty, self._retry_after = sent, max(retry_after, 1e-3)
        self._estimated = None

    def delay(self, now: float, taken: int, in_flight: int = 0) -> float:
        """Return the seconds until a call may be sent.

        Args:
            now: the time.
            taken: how many the other side has taken so far.
            in_flight: how many are on their way.
        """
        tokens = self._look(now, taken, in_flight)
        if now < self._until:
            return self._until - now
        if self._probe is not None and (wait := self._probe.delay(now)):
            return wait
        if tokens >= 1.0 - 1e-9:
            return 0.0
        return max(0.0, self._paid_at - now) + (1.0 - tokens) / self._rate(now)

    def room(self, most: int, now: float, taken: int, in_flight: int = 0) -> int:
        """Return how many calls, up to `most`, may be sent now; the rest as in `delay`."""
        tokens = self._look(now, taken, in_flight)
        if now < self._until:
            return 0
        if self._probe is not None:
            most = 0 if self._probe.delay(now) else min(1, most)
        return most if tokens >= most else int(tokens + 1e-9)

    def take(self, count: int) -> None:
        """Count calls that are sent; less than 0 for those that were not after all."""
        self._tokens -= count
        if self._probe is not None:
            self._probe.take(self._at, count)

    @property
    def probing(self) -> bool:
        """Whether nothing was taken between the last two refusals."""
        return self._probing

    @property
    def doubted(self) -> bool:
        """Whether calls are refused at whatever rate, as by a side that refuses one in twenty by chance.

        A bucket that is known refuses only who goes above its rate. What lets others in as well does, too.
        """
        return len(self._below) == DOUBTS and self._below[-1] - self._below[0] <= WITHIN

    @property
    def gone(self) -> bool:
        """Whether there is no limit any more, or nothing is known of one."""
        if self._windows.count:
            return self._windows.vague
        if self._tentative and self._estimated is not None:
            return self._at > self._estimated + HOLD + (MOST_DOUBLINGS + 1.0) * DOUBLES
        if self._estimated is not None and not self.most and not self._probing and self._burst < inf:
            return True
        kept = self._estimated is not None and not (self._guess or self._unsure)
        return kept and self._rate(self._at) > FADED * self.most

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock."""
        for name in ("_at", "_cut_at", "_until", "_empty", "_paced_at", "_paid_at", "_quiet"):
            setattr(self, name, getattr(self, name) + seconds)
        for name in ("_cycle", "_older", "_newer"):
            when, count = getattr(self, name)
            setattr(self, name, (when + seconds, count))
        if self._estimated is not None:
            self._estimated += seconds
        self._windows.shift(seconds)
        if self._probe is not None:
            self._probe.shift(seconds)

    # -- private, in order of use -----------------------------------------------------------------------------

    def _look(self, now: float, taken: int, in_flight: int) -> float:
        """Bring the bucket up to date; return what is in it, once a silence is over."""
        if now < self._until:
            return 0.0
        if self._estimated is None:
            self._estimate(taken)
            if not self._told:
                self._probe = Probe(taken + in_flight, max(0.0, self._cut_at - self._empty))
        if self._probe is not None and self._probe.over(now, taken):
            self._open(now)
        if self._windows.count:
            return self._look_at_windows(now, taken)
        if self._probing and taken > self._probed:
            self._probing = False
            self._estimated = self._until
            self._at = now
            if not (self._guess or self._told):
                self._count_silence(now)
        refill = self._rate(now) * max(0.0, now - max(self._at, self._paid_at))
        self._tokens = min(self._burst, self._tokens + refill)
        self._at = now
        if self._tokens < 1.0 and self._bursting and now >= self._paid_at:
            self._bursting, self._paced_at = False, now
            self._older = self._newer = (now, taken)
        elif not self._bursting and now - self._newer[0] > self._look_back and taken - self._newer[1] >= ENOUGH:
            self._older, self._newer = self._newer, (now, taken)
        return self._tokens

    def _open(self, now: float) -> None:
        """Hear that a silence of which nobody said how long it is was over by now."""
        counted = self._windows.count
        refused = (self._empty - self._quiet) * self.most
        self._windows.opened(self._empty, now, self._probed, full=refused >= LONG)
        self._probe = None
        if self._windows.count:
            self._tokens, self.most = self._windows.room - 1.0, self._windows.rate
        elif counted:
            self._guess, self._burst, self._estimated = True, max(1.0, self._tokens), now
            self._cycle = (now, self._probed)

    def _look_at_windows(self, now: float, taken: int) -> float:
        """Return how many calls are left in this window; with none, begin to wait for the next."""
        self._at = now
        if self._probe is None:
            if self._windows.rolls(now, taken):
                self._tokens = self._windows.room
            if self._tokens < 1.0:
                self._until, self._estimated, self._empty = self._windows.due(now), None, -inf
        return self._tokens

    def _rate(self, now: float) -> float:
        """Return calls a second: see the module's table."""
        if self._probing or not self.most:
            return 1.0 / max(SLOWEST, self._retry_after)
        age = max(0.0, now - max(self._until if self._estimated is None else self._estimated, self._paid_at))
        if self._guess:
            return float(self.most * 2.0 ** min(MOST_DOUBLINGS, max(0.0, age - HOLD) / DOUBLES))
        if unsure := max(self._unsure, self._late):
            return self.most * (1.0 + unsure * age / max(HOLD, 2 * self._retry_after))
        x = age / self._period - 1.0
        return self.most * (1.0 + (1.0 - FINE) * x * x * x)

    def _estimate(self, taken: int) -> None:
        """Learn from the silence that is over."""
        if self._windows.count:
            self._estimated, self._probed, self._tokens = self._until, taken, 1.0
            return
        since, before = self._cycle
        # a guess began when a bucket was empty, and it was empty again at the refusal
        until = self._cut_at if self._tentative and not self._rough else self._until
        passed, span = taken - before, max(until - since, 1e-3)
        silence = self._until - self._empty
        first = self._burst == inf
        self._estimated = self._until
        self._probing = taken <= self._probed or passed <= 0
        if not self._probing or first:
            self._quiet = 2 * self._cut_at - self._empty  # when what was sent before had been answered
        if not self._probing:
            paced = 0.0 if self._bursting else self._empty - self._paced_at
            recent = self._recent() if paced >= silence else 0.0
            few = passed < FEW
            most = max((passed + few / 2) / span, recent)
            quickly = first or paced < silence / 4
            if self._windowed and self._kept > most:  # between what was taken and what was refused
                most = (most + self._kept) / 2
            lately, blurred = taken - self._probed, self._retry_after == 1.0 and self._until - self._since <= BLURRED
            if first:
                self._burst = max(1.0, FINE * (passed - most * (self._empty - since)))
            elif quickly:  # what was saved up was less than was thought; or it was all there, and nothing came back
                self._windowed = blurred and lately >= self._burst - 1.0
                if self._windowed:  # one window may have ended in between, and both have had some
                    close = abs(lately - self._passed) <= max(1.0, SAME * lately)
                    self._burst = float((max if close else min)(lately, self._passed))
                else:
                    self._burst = max(1.0, CAREFUL * (passed - most * (self._cut_at - since)))
            if quickly:
                self._passed = lately
            doubtful = blurred and recent < most and (self._windowed or (quickly and not first))
            self._late = 1.0 / span if doubtful else 0.0
            self._guess = first or self._rough
            self._counted, self._silent = self._cycle, self._cut_at
            self._unsure = few / passed  # a longer look tells more: the next one begins where this one did
            self.most = most
            self._period = max(AGAIN, PAUSES * self._retry_after, SURE / most)
        elif first and not self._blank:
            self._probing, self._blank = False, True  # nothing is known: the very first calls were refused
            self._tokens = inf
            return
        elif first:
            self._burst = 1.0
        self._probed, self._since = taken, self._until
        saved = self._burst if self._windowed else min(self._burst, self.most * silence)
        self._tokens = 1.0 if self._probing else max(1.0, saved)
        self._at, self._bursting = self._until, True
        self._paid_at = self._until + (self._tokens / self.most if self._windowed and not self._probing else 0.0)
        self._tentative = self._rough = False
        if first or not self._unsure:
            self._cycle = (self._until, taken)

    def _count_silence(self, now: float) -> None:
        """Correct an estimate that was made when a silence was taken to be over: what was taken was all for longer."""
        since, before = self._counted
        passed, span = self._probed - before, now - since
        if passed > 0 and span > 0.0:
            self.most = (passed + (FEW / 2 if passed < FEW else 0.0)) / span
            self._burst = max(1.0, CAREFUL * (passed - self.most * (self._silent - since)))
            self._tokens = min(self._burst, self.most * (now - self._silent))
            self._bursting = True
            self._cycle = (now, self._probed)

    @property
    def _look_back(self) -> float:
        """Seconds for which a rate is looked at: a window may be as long as a Retry-After, and tells nothing sooner."""
        return max(RECENT, self._retry_after) if self._told else RECENT

    def _recent(self) -> float:
        """Return how many a second were taken while the last rate was kept; 0.0 where too few were."""
        elapsed, seen = self._newer[0] - self._older[0], self._newer[1] - self._older[1]
        if self._bursting or seen < ENOUGH or elapsed < self._look_back:
            return 0.0
        saved = 0.0 if self._windowed else self._burst  # which may have been among them
        return min((seen - saved) / elapsed, self._kept)
