"""How does a task, a plain thread, or many tasks as one party, wait for a permit of each of some limits?"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from math import inf
from typing import Any

from ..lanes.clock import monotonic
from .acquirer import Acquirer
from .holders import Inside
from .lock import lock
from .queue import LEAST, told, uncollected
from .state import LimitState

# Seconds that a waiting thread lets pass without a look around: a signal that comes between the interpreter's last
# look for signals and the system call that waits would else be handled only when the wait ends.
GLANCE = 0.5


async def acquire(
    limits: tuple[LimitState, ...],
    item: Any,
    inside: Inside = (),
    *,
    weights: tuple[float, ...] | None = None,
    timeout: float | None = None,
) -> Acquirer:
    """Return an acquirer with one permit of each limit; cancelled while it waits, it takes none.

    Raises:
        RuntimeError: the wait would be for ever, as all who hold a permit wait for what is `inside` them.
        TimeoutError: it took longer than `timeout` seconds, and takes none.
    """
    waiter: asyncio.Future[None] | None = None

    def wake() -> None:
        if waiter is not None and not waiter.done():  # else it was cancelled in the same moment
            waiter.set_result(None)

    loop = asyncio.get_running_loop()
    acquirer = Acquirer(limits, item, loop=loop, wake=wake, inside=inside, prompt=True, weights=weights)
    if acquirer.ask(1) or acquirer.collect():
        return acquirer
    waiter = loop.create_future()
    timer = None if timeout is None else loop.call_later(timeout, wake)
    try:
        await waiter
        if not acquirer.collect():
            raise _too_late(limits, timeout)
    except BaseException:  # a cancellation, mostly: what has come meanwhile goes back, then it goes on
        acquirer.give_up()
        raise
    finally:
        if timer is not None:
            timer.cancel()
    return acquirer


def acquire_blocking(
    limits: tuple[LimitState, ...],
    item: Any,
    inside: Inside = (),
    *,
    weights: tuple[float, ...] | None = None,
    timeout: float | None = None,
) -> Acquirer:
    """Do the same on a plain thread, without a loop; a signal's exception ends the wait."""
    bell = _Bell()
    acquirer = Acquirer(limits, item, loop=None, wake=bell.ring, inside=inside, look_at=bell.look_at, weights=weights)
    ends = inf if timeout is None else monotonic() + timeout
    try:
        if not acquirer.ask(1):
            while not acquirer.collect():
                if monotonic() >= ends:
                    raise _too_late(limits, timeout)
                bell.wait(acquirer, ends)
    except BaseException:  # a KeyboardInterrupt, mostly, as above
        acquirer.give_up()
        raise
    return acquirer


def _too_late(limits: tuple[LimitState, ...], timeout: float | None) -> TimeoutError:
    return TimeoutError(f"no permit of {limits[0]!r} within {timeout or 0.0:g} s")


class _Bell:
    """Wakes a thread when it was granted something, or has to look at the clock earlier than it meant to."""

    def __init__(self) -> None:
        self._gate = threading.Lock()
        self._gate.acquire()
        self._next = -inf  # when it looks again by itself

    def ring(self) -> None:
        """Wake the thread, or spare it its next wait."""
        try:
            self._gate.release()
        except RuntimeError:
            pass  # it has been rung already

    def look_at(self, due: float) -> None:
        """Wake the thread if it would sleep past `due`; it is the first in line now, or the line has moved."""
        if due < self._next:
            self._next = due
            self.ring()

    def wait(self, acquirer: Acquirer, ends: float) -> None:
        """Do what a loop's timer does, look at the clock and grant what is due, then sleep until the next look."""
        with lock:
            self._next = -inf  # awake: it needs no ringing
            wait = min(GLANCE, max(LEAST, ends - monotonic()))
            uncollected.reclaim()
            if (queue := acquirer.queue) is not None:
                queue.serve()
            if (queue := acquirer.queue) is not None and queue.parties[0] is acquirer:
                refusal = acquirer.refusal()
                wait = min(wait, max(LEAST, refusal[1])) if refusal is not None else 0.0
            self._next = monotonic() + wait
        told.settle()
        self._gate.acquire(timeout=wait)


