"""How does one party get permits of several limits, all of them or none, in its turn?"""

from __future__ import annotations

import asyncio
import random
import time
from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from collections.abc import Callable, Collection, Hashable
from math import inf, isfinite
from typing import TYPE_CHECKING, Any

from ..core.headers import Left
from ..core.outcome import short
from ..core.throttle import Verdict
from ..lanes.clock import clock_of
from .line import Clock, Line, lock, serve, settle, tickets, told

if TYPE_CHECKING:
    from .limit import Limit

LONGEST_PAUSE = 86_400.0  # seconds; whoever asks for more than a day has sent something else than seconds
JITTER = 0.1  # seconds, at most, after a pause: what was stopped at once on many machines shall not start at once


class Claim:
    """One party's place at one or more limits, for one key of each: takes permits of all of them or of none, in turn.

    A claim belongs to a loop: `ask`, `withdraw` and `refund` are called there, and `granted` is; everything else may
    come from any thread. Each permit that was taken goes back once: by `finished`, `give_back` or `refund`.

    Args:
        limits: each once.
        item: what their `by` and `weight` functions are asked of. What these raise comes out here.
        loop: where `granted` is called; None for a plain thread, then at once, on whatever thread that is.
        granted: told how many permits have been taken since the last time, never 0.
        look_at: told when the first in line should look at the clock, where there is no loop to do it.
        prompt: whether `granted` may be called at once from inside any call, if that is on its loop.
        together: whether all that it wants is older than whoever stands behind it, and is granted before them.

    Attributes:
        keys: the key at each limit.
        weights: what each call costs there.
        wanted: how many permits it still waits for.
        listens: whether anybody wants to know how calls end that were not rejected: an adaptive limit does.
    """

    __slots__ = (
        "_arrived",
        "_fresh",
        "_fresh_at",
        "_granted",
        "_limits",
        "_lines",
        "_look_at",
        "_places",
        "_prompt",
        "_together",
        "bounced",
        "clock",
        "keys",
        "line",
        "listens",
        "loop",
        "ticket",
        "wanted",
        "weights",
    )

    def __init__(
        self,
        limits: tuple[Limit, ...],
        item: Any,
        *,
        loop: asyncio.AbstractEventLoop | None,
        granted: Callable[[int], None],
        look_at: Callable[[float], None] | None = None,
        prompt: bool = False,
        together: bool = False,
    ) -> None:
        self.keys: tuple[Hashable, ...] = self.keys_of(limits, item)
        self.weights: tuple[float, ...] = tuple([limit._weight(item) for limit in limits])
        self.loop: asyncio.AbstractEventLoop | None = loop
        self.clock: Clock = time.monotonic if loop is None else clock_of(loop)
        self.wanted: int = 0
        self.ticket: int = 0
        self.bounced: int = 0
        self.line: Line | None = None
        self._limits = limits
        self._granted = granted
        self._look_at = look_at
        self._prompt = prompt
        self._together = together
        self.listens: bool = any(limit._adaptive for limit in limits)
        self._arrived = 0  # taken on its behalf, and `granted` not yet told
        self._fresh, self._fresh_at = 0, -inf  # how many were taken in the latest moment, and when that was
        self._lines: tuple[Line, ...] = ()
        self._places: tuple[tuple[Line, float], ...] = ()
        self._find()

    @staticmethod
    def keys_of(limits: tuple[Limit, ...], item: Any) -> tuple[Hashable, ...]:
        """Return what `keys` of a claim for this item would be. What a `by` raises comes out here."""
        return tuple([limit._key(item) for limit in limits])

    @property
    def paused_until(self) -> float:
        """When the last pause of its keys ends, in seconds of its loop's clock; far in the past if there is none."""
        with lock:
            self._meet()
            return max((line.throttle.pause_until for line in self._lines), default=-inf)

    @property
    def rivals(self) -> tuple[Collection[Any], ...]:
        """The parties that wait for its keys, live: while there are none, a permit may be used again as it comes back.

        For limits without `by`, whose lines last.
        """
        return tuple(line.parties for line in self._lines)

    def ask(self, count: int, item: Any = ...) -> int:
        """Take up to `count` permits now and return how many; it wants the rest, and stands in line for them.

        What it wanted before is replaced: asking for 0 withdraws. While it stands in line nothing is taken at once,
        as its turn comes by itself.

        Args:
            count: how many calls could start.
            item: asked for its weights anew, where calls of one key weigh differently.

        Raises:
            ValueError: the item has another key; that takes a claim of its own.
        """
        if item is not ...:
            self._weigh(item)
        with lock:
            if self.line is not None:
                self._want(count)
                return 0
            taken = self._take_if_open(count)
            if taken < count:
                self.wanted = count - taken
                self._stand()
        return taken

    def expect(self, count: int) -> None:
        """Want as many as make `count` with those of which `granted` has not been told yet."""
        with lock:
            if self.line is not None:
                self._want(count - self._arrived)
        settle()

    def try_one(self) -> bool:
        """Take a permit if that can be done now, and never stand in line; for a claim of one limit."""
        with lock:
            line, weight = self._places[0]
            if line.gone or line.clock is not self.clock:
                self._meet()
                line, weight = self._places[0]
            open_ = not line.parties and line.kept_for is None
            return open_ and line.throttle.take_one(self.clock(), weight)

    def withdraw(self) -> None:
        """Want nothing more; permits that were taken already still arrive through `granted`."""
        with lock:
            if self.line is not None:
                self._want(0)
        settle()

    def recall(self) -> int:
        """Withdraw, and return how many permits were taken of which `granted` will not be told any more."""
        with lock:
            if self.line is not None:
                self._want(0)
            arrived, self._arrived = self._arrived, 0
        settle()
        return arrived

    def give_back(self, count: int = 1) -> None:
        """Return the permits of calls that are over, of which there is nothing to tell. From any thread."""
        with lock:
            waits = False
            for line in self._lines:
                line.throttle.in_flight -= count
                if line.parties and not line.waits_for_time():
                    waits = True
            if not waits:
                return
            serve(self._lines)
        settle()

    def passed_on(self, count: int) -> None:
        """Count calls that used a permit which another call had before them."""
        with lock:
            for line in self._lines:
                line.throttle.started += count

    def refund(self, count: int = 1) -> None:
        """Return permits that were not used: rates get back what was taken in this claim's latest moment."""
        with lock:
            self._refund(count)
            serve(self._lines)
        settle()

    def finished(
        self,
        started: float,
        verdict: Verdict,
        retry_after: float | None = None,
        rate: float | None = None,
        window: float | None = None,
    ) -> None:
        """Return the permit of a call that is over, and say how it went. From any thread.

        Args:
            started: when it did, by the loop's clock.
            verdict: "ok", "failed" for reasons of its own, or "rejected" by the other side.
            retry_after: seconds for which the key pauses. Where some of the limits have keys of their own, the others
                do not pause: they stand for more than the one that asked for it.
            rate: calls a second that the other side asked for, for the next `window` seconds.
            window: see `rate`.
        """
        if verdict != "rejected" and retry_after is None and rate is None and not self.listens:
            self.give_back()
            return
        with lock:
            for line in self._lines:
                line.throttle.in_flight -= 1
            self._learn(started, verdict, retry_after, rate, window)
            serve(self._lines)
        settle()

    def learn(
        self,
        started: float,
        verdict: Verdict,
        retry_after: float | None = None,
        rate: float | None = None,
        window: float | None = None,
    ) -> None:
        """Say how a call went whose permit does not come back yet, or has: see `finished`."""
        with lock:
            self._learn(started, verdict, retry_after, rate, window)
            serve(self._lines)
        settle()

    def allow(self, left: Left) -> None:
        """Start no more calls than an answer said there are left, until there are new ones. From any thread."""
        with lock:
            self._meet()
            now = self.clock()
            for line in self._meant():
                line.throttle.allow(left.calls, left.seconds, now)
                if left.calls < 1 and (seconds := _sane(left.seconds)):
                    _pause(line, seconds, now)
            serve(self._lines)
        settle()

    # -- for the line: a `Party`; the caller has the lock -------------------------------------------------------

    def refusal(self) -> tuple[Line, float] | None:
        """Return the first line that refuses, and for how long; None if a permit can be had."""
        clock = self.clock
        now = clock()
        for line, weight in self._places:
            if line.clock is not clock:
                line.meet(clock)
            if (line.parties or line.kept_for) and not line.open_to(self):
                return line, inf
            if (wait := line.throttle.delay(now, weight)) > 0.0:
                return line, wait
        return None

    def grant(self, count: int) -> int:
        """Take up to `count` permits; `granted` is told by `settle`, once for all that came in between."""
        taken = self._take(count, self.clock())
        if not self._arrived:
            told.append(self)
        self._arrived += taken
        return taken

    def crowded(self) -> bool:
        """Whether others stand in any of its lines."""
        return not self._together and any(len(line.parties) > (line is self.line) for line in self._lines)

    def keep(self) -> None:
        """Keep all lines for itself, but those that are kept for somebody older."""
        for line in self._lines:
            if line.kept_for is None or line.kept_for.ticket > self.ticket:
                line.kept_for = self

    def let_go(self) -> list[Line]:
        """Keep no line any longer; return those that are free now."""
        self.bounced = 0
        freed = [line for line in self._lines if line.kept_for is self]
        for line in freed:
            line.kept_for = None
        return freed

    def look_at(self, due: float) -> None:
        """Pass on when the first in line should look again, for those who have no timer."""
        if self._look_at is not None:
            self._look_at(due)

    def tell(self, *, fresh: bool) -> None:
        """Have `granted` called; without the lock. `fresh`: nothing of its own is under way on this thread."""
        loop = self.loop
        if loop is None:
            self._deliver()
        elif loop is running_loop():
            if self._prompt or fresh:
                self._deliver()
            else:
                loop.call_soon(self._deliver)
        else:
            try:
                loop.call_soon_threadsafe(self._deliver)
            except RuntimeError:
                self._drop()

    # -- private, in order of use -------------------------------------------------------------------------------

    def _find(self) -> None:
        self._lines = tuple([limit._line(key, self.clock) for limit, key in zip(self._limits, self.keys, strict=True)])
        self._places = tuple(zip(self._lines, self.weights, strict=True))

    def _meet(self) -> None:
        """See that the lines are the ones in use, and keep this party's time."""
        for line in self._lines:
            if line.gone:
                self._find()
                return self._meet()
            if line.clock is not self.clock:
                line.meet(self.clock)
        return None

    def _take_if_open(self, count: int) -> int:
        self._meet()
        for line in self._lines:
            if line.parties or line.kept_for is not None:
                return 0
        return self._take(count, self.clock())

    def _weigh(self, item: Any) -> None:
        keys = self.keys_of(self._limits, item)
        if keys != self.keys:
            raise ValueError(f"this claim is for {short(self.keys)}; {short(item)} belongs to {short(keys)}")
        self.weights = tuple([limit._weight(item) for limit in self._limits])
        self._places = tuple(zip(self._lines, self.weights, strict=True))

    def _take(self, count: int, now: float) -> int:
        """Take up to `count` permits of every limit, as many as all of them can give."""
        taken = 0
        while taken < count:
            can = count - taken
            for line, weight in self._places:
                can = line.throttle.room(can, now, weight)
            if not can:
                break
            for line, weight in self._places:
                line.throttle.take(now, weight, can)
            taken += can
        if taken:
            self._fresh = taken + (self._fresh if self._fresh_at == now else 0)
            self._fresh_at = now
        return taken

    def _stand(self) -> None:
        """Join the line that refuses."""
        self.ticket = next(tickets)
        refusal = self.refusal()
        (refusal[0] if refusal is not None else self._lines[0]).join(self)

    def _want(self, count: int) -> None:
        """Want more or less, standing in line."""
        self.wanted = max(0, count)
        if self.wanted or self.line is None:
            return
        line = self.line
        line.leave(self)
        self.let_go()
        serve(self._lines)  # who stood behind it may be first now

    def _refund(self, count: int) -> None:
        self._meet()
        cells = min(count, self._fresh)
        self._fresh -= cells
        for line, weight in zip(self._lines, self.weights, strict=True):
            if cells:
                line.throttle.undo(self._fresh_at, weight, cells)
            line.throttle.give_back(count - cells)

    def _learn(
        self,
        started: float,
        verdict: Verdict,
        retry_after: float | None,
        rate: float | None,
        window: float | None,
    ) -> None:
        self._meet()
        now, meant = self.clock(), self._meant()
        asked = _sane(retry_after)
        for line in self._lines:
            line.throttle.learn(started, now, verdict, asked if line in meant else None)
        for line in meant:
            if asked is not None:
                _pause(line, asked, now)
            if rate is not None and window is not None and 0 <= rate < inf and 0 < window < inf:
                line.throttle.advise(rate, min(window, LONGEST_PAUSE), now)

    def _meant(self) -> tuple[Line, ...]:
        """Return the lines of which the other side speaks: those of limits with keys of their own, if there are any."""
        keyed = [line for limit, line in zip(self._limits, self._lines, strict=True) if limit._by is not None]
        return tuple(keyed) or self._lines

    def _deliver(self) -> None:
        with lock:
            arrived, self._arrived = self._arrived, 0
        if arrived:
            self._granted(arrived)

    def _drop(self) -> None:
        """Give up for a party whose loop is closed: nobody is there any more."""
        with lock:
            arrived, self._arrived = self._arrived, 0
            if self.line is not None:
                self._want(0)
            if arrived:
                self._refund(arrived)
                serve(self._lines)
        settle()


def _pause(line: Line, seconds: float, now: float) -> None:
    line.throttle.pause(now + seconds + random.uniform(0.0, JITTER * min(1.0, seconds)))


def _sane(retry_after: float | None) -> float | None:
    """Return the seconds to pause; nonsense asks for none."""
    if retry_after is None or not isfinite(retry_after) or retry_after <= 0:
        return None
    return min(retry_after, LONGEST_PAUSE)
