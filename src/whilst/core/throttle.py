"""May a call start under one key of a limit, and if not, how soon should one look again?"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal, Protocol

from .allowance import Allowance
from .rates import Gcra, Quota, Rate

Verdict = Literal["ok", "failed", "rejected"]


class Controller(Protocol):
    """What finds the concurrency, and where need be the rate, that the other side bears."""

    @property
    def limit(self) -> int:
        """How many calls may be in flight now."""
        ...

    @property
    def rate(self) -> float | None:
        """How many calls a second may start now, if it is the rate that the other side limits."""
        ...

    def delay(self, in_flight: int, now: float) -> float:
        """Return the seconds until one more may start; infinite if only a returning call helps."""
        ...

    def sent(self, in_flight: int, now: float) -> None:
        """Note that a call starts, which is one of the `in_flight`."""
        ...

    def succeeded(self, sent: float, now: float, in_flight: int) -> None:
        """Note that a call which started at `sent` succeeded; `in_flight` are left."""
        ...

    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None) -> None:
        """Note that the other side refused a call."""
        ...

    def failed(self, sent: float, now: float, in_flight: int) -> None:
        """Note that a call failed for reasons of its own."""
        ...


class Throttle:
    """The state of one key of one limit. Calls in flight hold a permit each; rates count when calls start.

    Args:
        concurrency: calls in flight at once; None for as many as there are.
        rates: shortest period first, as `parse_rates` gives them; the first paces, the others are quotas.
        burst: how many calls may start at once at the first rate.
        adaptive: makes the controller that finds the concurrency, which then has none of its own.

    >>> throttle = Throttle(concurrency=1)
    >>> throttle.take(0.0)
    >>> throttle.delay(0.0)
    inf
    >>> throttle.give_back()
    >>> throttle.delay(0.0)
    0.0
    """

    __slots__ = (
        "_adaptive",
        "_advised",
        "_advised_until",
        "_allowance",
        "_pace",
        "_plain",
        "_rates",
        "_room",
        "controller",
        "in_flight",
        "pause_until",
        "rejected",
        "started",
    )

    def __init__(
        self,
        concurrency: int | None = None,
        rates: tuple[Rate, ...] = (),
        burst: int = 1,
        adaptive: Callable[[], Controller] | None = None,
    ) -> None:
        self.in_flight: int = 0
        self.started: int = 0
        self.rejected: int = 0
        self.pause_until: float = -inf
        self.controller: Controller | None = adaptive() if adaptive is not None else None
        self._adaptive = adaptive
        self._room = inf if concurrency is None else concurrency
        self._pace = Gcra(rates[0], burst) if rates else None
        self._rates: tuple[Gcra | Quota, ...] = ()
        if self._pace is not None:
            self._rates = (self._pace, *(Quota(rate) for rate in rates[1:]))
        self._advised: Gcra | None = None
        self._advised_until = -inf
        self._allowance: Allowance | None = None
        self._plain = len(rates) < 2 and adaptive is None  # only pace and `in_flight` decide; until a pause, advice

    @property
    def timeless(self) -> bool:
        """Whether nothing but `in_flight` decides, so that a permit which comes back may be used at once."""
        return self._plain and self._pace is None

    @property
    def concurrency(self) -> int | None:
        """How many calls may be in flight now; what the controller has found, if there is one."""
        if self.controller is not None:
            return max(1, self.controller.limit)
        return None if self._room == inf else int(self._room)

    def room(self, most: int, now: float, weight: float = 1.0) -> int:
        """Return how many calls, up to `most`, may start now; at most 1 where somebody decides anew after each."""
        if not self._plain:
            if self.delay(now, weight) > 0.0:
                return 0
            if self.controller is not None or self._advised is not None:
                return min(1, most)
            for rate in self._rates:
                most = rate.room(most, now, weight)
            if self._allowance is not None:
                most = min(most, self._allowance.room(self.in_flight, now))
        elif self._pace is not None:
            most = self._pace.room(most, now, weight)
        return int(max(0, min(most, self._room - self.in_flight)))

    def delay(self, now: float, weight: float = 1.0) -> float:
        """Return the seconds until a call may start; 0.0 if it may, infinite if only a returning call helps."""
        if self.in_flight >= self._room:
            return inf
        if self._plain:
            return 0.0 if self._pace is None else self._pace.delay(now, weight)
        wait = self.pause_until - now
        for rate in self._rates:
            if (longer := rate.delay(now, weight)) > wait:
                wait = longer
        if wait < 0.0:
            wait = 0.0
        if self._advised is not None and self._is_advised(now):
            wait = max(wait, min(self._advised.delay(now, weight), self._advised_until - now))
        if self._allowance is not None:
            wait = max(wait, self._allowance.delay(self.in_flight, now))
        if self.controller is not None:
            found = self.controller.delay(self.in_flight, now)
            return found if found > wait else wait
        if not wait and len(self._rates) < 2 and self._advised is None and self._allowance is None:
            self._plain = True  # the pause is over
        return wait

    def exchanges(self, now: float) -> bool:
        """Whether each call that returns may be followed by another just now, and a controller hear of both later."""
        if self.timeless:
            return True
        found = self.controller
        if found is None or found.rate is not None or self._rates:
            return False
        if self._advised is not None or self._allowance is not None:
            return False
        return self.pause_until <= now and found.delay(self.in_flight - 1, now) == 0.0

    def take(self, now: float, weight: float = 1.0, count: int = 1) -> None:
        """Count `count` calls that start now; more than one only if `room` said so."""
        if self.controller is not None or self._advised is not None:
            for _ in range(count):
                self._take_rates(now, weight)
                self.in_flight += 1
        else:
            for rate in self._rates:
                rate.take(now, weight * count)
            if self._allowance is not None:
                self._allowance.take(count)
            self.in_flight += count
        self.started += count

    def take_one(self, now: float, weight: float = 1.0) -> bool:
        """Count a call that starts now, if it may: `room` and `take` in one step."""
        if self.in_flight >= self._room:
            return False
        if self._plain:
            if self._pace is not None and not self._pace.take_one(now, weight):
                return False
        elif self.delay(now, weight) > 0.0:
            return False
        else:
            self._take_rates(now, weight)
        self.in_flight += 1
        self.started += 1
        return True

    def undo(self, taken: float, weight: float = 1.0, count: int = 1) -> None:
        """Forget `count` calls that were counted at the time `taken` and never started."""
        self.in_flight -= count
        self.started -= count
        for rate in self._rates:
            rate.undo(taken, weight * count)
        if self._advised is not None and weight:
            self._advised.undo(taken, float(count))
        if self._allowance is not None:
            self._allowance.take(-count)

    def give_back(self, count: int = 1) -> None:
        """Note that calls have returned, of which there is nothing to tell."""
        self.in_flight -= count

    def finished(self, started: float, now: float, verdict: Verdict, retry_after: float | None = None) -> None:
        """Note that a call has returned, and how; a `retry_after` in seconds pauses the key."""
        self.in_flight -= 1
        self.learn(started, now, verdict, retry_after)

    def learn(self, started: float, now: float, verdict: Verdict, retry_after: float | None = None) -> None:
        """Note how a call ended that is still counted as in flight, or no longer is."""
        if retry_after is not None:
            self.pause(now + retry_after)
        if verdict == "rejected":
            self.rejected += 1
        if self.controller is None:
            return
        if verdict == "ok":
            self.controller.succeeded(started, now, self.in_flight)
        elif verdict == "rejected":
            self.controller.rejected(started, now, self.in_flight, retry_after)
        else:
            self.controller.failed(started, now, self.in_flight)

    def pause(self, until: float) -> None:
        """Start nothing before `until`; the longest of several pauses holds."""
        self.pause_until = max(self.pause_until, until)
        self._plain = False

    def advise(self, rate: float, window: float, now: float) -> None:
        """Start at most `rate` calls a second for the next `window` seconds, as the other side asked; 0 pauses.

        Later advice replaces earlier advice.
        """
        if rate <= 0.0:
            self.pause(now + window)
            return
        pace = Rate(rate, 1.0, "advised")
        if self._advised is None:
            self._advised = Gcra(pace)
        else:
            self._advised.change(pace, now)
        self._advised_until = now + window
        self._plain = False

    def allow(self, left: float, seconds: float, now: float) -> None:
        """Start at most `left` calls in the next `seconds`, as a call in flight was told; later answers correct it."""
        if self._allowance is None:
            self._allowance = Allowance()
        self._allowance.tell(left, seconds, max(0, self.in_flight - 1), now)
        self._plain = False

    def idle(self, now: float) -> bool:
        """Whether this may be forgotten: a new one would give the same answers, but for what a controller learned."""
        return (
            self.in_flight == 0
            and self.pause_until <= now
            and not self._is_advised(now)
            and (self._allowance is None or self._allowance.over(now))
            and all(rate.idle(now) for rate in self._rates)
        )

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock; a controller begins anew."""
        self.pause_until += seconds
        self._advised_until += seconds
        for rate in (*self._rates, *((self._advised,) if self._advised is not None else ())):
            rate.shift(seconds)
        if self._allowance is not None:
            self._allowance.shift(seconds)
        if self._adaptive is not None:
            self.controller = self._adaptive()

    def _take_rates(self, now: float, weight: float) -> None:
        for rate in self._rates:
            rate.take(now, weight)
        if self._advised is not None and weight:
            self._advised.take(now)  # the headers count calls
        if self._allowance is not None:
            self._allowance.take(1)
        if self.controller is not None:
            self.controller.sent(self.in_flight + 1, now)

    def _is_advised(self, now: float) -> bool:
        if self._advised is not None and self._advised_until <= now:
            self._advised = None
        return self._advised is not None
