"""Who gets the permit of a call that is over, and which permits stay out?

Where calls return one by one, the next input gets permit and lane at once (`Passing`), and the limits hear of it later:
that saves the way through the limit and back, 10 µs a call. From a rate some permits are taken at once, for the calls
that return in the same round of the loop. All this is settled at the end of that round, or before a limit hears of
anything else. The permit of a blocking call that was given up stays out until its thread comes home (`Abandoned`).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from ..core.costs import Cost
from ..core.retried import SILENT, retried_before
from ..lanes.port import nothing
from ..limit.queue import unrest
from ..limit.state import LimitState
from .lines import Line, Lines

Ended = tuple[Any, Any, Any, BaseException | None, float, float, int]  # a record of whoever it is of


class Abandoned:
    """The calls of one run that were given up, and the permits with them: those stay out until a thread comes home."""

    def __init__(self) -> None:
        self.calls: Counter[Any] = Counter()
        """Those of which nothing else is known yet, by their input."""
        self._lines: dict[Any, list[Line]] = {}  # whose permits such calls hold
        self.costs: dict[Any, tuple[Line, tuple[list[Cost], float]]] = {}
        """What they were counted as, by call, where calls are weighed: they may still tell what they cost."""

    def add(self, index: Any, line: Line) -> None:
        """Take note that the call of an input is given up."""
        self.calls[index] += 1
        self._lines.setdefault(index, []).append(line)

    def ended(self, index: Any) -> bool:
        """Whether what ended was given up; known once, as an input may be called again while its thread is stuck."""
        count = self.calls.pop(index, 0)
        if count > 1:
            self.calls[index] = count - 1
        return count > 0

    def returned_late(self, index: Any) -> None:
        """Give back the permit of such a call, now that it has returned; from any thread."""
        lines = self._lines.pop(index, None)
        if not lines:
            return
        line = lines.pop()
        if lines:
            self._lines[index] = lines
        line.acquirer.give_back()


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
            self.passed_on = never  # permits are not alike
        elif not lines.keyed:
            self._line = lines.of(None)
            self._unsettled[self._line] = None
            self.passed_on = (
                self._at_a_rate
                if self.rated
                else self._in_one_line_told
                if self._tells
                else self._in_one_line(self._line)
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
        self._settled, self.passed_on = nothing, never

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

    def _in_one_line(self, line: Line) -> Callable[[Ended], bool]:
        """Return what does it where all calls are alike, and only counted; what it needs is at hand in there."""
        slots, calls, let_through, after_a_look = (
            self._slots,
            self._abandoned.calls,
            self._queue.append,
            self._after_a_look,
        )

        def passed_on(record: Ended) -> bool:
            if (
                line.calm_at != unrest.count
                or slots.waiting
                or (slots.outer is not None and slots.outer.waiting)  # `Slots.wanted`, here and below, a call less
                or calls
            ):
                return after_a_look(record)
            if pending := line.pending:
                line.passed_on += 1
                let_through(pending.popleft())
                return True
            line.in_flight -= 1
            line.back += 1
            slots.release()
            if not self._settling:
                self._settle_soon()
            return True

        return passed_on

    def _in_one_line_told(self, record: Ended) -> bool:
        """Do it where a controller hears of each call."""
        if type(record[2]) not in SILENT and retried_before(record[2])[1]:
            return False  # its client was refused, of which the controller hears first
        line, slots = self._line, self._slots
        pending = line.pending
        if (
            not pending
            or line.calm_at != unrest.count
            or slots.waiting
            or (slots.outer is not None and slots.outer.waiting)
        ):
            return self._after_a_look(record)
        line.told.append((record[4], self._clock(), True))
        self._queue.append(pending.popleft())
        if not self._settling:
            self._settle_soon()
        return True

    def _at_a_rate(self, record: Ended) -> bool:
        """Do it where a call that returns lets nobody start; permits at hand do."""
        if self._tells and retried_before(record[2])[1]:
            return False
        line, slots = self._line, self._slots
        pending = line.pending
        if not pending or not line.spare or slots.waiting or (slots.outer is not None and slots.outer.waiting):
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
            self._lines.start(line, 1)
        return True

    def _in_turn(self, record: Ended) -> bool:
        """Do it where lines wait for each other's lanes."""
        if self.over or self._abandoned.calls or (self._tells and retried_before(record[2])[1]):
            return False
        lines, slots, index = self._lines, self._slots, record[0]
        counted = lines.calls[index]
        line = counted if isinstance(counted, Line) else (None if lines.end_alone(index) else lines.of_call(index))
        if line is not None:
            if line.broken:
                return False
            del lines.calls[index]
            if line.calm_at == unrest.count and self._goes_on(line):
                return True
            line.in_flight -= 1
            self.back(line, record)
        slots.release()
        if slots.room <= 0:
            return True
        ready = lines.ready
        while ready and not lines.waits(ready[0]):
            lines.next_ready()
        head = ready[0] if ready else line  # which has waited longest for a lane
        if isinstance(head, tuple):
            looks = not lines.start_alone(lines.next_ready())
        else:
            looks = head is not None  # more may have been taken for its line than begins now
            if head is not None and head.pending and not head.broken and self.has_permit(head):
                lines.start(head, 1)
                if ready:
                    ready.rotate(-1)
        if looks and not self._settling:
            self._settle_soon()
        return True

    def _goes_on(self, line: Line) -> bool:
        """Pass all that a call held on to the next one of its line, if that is the one whose turn it is."""
        slots, ready = self._slots, self._lines.ready
        if self._tells or self.rated or line.breaker is not None or not line.pending:
            return False
        if (ready and ready[0] is not line) or slots.outer is not None or slots.waiting or slots.free < 0:
            return False
        self._lines.start_next(line)
        line.passed_on += 1
        self._unsettled[line] = None
        if len(ready) > 1:
            ready.rotate(-1)
        if not self._settling:
            self._settle_soon()
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


def never(record: Ended) -> bool:
    """Pass nothing on: whatever comes back is judged."""
    return False
