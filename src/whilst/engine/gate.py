"""Which of the admitted inputs may start now? Stands between the source and the lanes of a run that has limits.

Inputs wait in a line for each value of a limit's `by=` (one line where there is none), so a host that is full does not
hold up the others. A line asks its limits for as many permits as there are lanes free, in one go, and a call that goes
well passes its permit on to the next input, which is why a limit costs a call next to nothing. The permit of a blocking
call that was given up stays out until its thread comes home.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, Protocol

from ..core.headers import Left
from ..core.outcome import Record
from ..core.pushback import Pushback
from ..limit import FAILED, OK, Limit, Report
from .abandoned import Abandoned
from .lines import Line, Lines, Pair, emptied, taken_from
from .passing import Passing


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


class Gate:
    """Lets inputs into the lanes' queue as limits, pauses and the breaker permit."""

    def __init__(self, host: Host, limits: tuple[Limit, ...], concurrency: int) -> None:
        self.host: Host = host
        self.limits: tuple[Limit, ...] = limits
        self.lines: Lines = Lines(limits, host.queue, loop=host.loop, clock=host.clock, granted=self.granted)
        self.keyed: bool = self.lines.keyed
        self.opened: int = 0
        """How often a breaker has opened."""
        self._concurrency = concurrency
        self._weighted = any(limit.weighted for limit in limits)
        if not (self.keyed or self._weighted):
            self.lines.of(None)
        self._only = self.lines.only
        self.inbox: deque[Pair] = deque() if self._only is None else self._only.pending
        """Where the source, or a journal, puts inputs; the line itself, if there can be but one."""
        self._abandoned = Abandoned()
        self._passing = Passing(
            self.lines, limits, self._abandoned, loop=host.loop, clock=host.clock, settled=self._round_over
        )
        self.passed_on: Callable[[Record], bool] = self._passing.passed_on
        """Called for a call that went well: its permit and its slot are used for the next input, or are free; if it
        returns False, `returned` is to be told."""
        self._tells = any(limit.adaptive for limit in limits)  # whether a limit wants to know of successes
        self._unfit: list[tuple[Pair, Exception]] = []
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
        return self.lines.pending + (len(self.inbox) if self._only is None else 0)

    @property
    def paused(self) -> float:
        """How many seconds all calls are held up by a pause or the breaker, from any thread; 0.0 where keys differ."""
        line = self.lines.only
        if line is None or self._closed:
            return 0.0
        opens = line.breaker.open_until if line.breaker is not None else None
        return max(0.0, line.claim.paused_until - self.host.clock(), (opens or 0.0) - self.host.clock())

    # -- inputs -----------------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Let through what may start now."""
        lines = self.lines
        if self._closed:
            self._passing.settle()
            return
        if self._only is not None:
            lines.get_ready(self._only)
        else:
            self._stand_in_line()
        if lines.ready and lines.taken < self._concurrency:
            self._passing.settle()
        for _ in range(len(lines.ready)):
            if lines.taken >= self._concurrency:
                break
            self._serve(lines.next_ready())
        if self._unfit:
            found, self._unfit = self._unfit, []
            self.host.unfit(found)

    def put_back(self, pairs: Sequence[Pair]) -> None:
        """Let inputs stand in line before the others, because they have waited once."""
        for pair in reversed(pairs):
            if (line := self._line_of(pair)) is not None:
                asked = self._weighted and line.claim.wanted > 0  # it may ask for its first input's weight
                self.lines.add(line, pair, place=int(asked))

    def take_out(self, unwanted: Callable[[int], bool]) -> list[Pair]:
        """Return the inputs that wait here, as far as they are unwanted by their index, and forget them."""
        found = [] if self._only is not None else taken_from(self.inbox, unwanted)
        for line in self.lines:
            if out := self.lines.take_out(line, unwanted):
                found += out
                if self._weighted or not line.pending:
                    line.claim.withdraw()  # it may stand in line for one of these, with its weight
                self.lines.get_ready(line)
        return found

    def adopt(self, count: int) -> None:
        """Count calls that were in flight before there was a gate."""
        line = self.lines.of(None)
        line.claim.ask(count)
        line.in_flight += count
        self.lines.taken += count

    # -- calls that return ------------------------------------------------------------------------------------

    def returned(self, record: Record, pushback: Pushback | None, *, slot: bool) -> None:
        """Take note that a call has ended: its permit goes back, and if `slot` its lane is free."""
        if self._ended:
            return
        index, _, _, error, started, _, _ = record
        line = self._free(index, slot=slot)
        if error is None and not self._tells:
            self._passing.back(line, record)
        else:
            line.settle()  # what is told of calls is told in the order of time
            line.counted += 1
            # the permit of a call that was left stays out; what it has to tell does not wait for it
            tell = line.claim.learn if self._abandoned.ended(index) else line.claim.finished
            if pushback is not None:
                tell(started, Report("rejected", pushback.retry_after, pushback.rate, pushback.window))
            else:
                tell(started, FAILED if error is not None else OK)
        if pushback is not None and pushback.pauses:
            self._call_back(line)
        if line.breaker is not None and error is None and line.breaker.succeeded(index, line.ended):
            self._look_at(self.host.clock())

    def told(self, item: Any, left: Left) -> None:
        """Take note, in the middle of the call of an input, of how many calls an answer says are left.

        From any thread, and at once: what is heeded when other calls have come and gone says too much.
        """
        try:
            line = self.lines.known(item)
        except Exception:  # of the user's `by`, which has been asked before
            return
        if line is None or self._closed:
            return
        were_not_counted = line.claim.undisturbed()
        line.claim.allow(left)
        if were_not_counted or left.calls < 1:
            self.host.soon(lambda: self._heed(line))

    def failed(self, index: int, *, ill: bool) -> None:
        """Take note, before `returned`, of a failure; `ill`: one that speaks of the other side's health."""
        line = self.lines.of_call(index)
        if line.failed(index, self.host.clock(), ill=ill):
            self.opened += 1
            self._call_back(line)

    def dropped(self, index: int) -> None:
        """Take note that a call ended without an outcome."""
        if self._ended:
            return
        line = self._free(index, slot=True)
        line.withdrawn(index)
        if not self._abandoned.ended(index):
            line.claim.give_back()

    def unused(self, pairs: Iterable[Pair]) -> None:
        """Give back the permits of inputs that were let through and not called."""
        for index, _ in pairs:
            line = self._free(index, slot=True)
            line.claim.refund()
            line.withdrawn(index)

    def free_slots(self, count: int) -> None:
        """Free the slots of calls that have returned without doing so."""
        self.lines.taken -= count

    def left(self, index: int) -> None:
        """Take note that a blocking call is given up; what else is told of it next frees its slot, not its permit."""
        if not self._ended:
            line = self.lines.of_call(index)
            line.look_again()
            self._abandoned.add(index, line)

    def came_home(self, index: int) -> None:
        """Give back the permit of a call that was given up, now that it has returned; from any thread."""
        self._abandoned.came_home(index)

    def close(self) -> None:
        """Let nothing more through."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        for line in self.lines:
            line.claim.withdraw()

    def end(self) -> None:
        """Give every permit back but those of calls that were given up: the lanes are gone."""
        self.close()
        self.pump()
        for index in self._abandoned.calls.elements():
            self._free(index, slot=True)
        for line in self.lines:
            line.claim.give_back(line.in_flight)
            line.look_again()
        self._ended = self._passing.over = True

    # -- what limits call -------------------------------------------------------------------------------------

    def granted(self, line: Line, count: int) -> None:
        """Use permits that were taken for a line meanwhile, as far as there are inputs and lanes."""
        used = 0
        if not self._closed and line.claim.paused_until <= self.host.clock():  # since they were taken
            used = max(0, min(count, len(line.pending), self._room(line)))
        if used < count:
            line.claim.refund(count - used)
        self.lines.start(line, used)
        if line.pending and not line.claim.wanted and not self._closed:
            self.lines.get_ready(line)
            self.pump()
        self.host.arrived()

    # -- private, in order of use -----------------------------------------------------------------------------

    def _round_over(self) -> None:
        """Settle, as no lane may come by for long, while others wait for what came back."""
        self._passing.settle()
        if self.lines.ready and self.lines.taken < self._concurrency:
            self.host.arrived()

    def _stand_in_line(self) -> None:
        inbox, add = self.inbox, self.lines.add
        for _ in range(len(inbox)):
            pair = inbox.popleft()
            if (line := self._line_of(pair)) is not None:
                add(line, pair)

    def _line_of(self, pair: Pair) -> Line | None:
        """Return the line of an input; None if it cannot be called."""
        try:
            return self.lines.of(pair[1])
        except Exception as error:  # of the user's `by` or `weight`
            self._unfit.append((pair, error))
            return None

    def _serve(self, line: Line) -> None:
        room = min(len(line.pending), self._room(line))
        if room > 0 and not self._weighted:
            self.lines.start(line, line.claim.ask(room))
        while room > 0 and self._weighted and self._can_start_first(line):
            room -= 1
        self.lines.get_ready(line)

    def _can_start_first(self, line: Line) -> bool:
        """Start the first input of a line at its own weight, or have the line wait for that; whether to go on."""
        try:
            taken = line.claim.ask(1, line.pending[0][1])
        except Exception as error:  # of the user's `weight`
            first = line.pending[0][0]
            self._unfit += [(pair, error) for pair in self.lines.take_out(line, lambda index: index == first)]
            return True
        self.lines.start(line, taken)
        return taken > 0

    def _room(self, line: Line) -> int:
        """Return how many calls of the line there are lanes for, and the breaker lets through."""
        room = self._concurrency - self.lines.taken
        if line.breaker is None:
            return room
        now = self.host.clock()
        allowed = line.breaker.room(now)
        if not allowed and line.breaker.open_until is not None and line.breaker.open_until > now:
            self._look_at(line.breaker.open_until)
        return int(min(room, allowed))

    def _free(self, index: int, *, slot: bool) -> Line:
        self.lines.taken -= slot
        return self.lines.end(index)

    def _heed(self, line: Line) -> None:
        """Have calls that were let through and not made wait for what is left."""
        if not self._closed:
            line.settle()
            self._call_back(line)
            self.host.arrived()

    def _call_back(self, line: Line) -> None:
        """Put what was let through and not called back to the front: the line pauses from now on."""
        taken = emptied(self.host.queue)
        back = [pair for pair in taken if self.lines.of_call(pair[0]) is line]
        self.host.queue.extend(pair for pair in taken if self.lines.of_call(pair[0]) is not line)
        self.unused(back)
        self.put_back(back)

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
