"""How does one party get permits of several limits, all of them or none, in its turn?"""

from __future__ import annotations

import asyncio
import time
from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from ..core.headers import Left
from ..lanes.clock import clock_of
from .feedback import Report
from .line import Clock, Line, lock, serve, settle, tickets, told
from .places import Places

if TYPE_CHECKING:
    from .limit import Limit


class Claim:
    """One party's place at one or more limits, for one key of each: takes permits of all of them or of none, in turn.

    A claim belongs to a loop: `ask`, `withdraw` and `refund` are called there, and `granted` is; everything else may
    come from any thread. Each permit that was taken goes back once: by `finished`, `went_well`, `give_back` or
    `refund`.

    Args:
        limits: each once.
        item: what their `by` and `weight` functions are asked of. What these raise comes out here.
        loop: where `granted` is called; None for a plain thread, then at once, on whatever thread that is.
        granted: told how many permits have been taken since the last time, never 0.
        look_at: told when the first in line should look at the clock, where there is no loop to do it.
        prompt: whether `granted` may be called at once from inside any call, if that is on its loop.
        together: whether all that it wants is older than whoever stands behind it, and is granted before them.

    Attributes:
        places: where it may stand: the line of its key at each limit.
        wanted: how many permits it still waits for.
        listens: whether anybody wants to know how calls end that were not rejected: an adaptive limit does.
    """

    __slots__ = (
        "_arrived", "_granted", "_look_at", "_prompt", "_together",
        "bounced", "clock", "line", "listens", "loop", "places", "ticket", "wanted",
    )  # fmt: skip

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
        self.loop: asyncio.AbstractEventLoop | None = loop
        self.clock: Clock = time.monotonic if loop is None else clock_of(loop)
        self.places: Places = Places(limits, item, self.clock)
        self.wanted: int = 0
        self.ticket: int = 0
        self.bounced: int = 0
        self.line: Line | None = None
        self.listens: bool = any(limit.adaptive for limit in limits)
        self._granted = granted
        self._look_at = look_at
        self._prompt = prompt
        self._together = together
        self._arrived = 0  # taken on its behalf, and `granted` not yet told

    # -- before a call ------------------------------------------------------------------------------------------

    @property
    def paused_until(self) -> float:
        """When the last pause of its keys ends, in seconds of its loop's clock; far in the past if there is none."""
        with lock:
            self.places.meet(self.clock)
            return self.places.paused_until

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
            self.places.weigh(item)
        with lock:
            if self.line is not None:
                self._want(count)
                return 0
            self.places.meet(self.clock)
            taken = 0 if self.places.others(self) else self.places.take(count, self.clock())
            if taken < count:
                self.stand(count - taken)
        return taken

    def stand(self, count: int) -> None:
        """Want permits that were refused just now, and join the line that refuses; the caller has the lock."""
        self.wanted = count
        self.ticket = next(tickets)
        refusal = self.refusal()
        (refusal[0] if refusal is not None else self.places.lines[0]).join(self)

    def take_now(self, count: int) -> int:
        """Take up to `count` permits that can be had now and return how many; never stand in line."""
        with lock:
            self.places.meet(self.clock)
            return 0 if self.places.others(self) else self.places.take(count, self.clock())

    def expect(self, count: int) -> None:
        """Want as many as make `count` with those of which `granted` has not been told yet."""
        with lock:
            if self.line is not None:
                self._want(count - self._arrived)
        settle()

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

    def refund(self, count: int = 1) -> None:
        """Return permits that were not used: rates get back what was taken in this claim's latest moment."""
        with lock:
            self.places.meet(self.clock)
            self.places.refund(count)
            serve(self.places.lines)
        settle()

    # -- after a call -------------------------------------------------------------------------------------------

    def give_back(self, count: int = 1) -> None:
        """Return the permits of calls that are over, of which there is nothing to tell. From any thread."""
        with lock:
            self.places.free(count)
            if all(not line.parties or line.waits_for_time() for line in self.places.lines):
                return
            serve(self.places.lines)
        settle()

    def went_well(self, calls: Iterable[tuple[float, float, bool]]) -> None:
        """Say when calls began and ended that went well, and whether another got the permit; else it goes back."""
        with lock:
            for started, ended, followed in calls:
                self.places.succeeded(started, ended, followed=followed)
            serve(self.places.lines)
        settle()

    def finished(self, started: float, report: Report) -> None:
        """Return the permit of a call that is over, and say when it began and how it went. From any thread."""
        if not self.listens and report.verdict != "rejected" and report.retry_after is None and report.rate is None:
            self.give_back()
            return
        with lock:
            self.places.free(1)
            self._learn(started, report)
        settle()

    def learn(self, started: float, report: Report) -> None:
        """Say how a call went whose permit does not come back yet, or has."""
        with lock:
            self._learn(started, report)
        settle()

    def undisturbed(self) -> bool:
        """Whether a permit may be used again as it comes back, which `passed_on` or `went_well` tells of later.

        It may while nobody else waits for these keys, and there is neither rate nor pause; where there is a controller,
        until that is told. The answer is taken without the lock, and holds until `unrest` counts on.
        """
        if self.places.others(self):
            return False
        now = self.clock()
        return all(line.throttle.exchanges(now) for line in self.places.lines)

    def passed_on(self, count: int) -> None:
        """Count calls that used a permit which another call had before them."""
        with lock:
            self.places.count(count)

    def allow(self, left: Left) -> None:
        """Start no more calls than an answer said there are left, until there are new ones. From any thread."""
        with lock:
            self.places.meet(self.clock)
            self.places.allow(left, self.clock())
            serve(self.places.lines)
        settle()

    # -- for the line: a `Party`; the caller has the lock, but for `tell` ---------------------------------------

    def refusal(self) -> tuple[Line, float] | None:
        """Return the first line that refuses, and for how long; None if a permit can be had."""
        return self.places.refusal(self)

    def grant(self, count: int) -> int:
        """Take up to `count` permits; `granted` is told by `settle`, once for all that came in between."""
        taken = self.places.take(count, self.clock())
        if not self._arrived:
            told.append(self)
        self._arrived += taken
        return taken

    def crowded(self) -> bool:
        """Whether others stand in any of its lines."""
        return not self._together and any(len(line.parties) > (line is self.line) for line in self.places.lines)

    def keep(self) -> None:
        """Keep all lines for itself, but those that are kept for somebody older."""
        self.places.keep_for(self)

    def let_go(self) -> list[Line]:
        """Keep no line any longer; return those that are free now."""
        self.bounced = 0
        return self.places.let_go(self)

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

    def _want(self, count: int) -> None:
        """Want more or less, standing in line."""
        self.wanted = max(0, count)
        if self.wanted or self.line is None:
            return
        line = self.line
        line.leave(self)
        self.let_go()
        serve(self.places.lines)  # who stood behind it may be first now

    def _learn(self, started: float, report: Report) -> None:
        self.places.meet(self.clock)
        self.places.learn(started, self.clock(), report)
        serve(self.places.lines)

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
                self.places.refund(arrived)
                serve(self.places.lines)
        settle()
