"""A second call beside one that is late: the first success wins, the other is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from ..core.hedge import Hedge
from ..lanes.awaiting import ended
from ..lanes.calling import seat
from .step_calls import Tries

Call = Callable[[Any, Tries], Awaitable[Any]]


class Hedging:
    """One step whose late calls get a second one, over a whole run; a call is late from when it has its permits."""

    def __init__(self, hedge: Hedge, call: Call, *, clock: Callable[[], float]) -> None:
        self._hedge = hedge
        self._call = call
        self._clock = clock

    async def __call__(self, value: Any, tries: Tries) -> Any:
        """Return the first success; if all fail, raise what the first call raised."""
        delay = self._hedge.delay()
        if delay is None:
            return await self._call(value, tries)
        place = seat.get()
        begun = tries.begun = asyncio.get_running_loop().create_future()
        calls: list[asyncio.Future[Any]] = [asyncio.ensure_future(self._call(value, tries))]
        try:
            await asyncio.wait([begun, *calls], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(calls, timeout=delay)
            if not calls[0].done():
                await asyncio.sleep(0)  # its answer may have come in the same moment
            if not calls[0].done() and self._hedge.take(self._clock()):
                calls.append(asyncio.ensure_future(self._call(value, tries)))
                if place is not None:
                    place.fork(1)
            return await self._first_success(calls)
        finally:
            late = [call for call in calls if not call.done()]
            for call in late:
                call.cancel()
            await ended(late)
            if place is not None and len(calls) > 1:
                place.ends()
            call = calls[0]
            for call in calls:
                if not call.cancelled():
                    call.exception()  # looked at, so that asyncio does not complain
            calls.clear()  # the frames of a failure keep this one
            late.clear()
            del call

    async def _first_success(self, calls: list[asyncio.Future[Any]]) -> Any:
        call, done, pending = calls[0], set(calls), set(calls)
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for call in done:
                if not call.cancelled() and call.exception() is None:
                    return call.result()
        try:
            return calls[0].result()
        finally:
            del calls, done, call
