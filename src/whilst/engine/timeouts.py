"""Ends awaits that take too long, with one timer for all of them.

`asyncio.timeout` costs 4 to 6 µs, most of it for a timer of its own; an entry in a set, looked through when the
earliest may be due, costs a tenth of that. What an expired entry does to its task is the same: it cancels it, and takes
exactly that cancellation back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from math import inf
from typing import Any

LEAST = 0.005  # seconds between two looks


class Bound:
    """When one await after the other shall have ended; it may be set once the first has begun."""

    __slots__ = ("cancelling", "due", "expired", "task")

    def __init__(self, due: float = inf) -> None:
        self.due: float = due
        self.expired: bool = False
        self.cancelling: int = 0
        self.task: asyncio.Task[Any] | None = None


class Timeouts:
    """The timeouts of one run, on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._entries: set[Bound] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._look_due = 0.0

    async def run(self, seconds: float, error: Callable[[], TimeoutError], fn: Callable[..., Any], *args: Any) -> Any:
        """Await `fn(*args)`; after `seconds` cancel it and raise `error()`."""
        return await self.within(Bound(self._clock() + seconds), error, fn, *args)

    def end_at(self, entry: Bound, due: float) -> None:
        """Set the end of an await that has none yet."""
        entry.due = due
        if self._timer is None or due < self._look_due:
            self._look_at(due)

    async def within(self, entry: Bound, error: Callable[[], TimeoutError], fn: Callable[..., Any], *args: Any) -> Any:
        """Await `fn(*args)`; when the bound is reached cancel it and raise `error()`."""
        task = entry.task = asyncio.current_task()
        assert task is not None
        entry.cancelling, entry.expired = task.cancelling(), False
        self._entries.add(entry)
        if entry.due < inf:
            self.end_at(entry, entry.due)
        try:
            return await fn(*args)
        except asyncio.CancelledError as caught:
            if entry.expired:
                entry.expired = False
                if task.uncancel() <= entry.cancelling:
                    raise error() from caught
            raise  # somebody else cancelled the task too
        finally:
            self._entries.discard(entry)
            if entry.expired:  # it ended in the moment when its time was over: our cancellation must not stay
                task.uncancel()

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._look_due = when
        self._timer = self._loop.call_later(max(0.0, when - self._clock()), self._look)

    def _look(self) -> None:
        self._timer = None
        now = self._clock()
        for entry in self._entries:
            if entry.due <= now and not entry.expired and entry.task is not None:
                entry.expired = True
                entry.task.cancel()
        due = min((entry.due for entry in self._entries if not entry.expired), default=inf)
        if due < inf:
            self._look_at(max(due, now + LEAST))
