"""Does the other side take so many calls from one moment to the next, and when is the next such moment?

A bucket gives a call back as soon as its rate says so. Who refuses single calls for longer than that, and then takes as
many as before, counts calls in windows. Two windows in a row that end after the same number tell how many, and how long
they are; when one begins is known between a call that was refused and one that was taken. So nothing more is sent once
all of a window has been used, the next is awaited, and one call looks whether it has begun.

=========  ====================================================  =================================================
state      what it does                                          leaves for
=========  ====================================================  =================================================
unknown    counts what each window took                          known, when two in a row took the same
known      a window's calls at once, then none until the next;   unknown, when one took fewer; forgotten, when so
           now and then a few more, and always more while that   few calls are made that nobody knows any more when
           is taken                                              windows begin
=========  ====================================================  =================================================
"""

from __future__ import annotations

from math import inf

PATIENCE = 2.0  # times as long as the last refusal took: a call that is not back by then has not been refused


class Probe:
    """A single call after a silence.

    Args:
        before: calls taken before it, and those on their way.
        trip: seconds in which the last refusal came back.
    """

    __slots__ = ("_before", "_patience", "_sent")

    def __init__(self, before: int, trip: float) -> None:
        self._before = before
        self._patience = PATIENCE * trip
        self._sent: float | None = None

    def over(self, now: float, taken: int) -> bool:
        """Whether the other side takes calls, as it seems."""
        return taken > self._before or (self._sent is not None and now >= self._sent + self._patience)

    def delay(self, now: float) -> float:
        """Return the seconds until there is something to be done: 0.0 as long as it has not been sent."""
        return 0.0 if self._sent is None else max(1e-3, self._sent + self._patience - now)

    def take(self, now: float, count: int) -> None:
        """Hear that it has been sent; a `count` less than 0: it has not, after all."""
        self._sent = now if count > 0 else None

    def shift(self, seconds: float) -> None:
        """Move what is remembered in time, for another clock."""
        if self._sent is not None:
            self._sent += seconds


SAME = 0.02  # share by which two windows may differ: calls that failed on the way were counted by one side only
LOOKS = 4  # windows from one look for more to the next
LEAST_GAP, MOST_GAP, STEPS = 0.1, 1.0, 3.0  # seconds between two calls that look whether a window has begun
MIDDLE = 0.5
PRICE = 50.0  # calls that are taken for each that may be refused for the sake of looking
SAVED = 2.0  # such refusals that may be saved up
VAGUE = 0.5  # share of a window: if it may have begun any time in so much, nothing is known


class Windows:
    """Windows of the same number of calls, as far as refusals tell.

    Attributes:
        count: calls in a window; 0 while that is not known.

    >>> windows = Windows(began=0.0)
    >>> windows.opened(refused=9.8, taken=10.2, before=100, full=True)
    >>> windows.opened(refused=19.9, taken=20.1, before=200, full=True)
    >>> windows.count, round(windows.due(23.0), 1)
    (100, 30.0)
    """

    __slots__ = ("_first", "_from", "_least", "_more", "_most", "_passed", "_rest", "_rolled", "_spare", "count")

    def __init__(self, began: float) -> None:
        self.count: int = 0
        self._from = (began, began, 0)  # the window began between these moments, when so many calls had been taken
        self._first = (-inf, inf, 0)  # one that is known began between these moments; how many have begun since
        self._passed = 0  # how many the window before took
        self._least, self._most = 0.0, inf  # seconds from one to the next
        self._more, self._rest = 1, 0  # how many more than `count` are tried, after so many windows
        self._rolled = False  # whether the last one was not seen to begin
        self._spare = SAVED  # refusals that may be risked to know more

    @property
    def rate(self) -> float:
        """Calls a second, where windows are known."""
        return self.count / max(1e-3, (self._least + self._most) / 2)

    @property
    def room(self) -> int:
        """How many calls may be sent in this window."""
        return self.count + (self._more if self._may_look and not self._rest else 0)

    def opened(self, refused: float, taken: float, before: int, *, full: bool) -> None:
        """Hear that a window has begun.

        Args:
            refused: when the last call before it was sent that was refused; -inf if none was.
            taken: when one was known to be taken.
            before: calls that were taken before that one.
            full: whether single calls were refused for longer than a bucket would have refused them.
        """
        (earliest, latest, start), (soonest, last) = self._from, self._next
        passed = before - start
        self._spare = min(SAVED, self._spare + passed / PRICE)
        self._from = (refused if refused > -inf else soonest, taken, before)
        if self.count:
            self._go_on(passed)
            if self.count and max(refused, soonest) <= min(taken, last):
                self._from = (max(refused, soonest), min(taken, last), before)
                self._measure()
            else:
                self._first = (*self._from[:2], 0)
        elif full and self._passed and abs(passed - self._passed) <= max(1, SAME * passed):
            self.count, self._more, self._rest = passed, 1, LOOKS
            self._first = (*self._from[:2], 0)
        if refused > -inf and not self._rolled and start:
            least, most = max(0.0, refused - latest), taken - earliest
            known = self.count and max(least, self._least) <= min(most, self._most)
            self._least, self._most = (max(least, self._least), min(most, self._most)) if known else (least, most)
        self._passed = passed if full or self.count else 0
        self._rolled = False

    def due(self, now: float) -> float:
        """Return when a call may look whether the next window has begun, after all of this one was used."""
        soonest, last = self._next
        if now < last and not self._may_look:
            return last
        if now < soonest:
            return soonest + MIDDLE * (last - soonest)
        return now + min(MOST_GAP, max(LEAST_GAP, (last - now) / STEPS)) if now < last else now + MOST_GAP

    def refused(self) -> None:
        """Hear that a call was refused which looked whether there is more, or the next window."""
        self._spare = max(0.0, self._spare - 1.0)

    def rolls(self, now: float, taken: int) -> bool:
        """Whether another window has begun for sure, although this one was not used up; then that is the one."""
        soonest, last = self._next
        if now < last or not self.count:
            return False
        self._from, self._rolled = (soonest, last, taken), True
        self._measure()
        return True

    @property
    def _may_look(self) -> bool:
        """Whether a refusal may be risked: else all that is known for sure is used, and nothing beyond."""
        return self._spare >= 1.0

    @property
    def vague(self) -> bool:
        """Whether nobody knows any more when a window begins."""
        earliest, latest, _ = self._from
        return latest - earliest > VAGUE * self._least

    def shift(self, seconds: float) -> None:
        """Move everything remembered in time, for another clock."""
        for name in ("_first", "_from"):
            earliest, latest, count = getattr(self, name)
            setattr(self, name, (earliest + seconds, latest + seconds, count))

    @property
    def _next(self) -> tuple[float, float]:
        """When the next window begins: not before, and not after."""
        return self._from[0] + self._least, self._from[1] + self._most

    def _measure(self) -> None:
        """Learn how long windows are from all that have begun since the first: the more, the better is it known."""
        (earliest, latest, number), (lower, upper, _) = self._first, self._from
        number += 1
        self._first = (earliest, latest, number)
        least, most = max(self._least, (lower - latest) / number), min(self._most, (upper - earliest) / number)
        if least <= most:
            self._least, self._most = least, most

    def _go_on(self, passed: int) -> None:
        """Learn from a window of which it was known how many it takes."""
        if passed > self.count:
            self.count, self._more = passed, 2 * self._more
        elif passed >= self.count - max(1, SAME * self.count) or self._rolled:
            self._more, self._rest = 1, (LOOKS if not self._rest else self._rest - 1)
        else:
            self.count = 0
