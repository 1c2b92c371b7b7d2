"""Which inputs of a run need the same permits, and who gets those of a call that went well?

There is a line for each value of a limit's `by=`, or one for all. Where calls return one by one, the next input gets
permit and lane at once (`Passing`), and the limits hear of it later: that saves the way through the limit and back,
10 µs a call. From a rate some permits are taken at once, for the calls that return in the same round of the loop. All
this is settled at the end of that round, or before a limit hears of anything else.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterator
from functools import partial
from typing import Any

from ..core.breaker import Breaker
from ..core.costs import Cost
from ..limit import Acquirer, Inside, LimitState, keys_of, unrest
from ..limit.queue import NOBODY_YET
from ..limit.state import KEPT, REMEMBERED, surplus
from .asking import Asking, asked_of
from .slots import Slots
from .source import Ahead, Pair, taken_from

Ended = tuple[Any, Any, Any, BaseException | None, float, float, int]  # a record of whoever it is of


class Line:
    """The inputs that need the same permits, and the breaker for what answers them.

    There may be one for each of ten thousand keys: what most of them never need is made when it is needed.
    """

    __slots__ = (
        "acquirer",
        "ahead",
        "back",
        "began",
        "breaker",
        "calm_at",
        "counted",
        "has_left",
        "in_flight",
        "keys",
        "lines",
        "passed_on",
        "pending",
        "ready",
        "spare",
        "told",
    )

    acquirer: Acquirer
    keys: tuple[Hashable, ...]  # one for each limit
    began: float
    breaker: Breaker | None
    counted: int  # calls that have ended, but for those that are to be settled
    calm_at: int  # the count of unrest up to which permits may be used again as they come back

    def __init__(self, keys: tuple[Hashable, ...], lines: Lines, began: float) -> None:
        self.lines: Lines = lines
        self.turn_to(keys, began)
        self.pending: deque[Pair] = NOBODY_YET
        self.ahead: Ahead | None = None  # those of them that are to be tried again, once there were some
        self.ready: bool = False  # whether it stands among those that shall ask for permits
        self.in_flight: int = 0  # let through and not returned
        self.back: int = 0  # permits of calls that have returned, to be used again or given back with the next look
        self.spare: int = 0  # permits that were taken for the calls of this moment
        self.told: list[tuple[float, float, bool]] = []  # see `Acquirer.went_well`
        self.passed_on: int = 0  # permits that were used again, and the limits do not know of it yet
        self.has_left: bool = False  # whether a call was given up whose permit may still be out

    def turn_to(self, keys: tuple[Hashable, ...], began: float) -> None:
        """Be the line of these keys, of which there were no calls before that time."""
        self.keys, self.began, self.breaker = keys, began, None
        self.counted, self.calm_at = 0, -1

    @property
    def ended(self) -> int:
        """How many calls have ended."""
        return self.counted + self.passed_on + self.back + len(self.told)

    @property
    def broken(self) -> bool:
        """Whether the breaker is open, or waits for its probe."""
        return self.breaker is not None and self.breaker.open_until is not None

    def count_before(self, calls: int, began: float) -> None:
        """Count calls that had ended before there was a line, the first of which began at that time."""
        self.counted += calls
        self.began = min(self.began, began)
        self.acquirer.count_before(calls, began)

    def arrived(self) -> None:
        """Take what it waited for at a limit, or hear that this would be for ever."""
        try:
            count = self.acquirer.collect()
        except RuntimeError as error:
            self.lines.stuck(error)
            return
        if count:
            self.lines.granted(self, count)

    def is_calm(self) -> bool:
        """Whether permits may be used again as they come back: see `Acquirer.undisturbed`."""
        count = unrest.count
        if self.calm_at != count:
            self.calm_at = count if not self.broken and self.acquirer.undisturbed() else -1
        return self.calm_at == count

    def settle(self) -> None:
        """Give back the permits that nobody used again, and have the limits hear of those that somebody did."""
        self.counted = self.ended
        if self.told:
            told, self.told = self.told, []
            self.acquirer.went_well(told)
            self.calm_at = -1  # a controller may think otherwise now
        if self.passed_on:
            self.acquirer.passed_on(self.passed_on)
            self.passed_on = 0
        if self.back:
            back, self.back = self.back, 0
            self.acquirer.give_back(back)
        if self.spare:
            spare, self.spare = self.spare, 0
            self.acquirer.refund(spare)

    def look_again(self) -> None:
        """Settle, and let no permit be used again before a look at what has changed."""
        self.settle()
        self.calm_at = -1

    def failed(self, index: Any, now: float, *, ill: bool) -> bool:
        """Take note of a failure, `ill` if it speaks of the other side's health; return whether the breaker opens."""
        if self.breaker is None:
            if not ill:
                return False
            self.breaker = Breaker(self.began)
        if not ill:
            self.breaker.withdrawn(index)
            return False
        if not self.breaker.failed(index, self.ended + 1, now):
            return False
        self.look_again()
        return True

    def withdrawn(self, index: Any) -> None:
        """Take note that a call ended without a word on the other side's health."""
        if self.breaker is not None:
            self.breaker.withdrawn(index)

    def idle(self, now: float) -> bool:
        """Whether a new one would do the same."""
        if self.in_flight or self.pending or self.acquirer.wanted:
            return False
        if self.back or self.spare or self.told or self.passed_on:
            return False
        return self.breaker is None or self.breaker.idle(now)


