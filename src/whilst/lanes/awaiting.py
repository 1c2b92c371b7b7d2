"""Awaiting what must be seen to its end: what was told to end, and what a blocking call has returned.

Where that is an awaitable the loop awaits it and the thread waits, so that the concurrency holds: otherwise a thousand
lambdas would have all their awaitables in flight at once.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Coroutine, Iterable
from typing import Any

from .caught import failure_of
from .results import tell
from .worker import Awaited, Ending, Worker


async def ended(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Return when all are done; a cancellation meanwhile goes on only then, and reaches none of them.

    They were told to end before. To cancel them again would cancel their clean-up.
    """
    cancelled: asyncio.CancelledError | None = None
    while pending := [future for future in futures if not future.done()]:
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as caught:
            cancelled = caught
    if cancelled is not None:
        raise cancelled


class Awaiting:
    """The awaitables that the calls of one run have returned."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self.tasks: set[asyncio.Task[Ending]] = set()
        self._loop = loop
        self._name = name

    def settle(self, worker: Worker, awaitable: Awaitable[Any]) -> Ending:
        """Wait, on the call's thread, for the value or error that comes of it."""
        awaited = Awaited()
        worker.awaited = awaited  # first: from here on who gives the call up gives up this
        try:
            if not (worker.call and tell(self._loop, self._adopt, awaited, awaitable, worker.call)):
                awaited.future.cancel()  # it was abandoned before, or there is no loop any more
            return awaited.future.result()
        except concurrent.futures.CancelledError as caught:
            return None, awaited.error or BaseException.with_traceback(caught, None)
        finally:
            worker.awaited = None
            if awaited.task is None:
                discard(awaitable)
            awaited.task = None

    def _adopt(self, awaited: Awaited, awaitable: Awaitable[Any], call: list[Any]) -> None:
        """Have a task await it; from here on the awaitable belongs to the loop alone."""
        if awaited.given_up or not call:
            awaited.future.cancel()  # its thread throws the awaitable away
            return
        task = awaited.task = asyncio.Task(self._finish(awaited, awaitable), loop=self._loop)
        self.tasks.add(task)
        task.add_done_callback(lambda _: self._come_back(awaited, awaitable, task))

    async def _finish(self, awaited: Awaited, awaitable: Awaitable[Any]) -> Ending:
        try:
            return await awaitable, None
        except asyncio.CancelledError as caught:
            task = asyncio.current_task()
            if awaited.given_up or (task is not None and task.cancelling()):
                raise
            return None, failure_of(caught, self._name)
        except BaseException as caught:  # all of them: the record holds it
            return None, failure_of(caught, self._name)
        finally:
            del awaited, awaitable  # a failure's frames keep this one, and what is awaited its future: the failure

    def _come_back(self, awaited: Awaited, awaitable: Awaitable[Any], task: asyncio.Task[Ending]) -> None:
        """Let the thread of the call go on with what the task has found."""
        self.tasks.discard(task)
        discard(awaitable)  # a loop that is torn down cancels tasks before they begin
        if task.cancelled():
            awaited.future.cancel()
        else:
            awaited.future.set_result(task.result())


def discard(value: Any) -> None:
    """Close a coroutine that nobody will await, or the interpreter would complain of it.

    One that has begun is left alone: a function may give the same one to several callers (`functools.cache` does), and
    one of them is awaiting it.
    """
    if isinstance(value, Coroutine) and not _has_begun(value):
        value.close()


def _has_begun(value: Any) -> bool:
    return bool(getattr(value, "cr_running", False) or getattr(value, "cr_suspended", False))
