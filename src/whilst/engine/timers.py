"""The timers of one run, by name, so that all of them end with it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Timers:
    """At most one timer of each name, on one loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float]) -> None:
        self._loop = loop
        self._clock = clock
        self._set: dict[str, tuple[float, asyncio.TimerHandle]] = {}
        self._closed = False

    def at(self, name: str, when: float, action: Callable[[], None]) -> None:
        """Call `action` at the time `when`; what was set under this name before is forgotten."""
        self.cancel(name)
        if not self._closed:
            self._set[name] = when, self._loop.call_later(max(0.0, when - self._clock()), self._ring, name, action)

    def not_after(self, name: str, when: float, action: Callable[[], None]) -> None:
        """Do the same, unless it is set for an earlier time."""
        if name not in self._set or when < self._set[name][0]:
            self.at(name, when, action)

    def cancel(self, name: str) -> None:
        """Forget a timer."""
        if name in self._set:
            self._set.pop(name)[1].cancel()

    def close(self) -> None:
        """Forget all, and set none any more."""
        self._closed = True
        for name in tuple(self._set):
            self.cancel(name)

    def _ring(self, name: str, action: Callable[[], None]) -> None:
        del self._set[name]
        action()
