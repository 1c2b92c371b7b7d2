"""How are the attempts of a function made that is decorated with `whilst.Retry`, without a run?

The decision is that of runs (`core/attempt.py`). Around a function by itself there is no gate, so the waits are made
here: a call of a decorated function waits for its own next attempt, and for what holds all of its calls up.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from math import inf
from typing import Any, ParamSpec, TypeVar, cast

from .core.attempt import Attempts, Patience
from .core.breaker import Breaker
from .core.colour import has_method, is_async, name_of
from .core.pushback import pushback_of
from .core.retry import Retry
from .lanes.chance import draw
from .lanes.clock import clock_of, monotonic

P = ParamSpec("P")
T = TypeVar("T")

LOOK_AGAIN = 0.05  # seconds between two looks at whether the one call that probes has ended
SILENT = frozenset({type(None), bool, int, float, str, bytes, list, tuple, dict, set})  # which nobody can await

Clock = Callable[[], float]


def decorated(retry: Retry, fn: Callable[P, T]) -> Callable[P, T]:
    """Return a function of any colour with retries."""
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
            if (failure := calls.retry._unwanted(value)) is None:
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
            if (failure := calls.retry._unwanted(value)) is None:
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
