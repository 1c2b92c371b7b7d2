"""Ends awaits that take too long, with one timer for all of them.

`asyncio.timeout` costs 4 to 6 µs, most of it for a timer of its own; an entry in a set, looked through when the
earliest may be due, costs a tenth of that. What an expired entry does to its task is the same: it cancels it, and takes
exactly that cancellation back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

LEAST = 0.005  # seconds between two looks


class _Entry:
    __slots__ = ("cancelling", "due", "expired", "task")

    def __init__(self, task: asyncio.Task[Any], due: float) -> None:
        self.task = task
        self.due = due
        self.cancelling = task.cancelling()
        self.expired = False


class Timeouts:
    """The timeouts of one run, on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._entries: set[_Entry] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._look_due = 0.0

    async def run(self, seconds: float, error: Callable[[], TimeoutError], fn: Callable[..., Any], *args: Any) -> Any:
        """Await `fn(*args)`; after `seconds` cancel it and raise `error()`."""
        task = asyncio.current_task()
        assert task is not None
        entry = _Entry(task, self._clock() + seconds)
        self._entries.add(entry)
        if self._timer is None or entry.due < self._look_due:
            self._look_at(entry.due)
        try:
            return await fn(*args)
        except asyncio.CancelledError as caught:
            if entry.expired and task.uncancel() <= entry.cancelling:
                entry.expired = False
                raise error() from caught
            raise
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
            if entry.due <= now and not entry.expired:
                entry.expired = True
                entry.task.cancel()
        due = [entry.due for entry in self._entries if not entry.expired]
        if due:
            self._look_at(max(min(due), now + LEAST))
