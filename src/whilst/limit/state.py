"""What does a limit hold to, for which keys; what is paused by the program itself, and how much of it is in use?"""

from __future__ import annotations

import itertools
import time
import warnings
from collections.abc import Callable, Hashable, Iterable, Sequence
from enum import Enum
from math import inf, isfinite
from typing import Any, Final, Literal, Protocol, TypeAlias
from weakref import WeakSet

from ..core import check
from ..core.colour import name_of
from ..core.frozen import Frozen, NamedTuple
from ..core.held import MOST_NAMED, key_name
from ..core.judge import check_judge, close_awaitable
from ..core.outcome import short
from ..core.rates import Rate, parse_rates
from ..core.throttle import Controller, Throttle
from ..core.users_line import levels_to_user
from ..lanes import here
from .lock import Alone, empty_in_child, lock
from .queue import Clock, WaitQueue, serve, told, unrest


class Every(Enum):
    """Stands for all keys of a limit, where a key could be given."""

    KEY = "every key"


EVERY: Final = Every.KEY


class Stops:
    """The flags of one limit: one for each key that was named, and one for all of it."""

    __slots__ = ("_since",)

    def __init__(self) -> None:
        self._since: dict[Hashable, float] = {}

    def set(self, key: Hashable) -> None:
        """Pause a key; it stays paused since the first time that this was said."""
        self._since.setdefault(key, time.time())

    def lift(self, key: Hashable) -> None:
        """Take that back."""
        self._since.pop(key, None)

    def has(self, key: Hashable) -> bool:
        """Whether a key is paused."""
        return bool(self._since) and (EVERY in self._since or key in self._since)

    @property
    def words(self) -> str:
        """Say so: `paused by limit.pause() since 14:02`; "" if nothing is. From any thread."""
        by_key = self.by_key
        if "" in by_key:
            return by_key[""]
        said = [f"{key} {words}" for key, words in by_key.items()]
        more = [f"{len(said) - MOST_NAMED:,} more keys paused"] if len(said) > MOST_NAMED else []
        return ", ".join([*said[:MOST_NAMED], *more])

    @property
    def by_key(self) -> dict[str, str]:
        """The same for each key by its name; "" for all of the limit."""
        return {
            "" if key is EVERY else key_name([key]) or str(key): paused_by("limit.pause()", at)
            for key, at in tuple(self._since.items())
        }

    def __bool__(self) -> bool:
        return bool(self._since)


def paused_by(what: str, since: float) -> str:
    """Say what has paused something, and since when by the clock on the wall."""
    return f"paused by {what} since {time.strftime('%H:%M', time.localtime(since))}"


ADAPTIVE: Final = "adaptive"

Concurrency: TypeAlias = int | Literal["adaptive"] | Callable[[Any], int | None] | None
RateText: TypeAlias = str | Sequence[str]
Rates: TypeAlias = RateText | Callable[[Any], RateText | None] | None


class Terms(Frozen):
    """The terms of a limit.

    Attributes:
        concurrency: calls in flight at once for each key, "adaptive", a function of the key, or None for any number.
        rates: shortest period first, or a function of the key.
    """

    concurrency: Concurrency = None
    rates: tuple[Rate, ...] | Callable[[Any], RateText | None] = ()

    @property
    def asks(self) -> bool:
        """Whether a function of the user's says what a key has."""
        return callable(self.concurrency) or callable(self.rates)

    @property
    def most(self) -> int | None:
        """How many calls at once each key may have; None if that is not one number."""
        return self.concurrency if isinstance(self.concurrency, int) else None

    @property
    def heaviest(self) -> tuple[float, str]:
        """What a call may weigh at most, by the tightest quota, and which that is; where all keys have the same."""
        if callable(self.rates):
            return inf, ""
        return min(((rate.amount, str(rate)) for rate in self.rates[1:]), default=(inf, ""))

    @property
    def rate_names(self) -> tuple[str, ...]:
        """The rates, in words."""
        return (f"rate={name_of(self.rates)}",) if callable(self.rates) else tuple(map(str, self.rates))

    def __str__(self) -> str:
        if self.concurrency is None:
            first: list[str] = []
        elif callable(self.concurrency):
            first = [f"concurrency={name_of(self.concurrency)}"]
        else:
            first = [str(self.concurrency)]
        return ", ".join([*first, *self.rate_names])

    def of(self, key: Hashable) -> tuple[int | None, tuple[Rate, ...]]:
        """Return what one key has: calls at once, if that is a number, and rates. What functions raise comes out."""
        most, rates = self.concurrency, self.rates
        if not isinstance(most, int):
            most = None
        if callable(self.concurrency):
            found = _answer("concurrency", self.concurrency, key)
            most = None if found is None else _named("concurrency", key, lambda: check.whole("", found, least=1))
        if not callable(rates):
            return most, rates
        text = _answer("rate", rates, key)
        return most, () if text is None else _named("rate", key, lambda: parse_rates(text))


