"""How many calls of one run may be in flight: a counter with a queue, for one loop."""

from __future__ import annotations

import asyncio
from collections import deque


class Permits:
    """At most `free` holders at once, first come, first served; a cancelled waiter takes none."""

    __slots__ = ("_waiters", "free")

    def __init__(self, count: int) -> None:
        self.free: int = count
        self._waiters: deque[asyncio.Future[None]] = deque()

    async def acquire(self) -> None:
        """Take a permit; the fast way, `if permits.free: permits.free -= 1`, stands where a microsecond counts."""
        if self.free:
            self.free -= 1
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self.release()  # it had been handed over in the same moment
            elif waiter in self._waiters:  # or a release passed over it before this task had its turn
                self._waiters.remove(waiter)
            raise

    def release(self) -> None:
        """Give a permit back: to the first who waits, if there is one."""
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.free += 1
