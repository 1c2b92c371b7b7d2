"""Which of the admitted inputs may start now? Stands between the source and the lanes of a run that has limits.

Inputs wait in a line for each value of a limit's `by=` (one line where there is none), so a host that is full does not
hold up the others. A line asks its limits for as many permits as there are lanes free, in one go, which is why a limit
costs a call next to nothing. A permit goes back when its call returns; the permit of a blocking call that was given up
stays out until its thread comes home.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Collection, Hashable, Iterable
from math import inf
from typing import Any, Protocol

from ..core.breaker import Breaker
from ..core.headers import Left
from ..core.outcome import Record
from ..core.pushback import Pushback
from ..limit import Claim, Limit

Pair = tuple[int, Any]

REMEMBERED = 1024  # lines; up to so many none is forgotten, as what a breaker has seen may still matter


class Host(Protocol):
    """What a gate needs from the driver."""

    loop: asyncio.AbstractEventLoop
    clock: Callable[[], float]
    queue: deque[Pair]

    def arrived(self) -> None:
        """Put lanes to work on the queue."""

    def soon(self, act: Callable[[], None]) -> None:
        """Do something on the loop: at once if this is its thread."""

    def unfit(self, found: list[tuple[Pair, Exception]]) -> None:
        """Take note of inputs that cannot be called, because a limit's `by` or `weight` raised for them."""


class _Line:
    """The inputs that need the same permits."""

    __slots__ = ("back", "breaker", "claim", "ended", "in_flight", "passed_on", "pending", "rivals")

    def __init__(self, gate: Gate, item: Any) -> None:
        self.claim: Claim = Claim(
            gate.limits, item, loop=gate.host.loop, granted=lambda count: gate.granted(self, count)
        )
        self.rivals: tuple[Collection[Any], ...] = self.claim.rivals  # who else waits for these permits
        self.pending: deque[Pair] = deque()
        self.in_flight: int = 0  # let through and not returned
        self.back: int = 0  # permits of calls that have returned, to be given back with the next look
        self.ended: int = 0  # calls so far
        self.passed_on: int = 0  # permits that were used again, and the limits do not know of it yet
        self.breaker: Breaker | None = None


def emptied(queue: deque[Pair]) -> list[Pair]:
    """Take everything from a queue that lanes take from too."""
    taken: list[Pair] = []
    try:
        while True:
            taken.append(queue.popleft())
    except IndexError:
        return taken


