"""`Limit`: how many calls may be in flight at once, and how many may start in a second, shared by whoever has it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Coroutine, Hashable, Sequence
from dataclasses import dataclass
from math import inf, isfinite
from typing import Any, Final, Literal

from ..core import check
from ..core.outcome import short
from ..core.rates import Rate, parse_rates
from ..core.throttle import Controller, Throttle
from ..lanes.clock import clock_of
from .claim import Claim
from .crowd import Crowd
from .entry import Entry
from .feedback import report_of
from .line import Clock, Line, lock
from .turn import blocking_turn, held

ADAPTIVE: Final = "adaptive"
REMEMBERED = 1024  # keys; up to so many none is forgotten, so that what a controller learned is kept while it matters
NOBODY: Hashable = None  # the key of a limit without `by`

_numbers = itertools.count()


@dataclass(frozen=True, slots=True)
class LimitStatistics:
    """The state of a `Limit` at one moment.

    Attributes:
        concurrency: how many may be in flight, for each key if there are keys; None if that has no limit. An adaptive
            one is what was found so far, the largest over all keys.
        in_flight: how many are.
        waiting: how many parties wait for their turn; a run that waits for many permits is one.
        rates: as they were given, the shortest period first.
        adaptive: whether the concurrency is found, rather than given.
        keys: how many values of `by` are remembered; 1 without `by`, once it was used.
        paused_for: seconds until the last key that pauses goes on; 0.0 if none does.
        started: calls so far.
        rejected: those of them that the other side refused.
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


