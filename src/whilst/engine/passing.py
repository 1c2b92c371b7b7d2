"""Who gets the permit and the lane of a call that went well?

Where calls return one by one, the next input gets both at once, and the limits hear of it later: that saves the way
through the limit and back, 10 µs a call. From a rate some permits are taken at once, for the calls that return in the
same round of the loop. All this is settled at the end of that round, or before a limit hears of anything else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..limit import LimitState, unrest
from .lines import Abandoned, Ended, Line, Lines

# Permits that are taken at once, where a call that returns lets nobody start: of a rate, a no-op costs 3.3x a bare one
# with one at a time, 2.0x with 8, 1.6x with 16, 1.3x with 32, 1.1 to 1.3x from 64 on; `sleep(0)` 2.3x,
# 1.3x, 1.8x, 1.3x and 1.2x.
SPARE = 64


class Passing:
    """Passes permits on, or keeps them until the next look, to be given back with others.

    Attributes:
        passed_on: called with the record of a call that went well; False if that is to be told by `Gate.returned`.
        over: whether nothing is passed on any more.
        rated: whether a limit has a rate now.
    """

    def __init__(
        self,
        lines: Lines,
        limits: tuple[LimitState, ...],
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
        self._slots = lines.slots
        self._loop = loop
        self._settled: Callable[[], None] = settled
        self._clock = clock
        self._tells = any(limit.adaptive for limit in limits)  # whether a limit wants to know of successes
        self.rated: bool = any(limit.rated for limit in limits)
        self._unsettled: dict[Line, None] = {}  # lines that have something to settle
        self._settling = False  # whether the end of this round of the loop settles
        self.passed_on: Callable[[Ended], bool] = self._in_turn
        if any(limit.weighted for limit in limits):
            self.passed_on = _never  # permits are not alike
        elif not lines.keyed:
            self._line = lines.of(None)
            self._unsettled[self._line] = None
            self.passed_on = (
                self._at_a_rate if self.rated else self._in_one_line_told if self._tells else self._in_one_line
            )

    def back(self, line: Line, record: Ended) -> None:
        """Keep the permit of a call that went well until the next look."""
        self._unsettled[line] = None
        if self._tells:
            line.told.append((record[4], self._clock(), False))
        else:
            line.back += 1
        if not self._settling:
            self._settle_soon()

    def settle(self) -> None:
        """Give back what was kept."""
        self._settling = False
        for line in self._unsettled:
            line.settle()
        if self._lines.keyed:
            self._unsettled.clear()

    def let_go(self) -> None:
        """Pass nothing on any more, and tell nobody."""
        self._settled, self.passed_on = _nothing, _never

    def has_permit(self, line: Line) -> bool:
        """Whether a line has, or gets, a permit for its first input: one that came back, or one at hand."""
        if self.rated:
            return not self._tells and self._has_spare(line)
        if self._tells:
            if not line.told or line.told[-1][2] or not line.is_calm():
                return False
            line.told[-1] = (*line.told[-1][:2], True)
        elif line.back and (line.calm_at == unrest.count or line.is_calm()):
            line.back -= 1
            line.passed_on += 1
        else:
            return self._has_spare(line)
        return True

    # -- private, in order of use -----------------------------------------------------------------------------

    def _in_one_line(self, record: Ended) -> bool:
        """Do it where all calls are alike, and only counted."""
        line = self._line
        if line.calm_at != unrest.count or self._slots.wanted or self._abandoned.calls:
            return self._after_a_look(record)
        if line.pending:
            line.passed_on += 1
            self._queue.append(line.pending.popleft())
            return True
        line.in_flight -= 1
        line.back += 1
        self._slots.release()
        if not self._settling:
            self._settle_soon()
        return True

    def _in_one_line_told(self, record: Ended) -> bool:
        """Do it where a controller hears of each call."""
        line = self._line
        pending = line.pending
        if not pending or line.calm_at != unrest.count or self._slots.wanted:
            return self._after_a_look(record)
        line.told.append((record[4], self._clock(), True))
        self._queue.append(pending.popleft())
        if not self._settling:
            self._settle_soon()
        return True

    def _at_a_rate(self, record: Ended) -> bool:
        """Do it where a call that returns lets nobody start; permits at hand do."""
        line = self._line
        pending = line.pending
        if not pending or not line.spare or self._slots.wanted:
            return self._after_a_look(record)
        line.spare -= 1
        line.back += 1
        self._queue.append(pending.popleft())
        return True

    def _after_a_look(self, record: Ended) -> bool:
        """Do it where something has changed."""
        line = self._line
        if self.over or self._abandoned.calls or line.broken:
            return False
        line.in_flight -= 1
        self.back(line, record)
        self._slots.release()
        if line.pending and self._slots.room > 0 and self.has_permit(line):
            self._lines.start_first(line)
        return True

    def _in_turn(self, record: Ended) -> bool:
        """Do it where lines wait for each other's lanes."""
        lines = self._lines
        line = lines.calls[record[0]]
        if self.over or self._abandoned.calls or line.broken:
            return False
        del lines.calls[record[0]]
        line.in_flight -= 1
        self.back(line, record)
        self._slots.release()
        if self._slots.room <= 0:
            return True
        ready = lines.ready
        while ready and not ready[0].pending:
            lines.next_ready()
        head = ready[0] if ready else line  # which has waited longest for a lane
        if head.pending and not head.broken and self.has_permit(head):
            lines.start_first(head)
            if ready:
                ready.rotate(-1)
        return True

    def _has_spare(self, line: Line) -> bool:
        if not line.spare:
            if line.acquirer.wanted:  # it waits for its turn, which comes by itself
                return False
            line.settle()
            self._unsettled[line] = None
            line.spare = line.acquirer.take_now(max(1, min(len(line.pending), SPARE)))
            if not line.spare:
                return False
        line.spare -= 1
        return True

    def _settle_soon(self) -> None:
        """Settle when this round of the loop is over: no lane may come by for long, and others may wait for this."""
        self._settling = True
        self._loop.call_soon(self._settled)


def _never(record: Ended) -> bool:
    return False


def _nothing() -> None:
    pass
