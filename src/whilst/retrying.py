"""`whilst.Retry`: when a call is made again, given to a run or a step, or around a function of any colour, by itself.

The decision is that of runs (`core/attempt.py`). Around a function by itself there is no gate, so the waits are made
here: a call of a decorated function waits for its own next attempt, and for what holds all of its calls up.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from .core import retry as core
from .core.attempt import Attempts, Patience
from .core.breaker import Breaker
from .core.check import answered, not_callable
from .core.colour import has_method, is_async, is_generator_function, name_of
from .core.pushback import pushback_of
from .lanes.chance import draw
from .lanes.clock import clock_of, monotonic

P = ParamSpec("P")
T = TypeVar("T")

LOOK_AGAIN = 0.05  # seconds between two looks at whether the one call that probes has ended
SILENT = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})  # which nobody can await

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Retry(core.Retry):
    """Says which failed calls are made again, and when. An input that waits for its retry holds no permit, lane or
    thread.

    The wait before the k-th retry is random between 0 and min(cap, base * 2^k) ("full jitter", Brooker, AWS
    Architecture Blog 2015). A function that is decorated adds it to a Retry-After; in a run all calls wait for that
    together. If the other side says only "slower", waits start from 1 s. Other failures end at the first attempt.

    Args:
        attempts: at most so many calls for one input, with the first one.
        on: which failures are retried: exception types (a group matches if every member does), or a function of the
            exception that returns True, False (or None), or the seconds to wait. The default is `whilst.transient`:
            connections, timeouts, 408, 425, 429 and 5xx; never a programming error or a 401.
        base: seconds, the longest first wait.
        cap: seconds, the longest wait, unless the other side asks for more.
        total: seconds for one input, with all its attempts and waits, from the first call. After that the attempt in
            flight ends as with a `timeout`, and there is no other.
        budget: retries may be at most this share of the calls, plus 10 a second, over about ten seconds (the budget of
            Twitter's Finagle). Other retries wait. None: no budget. In a run a call whose refusal said when to come
            again does not count: it goes on at the learned rate.
        breaker: if fewer than one in ten of at least 20 calls within 10 s succeeded, and a retry could help the others,
            nothing is started for 2 s. Then one call is made as a test; each failed test doubles the pause, up to 60 s.
        on_value: a function that gets each value. True: there is another attempt, as after a failure. A number: another
            attempt after so many seconds. False or None: the value is accepted. When no attempt is left, the outcome
            fails with `UnwantedValue`, which has the value.
        on_retry: a function that is called before each retry, with an `AttemptFailed` (`input`, `error`, `attempt`,
            `kind`, `wait`, and where it was). If it raises, that is reported once, and it is not called again.

            `on`, `on_value` and `on_retry` are plain functions that return at once; in a run they are called on the
            event loop. A `Retry` is also a decorator for a function, see `Retry.__call__`:

    >>> import whilst
    >>> @whilst.Retry(attempts=3, on=ValueError, base=0.0)
    ... def guess(numbers=iter(["one", "2"])):
    ...     return int(next(numbers))
    >>> guess()
    2

    Raises:
        TypeError, ValueError: at construction, if an argument is wrong.

    >>> import whilst
    >>> tries = iter([ConnectionError("reset"), "fine"])
    >>> def fetch(_):
    ...     answer = next(tries)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> [outcome] = whilst.map(fetch, ["page"], retry=whilst.Retry(attempts=3, base=0.001)).outcomes()
    >>> outcome.value, outcome.attempts
    ('fine', 2)
    """

    def __call__(self, fn: Callable[P, T], /) -> Callable[P, T]:
        """Return `fn` with retries: the decorator, for blocking and async functions and methods.

        All calls of the function share one budget and one breaker, on all threads and loops. If the other side asks to
        wait, all of them wait, but none longer than `total`. A blocking call sleeps on its own thread, and `total`
        cannot stop a blocking attempt. In a map or a flow use `retry=` instead: there a waiting input holds no thread.

        Raises:
            TypeError: for generator functions, classes, flows and `staticmethod` objects.
        """
        _check(fn)
        if isinstance(fn, type):
            raise TypeError(
                f"Retry is for functions, {fn.__name__} is a class\n  try: decorate its methods that make calls"
            )
        return _around(self, fn)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` with these arguments, with retries; if `fn` is async, await the result.

        There is no budget and no breaker here, because those look at many calls.

        >>> import whilst
        >>> whilst.Retry(attempts=3).call(int, "7")
        7
        """
        _check(fn)
        return _around(self, fn)(*args, **kwargs)


if not TYPE_CHECKING:  # a type checker knows its keywords by itself
    Retry.__init__ = answered(Retry.__init__)


def _check(fn: Any) -> None:
    kind = type(fn).__name__
    if kind in ("staticmethod", "classmethod"):
        raise TypeError(
            f"Retry must be below {kind}, around the function\n  try: @{kind} in the line above @whilst.Retry(…)"
        )
    if not callable(fn):
        raise TypeError(f"Retry: fn {not_callable(fn, of_run=False)}")
    flows = sys.modules.get(f"{__package__}.flow")
    if flows is not None and isinstance(fn, flows.Flow):
        raise TypeError(
            "Retry decorates functions, and this is a flow\n  try: whilst.step(flow, retry=whilst.Retry(…))"
        )
    if is_generator_function(fn):
        raise TypeError(
            f"{name_of(fn)}() is a generator function: items that it gave cannot be taken back for another attempt\n"
            "  try: the decorator on the function that it calls for each item"
        )


def _around(retry: Retry, fn: Callable[P, T]) -> Callable[P, T]:
    given: Any = fn
    return cast("Callable[P, T]", (_async if is_async(fn) else _plain)(_Calls(retry, given), given))


class _Calls:
    """The calls of one decorated function: what they share, on all threads and loops."""

    def __init__(self, retry: Retry, fn: Callable[..., Any]) -> None:
        self.retry: Retry = retry
        self.name: str = name_of(fn)
        self.patience: Patience = Patience.of(f"{self.name}()", None, retry)
        self.counted: itertools.count[int] = itertools.count(1)  # of attempts that have ended; `next` is one step
        self.careful: bool = retry.total is not None or retry.on_retry is not None or retry.on_value is not None
        """Whether the first attempt is not made the short way."""
        self.held: bool = False
        """Whether all calls are held up, as far as is known."""
        self._guard = threading.Lock()
        self._clock: Clock | None = None  # by which the following count
        self._attempts: Attempts
        self._breaker: Breaker | None = None
        self._before = 0  # attempts that had ended before the breaker was there
        self._until = -inf  # when a pause ends that the other side asked for
        self._deaf = False  # whether `on_retry` has raised

    def failed(self, error: Exception, given: object, tries: _Tries) -> float | None:
        """Return how many seconds to wait before another attempt; None if this failure is what becomes of the call."""
        pushback, now, ended = pushback_of(error, time.time()), tries.clock(), next(self.counted)
        with self._guard:
            if self._clock is not tries.clock:
                self._begin(tries.clock, now, ended)
            if self._breaker is not None:
                if self._attempts.is_ill(error, pushback):
                    self._breaker.failed(tries, ended - self._before, now)
                else:
                    self._breaker.withdrawn(tries)
            asked = pushback.retry_after if pushback is not None else None
            if asked:
                self._until = max(self._until, now + asked)
            self.held = now < self._until or (self._breaker is not None and self._breaker.open_until is not None)
        first = now if tries.first is None else tries.first
        # beside the guard, for the judge is the user's; a budget that two draw from at once may give one retry too many
        wait = self._attempts.wait(error, pushback, attempt=tries.number, first=first, calls=ended, now=now)
        if wait is not None:
            self._tell(error, given, tries, wait, now)
        return wait

    def turn(self, tries: _Tries) -> float:
        """Return the seconds after which a call that is held up looks again; 0.0 if it may be made now."""
        with self._guard:
            now, breaker = tries.clock(), self._breaker
            by = tries.asked + self.patience.total
            if self._clock is not tries.clock or now >= by:
                return 0.0
            if now < self._until:
                return min(self._until, by) - now
            if breaker is None or breaker.open_until is None:
                self.held = False
                return 0.0
            if breaker.room(now):
                breaker.start(tries)
                return 0.0
            return min(max(breaker.open_until - now, LOOK_AGAIN), by - now)

    def returned(self, tries: _Tries) -> None:
        """Take note of an attempt that went well, which may have been the probe of the breaker."""
        ended = next(self.counted)
        if self.held and self._breaker is not None:
            with self._guard:
                self._breaker.succeeded(tries, ended - self._before)

    def dropped(self, tries: _Tries) -> None:
        """Take note of an attempt that was cancelled or interrupted."""
        if self.held and self._breaker is not None:
            with self._guard:
                self._breaker.withdrawn(tries)

    def _begin(self, clock: Clock, now: float, ended: int) -> None:
        """Begin anew with the first failure by a clock: that of a loop with virtual time is its own."""
        self._clock, self._until = clock, -inf
        self._attempts = Attempts(self.retry, now, draw)
        self._breaker, self._before = Breaker(now) if self.retry.breaker else None, ended - 1

    def _tell(self, error: Exception, given: object, tries: _Tries, wait: float, now: float) -> None:
        from .engine.observer import Watch

        watch = Watch((), tries.clock, self.name)
        watch.started = tries.asked if tries.first is None else tries.first
        began = now if tries.began is None else tries.began
        watch.attempt_failed(
            0,
            given,
            "",
            attempt=tries.number,
            error=error,
            wait=wait,
            started=began,
            took=now - began,
            tell=None if self._deaf else self.retry.on_retry,
        )
        self._deaf = self._deaf or bool(watch.deaf)


class _Tries:
    """The attempts of one call."""

    __slots__ = ("asked", "began", "clock", "first", "number")

    def __init__(self, clock: Clock, number: int = 1) -> None:
        self.clock: Clock = clock
        self.number: int = number
        self.asked: float = clock()  # when the call was asked for, or failed that was made the short way
        self.first: float | None = None  # when the first attempt began, as far as that is known
        self.began: float | None = None  # when the last one did

    def begins(self) -> None:
        """Note the time."""
        self.began = self.clock()
        if self.first is None:
            self.first = self.began


def _plain(calls: _Calls, fn: Callable[..., Any]) -> Callable[..., Any]:
    counted, careful = calls.counted, calls.careful

    @functools.wraps(fn)
    def retried(*args: Any, **kwargs: Any) -> Any:
        failure: Exception | None = None
        if not (careful or calls.held):
            try:
                value = fn(*args, **kwargs)
            except Exception as error:
                failure = error
            else:
                next(counted)
                return value if _is_plain(value) else _awaited(calls, fn, args, kwargs, value)
        try:
            return _again(calls, fn, args, kwargs, failure)
        finally:
            failure = None  # or it and its traceback would keep each other alive

    return retried


def _again(calls: _Calls, fn: Callable[..., Any], args: Any, kwargs: Any, failure: Exception | None) -> Any:
    """Make the first attempt, or another one after `failure`, and as many more as it takes."""
    tries = _Tries(monotonic)
    try:
        while True:
            if failure is not None:
                if (wait := calls.failed(failure, _shown(args, kwargs), tries)) is None:
                    raise failure
                time.sleep(wait)
                tries.number += 1
            while calls.held and (wait := calls.turn(tries)):
                time.sleep(wait)
            tries.begins()
            try:
                value = fn(*args, **kwargs)
            except Exception as error:
                failure = error
                continue
            except BaseException:  # a Ctrl-C says nothing of the other side
                calls.dropped(tries)
                raise
            if not _is_plain(value):
                return _awaited(calls, fn, args, kwargs, value, tries.number)
            if (failure := calls.retry.unwanted(value)) is None:
                calls.returned(tries)
                return value
    finally:
        failure = None


def _async(calls: _Calls, fn: Callable[..., Awaitable[Any]]) -> Callable[..., Coroutine[Any, Any, Any]]:
    counted, careful = calls.counted, calls.careful

    @functools.wraps(fn)
    async def retried(*args: Any, **kwargs: Any) -> Any:
        failure: Exception | None = None
        if not (careful or calls.held):
            try:
                value = await fn(*args, **kwargs)
            except Exception as error:
                failure = error
            else:
                next(counted)
                return value
        try:
            return await _again_later(calls, fn, args, kwargs, failure)
        finally:
            failure = None

    return retried


async def _again_later(
    calls: _Calls,
    fn: Callable[..., Any],
    args: Any,
    kwargs: Any,
    failure: Exception | None,
    pending: Awaitable[Any] | None = None,
    number: int = 1,
) -> Any:
    """Do the same as `_again` in async code; `pending` is what the attempt of that `number` has returned."""
    tries = _Tries(clock_of(asyncio.get_running_loop()), number)
    try:
        while True:
            if failure is not None:
                if (wait := calls.failed(failure, _shown(args, kwargs), tries)) is None:
                    raise failure
                await asyncio.sleep(wait)
                tries.number += 1
            while pending is None and calls.held and (wait := calls.turn(tries)):  # noqa: ASYNC110 - threads are, too
                await asyncio.sleep(wait)
            tries.begins()
            try:
                value = await _bounded(calls, tries, fn(*args, **kwargs) if pending is None else pending)
            except Exception as error:
                failure, pending = error, None
                continue
            except BaseException:  # a cancellation says nothing of the other side
                calls.dropped(tries)
                raise
            pending = None
            if (failure := calls.retry.unwanted(value)) is None:
                calls.returned(tries)
                return value
    finally:
        failure = None


async def _awaited(
    calls: _Calls, fn: Callable[..., Any], args: Any, kwargs: Any, value: Awaitable[Any], number: int = 1
) -> Any:
    """Await what a function of unknown colour has returned, with the attempts that may take."""
    return await _again_later(calls, fn, args, kwargs, None, value, number)


async def _bounded(calls: _Calls, tries: _Tries, made: Awaitable[Any]) -> Any:
    """Await an attempt as long as `total` leaves."""
    patience = calls.patience
    if patience.total == inf:
        return await made
    assert tries.first is not None
    assert tries.began is not None
    began, left = tries.began, tries.first + patience.total - tries.began
    bound = asyncio.timeout(left)
    try:
        async with bound:
            return await made
    except TimeoutError:
        if bound.expired():
            raise patience.error(began, began) from None
        raise


def _is_plain(value: object) -> bool:
    """Whether nobody awaits a value."""
    return type(value) in SILENT or not has_method(value, "__await__")


def _shown(args: Any, kwargs: Any) -> object:
    """Return what an event shows of the arguments."""
    if kwargs:
        return (*args, kwargs)
    return args[0] if len(args) == 1 else args