class Limit:
    """At most so many calls at once, and so many in a time, over everything that shares this object; first come first.

    Give it to steps and runs, or use it by hand: `with limit:` on plain threads, `async with limit:` on any loop,
    `with limit.of(item):` where it has `by` or `weight`. Only calls hold a permit, never a node of a flow, so nesting
    can neither multiply a limit nor deadlock on it. A call that was left behind keeps its permit until it returns. A
    wait that is cancelled or interrupted takes nothing.

    Args:
        concurrency: calls in flight at once, at least 1; `"adaptive"` finds how many the other side bears, by its
            throughput and its refusals.
        rate: calls that start in a time: `"100/s"`, `"30/min"`, `"1000/10s"`, or several: `["100/s", "5000/h"]`. The
            shortest period paces them evenly; a longer one is a quota, at most so many in any window of that length,
            spent as fast as the pace allows.
        burst: how many may start at once at the first rate, after a pause. What the rate gives in 5 ms may anyway, as
            no timer is finer: in any window of w seconds start at most w x rate + max(burst, 5 ms x rate + 1).
        by: asked of each input for its key (a host, a tenant); each key has permits, rates and pauses of its own, and
            is forgotten when it is idle.
        weight: asked of each input for what it costs of the rates (tokens, bytes), where a call costs 1 without it. A
            heavy call starts as soon as a light one could, and the next waits the longer.

    >>> import whilst
    >>> database = whilst.Limit(concurrency=5)
    >>> flow = whilst.together(a=whilst.step(len, limit=database), b=whilst.step(str.upper, limit=database))
    >>> flow("abc")
    {'a': 3, 'b': 'ABC'}
    >>> database
    <Limit 0/5 in flight>
    >>> api = whilst.Limit(concurrency=32, rate=["100/s", "5000/h"], by=lambda url: url.split("/")[2])
    >>> with api.of("https://example.org/a"):
    ...     print(api)
    <Limit 1 in flight, 32 per key, 1 key, 100/s, 5000/h>
    """

    _claim: Claim | None = None  # see `_common`
    _crowd: Crowd | None = None  # see `_in_turn`

    def __init__(
        self,
        *,
        concurrency: int | Literal["adaptive"] | None = None,
        rate: str | Sequence[str] | None = None,
        burst: int = 1,
        by: Callable[[Any], Hashable] | None = None,
        weight: Callable[[Any], float] | None = None,
    ) -> None:
        if concurrency is None and rate is None:
            raise TypeError(
                "Limit() limits nothing: it needs concurrency=, rate= or both\n"
                '  try: whilst.Limit(concurrency=32, rate="100/s")'
            )
        self._setup(
            concurrency=_concurrency(concurrency),
            rates=parse_rates(rate) if rate is not None else (),
            burst=check.whole("burst", burst, least=1),
            by=by,
            weight=weight,
        )
        if rate is None and self._burst != 1:
            raise TypeError(f'burst={burst} needs a rate that it is a burst of\n  try: rate="100/s", burst={burst}')
        if rate is None and weight is not None:
            raise TypeError('weight= needs a rate to count against; permits count calls\n  try: rate="90000/min"')
        for name, function in (("by", by), ("weight", weight)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} {check.not_callable(function)}\n  try: {name}=lambda item: …")

    @classmethod
    def _unlimited(cls) -> Limit:
        """Return one that holds nobody up until it is paused."""
        limit = cls.__new__(cls)
        limit._setup(concurrency=None, rates=(), burst=1, by=None, weight=None)
        return limit

    def of(self, item: Any) -> Entry:
        """Return a permit for `item`, to be used by one `with` or `async with` at a time.

        Args:
            item: what `by` and `weight` are asked of, when the block is entered; what they raise comes out there.

        An exception that leaves the block and says "slower" (429, Retry-After) pauses the key.

        >>> import whilst
        >>> model = whilst.Limit(rate="90000/min", weight=len)
        >>> with model.of("a prompt, a byte a token"):
        ...     print("asked")
        asked
        """
        return Entry(self, item)

    def statistics(self) -> LimitStatistics:
        """Return the counts of this moment. From any thread."""
        with lock:
            lines = tuple(self._lines.values())
            throttles = [line.throttle for line in lines]
            waiting = sum(len(line.parties) for line in lines)
            paused = max((line.throttle.pause_until - line.clock() for line in lines), default=0.0)
            if self._adaptive:
                concurrency = max((each.concurrency or 0 for each in throttles), default=self._throttle().concurrency)
            else:
                concurrency = self._concurrency
            return LimitStatistics(
                concurrency=concurrency,
                in_flight=sum(each.in_flight for each in throttles),
                waiting=waiting,
                rates=tuple(str(rate) for rate in self._rates),
                adaptive=self._adaptive,
                keys=len(lines),
                paused_for=max(0.0, paused),
                started=self._forgotten_started + sum(each.started for each in throttles),
                rejected=self._forgotten_rejected + sum(each.rejected for each in throttles),
            )

    def __repr__(self) -> str:
        now = self.statistics()
        per_key = self._by is not None
        parts = [f"{now.in_flight}{'' if per_key or now.concurrency is None else f'/{now.concurrency}'} in flight"]
        if per_key and now.concurrency is not None:
            parts.append(f"{now.concurrency} per key")
        if per_key:
            parts.append(f"{now.keys:,} key{'' if now.keys == 1 else 's'}")
        parts += [ADAPTIVE] if now.adaptive else []
        parts += now.rates
        parts += [f"{now.waiting} waiting"] if now.waiting else []
        parts += [f"paused for {now.paused_for:.3g} s"] if now.paused_for else []
        return f"<Limit {', '.join(parts)}>"

    # -- by hand ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Limit:
        """Wait for a permit, on a plain thread."""
        if self._bounded:
            self._entry().__enter__()
        elif not self._common(time.monotonic).try_one():
            blocking_turn((self,), None)
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._leave(error)

    def __aenter__(self) -> Coroutine[Any, Any, Limit]:
        """Wait for a permit, on a loop."""
        loop, crowd = asyncio.get_running_loop(), self._crowd
        if not self._bounded and crowd is not None and crowd.loop is loop and crowd.waits:
            return self._in_turn(loop)  # one coroutine less than by way of `_enter`
        return self._enter(loop)

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        claim = self._claim
        if error is None and claim is not None and not self._bounded:
            claim.give_back()
        else:
            self._leave(error)

    async def _enter(self, loop: asyncio.AbstractEventLoop) -> Limit:
        if self._bounded:
            entry = self._entry()
            if not entry.enter_now(clock_of(loop)):
                await entry.enter_later()
        elif not self._common(clock_of(loop)).try_one():
            await self._in_turn(loop)
        return self

    def _entry(self) -> Entry:
        self._check_whole()
        return Entry(self, None, whole=True)

    def _check_whole(self) -> None:
        if self._by is not None or self._weigh is not None:
            asks = "by" if self._by is not None else "weight"
            raise TypeError(
                f"this limit asks {asks}= of an item, so it must be told which\n  try: with limit.of(item):"
            )

    def _leave(self, error: BaseException | None) -> None:
        """Leave the block that was entered last by the code that runs now."""
        for holder in reversed(held.get()) if self._bounded else ():
            if isinstance(holder, Entry) and holder.whole and holder.has(self):
                holder.leave(error)
                return
        # One of a rate, of which nobody keeps account, or one entered in another context, by a generator that is closed
        # elsewhere: permits are alike, any will do.
        claim = self._claim
        assert claim is not None, "left without having been entered"
        report = report_of(error) if error is not None or claim.listens else None
        if report is None:
            claim.give_back()
        else:
            claim.finished(claim.clock(), *report)

    def _common(self, clock: Clock) -> Claim:
        """Return the claim with which all blocks take what can be had at once; it never stands in line.

        With a claim for each, entering at once would take 6 times as long as an asyncio.Semaphore, instead of 4.
        """
        claim = self._claim
        if claim is None or claim.clock is not clock:
            self._check_whole()
            claim = Claim((self,), None, loop=None, granted=_never)
            claim.clock = clock
            self._claim = claim
        return claim

    async def _in_turn(self, loop: asyncio.AbstractEventLoop) -> Limit:
        """Wait for a permit behind the tasks that wait already; cancelled meanwhile, take none."""
        crowd = self._crowd
        if crowd is None or crowd.loop is not loop:
            crowd = self._crowd = Crowd(self, loop)
        waiter = crowd.join()
        if waiter is False:  # somebody else has come since the others of that crowd
            crowd = self._crowd = Crowd(self, loop)
            waiter = crowd.join()
        try:
            if not isinstance(waiter, bool):
                await waiter
            return self
        except BaseException:  # a cancellation, mostly
            assert not isinstance(waiter, bool)
            crowd.left(waiter)
            raise
        finally:
            if not crowd.waits and self._crowd is crowd:
                self._crowd = None  # it would keep the loop alive

    # -- for runs and flows -------------------------------------------------------------------------------------

    @property
    def keyed(self) -> bool:
        """Whether each value of `by` has permits of its own."""
        return self._by is not None

    @property
    def weighted(self) -> bool:
        """Whether calls cost differently."""
        return self._weigh is not None

    @property
    def rated(self) -> bool:
        """Whether it has a rate."""
        return bool(self._rates)

    @property
    def adaptive(self) -> bool:
        """Whether the concurrency is found, rather than given."""
        return self._adaptive

    @property
    def most(self) -> int | None:
        """How many calls may be in flight at once, for each key; None if that is not known."""
        return self._concurrency

    @property
    def terms(self) -> str:
        """What it holds to, for a plan: `32, 100/s`."""
        first = [ADAPTIVE] if self._adaptive else [str(self._concurrency)] if self._concurrency is not None else []
        return ", ".join([*first, *map(str, self._rates)])

    # -- for claims ---------------------------------------------------------------------------------------------

    def _setup(
        self,
        *,
        concurrency: int | Literal["adaptive"] | None,
        rates: tuple[Rate, ...],
        burst: int,
        by: Callable[[Any], Hashable] | None,
        weight: Callable[[Any], float] | None,
    ) -> None:
        self._number = next(_numbers)
        self._adaptive = concurrency == ADAPTIVE
        self._concurrency = concurrency if isinstance(concurrency, int) else None
        self._bounded = concurrency is not None  # whether one who holds a permit could wait for itself
        self._rates = rates
        self._burst = burst
        self._by = by
        self._weigh = weight
        self._heaviest, self._tightest = min(((rate.count, str(rate)) for rate in rates[1:]), default=(inf, ""))
        self._lines: dict[Hashable, Line] = {}
        self._forget_at = REMEMBERED
        self._forgotten_started = self._forgotten_rejected = 0

    def _key(self, item: Any) -> Hashable:
        if self._by is None:
            return NOBODY
        key = self._by(item)
        try:
            hash(key)
        except TypeError:
            raise TypeError(
                f"by must return something hashable, a host or an id; it returned {short(key)} for {short(item)}"
            ) from None
        return key

    def _weight(self, item: Any) -> float:
        if self._weigh is None:
            return 1.0
        weight = self._weigh(item)
        if isinstance(weight, (bool, str)) or not hasattr(weight, "__float__"):
            raise TypeError(f"weight must return a number, it returned {short(weight)} for {short(item)}")
        weight = float(weight)
        if not (isfinite(weight) and weight >= 0):
            raise ValueError(f"weight must return a number from 0 on, it returned {weight} for {short(item)}")
        if weight > self._heaviest:
            raise ValueError(f"{short(item)} weighs {weight:g}, more than {self._tightest} can ever allow")
        return weight

    def _line(self, key: Hashable, clock: Clock) -> Line:
        """Return the line of a key, a new one if it is not known."""
        with lock:
            line = self._lines.get(key)
            if line is None:
                if len(self._lines) >= self._forget_at:
                    self._forget()
                line = self._lines[key] = Line(self._throttle(), clock)
            return line

    def _throttle(self) -> Throttle:
        return Throttle(self._concurrency, self._rates, self._burst, _controller if self._adaptive else None)

    def _forget(self) -> None:
        """Forget idle keys; so rarely that each new key pays for a look at two."""
        for key, line in tuple(self._lines.items()):
            if not line.parties and line.kept_for is None and line.throttle.idle(line.clock()):
                line.gone = True
                del self._lines[key]
                self._forgotten_started += line.throttle.started
                self._forgotten_rejected += line.throttle.rejected
        self._forget_at = max(REMEMBERED, 2 * len(self._lines))


def _concurrency(value: Any) -> int | Literal["adaptive"] | None:
    if value is None:
        return None
    if not isinstance(value, str):
        return check.whole("concurrency", value, least=1)
    if value != ADAPTIVE:
        raise TypeError(f'concurrency must be a whole number or "adaptive", got {value!r}\n  try: concurrency=32')
    return ADAPTIVE


def _controller() -> Controller:
    from ..core.adaptive import Controller as Adaptive  # loaded when used

    return Adaptive()


def _never(count: int) -> None:
    """Stand in for what is told of grants, where nobody ever stands in line."""
