"""Which inputs of a run need the same permits? A line for each value of a limit's `by=`, or one for all."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from typing import Any

from ..core.breaker import Breaker
from ..limit import Claim, Limit, keys_of, unrest

Pair = tuple[int, Any]

REMEMBERED = 1024  # lines; up to so many none is forgotten, as what a breaker has seen may still matter


class Line:
    """The inputs that need the same permits, and the breaker for what answers them."""

    __slots__ = (
        "back",
        "began",
        "breaker",
        "calm_at",
        "claim",
        "counted",
        "in_flight",
        "passed_on",
        "pending",
        "ready",
        "spare",
        "told",
    )

    def __init__(self, claim: Claim) -> None:
        self.claim: Claim = claim
        self.began: float = claim.clock()
        self.pending: deque[Pair] = deque()
        self.ready: bool = False  # whether it stands among those that shall ask for permits
        self.in_flight: int = 0  # let through and not returned
        self.back: int = 0  # permits of calls that have returned, to be used again or given back with the next look
        self.spare: int = 0  # permits that were taken for the calls of this moment
        self.told: list[tuple[float, float, bool]] = []  # see `Claim.went_well`
        self.counted: int = 0  # calls that have ended, but for those that are to be settled
        self.passed_on: int = 0  # permits that were used again, and the limits do not know of it yet
        self.breaker: Breaker | None = None
        self.calm_at: int = -1  # the count of unrest up to which permits may be used again as they come back

    @property
    def ended(self) -> int:
        """How many calls have ended."""
        return self.counted + self.passed_on + self.back + len(self.told)

    @property
    def broken(self) -> bool:
        """Whether the breaker is open, or waits for its probe."""
        return self.breaker is not None and self.breaker.open_until is not None

    def is_calm(self) -> bool:
        """Whether permits may be used again as they come back: see `Claim.undisturbed`."""
        count = unrest.count
        if self.calm_at != count:
            self.calm_at = count if not self.broken and self.claim.undisturbed() else -1
        return self.calm_at == count

    def settle(self) -> None:
        """Give back the permits that nobody used again, and have the limits hear of those that somebody did."""
        self.counted = self.ended
        if self.told:
            told, self.told = self.told, []
            self.claim.went_well(told)
            self.calm_at = -1  # a controller may think otherwise now
        if self.passed_on:
            self.claim.passed_on(self.passed_on)
            self.passed_on = 0
        if self.back:
            back, self.back = self.back, 0
            self.claim.give_back(back)
        if self.spare:
            spare, self.spare = self.spare, 0
            self.claim.refund(spare)

    def look_again(self) -> None:
        """Settle, and let no permit be used again before a look at what has changed."""
        self.settle()
        self.calm_at = -1

    def failed(self, index: int, now: float, *, ill: bool) -> bool:
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

    def withdrawn(self, index: int) -> None:
        """Take note that a call ended without a word on the other side's health."""
        if self.breaker is not None:
            self.breaker.withdrawn(index)

    def idle(self, now: float) -> bool:
        """Whether a new one would do the same."""
        unsettled = self.back or self.spare or self.told or self.passed_on
        if self.in_flight or self.pending or unsettled or self.claim.wanted:
            return False
        return self.breaker is None or self.breaker.idle(now)


def emptied(queue: deque[Pair]) -> list[Pair]:
    """Take everything from a queue that lanes take from too."""
    taken: list[Pair] = []
    try:
        while True:
            taken.append(queue.popleft())
    except IndexError:
        return taken


def taken_from(queue: deque[Pair], unwanted: Callable[[int], bool]) -> list[Pair]:
    """Take the inputs that are unwanted, by their index, from a queue that others put some into or take some from."""
    taken = emptied(queue)
    queue.extend(pair for pair in taken if not unwanted(pair[0]))
    return [pair for pair in taken if unwanted(pair[0])]


class Lines:
    """The lines of one run, and how many of its inputs stand where.

    Args:
        limits: of the run.
        queue: where lanes take the inputs from that were let through.
        loop: the run's.
        clock: the loop's.
        granted: told how many permits were taken for a line while it stood in the line of a limit.
    """

    def __init__(
        self,
        limits: tuple[Limit, ...],
        queue: deque[Pair],
        *,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        granted: Callable[[Line, int], None],
    ) -> None:
        self.keyed: bool = any(limit.keyed for limit in limits)
        self.queue: deque[Pair] = queue
        self.ready: deque[Line] = deque()
        """Those that have inputs and shall ask for permits, once there are lanes."""
        self.calls: dict[int, Line] = {}
        """Of calls in flight, by their input, where there may be more than one line."""
        self.taken: int = 0
        """Slots that are taken: inputs let through whose lane is not free again."""
        self._pending = 0  # where there may be more than one line
        self._limits = limits
        self._loop = loop
        self._clock = clock
        self._granted = granted
        self._lines: dict[Hashable, Line] = {}
        self._forget_at = REMEMBERED

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
        """Return the line of an input, a new one if need be. What `by` or `weight` raise for it comes out here."""
        key = keys_of(self._limits, item) if self.keyed else ()
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) >= self._forget_at:
                self._forget()
            line = self._lines[key] = self._new(item)
        return line

    def known(self, item: Any) -> Line | None:
        """Return the line of an input, if there is one already. From any thread."""
        return self._lines.get(keys_of(self._limits, item) if self.keyed else ())

    def of_call(self, index: int) -> Line:
        """Return the line of a call in flight."""
        return self.calls[index] if self.keyed else self._lines[()]

    def add(self, line: Line, pair: Pair, *, place: int | None = None) -> None:
        """Have an input wait in a line: as the last, or at a place that counts from 0."""
        if place is None:
            line.pending.append(pair)
        else:
            line.pending.insert(place, pair)
        self._pending += 1
        if not line.ready:
            self.get_ready(line)

    def take_out(self, line: Line, unwanted: Callable[[int], bool]) -> list[Pair]:
        """Take the inputs out of a line that are unwanted by their index."""
        out = taken_from(line.pending, unwanted)
        self._pending -= len(out)
        return out

    def get_ready(self, line: Line) -> None:
        """Have a line ask for permits, if there is anything to ask for and it does not stand in line already."""
        if line.pending and not line.ready and not line.claim.wanted:
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
            self.calls.update([(index, line) for index, _ in pairs])
        self.queue.extend(pairs)
        self._pending -= count
        line.in_flight += count
        self.taken += count

    def start_first(self, line: Line) -> None:
        """Let the first input through, where no breaker is open."""
        pair = line.pending.popleft()
        if self.keyed:
            self.calls[pair[0]] = line
        self.queue.append(pair)
        self._pending -= 1
        line.in_flight += 1
        self.taken += 1

    def end(self, index: int) -> Line:
        """Take note that a call is not in flight any more, and return its line."""
        line = self.calls.pop(index) if self.keyed else self._lines[()]
        line.in_flight -= 1
        return line

    def _new(self, item: Any) -> Line:
        line = Line(Claim(self._limits, item, loop=self._loop, granted=lambda count: self._granted(line, count)))
        return line

    def _forget(self) -> None:
        """Forget idle lines; so rarely that each new one pays for a look at two."""
        now = self._clock()
        for key, line in tuple(self._lines.items()):
            if line.idle(now):
                del self._lines[key]
        self._forget_at = max(REMEMBERED, 2 * len(self._lines))
