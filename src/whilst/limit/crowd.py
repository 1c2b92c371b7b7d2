"""How do many tasks of one loop wait for one limit as one party, each in its turn?"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from .claim import Claim
from .line import lock

if TYPE_CHECKING:
    from .limit import Limit


class Crowd:
    """Tasks that came one after the other, with nobody else in between: first come, first served, a permit each.

    They stand in line as one claim that wants as many permits as there are tasks, so that a wait is a future and a
    number that goes up by one. It is the last in its line while it grows; whoever comes after somebody else has come
    begins another crowd.

    Args:
        limit: one without keys and weights.
        loop: the one of the tasks.
    """

    __slots__ = ("_claim", "_limit", "_waiters", "loop")

    def __init__(self, limit: Limit, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self._limit = limit
        self._claim = Claim((limit,), None, loop=loop, granted=self._granted, prompt=True, together=True)
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waits(self) -> bool:
        """Whether anybody does; then whoever comes now must."""
        return bool(self._waiters)

    def join(self) -> asyncio.Future[None] | bool:
        """Return what to await for a permit; True if it was taken at once, False if it is too late to join."""
        claim = self._claim
        with lock:
            if claim.line is None:
                if claim.ask(1):
                    return True
            elif claim.line.parties[-1] is claim:
                claim.wanted += 1
            else:
                return False
        waiter = self.loop.create_future()
        self._waiters.append(waiter)
        return waiter

    def left(self, waiter: asyncio.Future[None]) -> None:
        """Take note that a task has given up: its place goes to the next, or the permit that it just got goes back."""
        if waiter.done() and not waiter.cancelled():
            self._claim.refund()
            return
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        self._claim.expect(len(self._waiters))

    def _granted(self, count: int) -> None:
        while count and self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():  # or it was cancelled, and leaves what was meant for it to the next
                waiter.set_result(None)
                count -= 1
        if count:
            self._claim.refund(count)