NO_TERMS = Terms()


def concurrency_of(given: Any, *, keyed: bool) -> Concurrency:
    """Check what was given as a concurrency."""
    if given is None:
        return None
    if callable(given):
        return _function("concurrency", given, keyed=keyed)
    if not isinstance(given, str):
        return check.whole("concurrency", given, least=1)
    if given != ADAPTIVE:
        from ..core.meant import try_whole

        better = try_whole("concurrency", given) or "\n  try: concurrency=32"
        raise TypeError(f'concurrency must be a whole number or "adaptive", got {given!r}{better}')
    return ADAPTIVE


def rates_of(given: Any, *, keyed: bool) -> tuple[Rate, ...] | Callable[[Any], RateText | None]:
    """Check what was given as a rate."""
    if given is None:
        return ()
    if callable(given):
        return _function("rate", given, keyed=keyed)
    return parse_rates(given)


def _function(parameter: str, fn: Callable[[Any], Any], *, keyed: bool) -> Callable[[Any], Any]:
    check_judge(parameter, fn, of="key")
    if not keyed:
        raise TypeError(
            f"{parameter}={name_of(fn)} is called with each key, and without by= there are no keys\n"
            f"  try: by=lambda item: …, {parameter}={name_of(fn)}"
        )
    return fn


def _answer(parameter: str, fn: Callable[[Any], Any], key: Hashable) -> Any:
    answer = fn(key)
    if close_awaitable(answer):
        raise TypeError(f"{parameter}={name_of(fn)} returned {short(answer)} for {short(key)}: it cannot be async")
    return answer


def _named(parameter: str, key: Hashable, read: Callable[[], Any]) -> Any:
    """Return what an answer means, or say of which key it was."""
    try:
        return read()
    except (TypeError, ValueError) as error:
        said = str(error).strip()
        raise type(error)(f"{parameter} for the key {short(key)}: {said}") from None


REMEMBERED = 10_240  # keys; up to so many none is forgotten, so that what a controller learned is kept while it matters
GOLDEN = 0.6180339887498949  # by steps of this a circle is visited evenly, however many there are
NOBODY: Hashable = None  # the key of a limit without `by`; alone, it is never forgotten


class Remembered:
    """The keys that something remembers: which are to be forgotten when there are too many?

    Each new key pays for a look at two others, so that nobody ever waits until all are looked through. They are taken
    evenly from all: of keys that come in turn, and are a few too many, the oldest is the next to come, and each would
    be made anew each time.
    """

    __slots__ = ("_keys", "_place")

    def __init__(self) -> None:
        self._keys: list[Hashable] = []
        self._place = 0.0

    def add(self, key: Hashable, is_idle: Callable[[Any], bool]) -> Sequence[Hashable]:
        """Take note of a new key; return others that nobody needs, which are forgotten here."""
        keys = self._keys
        keys.append(key)
        if len(keys) <= REMEMBERED:
            return ()
        idle: list[Hashable] = []
        for _ in range(2):
            if len(keys) > 1:
                self._place = (self._place + GOLDEN) % 1.0
                place = int(self._place * (len(keys) - 1))
                if is_idle(keys[place]):
                    idle.append(keys[place])
                    keys[place] = keys.pop()
        return idle

    def clear(self) -> None:
        """Forget all."""
        self._keys.clear()


