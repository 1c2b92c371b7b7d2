"""Calls a step again when it fails in a way that is worth it; while it waits it holds no permit and no thread."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..core.breaker import Breaker
from ..core.outcome import noted_retry
from ..core.pushback import Pushback, pushback_of
from ..core.retry import Budget, Retry
from ..core.transient import transient
from .timeouts import Timeouts

Runner = Callable[[Any], Awaitable[Any]]


class Retrying:
    """One step under a `Retry`, over a whole run: its inputs share the budget and the breaker."""

    def __init__(
        self,
        run: Runner,
        retry: Retry,
        name: str,
        *,
        clock: Callable[[], float],
        timeouts: Timeouts,
        on_retry: Callable[[Exception], None],
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._run = run
        self._retry = retry
        self._name = name
        self._clock = clock
        self._timeouts = timeouts
        self._on_retry = on_retry
        self._draw = draw
        self._budget = Budget(retry.budget, clock()) if retry.budget is not None else None
        self._breaker: Breaker | None = None
        self._turn = asyncio.Event()  # set when the breaker may let somebody through
        self._calls = 0  # first attempts
        self._ended = 0  # attempts

    async def __call__(self, value: Any) -> Any:
        """Return what the step returns, after as many attempts as that takes; else raise the last failure."""
        self._calls += 1
        first, attempt = self._clock(), 0
        while True:
            attempt += 1
            started = await self._beyond_breaker()
            try:
                result = await self._attempt(value, first)
            except Exception as error:
                wait = self._failed(error, attempt, first)
                if wait is None:
                    raise
                self._on_retry(error)
            except BaseException:  # a cancellation says nothing of the other side: another may probe
                if self._breaker is not None:
                    self._breaker.withdrawn()
                    self._turn.set()
                raise
            else:
                self._ended += 1
                if self._breaker is not None and self._breaker.succeeded(started):
                    self._turn.set()
                return result
            await asyncio.sleep(wait)

    async def _attempt(self, value: Any, first: float) -> Any:
        total = self._retry.total
        if total is None:
            return await self._run(value)
        left = max(0.0, first + total - self._clock())
        return await self._timeouts.run(left, self._too_long, self._run, value)

    def _failed(self, error: Exception, attempt: int, first: float) -> float | None:
        """Return how long to wait for the next attempt, or None if there is none."""
        self._ended += 1
        now, pushback = self._clock(), pushback_of(error, time.time())
        if self._retry.breaker:
            self._tell_breaker(now, ill=pushback is not None or transient(error))
        wait = self._wait(error, attempt, pushback)
        if wait is None or (self._retry.total is not None and now + wait - first >= self._retry.total):
            return None
        return max(wait, self._budget.withdraw(self._calls, now)) if self._budget is not None else wait

    def _wait(self, error: Exception, attempt: int, pushback: Pushback | None) -> float | None:
        try:
            return self._retry.wait(error, attempt, self._draw(), pushback)
        except Exception as broken:
            noted_retry(error, broken)
            return None

    def _tell_breaker(self, now: float, *, ill: bool) -> None:
        if self._breaker is None:
            if not ill:
                return
            self._breaker = Breaker()
        if ill:
            self._breaker.failed(self._ended, now)
        else:
            self._breaker.withdrawn()
        self._turn.set()

    async def _beyond_breaker(self) -> float:
        """Wait until the breaker lets this attempt through; return when it starts."""
        while self._breaker is not None:
            breaker, now = self._breaker, self._clock()
            if breaker.room(now):
                breaker.probe()
                return now
            if breaker.open_until is not None and breaker.open_until > now:
                await asyncio.sleep(breaker.open_until - now)
            else:  # a probe is out
                self._turn.clear()
                await self._turn.wait()
        return self._clock()

    def _too_long(self) -> TimeoutError:
        total = self._retry.total
        return TimeoutError(f"{self._name} took longer than {total:g} s over all its attempts (Retry(total={total:g}))")
