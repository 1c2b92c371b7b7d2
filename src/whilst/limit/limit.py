"""`Limit`: how many calls may be in flight at once, and how many may start in a second, shared by whoever has it."""

from __future__ import annotations

from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from collections.abc import Callable, Hashable
from enum import Enum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ..core import check
from ..core.judge import check_judge
from ..core.outcome import short
from .lock import Alone, empty_in_child, lock
from .state import (
    ADAPTIVE,
    EVERY,
    Concurrency,
    Every,
    LimitState,
    LimitStatistics,
    Rates,
    Terms,
    concurrency_of,
    rates_of,
)

if TYPE_CHECKING:
    from .context import LimitContext, Permit


class Same(Enum):
    """Stands for what is not to change."""

    AS_IT_IS = "as it is"


SAME: Final = Same.AS_IT_IS


class Limit(Alone):
    """A limit on calls at once and calls in a time, for everything that shares this object; first come, first served.

    Give it to steps and runs, or use it in your own code: `with limit:` on plain threads, `async with limit:` on any
    event loop, `with limit.of(item):` if it has `by` or `weight`. Only calls hold permits, not nodes of a flow, so
    nesting cannot multiply a limit or deadlock on it. A call that was left behind keeps its permit until it returns. A
    wait that is cancelled or interrupted takes nothing.

    Args:
        concurrency: calls in flight at once, at least 1. `"adaptive"` finds how many the other side can take, from its
            throughput and its refusals. With `by`, it may be a function of the key that returns a number (None: no
            limit).
        rate: calls that may start in a time: `"100/s"`, `"30/min"`, `"1000/10s"`, or several: `["100/s", "5000/h"]`.
            The shortest period is the pace: calls start evenly. A longer period is a quota: at most so many in any
            window of that length, as fast as the pace allows. With `by`, it may be a function of the key that returns
            one of these, or None.
        burst: how many calls may start together after a pause, at the shortest rate. Timers are exact to 5 ms, so in
            any window of w seconds at most w x rate + max(burst, 5 ms x rate + 1) calls start.
        by: a function that returns the key of an input (a host, a customer). Each key has its own permits, rates and
            pauses, and is forgotten when it is idle.
        weight: a function that returns how much of the rates an input takes (tokens, bytes); without it a call takes 1.
            A heavy call starts as soon as a light one could; the call after it waits longer.

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

    __slots__ = ("__weakref__", "_context", "_state")

    _context: LimitContext | None  # made when the first block is entered
    _state: LimitState

    @check.answered
    def __init__(
        self,
        *,
        concurrency: Concurrency = None,
        rate: Rates = None,
        burst: int = 1,
        by: Callable[[Any], Hashable] | None = None,
        weight: Callable[[Any], float] | None = None,
    ) -> None:
        if concurrency is None and rate is None:
            raise TypeError(
                "Limit() limits nothing: it needs concurrency=, rate= or both\n"
                '  try: whilst.Limit(concurrency=32, rate="100/s")'
            )
        terms = Terms(concurrency_of(concurrency, keyed=by is not None), rates_of(rate, keyed=by is not None))
        burst = check.whole("burst", burst, least=1)
        if rate is None and burst != 1:
            raise TypeError(f'burst={burst} needs a rate\n  try: rate="100/s", burst={burst}')
        if rate is None and weight is not None:
            raise TypeError('weight= needs a rate to count against; permits count calls\n  try: rate="90000/min"')
        for name, function in (("by", by), ("weight", weight)):
            if function is not None:
                check_judge(name, function, of="item")
        if running_loop() is None:  # where a loop waits, its first block loads that: half of it at a time
            import_module(".context", __package__)
        self._context = None
        self._state = LimitState(terms, burst=burst, by=by, weigh=weight)

    # -- permits ------------------------------------------------------------------------------------------------

    @check.answered
    def of(self, item: Any, *, weight: float | None = None, timeout: float | None = None) -> Permit:
        """Return a permit for `item`, for one `with` or `async with` at a time.

        Args:
            item: the argument for `by` and `weight`, which are called when the block is entered.
            weight: how much of the rates this call takes; None: the `weight` of the limit decides.
            timeout: seconds to wait for the permit; after that, entering raises TimeoutError, and nothing is taken.

        If an exception that says "slower" (429, Retry-After) leaves the block, it pauses the key. In the block,
        `permit.spent(n)` reports what the call really cost.

        >>> import whilst
        >>> model = whilst.Limit(rate="90000/min", weight=len)
        >>> with model.of("a prompt, a byte a token"):
        ...     print("asked")
        asked
        """
        from .context import ItemHolder, Permit  # what blocks are, which runs do without

        wait = check.seconds("timeout", timeout)
        return Permit(ItemHolder(self._state, item, weight=_weight(weight, self._state), timeout=wait))

    @check.answered
    def try_acquire(self, item: Any = None, *, weight: float | None = None) -> Permit | None:
        """Take a permit if one is free and nobody waits for it; else return None. It never waits.

        So it works in plain and in async code. Give the permit back with `release()`, or use it in a `with` or `async
        with` block. You may call it while you already hold a permit of this limit.

        Args:
            item: what `by` and `weight` are asked of.
            weight: how much of the rates this call takes; None: the `weight` of the limit decides.

        >>> import whilst
        >>> database = whilst.Limit(concurrency=1)
        >>> permit = database.try_acquire()
        >>> database.try_acquire() is None
        True
        >>> permit.release()
        """
        from .context import take_now

        state = self._state
        if item is None and (state.keyed or (state.weighted and weight is None)):
            asks = "by" if state.keyed else "weight"
            raise TypeError(f"this limit has {asks}=, so it needs the item\n  try: limit.try_acquire(item)")
        return take_now(state, item, _weight(weight, state))

    # -- what moves ---------------------------------------------------------------------------------------------

    @check.answered
    def set(self, *, concurrency: Concurrency | Same = SAME, rate: Rates | Same = SAME) -> None:
        """Change the concurrency or the rate, from now on, for everything that uses this limit. From any thread.

        What you do not give stays as it is. If the new limit is higher, waiting calls start at once, and runs without
        their own `concurrency=` get more lanes. If it is lower, nothing new starts until enough calls have returned.
        Calls that have started still count for the rate; a quota of a new period begins empty.

        Args:
            concurrency: a number, or a function of the key.
            rate: as in `Limit`; None removes it.

        Raises:
            ValueError: "adaptive" cannot be changed to a number, or back.
            TypeError, ValueError: an argument is wrong; then nothing has changed.

        >>> import whilst
        >>> api = whilst.Limit(concurrency=2, rate="100/s")
        >>> api.set(concurrency=6)
        >>> api.set(rate=None)
        >>> api
        <Limit 0/6 in flight>
        """
        if concurrency is SAME and rate is SAME:
            raise TypeError('set() changes nothing\n  try: limit.set(concurrency=6), limit.set(rate="80/s")')
        state = self._state
        other: dict[str, Any] = {}
        if rate is not SAME:
            other["rates"] = rates_of(rate, keyed=state.keyed)
        if concurrency is not SAME:
            other["concurrency"] = _other_concurrency(concurrency, state)
        state.change(**other)

    @check.answered
    def pause(self, *, key: Hashable = EVERY) -> None:
        """Start nothing under this limit until `resume`. From any thread.

        Calls in flight go on. One `resume` ends any number of pauses. Meanwhile the time for the `deadline=` of runs
        goes on, the time for `Retry(total=)` stops. Statistics and the progress of runs say since when it is paused.

        Args:
            key: pause only this key of `by`; if not given, the whole limit.

        >>> import whilst
        >>> api = whilst.Limit(concurrency=2)
        >>> api.pause()
        >>> api.try_acquire() is None
        True
        >>> api.resume()
        """
        self._flag(key, "pause")

    @check.answered
    def resume(self, *, key: Hashable = EVERY) -> None:
        """End the `pause` of the same key, or of the whole limit. From any thread.

        A pause that the other side asked for stays. So does the pause of a single key, unless you name that key.
        """
        self._flag(key, "resume")

    def statistics(self) -> LimitStatistics:
        """Return the counts of this moment. From any thread."""
        if self._context is not None:
            self._context.count_returned()
        return self._state.statistics()

    def __repr__(self) -> str:
        if self._context is not None:
            self._context.count_returned()
        return repr(self._state)

    def __enter__(self) -> Limit:
        """Wait for a permit, on a plain thread."""
        (self._context or self._first_block()).enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._context is not None:
            self._context.leave(error)
        else:
            self._state.leaves_parents_block()

    async def __aenter__(self) -> Limit:
        """Wait for a permit, on a loop."""
        wait = (self._context or self._first_block()).enter_now()
        if wait is not None:
            await wait
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what would change nothing."""
        if not name.startswith("_"):
            _refuse(name, value)
        object.__setattr__(self, name, value)

    if not TYPE_CHECKING:  # for people without a type checker: the line that works

        def __call__(self, *_: Any, **__: Any) -> NoReturn:
            """Say how a function is limited."""
            raise TypeError(
                "a Limit does not wrap functions\n"
                "  try: whilst.step(fn, limit=limit), whilst.map(fn, inputs, limit=limit), or `with limit:` inside it"
            )

        def __getattr__(self, name: str) -> None:
            from ..core.habits import unknown_attribute

            raise unknown_attribute("Limit", name)

    def _empty(self) -> None:
        """Begin anew, in a forked child."""
        self._context = None

    def _first_block(self) -> LimitContext:
        from .context import LimitContext

        with lock:
            if self._context is None:
                self._context = LimitContext(self._state)
                empty_in_child(self)
            return self._context

    def _flag(self, key: Hashable | Every, word: str) -> None:
        state = self._state
        if key is not EVERY and not state.keyed:
            raise TypeError(
                f"this limit has no by=, so it has no key {short(key)} to {word}\n  try: limit.{word}(), for all of it"
            )
        try:
            hash(key)
        except TypeError:
            raise TypeError(f"a key must be hashable, like the results of by=; got {short(key)}") from None
        state.stop(key, on=word == "pause")


