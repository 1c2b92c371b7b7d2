"""A second call beside a late one (`hedge=True`): the first success wins, the other is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from ..core.hedge import Hedge
from ..lanes.awaiting import CLEAN_UP, GRACE, ended
from ..lanes.calling import seat
from .step_calls import Tries
from .suspended import tells


class Hedging:
    """One step whose late calls get a second one, over a whole run; a call is late from when it has its permits."""

    def __init__(
        self,
        hedge: Hedge,
        call: Callable[[Any, Tries], Coroutine[Any, Any, Any]],
        *,
        clock: Callable[[], float],
        leave: Callable[[asyncio.Task[Any]], None],
    ) -> None:
        self._hedge = hedge
        self._call = call
        self._clock = clock
        self._leave = leave

    @tells(awaits="tasks")
    async def __call__(self, value: Any, tries: Tries) -> Any:
        """Return the first success; if all fail, raise what the first call raised."""
        delay = self._hedge.delay()
        if delay is None:
            return await self._call(value, tries)
        place, loop = seat.get(), asyncio.get_running_loop()
        begun = tries.begun = loop.create_future()
        ends: list[asyncio.Future[Any]] = [loop.create_future()]  # one may have its end before its task has
        tasks: list[asyncio.Task[None]] = [loop.create_task(self._made(value, tries, ends[0]))]
        patience = CLEAN_UP
        try:
            await asyncio.wait([begun, *ends], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait(ends, timeout=delay)
            if not ends[0].done():
                await asyncio.sleep(0)  # its answer may have come in the same moment
            if not ends[0].done() and self._hedge.take(self._clock()):
                ends.append(loop.create_future())
                tasks.append(loop.create_task(self._made(value, tries, ends[1])))
                if place is not None:
                    place.fork(1)
            result = await _first_success(ends)
            patience = GRACE
            return result
        finally:
            late = [task for task, end in zip(tasks, ends, strict=True) if not end.done()]
            for task in late:
                task.cancel()
            try:
                await ended(late, patience, self._leave)
            finally:  # this task may have been cancelled meanwhile, too
                if place is not None and len(ends) > 1:
                    place.ends()
                for end in ends:
                    if not end.cancel() and not end.cancelled():  # nobody hears of one that was left behind any more
                        end.exception()  # looked at, so that asyncio does not complain
                ends.clear()  # the frames of a failure keep this one
                tasks.clear()
                late.clear()

    @tells(settles=lambda its: partial(_settle, its["end"]))
    async def _made(self, value: Any, tries: Tries, end: asyncio.Future[Any]) -> None:
        """Make one call, and tell its end, unless it was given up before."""
        try:
            result = await self._call(value, tries)
        except asyncio.CancelledError:
            end.cancel()
            raise
        except BaseException as error:  # all of them: they are raised where the calls are awaited
            _settle(end, error)
        else:
            if not end.done():
                end.set_result(result)
        finally:
            del end  # a failure's frames keep this one, and it the failure


def _settle(end: asyncio.Future[Any], error: BaseException) -> None:
    if not end.done():
        end.set_exception(error)


async def _first_success(ends: list[asyncio.Future[Any]]) -> Any:
    end, pending = ends[0], set(ends)
    done = pending
    try:
        while pending:
            done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for end in done:
                if not end.cancelled() and end.exception() is None:
                    return end.result()
        return ends[0].result()
    finally:
        del ends, end, done, pending
