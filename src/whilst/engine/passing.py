"""Who gets the permit and the lane of a call that went well?

Where calls return one by one, the next input gets both at once, and the limits hear of it later: that saves the way
through the limit and back, 10 µs a call. From a rate some permits are taken at once, for the calls that return in the
same round of the loop. All this is settled at the end of that round, or before a limit hears of anything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..core.outcome import Record
from ..limit import Limit, unrest
from .abandoned import Abandoned
from .lines import Line, Lines

FEW = 8  # inputs in the queue; with more, lanes have work for long enough that permits may come back together
SPARE = 32  # permits that are taken from a rate at once


class Passing:
    """Passes permits on, or keeps them until the next look, to be given back with others.

    Attributes:
        passed_on: called with the record of a call that went well; False if that is to be told by `Gate.returned`.
        over: whether nothing is passed on any more.
    """

    def __init__(
        self,
        lines: Lines,
        limits: tuple[Limit, ...],
        abandoned: Abandoned,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        settled: Callable[[], None],
    ) -> None:
        self.over: bool = False
        self._lines = lines
        self._abandoned = abandoned
        self._queue = lines.queue
        self._loop = loop
        self._settled = settled
        self._clock = clock
        self._tells = any(limit.adaptive for limit in limits)  # whether a limit wants to know of successes
        self._rated = any(limit.rated for limit in limits)
        self._counts = not (self._tells or self._rated)  # whether calls only count
        self._unsettled: list[Line] = []  # have permits to give back
        self._settling = False  # whether a look at those is due in any case
        self.passed_on: Callable[[Record], bool] = self._in_turn
        if any(limit.weighted for limit in limits):
            self.passed_on = _never  # permits are not alike
        elif self._counts and not lines.keyed:
            self._line = lines.of(None)
            self.passed_on = self._in_one_line

    def back(self, line: Line, record: Record) -> None:
        """Keep the permit of a call that went well until the next look."""
        if not (line.back or line.told):
            self._unsettled.append(line)
        if self._tells:
            line.told.append((record[4], self._clock(), False))
        else:
            line.back += 1

    def settle(self) -> None:
        """Give back what was kept."""
        self._settling = False
        for line in self._unsettled:
            line.settle()
        self._unsettled.clear()

    # -- private, in order of use -----------------------------------------------------------------------------

    def _in_one_line(self, record: Record) -> bool:
        """Do it where all calls are alike and only counted."""
        line = self._line
        if self.over or self._abandoned.calls or (line.breaker is not None and line.broken):
            return False
        line.ended += 1
        if line.pending and (line.calm_at == unrest.count or line.is_calm()):
            line.passed_on += 1
            self._queue.append(line.pending.popleft())
        else:
            line.in_flight -= 1
            self._lines.taken -= 1
            self.back(line, record)
        return True

    def _in_turn(self, record: Record) -> bool:
        """Do it where lines wait for each other's lanes, or limits want to be asked."""
        if self.over or self._abandoned.calls:
            return False
        lines = self._lines
        line = lines.of_call(record[0])
        if line.breaker is not None and line.broken:
            return False
        line.ended += 1
        line.in_flight -= 1
        lines.taken -= 1
        if lines.keyed:
            del lines.calls[record[0]]
        ready = lines.ready
        if len(self._queue) > FEW:  # lanes have work meanwhile
            self.back(line, record)
            return True
        if not ready or ready[0] is line:
            if self._is_used_again(line, record):
                lines.start_first(line)
        else:  # another has waited longer for a lane
            self.back(line, record)
            if self._counts and self._has_permit(ready[0]):
                lines.start_first(ready[0])
                ready.rotate(-1)
        if self._unsettled and not self._settling:  # no lane may come by for long, and others may wait for this
            self._settling = True
            self._loop.call_soon(self._settled)
        return True

    def _has_permit(self, line: Line) -> bool:
        """Whether the line that has waited longest for a lane has, or gets, a permit for its first input."""
        if not line.pending or line.broken:
            return False
        if line.back and line.is_calm():
            line.back -= 1
            line.passed_on += 1
            return True
        return line.claim.take_now(1) > 0

    def _is_used_again(self, line: Line, record: Record) -> bool:
        """Whether the next of its line gets the permit of a call, or another; else it goes back."""
        if not line.pending:
            self.back(line, record)
            return False
        if not (self._gets_spare(line, record) if self._rated else self._is_followed(line, record)):
            return False
        if line.claim.wanted and len(line.pending) == 1:
            line.claim.withdraw()  # this is its last input
        return True

    def _is_followed(self, line: Line, record: Record) -> bool:
        now = self._clock() if self._tells else 0.0
        if not (line.claim.exchanges(now) if self._tells else line.is_calm()):
            self.back(line, record)
            return False
        if self._tells:
            if not line.told:
                self._unsettled.append(line)
            line.told.append((record[4], now, True))
        else:
            line.passed_on += 1
        return True

    def _gets_spare(self, line: Line, record: Record) -> bool:
        self.back(line, record)
        if self._tells:
            return False
        if not line.spare:
            line.settle()
            line.spare = line.claim.take_now(min(len(line.pending), SPARE))
            if not line.spare:
                return False
        line.spare -= 1
        return True


def _never(record: Record) -> bool:
    return False