def state_of(limit: Limit) -> LimitState:
    """Return what runs and steps need of a limit."""
    return limit._state


def _other_concurrency(given: Any, state: LimitState) -> Concurrency:
    if given is None:
        raise ValueError(
            "concurrency=None: a limit keeps its concurrency; what you do not give stays as it is\n"
            "  try: a number that is never reached, limit.set(concurrency=1_000_000)"
        )
    other = concurrency_of(given, keyed=state.keyed)
    if (other == ADAPTIVE) != state.adaptive:
        if state.adaptive:
            raise ValueError(
                f'this limit is concurrency="adaptive", it cannot become {short(given)}\n'
                "  try: whilst.Limit(concurrency=…), another limit"
            )
        raise ValueError(
            'the concurrency of this limit is a number, it cannot become "adaptive"\n'
            '  try: whilst.Limit(concurrency="adaptive"), another limit'
        )
    return other


def _weight(given: Any, state: LimitState) -> float | None:
    """Check what a call is said to weigh."""
    if given is None:
        return None
    if isinstance(given, (bool, str)) or not hasattr(given, "__float__"):
        raise TypeError(f"weight must be a number, got {short(given)}")
    weight = float(given)
    if not 0 <= weight < float("inf"):
        raise ValueError(f"weight must be a number of at least 0, got {weight}")
    if not state.rated:
        raise TypeError('weight= needs a rate to count against; permits count calls\n  try: Limit(rate="90000/min")')
    state.check_heaviest(weight, f"weight={weight:g}")
    return weight


def _refuse(name: str, value: Any) -> NoReturn:
    if name in ("concurrency", "rate"):
        raise AttributeError(
            f"limit.{name} cannot be assigned: nothing would change\n  try: limit.set({name}={short(value)})"
        )
    raise AttributeError(f"a Limit has no attribute {name!r} to be assigned\n  try: limit.set(concurrency=…, rate=…)")
