"""Which inputs of a run need the same permits, and wait for them together?

There is a line for all inputs, or one for each value of a limit's `by=` of which an input has to wait, or has failed
because the other side is ill. An input of any other key needs no line: its permits are at hand, and it begins.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence
from functools import partial
from itertools import repeat
from typing import Any

from ..core.breaker import Breaker
from ..core.costs import Cost
from ..lanes.port import nothing
from ..limit.acquirer import Acquirer, LimitSet, keys_of
from ..limit.holders import Inside
from ..limit.queue import NOBODY_YET, unrest
from ..limit.state import LimitState, Remembered
from .asking import Asking, asked_of
from .slots import Slots
from .source import Ahead, Pair, taken_from

MANY = 4  # inputs of one key that wait for a lane: it has a line from then on, which asks for many permits at once


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
        self.keys, self.began, self.breaker = keys, began, None
        self.counted, self.calm_at = 0, -1
        self.pending: deque[Pair] = NOBODY_YET
        self.ahead: Ahead | None = None  # those of them that are to be tried again, once there were some
        self.ready: bool = False  # whether it stands among those that shall ask for permits
        self.in_flight: int = 0  # let through and not returned
        self.back: int = 0  # permits of calls that have returned, to be used again or given back with the next look
        self.spare: int = 0  # permits that were taken for the calls of this moment
        self.told: list[tuple[float, float, bool]] = []  # see `Acquirer.went_well`
        self.passed_on: int = 0  # permits that were used again, and the limits do not know of it yet

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
        self.ready: deque[Line | tuple[Hashable, ...]] = deque()
        """Those that have inputs and shall ask for permits, once there are lanes; keys, where there is no line."""
        self._alone: dict[tuple[Hashable, ...], list[Pair]] = {}
        """Inputs that need no line and wait for a lane, by their keys; mostly one for each, and never `MANY`."""
        self.calls: dict[Any, Line | LimitSet] = {}
        """Where the permits of calls in flight are counted, by who they are of, if there may be more than one line."""
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
        self._remembered = Remembered()
        self._asking = asking
        self.asked: str = asked_of(limits) if self.keyed or self._weighted else ""
        """The functions of the limits that are asked of each input, by name."""
        self.direct: bool
        """Whether an input for which there is no line begins without one if its permits are at hand."""
        self.look_again()

    def look_again(self) -> None:
        """Go by the terms that the limits have now."""
        asks = any(limit.adaptive or limit.terms.asks for limit in self._limits)
        self.direct = self.keyed and not self._weighted and not asks

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

    def keys(self, item: Any) -> tuple[Hashable, ...]:
        """Return the key of an input at each limit. What `by` raises for it comes out here. From any thread."""
        return self._asking.ask(self.asked, keys_of, self._limits, item) if self.keyed else ()

    def keys_of_each(self, pairs: Sequence[Pair]) -> list[tuple[Hashable, ...] | Exception]:
        """Return the keys of the first of these inputs, or what `by` raises: of as many as there is time for."""
        return self._asking.ask_each(self.asked, self._keys_of, pairs) if self.keyed else [()] * len(pairs)

    def _keys_of(self, pair: Pair) -> tuple[Hashable, ...]:
        return keys_of(self._limits, pair[1])

    def known(self, keys: tuple[Hashable, ...]) -> Line | None:
        """Return the line of these keys, if there is one. From any thread."""
        return self._lines.get(keys)

    def of(self, item: Any) -> Line:
        """Return the line of an input, a new one if need be. What `by` raises for it comes out here."""
        keys = self.keys(item)
        return self._lines.get(keys) or self.made(keys, item)

    def made(self, keys: tuple[Hashable, ...], item: Any) -> Line:
        """Make a line for an input that has these keys."""
        for old in self._remembered.add(keys, self._is_idle):
            self._forget(old)
        asks = any(limit.terms.asks for limit in self._limits)
        new = partial(self._asking.ask, self.asked, self._new) if asks else self._new
        line = self._lines[keys] = new(keys, item)
        if (alone := self._alone.pop(keys, None)) is not None:
            self._pending -= len(alone)
            for pair in alone:
                self.add(line, pair)
        return line

    def of_call(self, index: Any) -> Line:
        """Return the line of a call in flight, a new one if it began without."""
        if not self.keyed:
            return self._lines[()]
        counted = self.calls[index]
        if isinstance(counted, Line):
            return counted
        line = self._lines.get(counted.keys) or self.made(counted.keys, None)
        self.calls[index] = line
        line.in_flight += 1
        return line

    def keys_of_call(self, index: Any) -> tuple[Hashable, ...] | None:
        """Return the keys of a call in flight; None if it is over. From any thread."""
        if not self.keyed:
            return ()
        counted = self.calls.get(index)
        return None if counted is None else counted.keys

    def permits(self, index: Any) -> LimitSet:
        """Return where the permits of a call in flight are counted."""
        counted = self.calls[index] if self.keyed else self._lines[()]
        return counted.acquirer.set if isinstance(counted, Line) else counted

    def acquirer(self, keys: tuple[Hashable, ...]) -> Acquirer | None:
        """Return one by which the limits of calls in flight can be told what was heard. From any thread."""
        line = self._lines.get(keys)
        if line is not None:
            return line.acquirer
        return self._acquirer(keys, None, nothing) if self.direct else None

    # -- calls whose permits are at hand --------------------------------------------------------------------------

    def enter(self, pair: Pair, keys: tuple[Hashable, ...], *, again: bool) -> None:
        """Have an input wait for a lane, in its line if there is one, or if it is `again`."""
        line = self._lines.get(keys)
        if line is not None or again or not self.direct:
            self.add(line or self.made(keys, pair[1]), pair, again=again)
            return
        others = self._alone.get(keys)
        self._pending += 1
        if others is None:
            self._alone[keys] = [pair]
            self.ready.append(keys)
            return
        others.append(pair)
        if len(others) >= MANY:
            self.made(keys, pair[1])

    def start_alone(self, keys: Any, most: int = 1) -> bool:
        """Let the first inputs of these keys through, up to `most`; False if they need a line, which they have now."""
        for _ in range(most):
            found = self._alone.get(keys)
            if found is None:
                return True
            if not self.begins_alone(keys, found[0][0]):
                self.made(keys, found[0][1])
                return False
            self.queue.append(found.pop(0))
            if not found:
                del self._alone[keys]
            self._pending -= 1
        if keys in self._alone:
            self.ready.append(keys)
        return True

    def waits(self, who: Line | tuple[Hashable, ...]) -> bool:
        """Whether inputs wait there."""
        return bool(who.pending) if isinstance(who, Line) else who in self._alone

    def take_out_alone(self, unwanted: Callable[[Any], bool]) -> list[Pair]:
        """Take inputs out that have no line and are unwanted by their index."""
        out: list[Pair] = []
        for keys, found in tuple(self._alone.items()):
            out += [pair for pair in found if unwanted(pair[0])]
            found[:] = [pair for pair in found if not unwanted(pair[0])]
            if not found:
                del self._alone[keys]
        self._pending -= len(out)
        return out

    def begins_alone(self, keys: tuple[Hashable, ...], index: Any) -> bool:
        """Have a call of keys that have no line begin, if its permits are at hand; there is a lane for it."""
        if not self.direct:
            return False
        permits = LimitSet(self._limits, None, self._clock, self._unweighed, keys)
        if not permits.begins(self._clock):
            return False
        self.calls[index] = permits
        self.slots.take()
        return True

    def stands_alone(self, index: Any) -> bool:
        """Whether a call in flight began without a line, and there is none still."""
        permits = self.calls.get(index)
        return isinstance(permits, LimitSet) and permits.keys not in self._lines

    def end_alone(self, index: Any, *, made: bool = True) -> bool:
        """Give the permits of a call back that is over, or was not made, and has no line; whether that was so."""
        permits = self.calls.get(index)
        if not isinstance(permits, LimitSet) or (self._lines and permits.keys in self._lines):
            return False
        del self.calls[index]
        if made:
            permits.is_over()
        else:
            permits.was_not_made(self._clock)
        return True

    def end_all_alone(self) -> None:
        """Do that for all of them."""
        for index, counted in tuple(self.calls.items()):
            if isinstance(counted, LimitSet):
                del self.calls[index]
                counted.is_over()

    # -- inputs that wait -----------------------------------------------------------------------------------------

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

    def next_ready(self) -> Line | tuple[Hashable, ...]:
        """Take who has waited longest for lanes."""
        first = self.ready.popleft()
        if isinstance(first, Line):
            first.ready = False
        return first

    def start(self, line: Line, count: int) -> None:
        """Let the first inputs of a line through to the lanes."""
        if not count:
            return
        pending, calls, let_through = line.pending, self.calls, self.queue.append
        if line.breaker is not None:
            line.breaker.start(pending[0][0])
        for _ in repeat(None, count):
            pair = pending.popleft()
            if self.keyed:
                calls[pair[0]] = line
            if self._weighted:
                self.taken[pair[0]] = line.acquirer.set.costs(), self._clock()
            let_through(pair)
        if self.keyed and not pending:
            line.pending = NOBODY_YET
        self._pending -= count
        line.in_flight += count
        self.slots.take(count)

    def start_next(self, line: Line) -> None:
        """Let the first input of a line through, where there are keys, in the place of a call that has ended."""
        pair = line.pending.popleft()
        self.calls[pair[0]] = line
        self.queue.append(pair)
        self._pending -= 1
        if not line.pending:
            line.pending = NOBODY_YET

    def begin(self, line: Line, index: Any) -> None:
        """Let a call through that did not wait."""
        if self.keyed:
            self.calls[index] = line
        line.in_flight += 1
        self.slots.take()

    def end(self, index: Any) -> Line:
        """Take note that a call is not in flight any more, and return its line."""
        line = self.of_call(index)
        self.calls.pop(index, None)
        line.in_flight -= 1
        if self._weighted:
            self.taken.pop(index, None)
        return line

    def let_go(self) -> None:
        """Have none any more."""
        for line in self:
            line.acquirer.retire()
        self._lines.clear()
        self._alone.clear()
        self.calls.clear()
        self.taken.clear()
        self.ready.clear()
        del self.granted, self.stuck

    def _new(self, keys: tuple[Hashable, ...], item: Any) -> Line:
        line = Line(keys, self, self._clock())
        if not self.keyed:
            line.pending = deque()  # which is where inputs come in
        line.acquirer = self._acquirer(keys, item, line.arrived)
        if self.direct and (ended := line.acquirer.set.ended):
            line.counted, line.began = ended, min(line.began, line.acquirer.set.began)
        return line

    def _acquirer(self, keys: tuple[Hashable, ...], item: Any, wake: Callable[[], object]) -> Acquirer:
        return Acquirer(
            self._limits,
            item,
            loop=self._loop,
            wake=wake,
            inside=self._inside,
            weights=self._unweighed,
            keys=keys if self.keyed else None,
        )

    def _is_idle(self, keys: Hashable) -> bool:
        """Whether a line may be forgotten; what a breaker of one that is kept has seen may still matter."""
        return self._lines[keys].idle(self._clock())

    def _forget(self, keys: Hashable) -> None:
        self._lines.pop(keys).acquirer.retire()
