"""How does hand-written code hold a permit: in the blocks `with limit:` and `async with limit:`, or for an item?

The blocks are on the way of every call of hand-written code, so what they have in common is kept: the queue, the
acquirer that tells how blocks ended, and the group of the tasks that wait. The permits of a limit without keys and
weights are alike; whoever leaves gives back any. What time costs here is the lock: it is taken once to come in, and
once to leave a block of a limit that bounds how many are in flight.
"""

from __future__ import annotations

import asyncio
import warnings
from asyncio import _get_running_loop as running_loop  # the public one costs an exception where there is none
from collections.abc import Coroutine
from math import isfinite
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.costs import Cost
from ..core.outcome import short
from ..lanes.clock import clock_of, monotonic
from ..lanes.port import nothing
from .acquire import WaiterGroup, acquire, acquire_blocking
from .acquirer import Acquirer
from .feedback import Report, report_of
from .holders import Holder, ask_around, held, inside_of
from .lock import Alone, lock
from .queue import Clock, WaitQueue, told
from .state import NOBODY, LimitState

if TYPE_CHECKING:
    from contextvars import Token

    from ..core.headers import Left
    from .holders import Link

RETURNED = 256  # blocks of a mere rate whose end is counted together, as nobody waits for it


class BlockPermit(Holder):
    """What the code inside a block holds, by which a second one of the same limit is refused."""

    __slots__ = ("started", "within")

    token: Token[Link | None] | None
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
        self.within = None
        self.leave_context()

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
            acquire_blocking((self.limit,), None, inside_of(outer or ask_around(())))
        if self.limit.bounded:
            self._hold(outer)

    def enter_now(self) -> Coroutine[Any, Any, None] | None:
        """Take a permit if that can be done now; else return what waits for it.

        That stands behind the tasks that wait already, and takes none if it is cancelled.
        """
        outer = ask_around((self.limit,)) if self.limit.bounded else None
        loop, around = asyncio.get_running_loop(), outer
        group = waiter = None
        with lock:
            taken = not self.queue.parties and self._take(clock_of(loop))
            if not taken and around is None and not self.limit.bounded:
                around = ask_around(())  # who awaits this; a rate itself is held by nobody
            if not taken and around is None:
                group = self._last_group(loop)
                waiter = group.join()
        if told:
            told.settle()
        if group is not None and waiter is not None:
            return self._wait(group, waiter)
        if not taken:
            return self._wait_inside(around)
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
        if self.limit.bounded:
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
            acquirer = self._acquirer = Acquirer((self.limit,), None, loop=None, wake=nothing)
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


