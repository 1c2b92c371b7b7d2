"""Calls a step again when it fails in a way that is worth it; while it waits it holds no permit and no thread."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

from ..core.breaker import Breaker
from ..core.budget import Budget
from ..core.outcome import noted_retry
from ..core.pushback import Pushback, pushback_of
from ..core.retry import Retry
from ..core.transient import transient
from ..lanes.chance import draw
from .timeouts import Bound, Timeouts

Runner = Callable[..., Awaitable[Any]]

_ENDLESS = Bound()  # never used to await, so all may share it


class Retrying:
    """One step under a `Retry`, over a whole run: its inputs share the budget and the breaker.

    `queues`: whether `run` waits for permits before it calls. It is then given a second argument, to be called when
    they are there, as that wait is no part of `Retry(total=)`.
    """

    def __init__(
        self,
        run: Runner,
        retry: Retry,
        name: str,
        *,
        clock: Callable[[], float],
        timeouts: Timeouts,
        on_retry: Callable[[Exception], None],
        on_open: Callable[[], None],
        queues: bool = False,
        draw: Callable[[], float] = draw,
    ) -> None:
        self._run = run
        self._retry = retry
        self._name = name
        self._clock = clock
        self._timeouts = timeouts
        self._on_retry = on_retry
        self._on_open = on_open
        self._queues = queues
        self._draw = draw
        self._budget = Budget(retry.budget, clock()) if retry.budget is not None else None
        self._breaker: Breaker | None = None
        self._began = clock()
        self._turn = asyncio.Event()  # set when the breaker may let somebody through
        self._calls = 0  # first attempts
        self._ended = 0  # attempts

    async def __call__(self, value: Any) -> Any:
        """Return what the step returns, after as many attempts as that takes; else raise the last failure."""
        self._calls += 1
        bound, attempt = self._bound(), 0
        call = await self._beyond_breaker(bound) if self._breaker is not None else None
        while True:
            attempt += 1
            try:
                result = await self._attempt(value, bound)
            except Exception as error:
                wait = self._failed(error, call, attempt, bound)
                if wait is None:
                    raise
                await asyncio.sleep(wait)
                call = await self._beyond_breaker(bound)
                if self._clock() >= bound.due:
                    self._withdraw(call)
                    raise
                self._on_retry(error)
            except BaseException:  # a cancellation says nothing of the other side
                self._withdraw(call)
                raise
            else:
                self._ended += 1
                if self._breaker is not None and self._breaker.succeeded(call, self._ended):
                    self._turn.set()
                return result

    def _bound(self) -> Bound:
        """Return the end of all attempts of one input, which is known when its first call begins."""
        return _ENDLESS if self._retry.total is None else Bound()

    async def _attempt(self, value: Any, bound: Bound) -> Any:
        total = self._retry.total
        if total is None:
            return await self._run(value)

        def begin() -> None:
            if bound.due == inf:
                self._timeouts.end_at(bound, self._clock() + total)

        if self._queues:
            return await self._timeouts.within(bound, self._too_long, self._run, value, begin)
        begin()
        return await self._timeouts.within(bound, self._too_long, self._run, value)

    def _failed(self, error: Exception, call: object, attempt: int, bound: Bound) -> float | None:
        """Return how long to wait for the next attempt, or None if there is none."""
        self._ended += 1
        now, pushback = self._clock(), pushback_of(error, time.time())
        if self._retry.breaker:
            told_when = pushback is not None and pushback.retry_after is not None  # it is well: the wait is enough
            self._tell_breaker(call, now, ill=not told_when and transient(error))
        wait, left = self._wait(error, attempt, pushback), bound.due - now
        if wait is None or wait >= left:
            return None
        if self._budget is None:
            return wait
        allowed = self._budget.withdraw(self._calls, now, left)
        return None if allowed is None else max(wait, allowed)

    def _wait(self, error: Exception, attempt: int, pushback: Pushback | None) -> float | None:
        try:
            return self._retry.wait(error, attempt, self._draw(), pushback)
        except Exception as broken:
            noted_retry(error, broken)
            return None

    def _tell_breaker(self, call: object, now: float, *, ill: bool) -> None:
        if self._breaker is None:
            if not ill:
                return
            self._breaker = Breaker(self._began)
        if not ill:
            self._breaker.withdrawn(call)
        elif self._breaker.failed(call, self._ended, now):
            self._on_open()
        self._turn.set()

    def _withdraw(self, call: object) -> None:
        """Let another probe, if this call was the one."""
        if self._breaker is not None:
            self._breaker.withdrawn(call)
            self._turn.set()

    async def _beyond_breaker(self, bound: Bound) -> object:
        """Wait until the breaker lets a call through, or until the bound; return the breaker's name for the call."""
        call = object()
        while self._breaker is not None and (now := self._clock()) < bound.due:
            if self._breaker.room(now):
                self._breaker.start(call)
                break
            opens = self._breaker.open_until
            if opens is not None and opens > now:
                await asyncio.sleep(min(opens, bound.due) - now)
            else:  # a probe is out
                self._turn.clear()
                await self._turn.wait()
        return call

    def _too_long(self) -> TimeoutError:
        total = self._retry.total
        return TimeoutError(f"{self._name} took longer than {total:g} s over all its attempts (Retry(total={total:g}))")
