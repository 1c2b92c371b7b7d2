"""What can several limits give at once: permits of all of them, or of none?"""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import TYPE_CHECKING

from ..core.headers import Left
from ..core.outcome import short
from ..core.throttle import Throttle
from .feedback import Report, allowed, told_to
from .line import Clock, Line, Party, unrest

if TYPE_CHECKING:
    from .limit import Limit


def keys_of(limits: tuple[Limit, ...], item: object) -> tuple[Hashable, ...]:
    """Return the key of an item at each limit. What a `by` raises comes out here."""
    return tuple([limit._key(item) for limit in limits])


class Places:
    """The line of one key at each limit, with what a call weighs there. Every method is for those who have the lock.

    Args:
        limits: each once.
        item: what their `by` and `weight` functions are asked of. What these raise comes out here.
        clock: what tells the time of whoever takes permits.
    """

    __slots__ = ("_fresh", "_limits", "_weighed", "keys", "lines", "taken_at", "weights")

    def __init__(self, limits: tuple[Limit, ...], item: object, clock: Clock) -> None:
        self.keys: tuple[Hashable, ...] = keys_of(limits, item)
        self.weights: tuple[float, ...] = tuple([limit._weight(item) for limit in limits])
        self.lines: tuple[Line, ...] = ()
        self.taken_at: float = -inf
        """When permits were taken last."""
        self._fresh = 0  # how many were taken at that moment
        self._limits = limits
        self._weighed: tuple[tuple[Throttle, float], ...] = ()
        self._find(clock)

    @property
    def paused_until(self) -> float:
        """When the last pause of the keys ends; far in the past if there is none."""
        return max((line.throttle.pause_until for line in self.lines), default=-inf)

    def meet(self, clock: Clock) -> None:
        """See that the lines are the ones in use, and keep this clock's time."""
        for line in self.lines:
            if line.gone:
                self._find(clock)
                return self.meet(clock)
            if line.clock is not clock:
                line.meet(clock)
        return None

    def weigh(self, item: object) -> None:
        """Take the weights of another item of the same keys."""
        keys = keys_of(self._limits, item)
        if keys != self.keys:
            raise ValueError(f"this claim is for {short(self.keys)}; {short(item)} belongs to {short(keys)}")
        self.weights = tuple([limit._weight(item) for limit in self._limits])
        self._weighed = tuple([(line.throttle, weight) for line, weight in zip(self.lines, self.weights, strict=True)])

    def refusal(self, party: Party) -> tuple[Line, float] | None:
        """Return the first line that refuses a party, and for how long; None if a permit can be had."""
        clock = party.clock
        now = clock()
        for line, weight in zip(self.lines, self.weights, strict=True):
            if line.clock is not clock:
                line.meet(clock)
            if (line.parties or line.kept_for) and not line.open_to(party):
                return line, inf
            if (wait := line.throttle.delay(now, weight)) > 0.0:
                return line, wait
        return None

    def others(self, party: Party) -> bool:
        """Whether anybody but this party stands in one of the lines, or has one kept; a guess without the lock."""
        at = party.line
        return any(line.kept_for is not None or len(line.parties) > (line is at) for line in self.lines)

    def take(self, count: int, now: float) -> int:
        """Take up to `count` permits of every limit, as many as all of them can give, whosever turn it is."""
        taken = 0
        while taken < count:
            can = count - taken
            for throttle, weight in self._weighed:
                can = throttle.room(can, now, weight)
            if not can:
                break
            for throttle, weight in self._weighed:
                throttle.take(now, weight, can)
            taken += can
        if taken:
            self._fresh = taken + (self._fresh if self.taken_at == now else 0)
            self.taken_at = now
        return taken

    def free(self, count: int) -> None:
        """Return the permits of calls that are over."""
        for throttle, _ in self._weighed:
            throttle.in_flight -= count

    def refund(self, count: int) -> None:
        """Return permits that were not used: rates get back what was taken in the latest moment."""
        cells = min(count, self._fresh)
        self._fresh -= cells
        for throttle, weight in self._weighed:
            if cells:
                throttle.undo(self.taken_at, weight, cells)
            throttle.give_back(count - cells)

    def count(self, calls: int) -> None:
        """Count calls that used a permit which another call had before them."""
        for throttle, _ in self._weighed:
            throttle.started += calls

    def succeeded(self, started: float, ended: float, *, followed: bool) -> None:
        """Count the end of a call that went well, and the start of the one that got its permit, if one did."""
        for throttle, _ in self._weighed:
            controller = throttle.controller
            if controller is not None:
                controller.succeeded(started, ended, throttle.in_flight - 1)
                if followed:
                    controller.sent(throttle.in_flight, ended)
            if followed:
                throttle.started += 1
            else:
                throttle.in_flight -= 1

    def learn(self, started: float, now: float, report: Report) -> None:
        """Pass on how a call went.

        Where some of the limits have keys, the others do not pause for it: they stand for more than the key that asked.
        """
        unrest.count += 1
        meant = self._meant()
        for throttle, _ in self._weighed:
            told_to(throttle, started, now, report, meant=throttle in meant)

    def allow(self, left: Left, now: float) -> None:
        """Pass on how many calls an answer says are left."""
        unrest.count += 1
        for throttle in self._meant():
            allowed(throttle, left, now)

    def keep_for(self, party: Party) -> None:
        """Keep all lines for a party, but those that are kept for somebody older."""
        unrest.count += 1
        for line in self.lines:
            if line.kept_for is None or line.kept_for.ticket > party.ticket:
                line.kept_for = party

    def let_go(self, party: Party) -> list[Line]:
        """Keep no line for it any longer; return those that are free now."""
        freed = [line for line in self.lines if line.kept_for is party]
        for line in freed:
            line.kept_for = None
        return freed

    def _meant(self) -> list[Throttle]:
        """Return those of which the other side speaks: those with keys of their own, if there are any."""
        throttles = [throttle for throttle, _ in self._weighed]
        keyed = [throttle for limit, throttle in zip(self._limits, throttles, strict=True) if limit.keyed]
        return keyed or throttles

    def _find(self, clock: Clock) -> None:
        self.lines = tuple([limit._line(key, clock) for limit, key in zip(self._limits, self.keys, strict=True)])
        self._weighed = tuple([(line.throttle, weight) for line, weight in zip(self.lines, self.weights, strict=True)])
