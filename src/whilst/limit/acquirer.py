"""How does one party get permits of several limits, all of them or none, in its turn?"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from collections.abc import Callable, Hashable, Iterable
from math import inf
from typing import TYPE_CHECKING, Any

from ..core.costs import Cost
from ..core.outcome import short
from ..core.throttle import Throttle
from ..lanes.clock import clock_of, monotonic
from ..lanes.port import nothing
from .feedback import Report, allowed, told_to
from .holders import Inside, holds_already
from .lock import lock
from .queue import Clock, Party, WaitQueue, circles, serve, tickets, told, uncollected, unrest
from .state import LimitState

if TYPE_CHECKING:
    from ..core.headers import Left


def keys_of(limits: tuple[LimitState, ...], item: object) -> tuple[Hashable, ...]:
    """Return the key of an item at each limit. What a `by` raises comes out here."""
    return tuple([limit.key(item) for limit in limits])


class LimitSet:
    """The queue of one key at each limit, with what a call weighs there.

    A call whose permits are at hand needs no more than this: it `begins` and `is_over`. Who may have to wait has an
    `Acquirer`. Every other method is for those who have the lock.

    Args:
        limits: each once.
        item: what their `by` and `weight` functions are asked of. What these raise comes out here.
        clock: what tells the time of whoever takes permits.
        weights: what a call weighs at each of them, if that is known.
        keys: of the item, if they are known.
    """

    __slots__ = ("_fresh", "_limits", "_weighed", "keys", "queues", "taken_at", "weights")

    def __init__(
        self,
        limits: tuple[LimitState, ...],
        item: object,
        clock: Clock,
        weights: tuple[float, ...] | None = None,
        keys: tuple[Hashable, ...] | None = None,
    ) -> None:
        self._limits = limits
        self.keys: tuple[Hashable, ...] = keys_of(limits, item) if keys is None else keys
        self.weights: tuple[float, ...] = weights or tuple([limit.weight(item) for limit in limits])
        self.queues: tuple[WaitQueue, ...]
        self._weighed: tuple[tuple[Throttle, float], ...]
        self.taken_at: float = -inf
        """When permits were taken last."""
        self._fresh = 0  # how many were taken at that moment
        self._find(clock)

    # -- a call whose permits are at hand -----------------------------------------------------------------------

    def begins(self, clock: Clock) -> bool:
        """Whether a call may begin at once, which then has a permit of each limit; nobody stands in line for it."""
        with lock:
            self.meet(clock)
            if self.others(None):
                return False
            if len(self._weighed) == 1:
                throttle, weight = self._weighed[0]
                if not throttle.rated:  # as `take` does it
                    return throttle.take_one(clock(), weight)
            return self.take(1, clock()) > 0

    def is_over(self) -> None:
        """Return the permits of a call that is over, of which there is nothing to tell. From any thread."""
        with lock:
            self.free(1)
            if self.nobody_gains():
                return
            serve(self.queues)
        told.settle()

    def was_not_made(self, clock: Clock) -> None:
        """Return permits that were not used."""
        with lock:
            self.meet(clock)
            self.refund(1)
            serve(self.queues)
        told.settle()

    @property
    def ended(self) -> int:
        """How many calls of its keys have ended, as far as that is remembered."""
        return min([throttle.started - throttle.in_flight for throttle, _ in self._weighed])

    @property
    def began(self) -> float:
        """When the first of them began."""
        return max([throttle.began for throttle, _ in self._weighed])

    # -- what a party asks of it, and others who have the lock ----------------------------------------------------

    @property
    def paused_until(self) -> float:
        """When the last pause of the keys ends; far in the past if there is none."""
        return max((queue.throttle.pause_until for queue in self.queues), default=-inf)

    @property
    def bounded(self) -> LimitState:
        """The first of its limits whose permits are held for as long as a call lasts."""
        return next((limit for limit in self._limits if limit.bounded), self._limits[0])

    def meet(self, clock: Clock) -> None:
        """See that the queues are the ones in use, and keep this clock's time."""
        for queue in self.queues:
            if queue.gone:
                self._find(clock)
                return self.meet(clock)
            if queue.clock is not clock:
                queue.meet(clock)
        return None

    def check(self, item: object) -> None:
        """Raise if an item has other keys."""
        keys = keys_of(self._limits, item)
        if keys != self.keys:
            raise ValueError(f"this acquirer is for {short(self.keys)}; {short(item)} belongs to {short(keys)}")

    def weigh(self, item: object) -> None:
        """Take the weights of another item of the same keys."""
        self.weights = tuple([limit.weight(item) for limit in self._limits])
        self._weigh()

    def refusal(self, party: Party) -> tuple[WaitQueue, float] | None:
        """Return the first queue that refuses a party, and for how long; None if a permit can be had."""
        clock = party.clock
        now = clock()
        if True in [queue.gone for queue in self.queues]:  # it stood in another one meanwhile, and this was idle
            self._find(clock)
        for queue, weight in zip(self.queues, self.weights, strict=True):
            if queue.clock is not clock:
                queue.meet(clock)
            if (queue.parties or queue.kept_for) and not queue.open_to(party):
                return queue, inf
            if (wait := queue.throttle.delay(now, weight)) > 0.0:
                self._note_wait(now)
                return queue, wait
        return None

    def others(self, at: WaitQueue | None) -> bool:
        """Whether anybody stands in one of the queues but the one who is `at` one, or has one kept.

        Without the lock it is a guess.
        """
        return True in [queue.kept_for is not None or len(queue.parties) > (queue is at) for queue in self.queues]

    def take(self, count: int, now: float) -> int:
        """Take up to `count` permits of every limit, as many as all of them can give, whosever turn it is."""
        paced = [throttle for throttle, _ in self._weighed if throttle.rated]
        if paced:
            self._save_up(now)
        taken = 0
        while taken < count:
            can = count - taken
            for throttle, weight in self._weighed:
                can = throttle.room(can, now, weight)
            if not can:
                break
            for throttle, weight in self._weighed:
                throttle.take(now, weight, can)
            taken += can
        if paced and taken < count:
            self._note_wait(now)
        elif paced and taken:
            for throttle, _ in self._weighed:
                if throttle.full:
                    throttle.full_since = now
        if taken:
            self._fresh = taken + (self._fresh if self.taken_at == now else 0)
            self.taken_at = now
        return taken

    def _note_wait(self, now: float) -> None:
        """Take note that a call waits: each pace makes up for what others keep it from."""
        several = self._several
        for throttle, _ in self._weighed:
            if throttle.full_since > now and (throttle.full or (several and throttle.rated)):
                throttle.full_since = now

    def _save_up(self, now: float) -> None:
        """Have the paces save up what they gave while all permits were taken, or another pace held calls up."""
        since = inf
        for throttle, _ in self._weighed:
            if throttle.full:
                return
            since = min(since, throttle.full_since)
        for throttle, _ in self._weighed:
            throttle.full_since = inf
            if not throttle.in_flight and since >= now:
                throttle.rest()
        if since < now:
            several, bounded = self._several, any(throttle.bounded for throttle, _ in self._weighed)
            most = sum(throttle.in_flight + 1 for throttle, _ in self._weighed) if bounded else 0.0
            for throttle, weight in self._weighed:
                throttle.held(since, now, max(most, weight, throttle.share) if several else most)

    @property
    def _several(self) -> bool:
        return len(self._weighed) > 1 and sum(throttle.rated for throttle, _ in self._weighed) > 1

    def free(self, count: int) -> None:
        """Return the permits of calls that are over."""
        for throttle, _ in self._weighed:
            throttle.in_flight -= count

    def nobody_gains(self) -> bool:
        """Whether nobody who stands in line can go because a permit has come back."""
        return False not in [not queue.parties or queue.waits_for_time() for queue in self.queues]

    def refund(self, count: int) -> None:
        """Return permits that were not used: rates get back what was taken in the latest moment."""
        cells = min(count, self._fresh)
        self._fresh -= cells
        for throttle, weight in self._weighed:
            if cells:
                throttle.undo(self.taken_at, weight, cells)
            if count > cells:
                throttle.never_made(weight, count - cells)

    def count(self, calls: int) -> None:
        """Count calls that used a permit which another call had before them."""
        for throttle, _ in self._weighed:
            throttle.started += calls

    def succeeded(self, started: float, ended: float, *, followed: bool) -> None:
        """Count the end of a call that went well, and the start of the one that got its permit, if one did."""
        for throttle, _ in self._weighed:
            controller = throttle.controller
            if controller is not None:
                controller.succeeded(started, ended, throttle.in_flight - 1)
                if followed:
                    controller.sent(throttle.in_flight, ended)
            if followed:
                throttle.started += 1
            else:
                throttle.in_flight -= 1

    def learn(self, started: float, now: float, report: Report) -> None:
        """Pass on how a call went.

        Where some of the limits have keys, the others do not pause for it: they stand for more than the key that asked.
        """
        unrest.count += 1
        meant = self._meant()
        for throttle, _ in self._weighed:
            told_to(throttle, started, now, report, meant=throttle in meant)

    def costs(self) -> list[Cost]:
        """Return what a call counts at each limit that is let through now."""
        return [throttle.cost(weight) for throttle, weight in self._weighed]

    def correct(self, costs: list[Cost], taken: float, real: float, now: float, *, given: bool) -> None:
        """Count what a call cost indeed, where calls are weighed, in the place of what was counted."""
        unrest.count += 1
        for place, limit in enumerate(self._limits):
            if limit.weighted or given:
                self.queues[place].throttle.correct(costs[place], real, taken, now)

    def allow(self, left: Left, now: float) -> None:
        """Pass on how many calls an answer says are left."""
        unrest.count += 1
        for throttle in self._meant():
            allowed(throttle, left, now)

    def keep_for(self, party: Party) -> None:
        """Keep all queues for a party, but those that are kept for somebody older."""
        unrest.count += 1
        for queue in self.queues:
            if queue.kept_for is None or queue.kept_for.ticket > party.ticket:
                queue.kept_for = party

    def let_go(self, party: Party) -> list[WaitQueue]:
        """Keep no queue for it any longer; return those that are free now."""
        freed = [queue for queue in self.queues if queue.kept_for is party]
        for queue in freed:
            queue.kept_for = None
        return freed

    def _meant(self) -> list[Throttle]:
        """Return those of which the other side speaks: those with keys of their own, if there are any."""
        throttles = [throttle for throttle, _ in self._weighed]
        keyed = [throttle for limit, throttle in zip(self._limits, throttles, strict=True) if limit.keyed]
        return keyed or throttles

    def _find(self, clock: Clock) -> None:
        self.queues = tuple([limit.queue(key, clock) for limit, key in zip(self._limits, self.keys, strict=True)])
        self._weigh()

    def _weigh(self) -> None:
        pairs = zip(self.queues, self.weights, strict=True)
        self._weighed = tuple([(queue.throttle, weight) for queue, weight in pairs])


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
        inside: those who hold permits and may await this party; see `Circles`.
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
            taken = 0 if self.set.others(self.queue) else self.set.take(count, self.clock())
            if taken < count:
                self.stand(count - taken)
        if told:
            told.settle()
        return taken

    def retire(self) -> None:
        """Want nothing any more, and return what was taken and not collected: whoever was to be woken need not stay."""
        if self.queue is not None or self.arrived:
            self.give_up()
        self._wake = nothing

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
            return 0 if self.set.others(self.queue) else self.set.take(count, self.clock())

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
            if self.set.nobody_gains():
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
        if self.set.others(self.queue):
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
        circles.keepers[self] = None
        self.set.keep_for(self)

    def let_go(self) -> list[WaitQueue]:
        """Keep no line any longer; return those that are free now."""
        self.bounced = 0
        circles.keepers.pop(self, None)
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
