"""What does a limit hold to, and how much of that is in use? What runs, steps and blocks know of it."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Hashable
from math import isfinite
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakSet

from ..core.judge import close_awaitable
from ..core.outcome import short
from ..core.throttle import Controller, Throttle
from ..core.users_line import levels_to_user
from ..lanes import here
from .alone import Alone
from .keys import NOBODY, Keys
from .lock import empty_in_child, lock
from .queue import Clock, WaitQueue, serve, unrest
from .stops import Stops
from .terms import ADAPTIVE, NO_TERMS, Terms
from .told import told

if TYPE_CHECKING:
    from .statistics import LimitStatistics

_numbers = itertools.count()


class Watcher(Protocol):
    """Who wants to know when a limit moves: a run that holds to it."""

    def moved(self) -> None:
        """Take note that the terms have changed, or that it is paused or goes on; from any thread."""


class LimitState(Alone):
    """The terms of a limit and the queues of its keys.

    Args:
        terms: how many calls at once, and how many in a time.
        burst: how many calls may start at once at the first rate.
        by: asked for the key of an item.
        weigh: asked for what an item costs of the rates.

    Attributes:
        number: how many were made before; the order in which calls take permits of several.
        keyed: whether each value of `by` has permits of its own.
        weighted: whether calls cost differently.
        keys: the queues.
        watchers: who is told when it moves; for those who have the lock.
    """

    def __init__(
        self,
        terms: Terms = NO_TERMS,
        *,
        burst: int = 1,
        by: Callable[[Any], Hashable] | None = None,
        weigh: Callable[[Any], float] | None = None,
    ) -> None:
        self.number: int = next(_numbers)
        self.lanes: int | None = None
        """How many calls its one run has in flight at most: while it does, the rate saves up what it gives."""
        self.terms: Terms = terms
        self._controller: Callable[[], Controller] | None = _adaptive() if self.adaptive else None
        self.keyed: bool = by is not None
        self.weighted: bool = weigh is not None
        self.keys: Keys = Keys(self._throttle)
        self.stops: Stops = Stops()
        self.watchers: WeakSet[Watcher] = WeakSet()
        self.parents_blocks: int = 0
        """In a forked child: how many blocks it is inside that the parent entered."""
        self._burst = burst
        self.by: Callable[[Any], Hashable] | None = by
        self.weigh: Callable[[Any], float] | None = weigh
        self._inherited = False  # whether this process was forked from the one that made it, and has not said so
        self._another = bool(here.worker_of) and here.is_imported()  # a copy, in a worker, of one of its parent's
        empty_in_child(self)

    @property
    def most(self) -> int | None:
        """How many calls may be in flight at once, for each key; None if that is not one number."""
        return self.terms.most

    @property
    def most_of_a_key(self) -> int | None:
        """How many calls at once some key may have, as far as that is known."""
        if self.most is not None or not callable(self.terms.concurrency):
            return self.most
        with lock:
            return max((queue.throttle.concurrency or 0 for queue in self.keys.queues), default=0) or None

    @property
    def adaptive(self) -> bool:
        """Whether the concurrency is found, rather than given."""
        return self.terms.concurrency == ADAPTIVE

    @property
    def bounded(self) -> bool:
        """Whether one who holds a permit could wait for itself: there is a concurrency."""
        return self.terms.concurrency is not None

    @property
    def rated(self) -> bool:
        """Whether there is a rate."""
        return bool(self.terms.rates)

    def refusal(self, throttle: Throttle, now: float) -> str:
        """Name what holds calls of one key up: `rate=100/s`, `concurrency=4`; "" for what the other side has said.

        A limit that says nothing itself, as a run with retries alone has one, holds only to what the other side says.
        """
        by, a_key = throttle.refusing(now), " per key" if self.keyed else ""
        if by == "other side" or not (self.bounded or self.rated):
            return ""
        rates = self.terms.rate_names
        if isinstance(by, int) and by < len(rates):
            return f"rate={rates[by].removeprefix('rate=')}{a_key}"
        if throttle.concurrency is not None and not self.adaptive:
            return f"concurrency={throttle.concurrency}{a_key}"
        if rates:  # it is due in this moment, or somebody is before it
            return f"rate={rates[0].removeprefix('rate=')}{a_key}"
        return f"concurrency={self.most or ADAPTIVE}{a_key}"

    def key(self, item: Any) -> Hashable:
        """Return the key of an item. What `by` raises comes out here."""
        if self.by is None:
            return NOBODY
        key = self.by(item)
        if close_awaitable(key):
            raise TypeError(f"by must return a key, it returned {short(key)} for {short(item)}: it cannot be async")
        try:
            hash(key)
        except TypeError:
            raise TypeError(
                f"by must return something hashable, a host or an id; it returned {short(key)} for {short(item)}"
            ) from None
        return key

    def weight(self, item: Any) -> float:
        """Return what an item costs of the rates. What `weight` raises comes out here."""
        if self.weigh is None:
            return 1.0
        weight = self.weigh(item)
        if close_awaitable(weight):
            raise TypeError(
                f"weight must return a number, it returned {short(weight)} for {short(item)}: it cannot be async"
            )
        if isinstance(weight, (bool, str)) or not hasattr(weight, "__float__"):
            raise TypeError(f"weight must return a number, it returned {short(weight)} for {short(item)}")
        weight = float(weight)
        if not (isfinite(weight) and weight >= 0):
            raise ValueError(f"weight must return a number of at least 0, it returned {weight} for {short(item)}")
        self.check_heaviest(weight, item)
        return weight

    def check_heaviest(self, weight: float, item: Any) -> None:
        """Refuse what no quota can ever allow, as far as that is known for all keys."""
        most, tightest = self.terms.heaviest
        if weight > most:
            raise ValueError(f"{short(item)} weighs {weight:g}, more than {tightest} can ever allow")

    def queue(self, key: Hashable, clock: Clock) -> WaitQueue:
        """Return the queue of a key, a new one if it is not known."""
        if self._another:
            raise RuntimeError(
                f"{self!r} would count only in this worker: it was made when its module was imported, in a process "
                f"that makes calls for {here.worker_of}\n"
                "  try: give it to the map or step: whilst.map(…, limit=limit), which holds it once for all workers"
            )
        if self._inherited:
            self._inherited = False
            warnings.warn(
                f"{self!r} was made before this process was forked: in this process it starts empty and counts only "
                "for this process\n  try: make all its calls in one process, or give each process its share",
                RuntimeWarning,
                stacklevel=levels_to_user(),
            )
        return self.keys.queue(key, clock)

    def leaves_parents_block(self) -> bool:
        """Take note of the end of a block for which nothing is held here; whether the parent entered it."""
        if not self.parents_blocks:
            return False
        self.parents_blocks -= 1
        return True

    def statistics(self) -> LimitStatistics:
        """Return the counts of this moment. From any thread."""
        from .statistics import LimitStatistics  # loaded when used

        with lock:
            queues = self.keys.queues
            throttles = [queue.throttle for queue in queues]
            paused = max((queue.throttle.pause_until - queue.clock() for queue in queues), default=0.0)
            concurrency = self.most
            if concurrency is None and self.bounded:
                concurrency = max((each.concurrency or 0 for each in throttles), default=0) or None
                if self._controller is not None and concurrency is None:
                    concurrency = self._controller().limit
            return LimitStatistics(
                concurrency=concurrency,
                in_flight=sum(each.in_flight for each in throttles),
                waiting=sum(len(queue.parties) for queue in queues),
                rates=self.terms.rate_names,
                adaptive=self.adaptive,
                keys=len(queues),
                paused_for=max(0.0, paused),
                started=self.keys.forgotten_started + sum(each.started for each in throttles),
                rejected=self.keys.forgotten_rejected + sum(each.rejected for each in throttles),
                found=next((each.found for each in throttles if each.found), ""),
                paused_by=self.stops.words,
            )

    # -- what moves -----------------------------------------------------------------------------------------------

    def change(self, **other: Any) -> None:
        """Hold to other terms from now on. What its functions raise comes out here, and nothing has changed then."""
        while not self._become(self.terms, other):
            pass  # another thread was faster
        self.moved()

    def stop(self, key: Hashable, *, on: bool) -> None:
        """Pause a key, or take that back."""
        with lock:
            self.keys.version += 1
            (self.stops.set if on else self.stops.lift)(key)
            for each, queue in self.keys.by_key().items():
                if self.stops.has(each) == queue.throttle.stopped:
                    continue
                if queue.throttle.stopped:
                    queue.throttle.go_on(queue.clock())
                else:
                    queue.throttle.stop()
        self.moved()

    def forget_saved(self) -> None:
        """Have no rate make up for what was not called until now."""
        with lock:
            for queue in self.keys.queues:
                queue.throttle.forget_saved(queue.clock())

    def moved(self) -> None:
        """Let those go who may go now, and tell all who hold to it."""
        with lock:
            unrest.count += 1
            serve(self.keys.queues)
            watchers = tuple(self.watchers)
        told.settle()
        for watcher in watchers:
            watcher.moved()

    def _empty(self) -> None:
        """Begin anew, in a forked child."""
        self.keys.empty()
        self.watchers.clear()
        self._inherited = True

    def _become(self, before: Terms, other: dict[str, Any]) -> bool:
        terms = before._replace(**other)
        found = {key: terms.of(key) for key in self.keys.by_key()}
        with lock:
            if self.terms is not before:
                return False
            self.terms = terms
            self.keys.version += 1
            for key, queue in self.keys.by_key().items():
                most, rates = found[key] if key in found else terms.of(key)
                if not self.adaptive:
                    queue.throttle.allow_at_once(most)
                queue.throttle.allow_rates(rates, self._burst, queue.clock())
        return True

    def __repr__(self) -> str:
        from .statistics import in_words  # loaded when used

        return f"<Limit {in_words(self.statistics(), keyed=self.keyed)}>"

    def _throttle(self, key: Hashable) -> Throttle:
        most, rates = self.terms.of(key)
        throttle = Throttle(most, rates, self._burst, self._controller, lanes=self.lanes)
        if self.stops.has(key):
            throttle.stop()
        return throttle


def watch(limits: tuple[LimitState, ...], watcher: Watcher) -> None:
    """Have somebody told when limits move, until `unwatch`."""
    with lock:
        for limit in limits:
            limit.watchers.add(watcher)


def unwatch(limits: tuple[LimitState, ...], watcher: Watcher) -> None:
    """Tell it no more."""
    with lock:
        for limit in limits:
            limit.watchers.discard(watcher)


def _adaptive() -> Callable[[], Controller]:
    from ..core.adaptive import (
        Controller as Adaptive,  # loaded when such a limit is made, mostly before there is a loop
    )

    return Adaptive