class Lines:
    """The lines of one run, and how many of its inputs stand where.

    Args:
        limits: of the run.
        queue: where lanes take the inputs from that were let through.
        slots: places for calls; who is let through has one.
        loop: the run's.
        clock: the loop's.
        inside: those who hold permits and wait for the run.
        granted: told how many permits were taken for a line while it stood in the line of a limit.
        stuck: told when a line would wait for a permit for ever.
        asking: asks `by` and `weight`.
    """

    def __init__(
        self,
        limits: tuple[LimitState, ...],
        queue: deque[Pair],
        slots: Slots,
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        inside: Inside,
        granted: Callable[[Line, int], None],
        stuck: Callable[[Exception], None],
        asking: Asking,
    ) -> None:
        self.keyed: bool = any(limit.keyed for limit in limits)
        self._weighted = any(limit.weighted for limit in limits)
        self._unweighed = (1.0,) * len(limits)  # where calls cost differently, each is weighed when its turn has come
        self.queue: deque[Pair] = queue
        self.ready: deque[Line] = deque()
        """Those that have inputs and shall ask for permits, once there are lanes."""
        self.calls: dict[Any, Line] = {}
        """Of calls in flight, by who they are of, where there may be more than one line."""
        self.taken: dict[Any, tuple[list[Cost], float]] = {}
        """What calls in flight count at each limit, and since when, by who they are of, where calls are weighed."""
        self.slots: Slots = slots
        self._pending = 0  # where there may be more than one line
        self._limits = limits
        self._loop = loop
        self._clock = clock
        self._inside = inside
        self.granted: Callable[[Line, int], None] = granted
        self.stuck: Callable[[Exception], None] = stuck
        self._lines: dict[Hashable, Line] = {}
        self._free: list[Line] = []  # of keys that were forgotten; to make one takes longer than most calls
        self._forget_at = REMEMBERED
        self._asking = asking
        self.asked: str = asked_of(limits) if self.keyed or self._weighted else ""
        """The functions of the limits that are asked of each input, by name."""

    def __iter__(self) -> Iterator[Line]:
        return iter(self._lines.values())

    @property
    def pending(self) -> int:
        """How many inputs wait in them."""
        only = self.only
        return self._pending if only is None else len(only.pending)

    @property
    def only(self) -> Line | None:
        """The line of all inputs, if there can be but one, and there is."""
        return None if self.keyed else self._lines.get(())

    def of(self, item: Any) -> Line:
        """Return the line of an input, a new one if need be. What `by` raises for it comes out here."""
        key = self._asking.ask(self.asked, keys_of, self._limits, item) if self.keyed else ()
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) >= self._forget_at:
                self._forget()
            asks = any(limit.terms.asks for limit in self._limits)
            new = partial(self._asking.ask, self.asked, self._new) if asks else self._new
            line = self._lines[key] = new(key, item)
        return line

    def known(self, item: Any) -> Line | None:
        """Return the line of an input, if there is one already. From any thread."""
        return self._lines.get(self._asking.ask(self.asked, keys_of, self._limits, item) if self.keyed else ())

    def of_call(self, index: Any) -> Line:
        """Return the line of a call in flight."""
        return self.calls[index] if self.keyed else self._lines[()]

    def known_of_call(self, index: Any) -> Line | None:
        """Do the same; None if it is over. From any thread."""
        return self.calls.get(index) if self.keyed else self._lines.get(())

    def add(self, line: Line, pair: Pair, *, again: bool = False, first: bool = False) -> None:
        """Have an input wait in a line: as the last; if it is tried again, before the others; or as the very first."""
        behind = int(line.acquirer.wanted > 0 and self._weighted)  # it may ask for its first input
        if line.pending is NOBODY_YET:
            line.pending = deque()
        if again or first:
            ahead = line.ahead = line.ahead or Ahead()
            if again:
                ahead.put(line.pending, (pair,), behind=behind)
            else:
                ahead.put_first(line.pending, pair, behind=behind)
        else:
            line.pending.append(pair)
        self._pending += 1
        if not line.ready:
            self.get_ready(line)

    def take_out(self, line: Line, unwanted: Callable[[Any], bool]) -> list[Pair]:
        """Take the inputs out of a line that are unwanted by their index."""
        out = taken_from(line.pending, unwanted) if line.pending else []
        self._pending -= len(out)
        return out

    def take_out_one(self, line: Line, pair: Pair) -> None:
        """Take one out, if it waits there."""
        if pair in line.pending:
            line.pending.remove(pair)
            self._pending -= 1

    def get_ready(self, line: Line) -> None:
        """Have a line ask for permits, if there is anything to ask for and it does not stand in line already.

        What was granted to it and it does not know yet is for its first input, where calls cost differently.
        """
        acquirer = line.acquirer
        if line.pending and not line.ready and not (acquirer.wanted or (self._weighted and acquirer.arrived)):
            line.ready = True
            self.ready.append(line)

    def next_ready(self) -> Line:
        """Take the line that has waited longest for lanes."""
        line = self.ready.popleft()
        line.ready = False
        return line

    def start(self, line: Line, count: int) -> None:
        """Let the first inputs of a line through to the lanes."""
        if not count:
            return
        pairs = [line.pending.popleft() for _ in range(count)]
        if line.breaker is not None:
            line.breaker.start(pairs[0][0])
        if self.keyed:
            line.pending = line.pending or NOBODY_YET
            self.calls.update([(index, line) for index, _ in pairs])
        if self._weighted:
            now = self._clock()
            self.taken.update([(index, (line.acquirer.set.costs(), now)) for index, _ in pairs])
        self._pending -= count
        line.in_flight += count
        self.slots.take(count)
        self.queue.extend(pairs)

    def start_first(self, line: Line) -> None:
        """Let the first input through, where no breaker is open."""
        pair = line.pending.popleft()
        if self.keyed:
            line.pending = line.pending or NOBODY_YET
            self.calls[pair[0]] = line
        self._pending -= 1
        line.in_flight += 1
        self.slots.take()
        self.queue.append(pair)

    def begin(self, line: Line, index: Any) -> None:
        """Let a call through that did not wait."""
        if self.keyed:
            self.calls[index] = line
        line.in_flight += 1
        self.slots.take()

    def end(self, index: Any) -> Line:
        """Take note that a call is not in flight any more, and return its line."""
        line = self.calls.pop(index) if self.keyed else self._lines[()]
        line.in_flight -= 1
        if self._weighted:
            self.taken.pop(index, None)
        return line

    def let_go(self) -> None:
        """Have none any more."""
        for line in (*self, *self._free):
            line.acquirer.retire()
        self._lines.clear()
        self._free.clear()
        self.calls.clear()
        self.taken.clear()
        self.ready.clear()
        del self.granted, self.stuck

    def _new(self, keys: tuple[Hashable, ...], item: Any) -> Line:
        if self._free:
            line = self._free.pop()
            line.turn_to(keys, self._clock())
            line.acquirer.turn_to(item, self._unweighed, keys)
            return line
        line = Line(keys, self, self._clock())
        if not self.keyed:
            line.pending = deque()  # which is where inputs come in
        known = keys if self.keyed else None
        line.acquirer = Acquirer(
            self._limits,
            item,
            loop=self._loop,
            wake=line.arrived,
            inside=self._inside,
            weights=self._unweighed,
            keys=known,
        )
        return line

    def _forget(self) -> None:
        """Forget idle lines, as a limit does keys; what a breaker of those that are kept has seen may still matter."""
        now = self._clock()
        idle = [key for key, line in self._lines.items() if line.idle(now)]
        for key in surplus(idle, len(self._lines), KEPT):
            line = self._lines.pop(key)
            if line.has_left:
                line.acquirer.retire()
            else:
                self._free.append(line)
        self._forget_at = max(REMEMBERED, 2 * len(self._lines))


class Abandoned:
    """The calls of one run that were given up, and the permits with them: those stay out until a thread comes home."""

    def __init__(self) -> None:
        self.calls: Counter[Any] = Counter()
        """Those of which nothing else is known yet, by their input."""
        self._lines: dict[Any, list[Line]] = {}  # whose permits such calls hold

    def add(self, index: Any, line: Line) -> None:
        """Take note that the call of an input is given up."""
        self.calls[index] += 1
        line.has_left = True
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
            self.passed_on = _never  # permits are not alike
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
                or (slots.outer is not None and slots.outer.wanted)  # as `wanted`, a call less
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
