"""A second call beside one that is late: the first success wins, the other is cancelled."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ..core.hedge import Hedge
from ..core.pushback import pushback_of
from ..lanes.ending import ended

Runner = Callable[..., Awaitable[Any]]


class Hedging:
    """One step whose late calls get a second one, over a whole run."""

    def __init__(self, run: Runner, *, clock: Callable[[], float]) -> None:
        self.hedge: Hedge = Hedge()
        self._run = run
        self._clock = clock

    async def __call__(self, *args: Any) -> Any:
        """Return the first success; if all fail, raise what the first call raised."""
        delay = self.hedge.delay()
        if delay is None:
            return await self._once(*args)
        calls: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._once(*args))]
        try:
            await asyncio.wait(calls, timeout=delay)
            if not calls[0].done():
                await asyncio.sleep(0)  # its answer may have come in the same moment
            if not calls[0].done() and self.hedge.take(self._clock()):
                calls.append(asyncio.ensure_future(self._once(*args)))
            return await self._first_success(calls)
        finally:
            late = [call for call in calls if not call.done()]
            for call in late:
                call.cancel()
            await ended(late)
            for call in calls:
                if not call.cancelled():
                    call.exception()  # looked at, so that asyncio does not complain

    async def _first_success(self, calls: list[asyncio.Future[Any]]) -> Any:
        pending = set(calls)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for call in done:
                if not call.cancelled() and call.exception() is None:
                    return call.result()
        return calls[0].result()

    async def _once(self, *args: Any) -> Any:
        started = self._clock()
        try:
            result = await self._run(*args)
        except Exception as error:
            if pushback_of(error, time.time()) is not None:
                self.hedge.throttled(self._clock())
            raise
        self.hedge.succeeded(self._clock() - started)
        return result
