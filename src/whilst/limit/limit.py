"""`Limit`: how many calls may be in flight at once, and how many may start in a second, shared by whoever has it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Coroutine, Hashable, Sequence
from math import inf, isfinite
from typing import Any, Final, Literal

from ..core import check
from ..core.outcome import short
from ..core.rates import Rate, parse_rates
from ..core.throttle import Controller, Throttle
from .blocks import Blocks
from .entry import Entry
from .keys import NOBODY, Keys
from .line import Clock, Line, lock
from .statistics import LimitStatistics, in_words

ADAPTIVE: Final = "adaptive"

_numbers = itertools.count()


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

    _blocks: Blocks | None = None  # made when the first one is entered

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
        if self._blocks is not None:
            self._blocks.count_returned()
        with lock:
            lines = self._keys.lines
            throttles = [line.throttle for line in lines]
            paused = max((line.throttle.pause_until - line.clock() for line in lines), default=0.0)
            if self._adaptive:
                concurrency = max((each.concurrency or 0 for each in throttles), default=self._throttle().concurrency)
            else:
                concurrency = self._concurrency
            return LimitStatistics(
                concurrency=concurrency,
                in_flight=sum(each.in_flight for each in throttles),
                waiting=sum(len(line.parties) for line in lines),
                rates=tuple(str(rate) for rate in self._rates),
                adaptive=self._adaptive,
                keys=len(lines),
                paused_for=max(0.0, paused),
                started=self._keys.forgotten_started + sum(each.started for each in throttles),
                rejected=self._keys.forgotten_rejected + sum(each.rejected for each in throttles),
            )

    def __repr__(self) -> str:
        return f"<Limit {in_words(self.statistics(), keyed=self.keyed)}>"

    # -- by hand ------------------------------------------------------------------------------------------------

    def __enter__(self) -> Limit:
        """Wait for a permit, on a plain thread."""
        (self._blocks or self._first_block()).enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        assert self._blocks is not None, "left without having been entered"
        self._blocks.leave(error)

    def __aenter__(self) -> Coroutine[Any, Any, Limit]:
        """Wait for a permit, on a loop."""
        return (self._blocks or self._first_block()).enter_async()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        assert self._blocks is not None, "left without having been entered"
        self._blocks.leave(error)

    def _first_block(self) -> Blocks:
        with lock:
            if self._blocks is None:
                self._blocks = Blocks(self)
            return self._blocks

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
        self._heaviest, self._tightest = min(((rate.amount, str(rate)) for rate in rates[1:]), default=(inf, ""))
        self._keys = Keys(self._throttle)

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
        return self._keys.line(key, clock)

    def _throttle(self) -> Throttle:
        return Throttle(self._concurrency, self._rates, self._burst, _controller if self._adaptive else None)


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
