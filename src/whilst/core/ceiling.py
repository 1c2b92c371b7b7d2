"""How many calls at once does the other side take before it refuses one?

A refusal that comes back while k other calls are in flight says: k + 1 were too many. Those k are the ceiling from
then on; where a hundred were sent to twenty slots, the eighty refusals count it down to twenty one by one. No share
is given away as a multiplicative decrease would: a server of N slots that has N calls refuses none of them.

=========  =================================================  ====================================================
state      what it does                                       leaves for
=========  =================================================  ====================================================
open       nothing was refused yet: no ceiling                resting, at the first refusal
resting    stays; three refusals here contradict the idea of  looking, when a wait is over and the ceiling was reached
           a ceiling: then it is a rate (`cubic.py`)
looking    allows `step` more                                 resting: refused, as low as before and for twice as long;
                                                              not refused, up there, the next step twice as large
=========  =================================================  ====================================================
"""

from __future__ import annotations

from math import inf

CONTRADICTIONS = 3
LEAST_WAIT, MOST_WAIT = 1.0, 16.0  # seconds from a failed look to the next
PROOF = 3.0  # round trips without a refusal that prove a level


class Ceiling:
    """The most calls at once that were not refused.

    Attributes:
        top: calls at once; inf while nothing was refused.
        looking: whether more than is proven are allowed just now.
    """

    __slots__ = ("_counting", "_due", "_proven", "_step", "_strikes", "_wait", "looking", "top")

    def __init__(self) -> None:
        self.top: float = inf
        self.looking: bool = False
        self._proven = inf  # where a look goes back to
        self._step = 1
        self._strikes = -1  # refusals at rest; the one that makes the ceiling is none
        self._wait = LEAST_WAIT
        self._due = inf
        self._counting = False

    def refused(self, in_flight: int, now: float, latency: float) -> bool:
        """Come down after a refusal with `in_flight` others under way; return whether a ceiling explains it."""
        if self.looking:
            self.looking = self._counting = False
            self.top = self._proven
            self._step = 1
            self._wait = min(MOST_WAIT, 2 * self._wait)
            self._due = now + self._wait
            return True
        self._strikes += 1
        self._counting = True
        self.lower(in_flight)
        self._due = now + PROOF * latency
        return self._strikes < CONTRADICTIONS

    def lower(self, in_flight: int) -> None:
        """Hear of one more of the calls that were under way when the ceiling came down."""
        if self._counting and in_flight < self.top:
            self.top = float(max(1, in_flight))

    def reached(self, now: float, latency: float) -> bool:
        """Hear that as many calls as allowed are in flight; return whether the ceiling has just been raised."""
        if now < self._due:
            return False
        if self.looking:
            self.looking = False
            self._wait = LEAST_WAIT
            self._step *= 2
            self._due = now + PROOF * latency
            return False
        self.looking, self._counting = True, False
        self._proven = self.top
        self.top += self._step
        self._due = now + PROOF * latency
        return True
