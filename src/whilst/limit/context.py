"""How do the blocks `with limit:` and `async with limit:` take a permit each, and give it back?

They are on the way of every call of hand-written code, so what they have in common is kept: the queue, the acquirer
that tells how blocks ended, and the group of the tasks that wait. The permits of a limit without keys and weights are
alike; whoever leaves gives back any. What time costs here is the lock: it is taken once to come in, and once to leave a
block of a limit that bounds how many are in flight.
"""

from __future__ import annotations

import asyncio
from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from ..lanes.clock import clock_of, monotonic
from .acquire import acquire, acquire_blocking
from .acquirer import Acquirer
from .alone import Alone
from .feedback import Report, report_of
from .group import WaiterGroup
from .holders import Holder, ask_around, held, inside_of
from .keys import NOBODY
from .lock import lock
from .queue import Clock, WaitQueue
from .state import LimitState
from .told import told

if TYPE_CHECKING:
    from ..core.headers import Left

RETURNED = 256  # blocks of a mere rate whose end is counted together, as nobody waits for it


class BlockPermit(Holder):
    """What the code inside a block holds, by which a second one of the same limit is refused."""

    __slots__ = ("started", "within")

    started: float
    """When it was taken, if the limit wants to know."""

    def __init__(self, within: LimitContext, outer: Holder | None) -> None:
        self.within: LimitContext | None = within  # while it holds
        self.outer = outer
        self.token = held.set(self)

    @property
    def holding(self) -> bool:
        """Whether it holds its permit now."""
        return self.within is not None

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """The one limit."""
        return (self.within.limit,) if self.within is not None else ()

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """Its one queue."""
        return (self.within.queue,) if self.within is not None else ()

    def close(self) -> None:
        """Hold nothing any more."""
        self.within, token, self.token = None, self.token, None
        assert token is not None
        try:
            held.reset(token)  # not `set`: a context that looks as before lets a run's lane go on
        except ValueError:
            pass  # left in another context than it was entered in; it does not hold any more

    def allow(self, left: Left) -> None:
        """Slow down as an answer says."""
        if self.within is not None:
            self.within.allow(left)

    def forked(self) -> None:
        """Hold nothing, and have its end be nothing."""
        if self.within is not None:
            self.within.limit.parents_blocks += 1
        self.within = None