class Permit(Alone):
    """A permit of a limit: what `limit.of(item)` and `limit.try_acquire(item)` return.

    A permit from `of` is taken when its block is entered, and is for one block at a time. A permit from `try_acquire`
    is already taken, until the end of its block or `release()`.

    >>> import whilst
    >>> tokens = whilst.Limit(rate="90000/min", weight=len)
    >>> with tokens.of("a prompt") as permit:
    ...     permit.spent(12)
    """

    __slots__ = ("_holder",)

    _holder: ItemHolder

    def __init__(self, holder: ItemHolder) -> None:
        self._holder = holder

    def spent(self, cost: float) -> None:
        """Report what the call really cost, instead of the estimate.

        If it cost less, the rest goes to waiting calls; if it cost more, later calls wait longer. If you report again,
        the last number counts.

        Raises:
            RuntimeError: the permit is not held, or the limit has no `weight`.
        """
        self._holder.spent(check_cost(cost))

    def release(self) -> None:
        """Give the permit back. From any thread; once it is back, this does nothing."""
        self._holder.leave(None)

    def __enter__(self) -> Permit:
        """Wait for the permit, on a plain thread, unless it is held already."""
        self._holder.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.leave(error)

    async def __aenter__(self) -> Permit:
        """Wait for the permit, on a loop, unless it is held already."""
        await self._holder.enter_on_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.leave(error)

    def __del__(self) -> None:
        if self._holder.holding:
            warnings.warn(
                f"{self!r} was dropped and not given back\n  try: with permit: …, or permit.release()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def __repr__(self) -> str:
        return f"<a permit for {short(self._holder.item)} of {self._holder.limits[0]!r}>"


def take_now(limit: LimitState, item: Any, weight: float | None) -> Permit | None:
    """Return a permit that is held, if one can be had now."""
    holder = ItemHolder(limit, item, weight=weight)
    acquirer = Acquirer((limit,), item, loop=running_loop(), wake=nothing, weights=holder.weights)
    if not acquirer.take_now(1):
        return None
    holder.take(acquirer)
    return Permit(holder)


def check_cost(cost: Any) -> float:
    """Return what a call cost, a number from 0 on."""
    if isinstance(cost, (bool, str)) or not hasattr(cost, "__float__"):
        raise TypeError(f"what a call has spent must be a number, got {short(cost)}")
    if not (isfinite(spent := float(cost)) and spent >= 0):
        raise ValueError(f"what a call has spent must be a number of at least 0, got {short(cost)}")
    return spent


class ItemHolder(Holder, Alone):
    """Who holds a permit of a limit for one item, while the block under `with` or `async with` lasts."""

    __slots__ = ("_acquirer", "_counted", "_limits", "_started", "_timeout", "entered", "item", "weights")

    def __init__(
        self, limit: LimitState, item: Any, *, weight: float | None = None, timeout: float | None = None
    ) -> None:
        self.outer = None
        self.token = None
        self.item: Any = item
        self.weights: tuple[float, ...] | None = None if weight is None else (weight,)
        self.entered: bool = False
        """Whether a block of it is under way."""
        self._limits = (limit,)
        self._timeout = timeout
        self._acquirer: Acquirer | None = None  # while it holds
        self._counted: list[Cost] = []  # what the call costs, as far as that is known
        self._started = 0.0

    @property
    def holding(self) -> bool:
        """Whether it holds permits now."""
        return self._acquirer is not None

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """The limits that it holds a permit of."""
        return self._limits

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """The queues from which its permits are."""
        return self._acquirer.queues if self._acquirer is not None else ()

    def forked(self) -> None:
        """Hold nothing."""
        self._acquirer = None

    def allow(self, left: Left) -> None:
        """Slow down as an answer says."""
        acquirer = self._acquirer
        if acquirer is not None:
            acquirer.allow(left)

    def spent(self, cost: float) -> None:
        """Count what the call cost indeed."""
        acquirer, limit = self._acquirer, self._limits[0]
        if acquirer is None:
            raise RuntimeError("this permit is not held, so there is no call to report\n  try: in its with block")
        if not (limit.weighted or self.weights):
            raise RuntimeError(
                f"{limit!r} has no weight=, so there is nothing to correct\n"
                '  try: whilst.Limit(rate="90000/min", weight=…), or: limit.of(item, weight=…)'
            )
        acquirer.correct(self._counted, self._started, cost, given=self.weights is not None)

    def enter(self) -> None:
        """Wait for the permit, on a plain thread."""
        if not self._is_held():
            outer = ask_around(self._limits)
            args = self._limits, self.item, inside_of(outer)
            self.take(acquire_blocking(*args, weights=self.weights, timeout=self._timeout))
            self.outer = outer
        self._hold()

    async def enter_on_loop(self) -> None:
        """Wait for the permit, on a loop."""
        if not self._is_held():
            outer = ask_around(self._limits)
            args = self._limits, self.item, inside_of(outer)
            self.take(await acquire(*args, weights=self.weights, timeout=self._timeout))
            self.outer = outer
        self._hold()

    def take(self, acquirer: Acquirer) -> None:
        """Hold what an acquirer has taken."""
        self._acquirer = acquirer
        self._started = acquirer.clock()
        self._counted = acquirer.set.costs()

    def _is_held(self) -> bool:
        if self.entered:
            raise RuntimeError("this permit is in use\n  try: a new limit.of(item) in each with")
        return self._acquirer is not None

    def _hold(self) -> None:
        self.entered = True
        self.token = held.set(self)

    def leave(self, error: BaseException | None) -> None:
        """Give the permit back, and tell the limit how the block ended."""
        self.entered, acquirer = False, self._acquirer
        if acquirer is None:
            return
        self._acquirer = None
        self.leave_context()
        report = report_of(error) if error is not None or acquirer.listens else None
        if report is None:
            acquirer.give_back()
        else:
            acquirer.finished(self._started, report)
