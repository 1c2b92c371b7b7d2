"""How many calls at once, and how many a second, does the other side allow? Found out while calling it.

`Controller` is asked before each call and told what became of it. It holds no clock and no lock: the shell calls it,
with `now` in seconds of one monotonic clock, from one thread at a time. Three questions are kept apart, each with a
module and a state table of its own:

- `elasticity.Climb`: how many calls at once are worth it? Always asked, by throughput.
- `ceiling.Ceiling`: how many at once are taken before one is refused? Asked from the first refusal on.
- `cubic.Pace`: how many a second are permitted? Asked when a ceiling does not explain the refusals.

What a refusal (429, 503, a refused connection, a timeout) does:

====================================================  =======================================================
when                                                  what
====================================================  =======================================================
it says Retry-After                                   nothing is sent until then; and the pace comes down
the call was sent before the last cut                 it tells nothing new, but counts the ceiling down
refusals are at most 1.5 % of the answers             nothing: some answer 503 now and then whatever is done, and
                                                      a limiter without burst refuses what jitter pushed together
no pace yet, at least 3 other calls are in flight     the ceiling comes down to those
at a level that had been proven to work, three times  it is no ceiling: from now on a pace
a pace, but refused only when 1 to 3 were in flight   it is a ceiling after all, of very few slots
otherwise                                             the pace comes down
====================================================  =======================================================

One cut a round trip: calls sent before it say nothing about it. The 1.5 % are also what looking for more is paid from.
"""

from __future__ import annotations

from math import inf

from .ceiling import Ceiling
from .cubic import Pace
from .elasticity import Climb

TOLERATED = 0.015  # refusals for each success that need no answer; with none, a random 503 in 200 leaves 11 % goodput
SAVED = 2.0  # refusals that may be saved up, so that a limit that fell is heard at once
FEW = 3  # with fewer calls in flight a refusal is more likely the rate; a pace finds out which
ALL_REFUSED = "everything is refused: single calls, one a second at least"
EARLY = 1e-9  # seconds; a wait this short is rounding


