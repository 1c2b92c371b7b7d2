"""How many calls may be in flight at once, in a run or a stage? Places, and who waits for one, in turn."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ..core.account import LIMIT, PAUSED

ENDLESS = 1 << 60
HELD = 1 << 61  # places that are taken for as long as nothing may start


class Waiter(Protocol):
    """Somebody who waits for places."""

    def pump(self) -> None:
        """Take places, as far as there are free ones and they are wanted."""


class Slots:
    """At most `count` holders at once, on one loop; a cancelled waiter takes none.

    Attributes:
        free: how many places there are now.
        most: how many there are in all.
        outer: other places, of which each holder of one here holds one too; those have none around them.
        lent: tasks that were left behind, by how many places others have of theirs; None: there were none yet.
    """

    __slots__ = ("_again", "free", "lent", "most", "outer", "waiting")

    def __init__(self, count: int = ENDLESS, outer: Slots | None = None) -> None:
        self.free: int = count
        self.most: int = count
        self.outer: Slots | None = outer
        self.lent: Counter[asyncio.Task[Any]] | None = None
        self.waiting: deque[Waiter] = deque()
        self._again = 0  # how many of its first ones have waited before, for another attempt

    @property
    def room(self) -> int:
        """How many could be taken now."""
        return self.free if self.outer is None else min(self.free, self.outer.free)

    @property
    def wanted(self) -> bool:
        """Whether somebody waits."""
        return bool(self.waiting or (self.outer is not None and self.outer.waiting))

    @property
    def refusal(self) -> str:
        """Return what keeps those waiting who find no room now, as the account says it."""
        full = self if self.free <= 0 or self.outer is None else self.outer
        return PAUSED if full.free < -ENDLESS else f"{LIMIT}concurrency={full.most}"

    def take(self, count: int = 1) -> None:
        """Take places that are there."""
        self.free -= count
        if self.outer is not None:
            self.outer.free -= count

    def join(self, waiter: Waiter, *, again: bool = False) -> None:
        """Have somebody served when there is a place again who has found no room; before others if it is `again`."""
        full: Slots = self if self.free <= 0 or self.outer is None else self.outer
        if again:
            full.waiting.insert(full._again, waiter)
            full._again += 1
        elif waiter not in full.waiting:
            full.waiting.append(waiter)

    async def acquire(
        self, *, again: bool = False, wait: Callable[[asyncio.Future[bool]], Awaitable[bool]] | None = None
    ) -> bool:
        """Take a place; the fast way, `if slots.free: slots.free -= 1`, stands where a microsecond counts.

        `wait` awaits a future that is set to True with the place; if it sets it to False the wait is given up, and so
        does this return.
        """
        if self.room > 0:
            self.take()
            return True
        waiter = _Task(self)
        self.join(waiter, again=again)
        try:
            return await (waiter.future if wait is None else wait(waiter.future))
        except asyncio.CancelledError:
            if waiter.future.done() and not waiter.future.cancelled() and waiter.future.result():
                self.release()  # it had been handed over in the same moment
            raise

    def hold(self, *, on: bool) -> None:
        """Have nobody take a place, whoever gives one back; or go on."""
        if on != (self.free < -ENDLESS):
            self.free += -HELD if on else HELD
            self._serve()

    def resize(self, more: int) -> None:
        """Have so many places more, or less: then nobody takes one until enough have come back."""
        self.free += more
        self.most += more
        self._serve()

    def release(self, count: int = 1) -> None:
        """Give places back: to those who have waited longest, if anybody waits."""
        if not (self.lent and self._is_of_a_lent_one()):
            self._give_back(count)

    def lend(self, task: asyncio.Task[Any]) -> None:
        """Have others take the place that a task holds which was left behind: it gives none back when it ends."""
        self._give_back(1)
        if self.lent is None:
            self.lent = Counter()
        self.lent[task] += 1

    def forget(self, task: asyncio.Task[Any]) -> None:
        """Take note that such a task has ended."""
        if self.lent is not None:
            del self.lent[task]

    def _is_of_a_lent_one(self) -> bool:
        """Whether what is given back now is a place that others have long had."""
        task = asyncio.current_task()
        if self.lent is None or task is None or not self.lent[task]:
            return False
        self.lent[task] -= 1
        return True

    def _give_back(self, count: int) -> None:
        self.free += count
        if self.waiting:
            self._serve()
        if self.outer is not None:
            self.outer.release(count)

    def _serve(self) -> None:
        while self.waiting and self.free > 0:
            waiter = self.waiting.popleft()
            self._again -= self._again > 0
            waiter.pump()


class _Task:
    """A task that waits for one place."""

    __slots__ = ("future", "slots")

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def pump(self) -> None:
        if self.future.done():  # cancelled, or given up
            return
        if self.slots.room > 0:
            self.slots.take()
            self.future.set_result(True)
        else:  # the place that it waited for is there, another is not
            self.slots.join(self)
