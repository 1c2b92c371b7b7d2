"""Would a wait for a permit ever end, where the ones who wait are inside calls that hold permits themselves?

A call may start others and await them, and these may ask for a limit that the call itself is under. That is no harm
while somebody who holds a permit of it can leave; it is for ever once each of them waits for one that waits in turn.
Nobody says who awaits whom, so a call counts as awaiting whatever it started: the wait that would close the circle is
refused.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Protocol

from ..core.throttle import Throttle
from .lock import empty_in_child


class Queue(Protocol):
    """What is waited for: the permits of one key of a limit."""

    @property
    def throttle(self) -> Throttle:
        """What decides whether one can be had."""
        ...

    @property
    def clock(self) -> Callable[[], float]:
        """What tells its time."""
        ...


class Holder(Protocol):
    """One who holds permits."""

    @property
    def holding(self) -> bool:
        """Whether it does so now."""
        ...


class Waiter(Protocol):
    """One who waits, inside others who hold permits."""

    @property
    def inside(self) -> tuple[tuple[Holder, tuple[Queue, ...]], ...]:
        """Those, and what each holds."""
        ...

    @property
    def queues(self) -> tuple[Queue, ...]:
        """What it waits for: a permit of each."""
        ...


class Circles:
    """Who waits inside whom. Every method is for those who have the lock."""

    def __init__(self) -> None:
        self._waiters: dict[Holder, dict[Waiter, None]] = {}
        self._stuck: dict[Queue, dict[Holder, int]] = {}  # who holds a permit, with how many who wait inside

    def begin(self, waiter: Waiter) -> None:
        """Take note that somebody waits."""
        for holder, queues in waiter.inside:
            self._waiters.setdefault(holder, {})[waiter] = None
            for queue in queues:
                counts = self._stuck.setdefault(queue, {})
                counts[holder] = counts.get(holder, 0) + 1

    def end(self, waiter: Waiter) -> None:
        """Take note that it does not any more; nothing happens if it did not."""
        for holder, queues in waiter.inside:
            waiters = self._waiters.get(holder, {})
            if waiter not in waiters:
                continue
            del waiters[waiter]
            if not waiters:
                del self._waiters[holder]
            for queue in queues:
                counts = self._stuck[queue]
                counts[holder] -= 1
                if not counts[holder]:
                    del counts[holder]
                if not counts:
                    del self._stuck[queue]

    def closed(self, queues: tuple[Queue, ...]) -> bool:
        """Whether a permit of each of these will never come, as all who hold one wait for what never comes."""
        stuck: dict[Queue, list[Holder]] = {}  # as far as nobody can leave but those who wait
        todo, alive = list(queues), set[Queue]()
        while todo:
            queue = todo.pop()
            if queue in stuck or queue in alive:
                continue
            if holders := self._all_stuck(queue):
                stuck[queue] = holders
                todo += [wanted for holder in holders for waiter in self._waiters[holder] for wanted in waiter.queues]
            else:
                alive.add(queue)
        while freed := [queue for queue, holders in stuck.items() if any(self._leaves(one, alive) for one in holders)]:
            alive.update(freed)
            for queue in freed:
                del stuck[queue]
        return any(queue in stuck for queue in queues)

    def _all_stuck(self, queue: Queue) -> list[Holder]:
        """Return all who hold a permit if each of them waits; an empty list if anybody can leave, or time helps."""
        holders, throttle = self._stuck.get(queue), queue.throttle
        if holders is None or throttle.in_flight > len(holders) or throttle.stopped:
            return []  # who has paused it goes on with it
        still = [holder for holder in holders if holder.holding]
        if throttle.in_flight > len(still) or throttle.delay(queue.clock()) < inf:
            return []
        return still

    def _leaves(self, holder: Holder, alive: set[Queue]) -> bool:
        """Whether everything comes that is waited for inside a holder."""
        return all(queue in alive for waiter in self._waiters[holder] for queue in waiter.queues)

    def __bool__(self) -> bool:
        return bool(self._waiters)

    def _empty(self) -> None:
        """Forget everybody, in a forked child."""
        self._waiters.clear()
        self._stuck.clear()


circles: Circles = Circles()
empty_in_child(circles)
