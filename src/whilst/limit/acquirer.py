"""How does one party get permits of several limits, all of them or none, in its turn?"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from collections.abc import Callable, Hashable, Iterable
from typing import TYPE_CHECKING, Any

from ..core.costs import Cost
from ..lanes.clock import clock_of, monotonic
from .feedback import Report
from .holders import Inside, holds_already
from .limitset import LimitSet
from .lock import lock
from .queue import Clock, WaitQueue, circles, serve, tickets, told, uncollected
from .state import LimitState

if TYPE_CHECKING:
    from ..core.headers import Left


class Acquirer:
    """One party's place at one or more limits, for one key of each: takes permits of all of them or of none, in turn.

    It belongs to a loop or a thread: `ask`, `collect`, `withdraw` and `refund` are called there, and `wake` is;
    everything else may come from anywhere. Each permit that was taken goes back once: by `finished`, `went_well`,
    `give_back` or `refund`.

    Args:
        limits: each once.
        item: what their `by` and `weight` functions are asked of. What these raise comes out here.
        loop: where `wake` is called; None for a plain thread, then at once, on whatever thread that is.
        wake: called when there is something to `collect`.
        inside: those who hold permits and may await this party; see `circle`.
        look_at: told when the first in line should look at the clock, where there is no loop to do it.
        prompt: whether `wake` may be called at once from inside any call, if that is on its loop.
        together: whether all that it wants is older than whoever stands behind it, and is granted before them.
        weights: what a call weighs at each of them, where that is not asked of the item.
        keys: of the item at each of them, where that is not asked either.

    Attributes:
        set: where it may stand: the queue of its key at each limit.
        wanted: how many permits it still waits for.
        arrived: how many were taken on its behalf, and are not collected yet.
        listens: whether anybody wants to know how calls end that were not rejected: an adaptive limit does.
    """

    __slots__ = (
        "_look_at", "_prompt", "_stuck", "_together", "_wake",
        "arrived", "bounced", "clock", "inside", "listens", "loop", "queue", "set", "ticket", "wanted",
    )  # fmt: skip

    def __init__(
        self,
        limits: tuple[LimitState, ...],
        item: Any,
        *,
        loop: asyncio.AbstractEventLoop | None,
        wake: Callable[[], object],
        inside: Inside = (),
        look_at: Callable[[float], None] | None = None,
        prompt: bool = False,
        together: bool = False,
        weights: tuple[float, ...] | None = None,
        keys: tuple[Hashable, ...] | None = None,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = loop
        self.clock: Clock = monotonic if loop is None else clock_of(loop)
        self.set: LimitSet = LimitSet(limits, item, self.clock, weights, keys)
        self.wanted: int = 0
        self.ticket: int = 0
        self.bounced: int = 0
        self.queue: WaitQueue | None = None
        self.listens: bool = True in [limit.adaptive for limit in limits]
        self.inside: Inside = inside
        self._wake = wake
        self._look_at = look_at
        self._prompt = prompt
        self._together = together
        self.arrived: int = 0
        self._stuck = False  # whether it does not wait any longer, as that would be for ever

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """The queue of its key at each limit."""
        return self.set.queues

    # -- before a call ------------------------------------------------------------------------------------------

    @property
    def paused_until(self) -> float:
        """When the last pause of its keys ends, in seconds of its loop's clock; far in the past if there is none."""
        with lock:
            self.set.meet(self.clock)
            return self.set.paused_until

    def ask(self, count: int, item: Any = ...) -> int:
        """Take up to `count` permits now and return how many; it wants the rest, and stands in line for them.

        What it wanted before is replaced: asking for 0 withdraws. While it stands in line nothing is taken at once,
        as its turn comes by itself.

        Args:
            count: how many calls could start.
            item: asked for its weights anew, where calls of one key weigh differently.

        Raises:
            ValueError: the item has another key; that takes an acquirer of its own.
        """
        if item is not ...:
            self.set.check(item)
            self.set.weigh(item)
        with lock:
            if self.queue is not None:
                self._want(count)
                return 0
            self.set.meet(self.clock)
            taken = 0 if self.set.others(self) else self.set.take(count, self.clock())
            if taken < count:
                self.stand(count - taken)
        if told:
            told.settle()
        return taken

    def turn_to(self, item: Any, weights: tuple[float, ...], keys: tuple[Hashable, ...]) -> None:
        """Take permits of the keys of an item from now on; it wants none now, and all that it took are back."""
        self.bounced = 0
        self.set.turn_to(item, self.clock, weights, keys)

    def retire(self) -> None:
        """Want nothing any more, so that nobody is to be woken: whoever that was need not stay for this."""
        if self.queue is not None:
            self.withdraw()
        self._wake = _nobody

    def stand(self, count: int) -> None:
        """Want permits that were refused just now, and join the line that refuses; the caller has the lock."""
        uncollected.reclaim()
        self.wanted = count
        self.ticket = next(tickets)
        refusal = self.refusal()
        (refusal[0] if refusal is not None else self.set.queues[0]).join(self)
        if self.inside:
            circles.begin(self)
            self.fail_if_stuck()

    def take_now(self, count: int) -> int:
        """Take up to `count` permits that can be had now and return how many; never stand in queue."""
        with lock:
            self.set.meet(self.clock)
            return 0 if self.set.others(self) else self.set.take(count, self.clock())

    def expect(self, count: int) -> None:
        """Want as many as make `count` with those that are not collected yet."""
        with lock:
            if self.queue is not None:
                self._want(count - self.arrived)
        told.settle()

    def withdraw(self) -> None:
        """Want nothing more; permits that were taken already may still be collected."""
        with lock:
            if self.queue is not None:
                self._want(0)
        told.settle()

    def collect(self) -> int:
        """Return how many permits were taken on its behalf, once.

        Raises:
            RuntimeError: it does not wait any longer, as it would wait for ever.
        """
        with lock:
            arrived, self.arrived = self.arrived, 0
            stuck, self._stuck = self._stuck, False
            if arrived and self.loop is not None:
                uncollected.remove(self)
        if stuck:
            if arrived:
                self.refund(arrived)
            raise holds_already(self.set.bounded)
        return arrived

    def give_up(self) -> None:
        """Withdraw, and return what was taken meanwhile."""
        self.withdraw()
        self._stuck = False
        if arrived := self.collect():
            self.refund(arrived)

    def refund(self, count: int = 1) -> None:
        """Return permits that were not used: rates get back what was taken in this party's latest moment."""
        with lock:
            self.set.meet(self.clock)
            self.set.refund(count)
            serve(self.set.queues)
        told.settle()

    # -- after a call -------------------------------------------------------------------------------------------

    def give_back(self, count: int = 1) -> None:
        """Return the permits of calls that are over, of which there is nothing to tell. From any thread."""
        with lock:
            self.set.free(count)
            if all(not queue.parties or queue.waits_for_time() for queue in self.set.queues):
                return
            serve(self.set.queues)
        told.settle()

    def went_well(self, calls: Iterable[tuple[float, float, bool]]) -> None:
        """Say when calls began and ended that went well, and whether another got the permit; else it goes back."""
        with lock:
            for started, ended, followed in calls:
                self.set.succeeded(started, ended, followed=followed)
            serve(self.set.queues)
        told.settle()

    def finished(self, started: float, report: Report) -> None:
        """Return the permit of a call that is over, and say when it began and how it went. From any thread."""
        if not self.listens and report.verdict != "rejected" and report.retry_after is None and report.rate is None:
            self.give_back()
            return
        with lock:
            self.set.free(1)
            self._learn(started, report)
        told.settle()

    def learn(self, started: float, report: Report) -> None:
        """Say how a call went whose permit does not come back yet, or has."""
        with lock:
            self._learn(started, report)
        told.settle()

    def undisturbed(self) -> bool:
        """Whether a permit may be used again as it comes back, which `passed_on` or `went_well` tells of later.

        It may while nobody else waits for these keys, and there is neither rate nor pause; where there is a controller,
        until that is told. The answer is taken without the lock, and holds until `unrest` counts on.
        """
        if self.set.others(self):
            return False
        now = self.clock()
        return all(queue.throttle.exchanges(now) for queue in self.set.queues)

    def correct(self, costs: list[Cost], taken: float, real: float, *, given: bool = False) -> None:
        """Count what a call cost indeed, in the place of what it counted when it was let through. From any thread.

        It may be more or less, and it may be said while the call lasts or when it is over; what is given back goes to
        those who wait. `given`: whether it was not the limits that said what the call weighs.
        """
        with lock:
            self.set.meet(self.clock)
            self.set.correct(costs, taken, real, self.clock(), given=given)
            serve(self.set.queues)
        told.settle()

    def passed_on(self, count: int) -> None:
        """Count calls that used a permit which another call had before them."""
        with lock:
            self.set.count(count)

    def count_before(self, calls: int, began: float) -> None:
        """Count calls that had been made before there was this, the first at the time `began`."""
        with lock:
            for queue in self.set.queues:
                queue.throttle.count_before(calls, began)

    def allow(self, left: Left) -> None:
        """Start no more calls than an answer said there are left, until there are new ones. From any thread."""
        with lock:
            self.set.meet(self.clock)
            self.set.allow(left, self.clock())
            serve(self.set.queues)
        told.settle()

    # -- for the line: a `Party`; the caller has the lock, but for `tell` ---------------------------------------

    def refusal(self) -> tuple[WaitQueue, float] | None:
        """Return the first line that refuses, and for how long; None if a permit can be had."""
        return self.set.refusal(self)

    def grant(self, count: int) -> int:
        """Take up to `count` permits, to be collected; `wake` is called once for all that came in between."""
        taken = self.set.take(count, self.clock())
        if not self.arrived:
            told.add(self)
            if self.loop is not None:
                uncollected.add(self)
        self.arrived += taken
        if self.inside and taken >= self.wanted:
            circles.end(self)
        return taken

    def fail_if_stuck(self) -> bool:
        """Wait no longer if that would be for ever; whether that was so."""
        if not self.inside or not circles.closed(self.set.queues):
            return False
        self._want(0)
        self._stuck = True
        told.add(self)
        return True

    def crowded(self) -> bool:
        """Whether others stand in any of its lines."""
        return not self._together and any(len(queue.parties) > (queue is self.queue) for queue in self.set.queues)

    def keep(self) -> None:
        """Keep all lines for itself, but those that are kept for somebody older."""
        self.set.keep_for(self)

    def let_go(self) -> list[WaitQueue]:
        """Keep no line any longer; return those that are free now."""
        self.bounced = 0
        return self.set.let_go(self)

    def look_at(self, due: float) -> None:
        """Pass on when the first in line should look again, for those who have no timer."""
        if self._look_at is not None:
            self._look_at(due)

    def tell(self, *, fresh: bool) -> None:
        """Have it woken; without the lock. `fresh`: nothing of its own is under way on this thread."""
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
                with lock:
                    uncollected.reclaim()
                    self.reclaim()
                told.settle()

    def reclaim(self, more: int = 0) -> None:
        """Give up for a party whose loop is closed, with `more` permits that it has collected: nobody is there."""
        arrived, self.arrived = self.arrived + more, 0
        if self.queue is not None:
            self._want(0)
        if arrived:
            self.set.refund(arrived)
            serve(self.set.queues)

    # -- private, in order of use -------------------------------------------------------------------------------

    def _want(self, count: int) -> None:
        """Want more or less, standing in line."""
        self.wanted = max(0, count)
        if self.wanted or self.queue is None:
            return
        if self.inside:
            circles.end(self)
        self.queue.leave(self)
        self.let_go()
        serve(self.set.queues)  # who stood behind it may be first now

    def _learn(self, started: float, report: Report) -> None:
        self.set.meet(self.clock)
        self.set.learn(started, self.clock(), report)
        serve(self.set.queues)

    def _deliver(self) -> None:
        if self.arrived or self._stuck:
            self._wake()


def _nobody() -> None:
    pass