class Gate:
    """Lets inputs into the lanes' queue as limits, pauses and the breaker permit."""

    def __init__(self, host: Host, limits: tuple[Limit, ...], concurrency: int) -> None:
        self.host: Host = host
        self.limits: tuple[Limit, ...] = limits
        self.keyed: bool = any(limit.keyed for limit in limits)
        self.taken: int = 0
        """Slots that are taken: inputs let through whose lane is not free again."""
        self.opened: int = 0
        """How often a breaker has opened."""
        self._concurrency = concurrency
        self._weighted = any(limit.weighted for limit in limits)
        self._tells = any(limit.adaptive for limit in limits)  # whether a limit wants to know of successes
        alike = not (self.keyed or self._weighted or self._tells)
        self._silent: _Line | None = _Line(self, None) if alike else None  # of calls that tell nothing if they go well
        self._only = None if any(it.rated for it in limits) else self._silent  # the line of calls that only count
        self._pending = 0  # inputs that wait here, unless calls only count
        self._lines: dict[Hashable, _Line] = {} if self._silent is None else {(): self._silent}
        self._forget_at = REMEMBERED
        self._unfit: list[tuple[Pair, Exception]] = []
        self._ready: deque[_Line] = deque()  # have inputs and have not asked for permits
        self._unsettled: list[_Line] = []  # have permits to give back
        self._line_of: dict[int, _Line] = {}  # of calls in flight, where there is more than one line
        self._left: Counter[int] = Counter()  # calls that were given up and of which nothing else is known yet
        self._kept: dict[int, list[_Line]] = {}  # whose permits such calls hold
        self._timer: asyncio.TimerHandle | None = None
        self._look_due = inf
        self._closed = self._ended = False

    @property
    def concurrency(self) -> int:
        """How many calls may be in flight now, as far as that is one number for all."""
        if self.keyed:
            return self._concurrency
        return min([self._concurrency, *(now for limit in self.limits if (now := limit.statistics().concurrency))])

    @property
    def pending(self) -> int:
        """How many inputs wait here."""
        return self._pending if self._only is None else len(self._only.pending)

    @property
    def paused(self) -> float:
        """How many seconds all calls are held up by a pause or the breaker, from any thread; 0.0 where keys differ."""
        line = self._lines.get(()) if not self.keyed else None
        if line is None or self._closed:
            return 0.0
        opens = line.breaker.open_until if line.breaker is not None else None
        return max(0.0, line.claim.paused_until - self.host.clock(), (opens or 0.0) - self.host.clock())

    # -- inputs -----------------------------------------------------------------------------------------------

    def put(self, pairs: Iterable[Pair], *, first: bool = False) -> None:
        """Let inputs stand in line; `first`: before the others, because they have waited once."""
        line = self._only
        if line is not None and not first:  # all at once, as this is on the way of calls that only count
            if not line.pending and not line.claim.wanted:
                self._ready.append(line)
            line.pending.extend(pairs)
            return
        for pair in pairs:
            if line is None or self.keyed:
                try:
                    line = self._line(pair[1])
                except Exception as error:  # of the user's `by` or `weight`
                    self._unfit.append((pair, error))
                    continue
            if not line.pending and not line.claim.wanted:
                self._ready.append(line)
            if not first:
                line.pending.append(pair)
            else:
                line.pending.insert(1 if self._weighted and line.claim.wanted else 0, pair)  # it may ask for the first
            self._pending += 1

    def pump(self) -> None:
        """Let through what may start now."""
        for line in self._unsettled:
            self._settle(line)
        self._unsettled.clear()
        if self._closed:
            return
        for _ in range(len(self._ready)):
            if self.taken >= self._concurrency:
                break
            self._serve(self._ready.popleft())
        if self._unfit:
            found, self._unfit = self._unfit, []
            self.host.unfit(found)

    def take_out(self, unwanted: Callable[[int], bool]) -> list[Pair]:
        """Return the inputs that wait here, as far as they are unwanted by their index, and forget them."""
        found: list[Pair] = []
        for line in self._lines.values():
            out = [pair for pair in line.pending if unwanted(pair[0])]
            if not out:
                continue
            found += out
            if self._weighted or len(out) == len(line.pending):
                line.claim.withdraw()  # it may stand in line for one of these, with its weight
            line.pending = deque(pair for pair in line.pending if not unwanted(pair[0]))
            if line.pending and not line.claim.wanted and line not in self._ready:
                self._ready.append(line)
        self._pending -= len(found)
        return found

    def adopt(self, count: int) -> None:
        """Count calls that were in flight before there was a gate."""
        line = self._line(None)
        line.claim.ask(count)
        line.in_flight += count
        self.taken += count

    # -- calls that return ------------------------------------------------------------------------------------

    def returned(self, record: Record, pushback: Pushback | None, *, slot: bool) -> None:
        """Take note that a call has ended: its permit goes back, and if `slot` its lane is free."""
        if self._ended:
            return
        index, _, _, error, started, _, _ = record
        line = self._free(index, slot=slot)
        line.ended += 1
        if error is None and not self._tells:
            self._back(line)
        else:
            tell = line.claim.finished
            if self._left and self._was_left(index):  # its permit stays out; what it has to tell does not wait for it
                tell = line.claim.learn
            if pushback is not None:
                tell(started, "rejected", pushback.retry_after, pushback.rate, pushback.window)
            else:
                tell(started, "failed" if error is not None else "ok")
        if pushback is not None and pushback.pauses:
            if pushback.rate is not None:
                self._must_ask()
            self._call_back(line)
        if line.breaker is not None and error is None and line.breaker.succeeded(index):
            self._look_at(self.host.clock())

    def passed_on(self) -> bool:
        """Use the permit and the slot of a call that went well for the next, or free them; False: tell by `returned`.

        Passing on saves the way through the limit and back: 0.2 µs a call instead of 10 where calls return one by one.
        """
        line = self._silent
        if line is None or self._left or (line.breaker is not None and line.breaker.open_until is not None):
            return False
        line.ended += 1
        if self._only is not None and line.pending and not any(line.rivals):
            line.passed_on += 1
            self.host.queue.append(line.pending.popleft())
            return True
        self._back(line)
        line.in_flight -= 1
        self.taken -= 1
        return True

    def told(self, item: Any, left: Left) -> None:
        """Take note, in the middle of the call of an input, of how many calls an answer says are left.

        From any thread, and at once: what is heeded when other calls have come and gone says too much.
        """
        try:
            line = self._lines.get(Claim.keys_of(self.limits, item) if self.keyed else ())
        except Exception:  # of the user's `by`, which has been asked before
            return
        if line is None or self._closed:
            return
        line.claim.allow(left)
        if self._only is not None or left.calls < 1:
            self.host.soon(lambda: self._heed(line))

    def failed(self, index: int, *, ill: bool) -> None:
        """Take note, before `returned`, of a failure; `ill`: one that speaks of the other side's health."""
        line = self._line_of[index] if self.keyed else self._lines[()]
        if line.breaker is None:
            if not ill:
                return
            line.breaker = Breaker()
        if not ill:
            line.breaker.withdrawn(index)
        elif line.breaker.failed(index, line.ended + 1, self.host.clock()):
            self.opened += 1
            self._call_back(line)

    def dropped(self, index: int) -> None:
        """Take note that a call ended without an outcome."""
        if self._ended:
            return
        line = self._free(index, slot=True)
        if line.breaker is not None:
            line.breaker.withdrawn(index)
        if not (self._left and self._was_left(index)):
            line.claim.give_back()

    def unused(self, pairs: Iterable[Pair]) -> None:
        """Give back the permits of inputs that were let through and not called."""
        for index, _ in pairs:
            line = self._free(index, slot=True)
            line.claim.refund()
            if line.breaker is not None:
                line.breaker.withdrawn(index)

    def free_slots(self, count: int) -> None:
        """Free the slots of calls that have returned without doing so."""
        self.taken -= count

    def left(self, index: int) -> None:
        """Take note that a blocking call is given up; what else is told of it next frees its slot, not its permit."""
        if not self._ended:
            self._left[index] += 1
            self._kept.setdefault(index, []).append(self._line_of[index] if self.keyed else self._lines[()])

    def came_home(self, index: int) -> None:
        """Give back the permit of a call that was given up, now that it has returned; from any thread."""
        lines = self._kept.get(index)
        if lines:
            lines.pop().claim.give_back()

    def close(self) -> None:
        """Let nothing more through."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for line in self._lines.values():
            line.claim.withdraw()

    def end(self) -> None:
        """Give every permit back but those of calls that were given up: the lanes are gone."""
        self.close()
        self.pump()
        for index, count in self._left.items():
            for _ in range(count):
                self._free(index, slot=True)
        for line in self._lines.values():
            line.claim.give_back(line.in_flight)
            self._settle(line)
        self._ended, self._silent = True, None

    # -- what limits call -------------------------------------------------------------------------------------

    def granted(self, line: _Line, count: int) -> None:
        """Use permits that were taken for a line meanwhile, as far as there are inputs and lanes."""
        used = 0
        if not self._closed and line.claim.paused_until <= self.host.clock():  # since they were taken
            used = max(0, min(count, len(line.pending), self._room(line)))
        if used < count:
            line.claim.refund(count - used)
        self._start(line, used)
        if line.pending and not line.claim.wanted and not self._closed:
            self._ready.append(line)
            self.pump()
        self.host.arrived()

    # -- private, in order of use -----------------------------------------------------------------------------

    def _line(self, item: Any) -> _Line:
        key = Claim.keys_of(self.limits, item) if self.keyed else ()
        line = self._lines.get(key)
        if line is None:
            if len(self._lines) >= self._forget_at:
                self._forget()
            line = self._lines[key] = _Line(self, item)
        return line

    def _forget(self) -> None:
        """Forget idle lines; so rarely that each new one pays for a look at two."""
        now = self.host.clock()
        for key, line in tuple(self._lines.items()):
            if line.in_flight or line.pending or line.back or line.claim.wanted:
                continue
            if line.breaker is None or line.breaker.idle(now):
                del self._lines[key]
        self._forget_at = max(REMEMBERED, 2 * len(self._lines))

    def _back(self, line: _Line) -> None:
        """Keep a permit until the next look, to be given back with others."""
        if not line.back:
            self._unsettled.append(line)
        line.back += 1

    def _settle(self, line: _Line) -> None:
        if line.passed_on:
            line.claim.passed_on(line.passed_on)
            line.passed_on = 0
        if line.back:
            back, line.back = line.back, 0
            line.claim.give_back(back)

    def _serve(self, line: _Line) -> None:
        room = min(len(line.pending), self._room(line))
        if room > 0 and not self._weighted:
            self._start(line, line.claim.ask(room))
        while room > 0 and self._weighted and self._can_start_first(line):
            room -= 1
        if line.pending and not line.claim.wanted:
            self._ready.append(line)

    def _can_start_first(self, line: _Line) -> bool:
        """Start the first input of a line at its own weight, or have the line wait for that; whether to go on."""
        try:
            taken = line.claim.ask(1, line.pending[0][1])
        except Exception as error:  # of the user's `weight`
            self._unfit.append((line.pending.popleft(), error))
            self._pending -= 1
            return True
        self._start(line, taken)
        return taken > 0

    def _room(self, line: _Line) -> int:
        """Return how many calls of the line there are lanes for, and the breaker lets through."""
        room = self._concurrency - self.taken
        if line.breaker is None:
            return room
        now = self.host.clock()
        allowed = line.breaker.room(now)
        if not allowed and line.breaker.open_until is not None and line.breaker.open_until > now:
            self._look_at(line.breaker.open_until)
        return int(min(room, allowed))

    def _start(self, line: _Line, count: int) -> None:
        if not count:
            return
        queue, pending = self.host.queue, line.pending
        pairs = [pending.popleft() for _ in range(count)]
        if line.breaker is not None:
            line.breaker.start(pairs[0][0])
        if self.keyed:
            for index, _ in pairs:
                self._line_of[index] = line
        queue.extend(pairs)
        line.in_flight += count
        self.taken += count
        self._pending -= count

    def _free(self, index: int, *, slot: bool) -> _Line:
        line = self._line_of.pop(index) if self.keyed else self._lines[()]
        line.in_flight -= 1
        self.taken -= slot
        return line

    def _heed(self, line: _Line) -> None:
        """Have calls that were let through and not made wait for what is left."""
        if not self._closed:
            self._must_ask()
            self._call_back(line)
            self.host.arrived()

    def _must_ask(self) -> None:
        """Have each call ask its limits from now on: a rate or a count was told."""
        if self._only is not None:
            self._pending, self._only = len(self._only.pending), None

    def _call_back(self, line: _Line) -> None:
        """Put what was let through and not called back to the front: the line pauses from now on."""
        taken = emptied(self.host.queue)
        back = [pair for pair in taken if not self.keyed or self._line_of[pair[0]] is line]
        self.host.queue.extend(pair for pair in taken if self.keyed and self._line_of[pair[0]] is not line)
        self.unused(back)
        self.put(reversed(back), first=True)
        if line in self._ready:  # to stand in line from now on keeps the calls that return next from passing permits on
            self._ready.remove(line)
            self._serve(line)

    def _was_left(self, index: int) -> bool:
        """Whether what ended was given up; known once, as an input may be called again while its thread is stuck."""
        count = self._left.pop(index, 0)
        if count > 1:
            self._left[index] = count - 1
        return count > 0

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            if self._look_due <= when:
                return
            self._timer.cancel()
        self._look_due = when
        self._timer = self.host.loop.call_later(max(0.0, when - self.host.clock()), self._look)

    def _look(self) -> None:
        self._timer = None
        self.pump()
        self.host.arrived()