class Keys:
    """The queues of a limit, one for each value of `by` that is in use.

    Args:
        throttle: makes the state of a new key. What functions of the user's raise there comes out of `queue`.
    """

    __slots__ = ("_queues", "_remembered", "_throttle", "forgotten_rejected", "forgotten_started", "version")

    def __init__(self, throttle: Callable[[Hashable], Throttle]) -> None:
        self.forgotten_started: int = 0
        self.forgotten_rejected: int = 0
        self.version: int = 0
        """Counts the changes of what makes the state of a key."""
        self._throttle = throttle
        self._queues: dict[Hashable, WaitQueue] = {}
        self._remembered = Remembered()

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """Those of all keys that are remembered; for those who have the lock."""
        return tuple(self._queues.values())

    def queue(self, key: Hashable, clock: Clock) -> WaitQueue:
        """Return the queue of a key, a new one if it is not known."""
        if (queue := self._queues.get(key)) is not None:
            return queue
        version, throttle = self.version, self._throttle(key)  # it may ask the user's functions: without the lock
        with lock:
            queue = self._queues.get(key)
            if queue is None:
                if version != self.version:
                    throttle = self._throttle(key)
                for old in self._remembered.add(key, self._is_idle):
                    self._forget(old)
                queue = self._queues[key] = WaitQueue(throttle, clock)
            return queue

    def by_key(self) -> dict[Hashable, WaitQueue]:
        """Return those of all keys that are remembered; for those who have the lock."""
        return dict(self._queues)

    def known(self, key: Hashable) -> WaitQueue | None:
        """Return the queue of a key, if there is one."""
        return self._queues.get(key)

    def empty(self) -> None:
        """Forget everything, in a forked child: what is held, and who waits, is the parent's."""
        for queue in self._queues.values():
            queue.empty()
        self._queues.clear()
        self._remembered.clear()
        self.forgotten_started = self.forgotten_rejected = 0

    def _is_idle(self, key: Hashable) -> bool:
        """Whether a new queue would do the same for a key."""
        queue = self._queues[key]
        return not queue.parties and queue.kept_for is None and queue.throttle.idle(queue.clock())

    def _forget(self, key: Hashable) -> None:
        queue = self._queues.pop(key)
        queue.gone = True
        self.forgotten_started += queue.throttle.started
        self.forgotten_rejected += queue.throttle.rejected


class LimitStatistics(NamedTuple):
    """The state of a `Limit` at one moment.

    Attributes:
        concurrency: how many calls may be in flight, for each key if there are keys; None if there is no limit. If it
            is adaptive, the number found so far; if it is a function of the key, its result. The largest over all keys.
        in_flight: how many calls are in flight.
        waiting: how many wait for a permit; a run that waits for many permits counts as one.
        rates: the rates as they were given, the shortest period first.
        adaptive: whether the concurrency is "adaptive".
        keys: how many keys of `by` are remembered; without `by`, 1 after the first use.
        paused_for: seconds until the last pause of a key is over; 0.0 if there is none.
        started: calls that have started so far.
        rejected: how many of them the other side refused.
        found: what an adaptive limit has found, or why it is slow, in words; for one key, if there are several.
        paused_by: what your program has paused, and since when: "paused by limit.pause() since 14:02".
    """

    concurrency: int | None
    in_flight: int
    waiting: int
    rates: tuple[str, ...] = ()
    adaptive: bool = False
    keys: int = 0
    paused_for: float = 0.0
    started: int = 0
    rejected: int = 0
    found: str = ""
    paused_by: str = ""


def in_words(now: LimitStatistics, *, keyed: bool) -> str:
    """Return the state as the limit's `repr` tells it: `12/32 in flight, 100/s, 3 waiting`."""
    parts = [f"{now.in_flight}{'' if keyed or now.concurrency is None else f'/{now.concurrency}'} in flight"]
    if keyed and now.concurrency is not None:
        parts.append(f"{now.concurrency} per key")
    if keyed:
        parts.append(f"{now.keys:,} key{'' if now.keys == 1 else 's'}")
    parts += ["adaptive"] if now.adaptive else []
    parts += now.rates
    parts += [f"{now.waiting} waiting"] if now.waiting else []
    parts += [now.found] if now.found else []
    parts += [f"paused for {now.paused_for:.3g} s"] if now.paused_for else []
    parts += [now.paused_by] if now.paused_by else []
    return ", ".join(parts)


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
        self.of_run: bool = False
        """Whether it is what the `rate=` and `concurrency=` of one run or step are short for."""
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
    def numbers(self) -> tuple[str, ...]:
        """Return its numbers as they are given, those that can be changed alone: `rate=100/s`, `concurrency=4`."""
        terms = self.terms
        if self.keyed or self.weighted or self._burst != 1 or terms.asks:
            return ()
        calls = [f"concurrency={terms.concurrency}"] if isinstance(terms.concurrency, int) else []
        rates = [f"rate={name.removeprefix('rate=')}" for name in terms.rate_names]
        if self.of_run:  # there they are two arguments, but several rates are one
            return (*calls, *(rates if len(rates) == 1 else ()))
        return (*calls, *rates) if len(calls) + len(rates) == 1 and not self.adaptive else ()

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
        if type(key) is str or type(key) is int:
            return key
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


def in_order(limits: Iterable[LimitState]) -> tuple[LimitState, ...]:
    """Return each limit once, in the order in which they were made: the one in which calls stand in line."""
    return tuple(sorted(set(limits), key=lambda limit: limit.number))
