"""May a call start under one key of a limit, and if not, how soon should one look again?

Three may say no: the calls in flight and the rates that its user has given, a controller that finds them, and what the
other side has said (`other_side.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Literal, Protocol

from .costs import Cost, Scale
from .other_side import OtherSide
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

    def paused(self, until: float) -> None:
        """Note that nothing starts until then, because a refusal said so."""
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
        lanes: calls that are made at once at most, for a reason of their own; None if there is none.

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
        "_full_at",
        "_given",
        "_lanes",
        "_other_side",
        "_pace",
        "_plain",
        "_rates",
        "_room",
        "began",
        "controller",
        "full_since",
        "in_flight",
        "rejected",
        "scale",
        "started",
        "stopped",
    )

    def __init__(
        self,
        concurrency: int | None = None,
        rates: tuple[Rate, ...] = (),
        burst: int = 1,
        adaptive: Callable[[], Controller] | None = None,
        *,
        lanes: int | None = None,
    ) -> None:
        self.began: float = inf
        """When the first call began, as far as that was noted."""
        self.full_since: float = inf
        """Since when something else than its own pace has held calls up, as far as `LimitSet` notes it."""
        self.in_flight: int = 0
        self.started: int = 0
        self.rejected: int = 0
        self.controller: Controller | None = adaptive() if adaptive is not None else None
        self._adaptive = adaptive
        self._lanes = inf if lanes is None else lanes
        self.scale: Scale | None = None
        """What calls cost indeed for what they are thought to, once one has told."""
        self.stopped: bool = False
        """Whether nothing starts because somebody said so; see `stop`."""
        self._given: float
        self._room: float  # as given; nothing can start while there is less than none
        self._full_at: float
        self.allow_at_once(concurrency)
        self._pace = Gcra(rates[0], burst) if rates else None
        self._rates: tuple[Gcra | Quota, ...] = ()
        if self._pace is not None:
            self._rates = (self._pace, *(Quota(rate) for rate in rates[1:]))
        self._other_side: OtherSide | None = None  # once it has said something
        self._plain = len(rates) < 2 and adaptive is None  # only pace and `in_flight` decide, until it says something

    @property
    def timeless(self) -> bool:
        """Whether nothing but `in_flight` decides, so that a permit which comes back may be used at once."""
        return self._plain and self._pace is None and self.in_flight <= self._room

    @property
    def pause_until(self) -> float:
        """Before when nothing starts, as the other side said; far in the past where there was no pause."""
        return -inf if self._other_side is None else self._other_side.pause_until

    @property
    def concurrency(self) -> int | None:
        """How many calls may be in flight now; what the controller has found, if there is one."""
        if self.controller is not None:
            return max(1, self.controller.limit)
        return None if self._given == inf else int(self._given)

    def room(self, most: int, now: float, weight: float = 1.0) -> int:
        """Return how many calls, up to `most`, may start now; at most 1 where somebody decides anew after each."""
        if self.scale is not None:
            weight *= self.scale.now
        if not self._plain:
            if self._delay(now, weight) > 0.0:
                return 0
            if self.controller is not None:
                return min(1, most)
            for rate in self._rates:
                most = rate.room(most, now, weight)
            if self._other_side is not None:
                most = self._other_side.room(most, now, taken=self._taken, in_flight=self.in_flight)
        elif self._pace is not None:
            most = self._pace.room(most, now, weight)
        return int(max(0, min(most, self._room - self.in_flight)))

    def delay(self, now: float, weight: float = 1.0) -> float:
        """Return the seconds until a call may start; 0.0 if it may, infinite if only a returning call helps."""
        return self._delay(now, weight if self.scale is None else weight * self.scale.now)

    def _delay(self, now: float, weight: float) -> float:
        if self.in_flight >= self._room:
            return inf
        if self._plain:
            return 0.0 if self._pace is None else self._pace.delay(now, weight)
        wait = 0.0
        if self._other_side is not None:
            wait = self._other_side.delay(now, weight, taken=self._taken, in_flight=self.in_flight)
        for rate in self._rates:
            if (longer := rate.delay(now, weight)) > wait:
                wait = longer
        if self.controller is not None:
            found = self.controller.delay(self.in_flight, now)
            return found if found > wait else wait
        if not wait and len(self._rates) < 2 and not self._is_paced:
            self._plain = True  # the pause is over
        return wait

    def refusing(self, now: float, weight: float = 1.0) -> Literal["full", "other side", ""] | int:
        """Return what refuses a call: its own concurrency, the rate at this place, or what the other side has said.

        It changes nothing, unlike `delay`.
        """
        if self.in_flight >= self._room:
            return "full"
        if self.pause_until > now:
            return "other side"
        waits = [rate.delay(now, weight) for rate in self._rates]
        longest = max(waits, default=0.0)
        if longest > 0.0:
            return waits.index(longest)
        paced = self.controller is not None and self.controller.rate is not None
        return "other side" if paced or self._is_paced else ""

    def exchanges(self, now: float) -> bool:
        """Whether each call that returns may be followed by another just now, and a controller hear of both later."""
        if self.in_flight > self._room:
            return False
        if self.timeless:
            return True
        found = self.controller
        if found is None or found.rate is not None or self._rates:
            return False
        if self._is_paced:
            return False
        return self.pause_until <= now and found.delay(self.in_flight - 1, now) == 0.0

    def take(self, now: float, weight: float = 1.0, count: int = 1) -> None:
        """Count `count` calls that start now; more than one only if `room` said so."""
        if self.scale is not None:
            weight *= self.scale.now
        if not self.started:
            self.began = now
        if not self._plain:
            self._count(now, weight, count)
        else:
            if self._pace is not None:
                self._pace.take(now, weight * count)
            self.in_flight += count
        self.started += count

    @property
    def found(self) -> str:
        """What refusals have taught, in words."""
        other_side = self._other_side
        learned = "" if other_side is None else other_side.found
        return learned or str(getattr(self.controller, "found", ""))

    @property
    def full(self) -> bool:
        """Whether only a call that returns lets another one start."""
        return self.in_flight >= self._full_at

    # -- what moves -------------------------------------------------------------------------------------------

    def allow_at_once(self, concurrency: int | None) -> None:
        """Allow another number of calls in flight. What is in flight above it returns as it likes."""
        self._given = inf if concurrency is None else concurrency
        self._full_at = min(self._given, self._lanes)
        self._room = -inf if self.stopped else self._given

    def allow_rates(self, rates: tuple[Rate, ...], burst: int, now: float) -> None:
        """Allow other rates; what calls have taken of them stays taken, for quotas of the same period."""
        if not rates:
            self._pace, self._rates = None, ()
        else:
            if self._pace is None:
                self._pace = Gcra(rates[0], burst)
            else:
                self._pace.become(rates[0], burst, now)
            quotas = {rate.period: rate for rate in self._rates if isinstance(rate, Quota)}
            kept: list[Quota] = []
            for rate in rates[1:]:
                quota = quotas.get(rate.period) or Quota(rate)
                quota.become(rate)
                kept.append(quota)
            self._rates = (self._pace, *kept)
        self._plain = False  # the next look finds out

    def stop(self) -> None:
        """Start nothing until `go_on`; calls in flight return as they like."""
        self.stopped, self._room = True, -inf

    def go_on(self, now: float) -> None:
        """Go on; what the rate would have given meanwhile is not saved up."""
        self.stopped, self._room = False, self._given
        self.forget_saved(now)

    def forget_saved(self, now: float) -> None:
        """Make up for nothing that was not taken until now."""
        self.full_since = now if self.full else inf
        self.rest()

    def cost(self, weight: float) -> Cost:
        """Return what a call of this weight is counted as."""
        return Cost(weight, weight if self.scale is None else weight * self.scale.now)

    def correct(self, cost: Cost, real: float, taken: float, now: float) -> None:
        """Take note that a call which was counted at the time `taken` cost so much of the rates indeed."""
        if self.scale is None:
            self.scale = Scale()
        more = self.scale.learn(cost, real)
        for rate in self._rates:
            if isinstance(rate, Quota):
                rate.correct(more, taken)
            else:
                rate.correct(more, now)

    # -- what is made up for ----------------------------------------------------------------------------------

    def rest(self) -> None:
        """Take note that no call is in flight: a rest saves up nothing."""
        if self._pace is not None:
            self._pace.rest()

    @property
    def bounded(self) -> bool:
        """Whether only so many calls may be in flight."""
        return self._full_at < inf

    @property
    def rated(self) -> bool:
        """Whether there is a pace."""
        return self._pace is not None

    @property
    def share(self) -> float:
        """How much may be saved up while another pace holds calls up."""
        return self._pace.share if self._pace is not None else 0.0

    def held(self, since: float, now: float, most: float) -> None:
        """Take note that something else held calls up from `since` until now: see `Gcra.held`."""
        if self._pace is not None:
            self._pace.held(since, now, most)

    def take_one(self, now: float, weight: float = 1.0) -> bool:
        """Count a call that starts now, if it may: `room` and `take` in one step."""
        if self.in_flight >= self._room:
            return False
        if self._plain:
            if self._pace is not None and not self._pace.take_one(now, weight):
                return False
            self.in_flight += 1
        elif self.delay(now, weight) > 0.0:
            return False
        else:
            self._count(now, weight, 1)
        if self.started == 0:
            self.began = now
        self.started += 1
        return True

    def count_before(self, calls: int, began: float) -> None:
        """Count calls that had been made, the first at the time `began`, before this was asked."""
        self.started += calls
        self.began = min(self.began, began)

    def undo(self, taken: float, weight: float = 1.0, count: int = 1) -> None:
        """Forget `count` calls that were counted at the time `taken` and never started."""
        self.in_flight -= count
        self.started -= count
        if self.scale is not None:
            weight *= self.scale.now
        for rate in self._rates:
            rate.undo(taken, weight * count)
        if self._other_side is not None:
            self._other_side.undo(taken, weight, count)

    def never_made(self, weight: float, count: int) -> None:
        """Forget `count` calls that were let through a while ago and not made: only its rates have lost them."""
        self.in_flight -= count
        self.started -= count
        if self._other_side is not None:
            self._other_side.undo(-inf, weight, count)

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
            if retry_after:
                self._hear().refused(started, now, retry_after, self.began)
        if self.controller is None:
            return
        if verdict == "ok":
            self.controller.succeeded(started, now, self.in_flight)
        elif verdict == "rejected" and retry_after:
            self.controller.paused(self.pause_until)  # `learned` takes care of the rate
        elif verdict == "rejected":
            self.controller.rejected(started, now, self.in_flight, retry_after)
        else:
            self.controller.failed(started, now, self.in_flight)

    def find_out(self, sent: float, now: float, *, sure: bool = True) -> None:
        """Have the rate found that the other side permits, whose refusal does not say when to come again.

        Args:
            sent: when the refused call began.
            now: the time.
            sure: whether it says that there were too many calls, or it may mean anything.
        """
        if self.controller is not None:
            return
        taken, refused = self._taken, self.rejected + 1
        self._hear().find_out(sent, now, self.began, taken=taken, in_flight=self.in_flight, refused=refused, sure=sure)

    def pause(self, until: float) -> None:
        """Start nothing before `until`; the longest of several pauses holds."""
        self._hear().pause(until)

    def advise(self, rate: float, window: float, now: float) -> None:
        """Start at most `rate` calls a second for the next `window` seconds, as the other side asked; 0 pauses.

        Later advice replaces earlier advice.
        """
        if rate <= 0.0:
            self.pause(now + window)
            return
        self._hear().advise(rate, window, now)

    def allow(self, left: float, seconds: float, now: float, refill: float = 0.0) -> None:
        """Start at most `left` calls in the next `seconds`, and `refill` a second more, as a call in flight was told.

        Later answers correct it.
        """
        self._hear().allow(left, seconds, max(0, self.in_flight - 1), now, refill)

    def idle(self, now: float) -> bool:
        """Whether this may be forgotten: a new one would give the same answers, but for what a controller learned."""
        if self.in_flight:
            return False
        if self._plain:
            return self._pace is None or self._pace.idle(now)
        told = self._other_side is not None and not self._other_side.idle(now)
        return not told and all(rate.idle(now) for rate in self._rates)

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock; a controller begins anew."""
        self.began += seconds
        self.full_since += seconds
        for rate in self._rates:
            rate.shift(seconds)
        if self._other_side is not None:
            self._other_side.shift(seconds)
        if self._adaptive is not None:
            self.controller = self._adaptive()

    def _count(self, now: float, weight: float, count: int) -> None:
        for rate in self._rates:
            rate.take(now, weight * count)
        if self._other_side is not None:
            self._other_side.take(now, weight, count)
        if self.controller is not None:
            for more in range(count):
                self.controller.sent(self.in_flight + more + 1, now)
        self.in_flight += count

    @property
    def _is_paced(self) -> bool:
        """Whether the other side has told how many calls, or how fast."""
        return self._other_side is not None and self._other_side.paces

    def _hear(self) -> OtherSide:
        """Return what the other side has said, as there is more of it now."""
        self._plain = False
        if self._other_side is None:
            self._other_side = OtherSide()
        return self._other_side

    @property
    def _taken(self) -> int:
        """How many calls the other side has taken and answered."""
        return self.started - self.in_flight - self.rejected
