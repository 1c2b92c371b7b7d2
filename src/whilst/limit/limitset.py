"""What can several limits give at once: permits of all of them, or of none?"""

from __future__ import annotations

from collections.abc import Hashable
from math import inf
from typing import TYPE_CHECKING

from ..core.costs import Cost
from ..core.outcome import short
from ..core.throttle import Throttle
from .feedback import Report, allowed, told_to
from .queue import Clock, Party, WaitQueue, unrest
from .state import LimitState

if TYPE_CHECKING:
    from ..core.headers import Left


def keys_of(limits: tuple[LimitState, ...], item: object) -> tuple[Hashable, ...]:
    """Return the key of an item at each limit. What a `by` raises comes out here."""
    return tuple([limit.key(item) for limit in limits])


class LimitSet:
    """The queue of one key at each limit, with what a call weighs there. Every method is for those who have the lock.

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
        self.keys: tuple[Hashable, ...]
        self.weights: tuple[float, ...]
        self.queues: tuple[WaitQueue, ...]
        self.taken_at: float
        """When permits were taken last."""
        self._fresh: int  # how many were taken at that moment
        self._limits = limits
        self._weighed: tuple[tuple[Throttle, float], ...]
        self.turn_to(item, clock, weights, keys)

    def turn_to(
        self,
        item: object,
        clock: Clock,
        weights: tuple[float, ...] | None = None,
        keys: tuple[Hashable, ...] | None = None,
    ) -> None:
        """Stand for the keys of an item from now on."""
        self.keys = keys_of(self._limits, item) if keys is None else keys
        self.weights = weights or tuple([limit.weight(item) for limit in self._limits])
        self.taken_at, self._fresh = -inf, 0
        self._find(clock)

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
        for queue, weight in zip(self.queues, self.weights, strict=True):
            if queue.clock is not clock:
                queue.meet(clock)
            if (queue.parties or queue.kept_for) and not queue.open_to(party):
                return queue, inf
            if (wait := queue.throttle.delay(now, weight)) > 0.0:
                self._note_wait(now)
                return queue, wait
        return None

    def others(self, party: Party) -> bool:
        """Whether anybody but this party stands in one of the queues, or has one kept; a guess without the lock."""
        at = party.queue
        return any(queue.kept_for is not None or len(queue.parties) > (queue is at) for queue in self.queues)

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
