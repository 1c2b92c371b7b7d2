"""How many calls does the other side still permit, as the answers of calls that went well say?"""

from __future__ import annotations

from math import inf

ROUNDING = 1.0  # seconds by which the end of one window, told in whole seconds, may differ from answer to answer


class Allowance:
    """What is left until the other side gives new calls; counted down here, and set right by each answer.

    Until then it may be spent as fast as one likes, as a quota: to stretch it would have fifty calls take a minute
    where sixty a minute are permitted. Answers overtake each other: before the end of a window a larger number is an
    older one, of a call that a smaller number has counted. After it nobody knows more than what was permitted before:
    so many may be in flight until an answer tells.

    >>> allowance = Allowance()
    >>> allowance.tell(3, seconds=10, others=1, now=0.0)
    >>> allowance.room(in_flight=2, now=0.0)
    2
    >>> allowance.take(2)
    >>> allowance.delay(in_flight=4, now=1.0)
    9.0
    """

    __slots__ = ("_left", "_most", "_told", "_until")

    def __init__(self) -> None:
        self._told = inf
        self._until = -inf
        self._left = 0.0
        self._most = 1.0

    def tell(self, left: float, seconds: float, others: int, now: float) -> None:
        """Take note of an answer.

        Args:
            left: calls that may still be made before there are new ones.
            seconds: until then.
            others: calls in flight besides the one that was answered; the other side may not have counted them yet.
            now: the time.
        """
        until = now + seconds
        if now < self._until and left > self._told and until <= self._until + ROUNDING:
            self._left = min(self._left + 1, self._told)  # it was one of the others, and had been counted
            return
        self._told, self._until = left, until
        self._left = left - others
        self._most = max(self._most, left + 1)

    def room(self, in_flight: int, now: float) -> int:
        """Return how many calls may start now."""
        return int(max(0, self._left if now < self._until else self._most - in_flight))

    def delay(self, in_flight: int, now: float) -> float:
        """Return the seconds until a call may start; 0.0 if it may, infinite if only a returning call helps."""
        if self.room(in_flight, now):
            return 0.0
        return self._until - now if now < self._until else inf

    def take(self, count: int) -> None:
        """Count calls that start now; less than 0 for those that did not start after all."""
        self._left -= count

    def over(self, now: float) -> bool:
        """Whether the window that answers told of is over."""
        return self._until <= now

    def shift(self, seconds: float) -> None:
        """Move what is remembered in time, for another clock."""
        self._until += seconds
