"""How do many tasks of one loop wait for one limit as one party?"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from .claim import Claim

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

    Attributes:
        waiters: what they await, in order of arrival; for the thread of the loop.
    """

    __slots__ = ("_claim", "loop", "waiters")

    def __init__(self, limit: Limit, loop: asyncio.AbstractEventLoop) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.waiters: deque[asyncio.Future[None]] = deque()
        self._claim = Claim((limit,), None, loop=loop, granted=self._granted, prompt=True, together=True)

    @property
    def last(self) -> bool:
        """Whether nobody else has come since; for those who have the lock."""
        line = self._claim.line
        return line is None or line.parties[-1] is self._claim

    def join(self) -> asyncio.Future[None]:
        """Return what to await for a permit; the caller has the lock, and has just been refused; this is `last`.

        It is not asked for again, although a pace may be due by now: tasks that find it so one by one would keep their
        loop busy all the time, where one look a millisecond lets a hundred go together.
        """
        claim = self._claim
        waiter = self.loop.create_future()
        self.waiters.append(waiter)  # before it is wanted for: what comes from now on finds somebody
        if claim.line is not None:
            claim.wanted += 1
        else:
            claim.stand(1)
        return waiter

    def left(self, waiter: asyncio.Future[None]) -> None:
        """Take note that a task has given up: its place goes to the next, or the permit that it just got goes back."""
        if waiter.done() and not waiter.cancelled():
            self._claim.refund()
            return
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        self._claim.expect(len(self.waiters))

    def next_waiter(self) -> asyncio.Future[None] | None:
        """Return who gets a permit that comes back, and want one less; None if it is not this crowd's turn.

        For those who have the lock, on its loop, where nothing but the permits in flight decides. A wait that was
        cancelled in this moment leaves what was meant for it to the next.
        """
        claim = self._claim
        line = claim.line
        if line is None or line.parties[0] is not claim or line.kept_for is not None:
            return None
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                claim.wanted -= 1
                if not claim.wanted:
                    line.leave(claim)
                return waiter
        return None

    def _granted(self, count: int) -> None:
        while count and self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():  # or it was cancelled, and leaves what was meant for it to the next
                waiter.set_result(None)
                count -= 1
        if count:
            self._claim.refund(count)