class Controller:
    """Finds the concurrency, or the rate, at which the other side gives the most; one for each limit.

    Args:
        cap: calls at once, never more.
        start: calls at once to begin with.

    Attributes:
        limit: calls that may be in flight now, from 1 to `cap`.
        pause_until: when a Retry-After is over, on the clock of `now`; 0.0 where there is none.

    >>> controller = Controller(start=2)
    >>> controller.delay(0, now=10.0)
    0.0
    >>> controller.sent(1, now=10.0)
    >>> controller.rejected(sent=10.0, now=10.1, in_flight=0, retry_after=1.5)
    >>> controller.delay(0, now=10.1)
    1.5
    """

    __slots__ = ("_cap", "_ceiling", "_climb", "_credit", "_cut_at", "_few", "_pace", "limit", "pause_until")

    def __init__(self, *, cap: int = 4096, start: int = 10) -> None:
        if cap < 1 or start < 1:
            raise ValueError(f"cap and start must be at least 1, got cap={cap} and start={start}")
        self._cap = cap
        self._climb = Climb(cap=cap, start=start)
        self._ceiling = Ceiling()
        self._pace = Pace()
        self._credit = 0.0
        self._cut_at = -inf
        self._few = FEW  # calls in flight from which on a ceiling may explain a refusal
        self.limit: int = int(self._climb.level)
        self.pause_until: float = 0.0

    @property
    def rate(self) -> float | None:
        """Calls a second, where the other side was found to limit them."""
        return self._pace.rate

    @property
    def found(self) -> str:
        """What was found, in words; "" as long as nothing was refused."""
        if self._pace.silent:
            return ALL_REFUSED
        if self.rate is not None:
            return f"the other side permits {self._pace.most:.3g}/s"
        return f"more than {self._ceiling.top:g} at once are refused" if self._ceiling.top < inf else ""

    def delay(self, in_flight: int, now: float) -> float:
        """Return 0.0 if one more call may be sent, inf if only a returning call helps, else the seconds to wait."""
        if in_flight >= self.limit:
            return inf
        if now < self.pause_until:
            return self.pause_until - now
        self.pause_until = 0.0
        wait = self._pace.next_at - now
        if wait <= EARLY:
            return 0.0
        self._pace.bound(now)
        return wait

    def sent(self, in_flight: int, now: float) -> None:
        """Hear that a call was sent just now; `in_flight` includes it."""
        if in_flight >= self.limit:
            self._climb.full()
            if self._ceiling.top <= in_flight and (self._credit >= 1.0 or self._ceiling.looking):
                self._look(now)
        self._pace.sent(in_flight, now)

    def succeeded(self, sent: float, now: float, in_flight: int) -> None:
        """Hear that a call sent at `sent` succeeded; `in_flight` others are still under way."""
        climb = self._climb
        climb.succeeded(now - sent if now > sent else 0.0, now)
        self._pace.succeeded(sent, now, climb.latency)
        if self._credit < SAVED:
            self._credit += TOLERATED
        self._set_limit()

    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None = None) -> None:
        """Hear that a call was refused because of load; `retry_after`: seconds, sensible ones, if the refusal says.

        A refused connection and a timeout count as refusals; see the module's table for what follows.
        """
        told_when = retry_after is not None and retry_after > 0
        if retry_after is not None and told_when:
            self.pause_until = max(self.pause_until, now + retry_after)
        if sent < self._cut_at:
            self._ceiling.lower(in_flight)
        elif not told_when and (slots := self._few_slots(in_flight, now)):
            self._pace.drop(now)
            self._few = 0
            self._ceiling = Ceiling()
            self._come_down(slots, now, 0.0)
        elif not told_when and self._credit >= 1.0:
            self._credit -= 1.0
        else:
            self._come_down(in_flight, now, retry_after if retry_after is not None and told_when else 0.0)
        self._set_limit()

    def paused(self, until: float) -> None:
        """Hear that nothing is sent until then, for a reason that is looked after elsewhere."""
        self._climb.pause(until)

    def failed(self, sent: float, now: float, in_flight: int) -> None:
        """Hear of a failure that says nothing about load: the other side took the call, and that is all."""
        self._pace.answered(sent, now, self._climb.latency)

    def _set_limit(self) -> None:
        level, top = self._climb.level, self._ceiling.top
        self.limit = int(level if level < top else top)

    def _look(self, now: float) -> None:
        if self._ceiling.reached(now, self._climb.latency):
            self._climb.settle(min(self._ceiling.top, self._cap), now)
            self._set_limit()

    def _few_slots(self, in_flight: int, now: float) -> int:
        """Return how many slots the refusals under a pace tell of, or 0; that is believed once, and checked."""
        if self._few == 0 and self._ceiling.looking and self._climb.throughput < 0.7 * self._pace.most:
            self._pace.resume()  # the pace got more: it was the rate
            self._few = FEW + 1
            self._make_room(now)
        return self._pace.refused(in_flight) if self._few == FEW and self._pace.rate is not None else 0

    def _come_down(self, in_flight: int, now: float, retry_after: float) -> None:
        self._cut_at = now
        latency = self._climb.latency
        slots = self._pace.rate is None and not retry_after and in_flight >= self._few
        if slots and self._ceiling.refused(in_flight, now, latency):
            self._climb.settle(self._ceiling.top, now)
            return
        self._pace.cut(now, latency, retry_after)
        self._make_room(now)

    def _make_room(self, now: float) -> None:
        """Allow three times the calls that the pace needs: it is the pace that should hold the run back."""
        self._ceiling = Ceiling()
        if self._pace.rate is not None:
            self._climb.settle(min(self._cap, max(10.0, 3.0 * self._pace.rate * self._climb.latency + 3.0)), now)

    def __repr__(self) -> str:
        pace = "" if self.rate is None else f"{self.rate:.4g}/s, "
        return f"<Controller {pace}{self.limit} at once>"
