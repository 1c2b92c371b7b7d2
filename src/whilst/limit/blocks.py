"""How do the blocks `with limit:` and `async with limit:` take a permit each, and give it back?

They are on the way of every call of hand-written code, so what they have in common is kept: the line, the claim that
tells how blocks ended, and the crowd of the tasks that wait. The permits of a limit without keys and weights are alike;
whoever leaves gives back any. What time costs here is the lock: it is taken once to come in, and once to leave a block
of a limit that bounds how many are in flight.
"""

from __future__ import annotations

import asyncio
import time
from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from contextvars import Token
from typing import TYPE_CHECKING

from ..lanes.clock import clock_of
from .claim import Claim
from .crowd import Crowd
from .feedback import Report, report_of
from .keys import NOBODY
from .line import Clock, lock, settle
from .turn import Holder, blocking_turn, held, refuse_twice

if TYPE_CHECKING:
    from .limit import Limit

RETURNED = 256  # blocks of a mere rate whose end is counted together, as nobody waits for it


class Block:
    """What the code inside a block holds: the permit by which a second one of the same limit is refused."""

    __slots__ = ("limit", "started", "token")

    def __init__(self, limit: Limit, started: float, others: tuple[Holder, ...]) -> None:
        self.limit: Limit | None = limit  # while it holds
        self.started: float = started
        self.token: Token[tuple[Holder, ...]] = held.set((*others, self))

    def has(self, limit: Limit) -> bool:
        """Whether a permit of `limit` is held now."""
        return self.limit is limit

    def close(self) -> None:
        """Hold nothing any more."""
        self.limit = None
        try:
            held.reset(self.token)  # not `set`: a context that looks as before lets a run's lane go on
        except ValueError:
            pass  # left in another context than it was entered in; what is there says by `has` that it is over


class Blocks:
    """The blocks of one limit, on all threads and loops.

    Args:
        limit: one without keys and weights; TypeError for another.
    """

    __slots__ = ("_bounded", "_claim", "_crowd", "_limit", "_line", "_listens", "_returned")

    def __init__(self, limit: Limit) -> None:
        if limit.keyed or limit.weighted:
            asks = "by" if limit.keyed else "weight"
            raise TypeError(
                f"this limit asks {asks}= of an item, so it must be told which\n  try: with limit.of(item):"
            )
        self._limit = limit
        self._bounded = limit._bounded
        self._listens = limit.adaptive
        self._line = limit._line(NOBODY, time.monotonic)
        self._claim: Claim | None = None
        self._crowd: Crowd | None = None  # the last one to wait
        self._returned: list[None] = []

    def enter(self) -> None:
        """Wait for a permit, on a plain thread."""
        others = self._others() if self._bounded else ()
        with lock:
            taken = self._take(time.monotonic)
        if not taken:
            blocking_turn((self._limit,), None)
        if self._bounded:
            Block(self._limit, self._line.clock() if self._listens else 0.0, others)

    async def enter_async(self) -> Limit:
        """Wait for a permit, behind the tasks that wait already; cancelled meanwhile, take none."""
        others = self._others() if self._bounded else ()
        loop = asyncio.get_running_loop()
        crowd = waiter = None
        with lock:
            if self._line.parties or not self._take(clock_of(loop)):
                crowd = self._last_crowd(loop)
                waiter = crowd.join()
        if crowd is not None and waiter is not None:
            try:
                await waiter
            except BaseException:  # a cancellation, mostly
                crowd.left(waiter)
                raise
            finally:
                if not crowd.waiters and self._crowd is crowd:
                    self._crowd = None  # it would keep the loop alive
        if self._bounded:
            Block(self._limit, self._line.clock() if self._listens else 0.0, others)
        return self._limit

    def leave(self, error: BaseException | None) -> None:
        """Give back the permit of the block that was entered last by the code that runs now, and tell how it ended."""
        block = self._innermost() if self._bounded else None
        if block is not None:
            block.close()
        if error is not None or self._listens:
            report = report_of(error)
            if report is not None and (self._listens or report.verdict == "rejected"):
                self._tell(block, report)
                return
        if self._bounded:
            self._give_back()
            return
        self._returned.append(None)  # lets nobody go earlier; it is for the statistics
        if len(self._returned) >= RETURNED:
            self.count_returned()

    def count_returned(self) -> None:
        """Bring the number of calls in flight up to date."""
        with lock:
            count = len(self._returned)
            del self._returned[:count]  # others append meanwhile
            self._line.throttle.in_flight -= count

    # -- private, in order of use -------------------------------------------------------------------------------

    def _others(self) -> tuple[Holder, ...]:
        """Return what the code that runs now holds besides."""
        if others := held.get():
            refuse_twice((self._limit,))
        return others

    def _take(self, clock: Clock) -> bool:
        """Take a permit if that can be done now; the caller has the lock."""
        line = self._line
        if line.parties or line.kept_for is not None:
            return False
        if line.clock is not clock:
            line.meet(clock)
        return line.throttle.take_one(clock())

    def _last_crowd(self, loop: asyncio.AbstractEventLoop) -> Crowd:
        """Return the one to join; the caller has the lock."""
        crowd = self._crowd
        if crowd is None or crowd.loop is not loop or not crowd.last:
            crowd = self._crowd = Crowd(self._limit, loop)
        return crowd

    def _innermost(self) -> Block | None:
        """Return the block that is left; None if it was entered in another context, by a generator closed elsewhere."""
        holders = held.get()
        if holders and type(last := holders[-1]) is Block and last.limit is self._limit:
            return last  # as nearly always
        for holder in reversed(holders):
            if type(holder) is Block and holder.limit is self._limit:
                return holder
        return None

    def _tell(self, block: Block | None, report: Report) -> None:
        """Give back, and pass on how the block ended."""
        claim = self._claim
        if claim is None:
            claim = self._claim = Claim((self._limit,), None, loop=None, granted=_never)
        claim.clock = self._line.clock
        started = block.started if block is not None else claim.clock()
        claim.finished(started, report)

    def _give_back(self) -> None:
        line, waiter = self._line, None
        throttle = line.throttle
        with lock:
            if not line.parties:
                throttle.in_flight -= 1
                return
            crowd = self._crowd
            if crowd is not None and throttle.timeless and crowd.loop is running_loop():
                waiter = crowd.next_waiter()
            if waiter is not None:
                throttle.started += 1  # with the permit that comes back
            else:
                throttle.in_flight -= 1
                if not line.waits_for_time():
                    line.serve()
        if waiter is not None:
            waiter.set_result(None)
        else:
            settle()


def _never(count: int) -> None:
    """Stand in for what is told of grants, where nobody ever stands in line."""
