"""How does a task, or a plain thread, wait for one permit of each of some limits?"""

from __future__ import annotations

import asyncio
import threading
from math import inf
from typing import Any

from ..lanes.clock import monotonic
from .acquirer import Acquirer
from .holders import Inside
from .lock import lock
from .queue import LEAST
from .state import LimitState
from .told import told, uncollected

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
