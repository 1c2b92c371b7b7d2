"""How many calls does the other side still permit, as the answers of calls that went well say?"""

from __future__ import annotations

from math import inf

STALE = 5.0  # seconds after which an answer is believed that says more than there should be in a bucket
ROUNDING = 1.0  # seconds by which the end of one window, told in whole seconds, may differ from answer to answer


class Allowance:
    """What is left until the other side gives new calls; counted down here, and set right by each answer.

    Until then it may be spent as fast as one likes, as a quota: to stretch it would have fifty calls take a minute
    where sixty a minute are permitted. Answers overtake each other: before the end of a window a larger number is an
    older one, of a call that a smaller number has counted. After it nobody knows more than what was permitted before:
    so many may be in flight until an answer tells.

    Of a bucket calls come back all the time. So what is left is counted up too, and an answer sets it right within
    what it can know: not more than it said; and if it is the freshest, not less than that without the calls that it may
    not have counted.

    >>> allowance = Allowance()
    >>> allowance.tell(3, seconds=10, others=1, now=0.0)
    >>> allowance.room(in_flight=2, now=0.0)
    2
    >>> allowance.take(2)
    >>> allowance.delay(in_flight=4, now=1.0)
    9.0
    """

    __slots__ = ("_at", "_left", "_most", "_refill", "_told", "_told_at", "_until")

    def __init__(self) -> None:
        self._told = inf
        self._told_at = 0.0  # of a bucket
        self._until = -inf
        self._left = 0.0
        self._most = 1.0
        self._refill = 0.0
        self._at = 0.0  # when a bucket had `_left`

    def tell(self, left: float, seconds: float, others: int, now: float, refill: float = 0.0) -> None:
        """Take note of an answer.

        Args:
            left: calls that may still be made before there are new ones.
            seconds: until then.
            others: calls in flight besides the one that was answered; the other side may not have counted them yet.
            now: the time.
            refill: calls a second that come back meanwhile, where they do.
        """
        if refill > 0.0:
            self._tell_of_bucket(left, seconds, others, now, refill)
            return
        until = now + seconds
        if self._refill:
            self._refill, self._told, self._most = 0.0, inf, 1.0
        if now < self._until and left > self._told and until <= self._until + ROUNDING:
            self._left = min(self._left + 1, self._told)  # it was one of the others, and had been counted
            return
        self._told, self._until = left, until
        self._left = left - others
        self._most = max(self._most, left + 1)

    def room(self, in_flight: int, now: float) -> int:
        """Return how many calls may start now."""
        if self._refill:
            return int(max(0.0, self._in_bucket(now) + 1e-9))
        return int(max(0, self._left if now < self._until else self._most - in_flight))

    def delay(self, in_flight: int, now: float) -> float:
        """Return the seconds until a call may start; 0.0 if it may, infinite if only a returning call helps."""
        if self.room(in_flight, now):
            return 0.0
        if self._refill:
            return (1.0 - self._in_bucket(now)) / self._refill
        return self._until - now if now < self._until else inf

    def take(self, count: int) -> None:
        """Count calls that start now; less than 0 for those that did not start after all."""
        self._left -= count

    def over(self, now: float) -> bool:
        """Whether the window that answers told of is over, or the bucket full."""
        return self._until <= now

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock."""
        self._until += seconds
        self._at += seconds
        self._told_at += seconds

    def _tell_of_bucket(self, left: float, seconds: float, others: int, now: float, refill: float) -> None:
        first = not self._refill
        known = -inf if first else self._in_bucket(now)
        freshest = self._told + refill * (now - self._told_at) + ROUNDING
        if first or left <= freshest or now - self._told_at > STALE:
            self._told, self._told_at = left, now
            known = max(known, left - others)
        self._left, self._at = min(known, left), now
        self._refill, self._most, self._until = refill, left + refill * seconds, now + seconds

    def _in_bucket(self, now: float) -> float:
        return min(self._most, self._left + self._refill * (now - self._at))