class LimitContext(Alone):
    """The blocks of one limit, on all threads and loops.

    Args:
        limit: one without keys and weights; TypeError for another.
    """

    __slots__ = ("_acquirer", "_group", "_listens", "_returned", "limit", "queue")

    def __init__(self, limit: LimitState) -> None:
        if limit.keyed or limit.weighted:
            asks = "by" if limit.keyed else "weight"
            raise TypeError(f"this limit has {asks}=, so it needs the item\n  try: with limit.of(item):")
        self.limit: LimitState = limit
        self.queue: WaitQueue = limit.queue(NOBODY, monotonic)
        self._listens = limit.adaptive
        self._acquirer: Acquirer | None = None
        self._group: WaiterGroup | None = None  # the last one to wait
        self._returned: list[None] = []

    def enter(self) -> None:
        """Wait for a permit, on a plain thread."""
        outer = ask_around((self.limit,)) if self.limit.bounded else None
        with lock:
            taken = self._take(monotonic)
        if not taken:
            acquire_blocking((self.limit,), None, inside_of(outer))
        if self.limit.bounded:
            self._hold(outer)

    def enter_now(self) -> Coroutine[Any, Any, None] | None:
        """Take a permit if that can be done now; else return what waits for it.

        That stands behind the tasks that wait already, and takes none if it is cancelled.
        """
        outer = ask_around((self.limit,)) if self.limit.bounded else None
        loop = asyncio.get_running_loop()
        group = waiter = None
        with lock:
            taken = not self.queue.parties and self._take(clock_of(loop))
            if not taken and outer is None:
                group = self._last_group(loop)
                waiter = group.join()
        if told:
            told.settle()
        if group is not None and waiter is not None:
            return self._wait(group, waiter)
        if not taken:
            return self._wait_inside(outer)
        if self.limit.bounded:
            self._hold(outer)
        return None

    def leave(self, error: BaseException | None) -> None:
        """Give back the permit of the block that was entered last by the code that runs now, and tell how it ended."""
        permit = self._innermost() if self.limit.bounded else None
        if permit is not None:
            permit.close()
        elif self.limit.leaves_parents_block():
            return
        if error is not None or self._listens:
            report = report_of(error)
            if report is not None and (self._listens or report.verdict == "rejected"):
                self._tell(permit, report)
                return
        if self.limit.bounded:
            self._give_back()
            return
        self._returned.append(None)  # lets nobody go earlier; it is for the statistics
        if len(self._returned) >= RETURNED:
            self.count_returned()

    def allow(self, left: Left) -> None:
        """Slow down as an answer says."""
        self._teller().allow(left)

    def count_returned(self) -> None:
        """Bring the number of calls in flight up to date."""
        with lock:
            count = len(self._returned)
            del self._returned[:count]  # others append meanwhile
            throttle = self.queue.throttle
            throttle.in_flight = max(0, throttle.in_flight - count)  # some were entered before a fork, perhaps

    # -- private, in order of use -------------------------------------------------------------------------------

    def _take(self, clock: Clock) -> bool:
        """Take a permit if that can be done now; the caller has the lock."""
        queue = self.queue
        if queue.parties or queue.kept_for is not None:
            return False
        if queue.clock is not clock:
            queue.meet(clock)
        return queue.throttle.take_one(clock())

    def _last_group(self, loop: asyncio.AbstractEventLoop) -> WaiterGroup:
        """Return the one to join; the caller has the lock."""
        group = self._group
        if group is None or group.loop is not loop or not group.last:
            group = self._group = WaiterGroup(self.limit, loop, self._drop)
        return group

    def _drop(self, group: WaiterGroup) -> None:
        if self._group is group:
            self._group = None

    async def _wait(self, group: WaiterGroup, waiter: asyncio.Future[None]) -> None:
        try:
            await waiter
        except BaseException:  # a cancellation, mostly
            group.left(waiter)
            raise
        group.granted -= 1
        if not group.granted:
            group.end_if_over()
        if self.limit.bounded:
            self._hold(None)

    async def _wait_inside(self, outer: Holder | None) -> None:
        await acquire((self.limit,), None, inside_of(outer))
        self._hold(outer)

    def _hold(self, outer: Holder | None) -> None:
        permit = BlockPermit(self, outer)
        if self._listens:
            permit.started = self.queue.clock()

    def _innermost(self) -> BlockPermit | None:
        """Return the block that is left; None if it was entered in another context, by a generator closed elsewhere."""
        link = held.get()
        while link is not None:
            if type(link) is BlockPermit and link.within is self:
                return link  # at once, as nearly always
            link = link.outer
        return None

    def _tell(self, permit: BlockPermit | None, report: Report) -> None:
        """Give back, and pass on how the block ended."""
        acquirer = self._teller()
        started = permit.started if permit is not None and self._listens else acquirer.clock()
        acquirer.finished(started, report)

    def _teller(self) -> Acquirer:
        acquirer = self._acquirer
        if acquirer is None:
            acquirer = self._acquirer = Acquirer((self.limit,), None, loop=None, wake=_never)
        acquirer.clock = self.queue.clock
        return acquirer

    def _give_back(self) -> None:
        queue, waiter = self.queue, None
        throttle = queue.throttle
        with lock:
            if not queue.parties:
                throttle.in_flight -= 1
                return
            group = self._group
            if group is not None and throttle.timeless and group.loop is running_loop():
                waiter = group.next_waiter()
            if waiter is not None:
                throttle.started += 1  # with the permit that comes back
            else:
                throttle.in_flight -= 1
                if not queue.waits_for_time():
                    queue.serve()
        if waiter is not None:
            waiter.set_result(None)
        else:
            told.settle()


def _never() -> None:
    """Stand in for what wakes a party, where nobody ever stands in line."""