class WaiterGroup:
    """Tasks that came one after the other, with nobody else in between: first come, first served, a permit each.

    They stand in line as one party that wants as many permits as there are tasks, so that a wait is a future and a
    number that goes up by one. It is the last in its queue while it grows; whoever comes after somebody else has come
    begins another group.

    Args:
        limit: one without keys and weights.
        loop: the one of the tasks.
        over: called with the group when nobody waits in it any more; to keep it would keep its loop alive.

    Attributes:
        waiters: what they await, in order of arrival; for the thread of the loop.
        granted: how many tasks have a permit and have not gone on yet.
    """

    __slots__ = ("_acquirer", "_closed", "_over", "granted", "loop", "waiters")

    def __init__(self, limit: LimitState, loop: asyncio.AbstractEventLoop, over: Callable[[WaiterGroup], None]) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.waiters: deque[asyncio.Future[None]] = deque()
        self._acquirer = Acquirer((limit,), None, loop=loop, wake=self._woken, prompt=True, together=True)
        self.granted: int = 0
        self._closed = False
        self._over = over

    @property
    def last(self) -> bool:
        """Whether nobody else has come since; for those who have the lock."""
        queue = self._acquirer.queue
        return queue is None or queue.parties[-1] is self._acquirer

    def join(self) -> asyncio.Future[None]:
        """Return what to await for a permit; the caller has the lock, and has just been refused; this is `last`.

        It is not asked for again, although a pace may be due by now: tasks that find it so one by one would keep their
        loop busy all the time, where one look a millisecond lets a hundred go together.
        """
        acquirer = self._acquirer
        waiter = self.loop.create_future()
        self.waiters.append(waiter)  # before it is wanted for: what comes from now on finds somebody
        if acquirer.queue is not None:
            acquirer.wanted += 1
        else:
            uncollected.add(self)
            acquirer.stand(1)
        return waiter

    def left(self, waiter: asyncio.Future[None]) -> None:
        """Take note that a task has given up: its place goes to the next, or the permit that it just got goes back."""
        if self._closed:
            return
        if waiter.done() and not waiter.cancelled():
            self.granted -= 1
            self.end_if_over()
            self._acquirer.refund()
            return
        if waiter in self.waiters:
            self.waiters.remove(waiter)
        self.end_if_over()
        self._acquirer.expect(len(self.waiters))

    def next_waiter(self) -> asyncio.Future[None] | None:
        """Return who gets a permit that comes back, and want one less; None if it is not this group's turn.

        For those who have the lock, on its loop, where nothing but the permits in flight decides. A wait that was
        cancelled in this moment leaves what was meant for it to the next.
        """
        acquirer = self._acquirer
        queue = acquirer.queue
        if queue is None or queue.parties[0] is not acquirer or queue.kept_for is not None:
            return None
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                self.granted += 1
                acquirer.wanted -= 1
                if not acquirer.wanted:
                    queue.leave(acquirer)
                return waiter
        return None

    def end_if_over(self) -> None:
        """End when nobody waits and every task that was granted something has gone on."""
        if not (self.granted or self.waiters):
            with lock:
                uncollected.remove(self)
            self._over(self)

    def reclaim(self) -> None:
        """Give back what was granted to tasks that will not go on, as their loop is closed; see `Uncollected`."""
        self._closed = True
        self.waiters.clear()
        self._acquirer.reclaim(self.granted)
        self._over(self)

    def _woken(self) -> None:
        count = self._acquirer.collect()
        while count and self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():  # or it was cancelled, and leaves what was meant for it to the next
                self.granted += 1
                waiter.set_result(None)
                count -= 1
        if count:
            self._acquirer.refund(count)
