"""How does a task, or a plain thread, wait for one permit?"""

from __future__ import annotations

import asyncio
import threading
from contextvars import Context, ContextVar
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Protocol

from .claim import Claim
from .line import LEAST, lock, settle

if TYPE_CHECKING:
    from .limit import Limit

# Seconds that a waiting thread lets pass without a look around: a signal that comes between the interpreter's last
# look for signals and the system call that waits would else be handled only when the wait ends.
GLANCE = 0.5


class Holder(Protocol):
    """Something that holds permits."""

    def has(self, limit: Limit) -> bool:
        """Whether it holds one of `limit` now."""
        ...


held: ContextVar[tuple[Holder, ...]] = ContextVar("whilst_limits_held", default=())
"""What the code that runs now holds; a task that outlives its call inherits the holder, not the permit."""


def refuse_twice(limits: tuple[Limit, ...]) -> None:
    """Raise where a permit is asked for by one who holds one, and could wait for itself."""
    for holder in held.get():
        for limit in limits:
            if limit._bounded and holder.has(limit):
                raise RuntimeError(
                    f"{limit!r}: this call holds a permit of this limit already, so waiting for another could be for "
                    "ever\n  try: give the limit to the inner calls only, or to the outer one only"
                )


class Everywhere:
    """What all calls of a run hold: a permit of each of its limits."""

    def __init__(self, limits: tuple[Limit, ...]) -> None:
        self._limits = limits

    def has(self, limit: Limit) -> bool:
        """Whether it is one of them."""
        return limit in self._limits


def holding(context: Context, limits: tuple[Limit, ...]) -> Context:
    """Return a context for calls that hold a permit of each of `limits`; raise if `context` holds one already."""
    if not any(limit._bounded for limit in limits):
        return context
    inner = context.copy()
    inner.run(refuse_twice, limits)
    inner.run(held.set, (*inner.get(held, ()), Everywhere(limits)))
    return inner


async def turn(limits: tuple[Limit, ...], item: Any) -> Claim:
    """Return a claim with one permit of each limit; cancelled while it waits, it takes none."""
    waiter: asyncio.Future[None] | None = None

    def granted(count: int) -> None:
        if waiter is None or waiter.done():  # cancelled in the same moment
            claim.refund(count)
        else:
            waiter.set_result(None)

    loop = asyncio.get_running_loop()
    claim = Claim(limits, item, loop=loop, granted=granted, prompt=True)
    if claim.ask(1):
        return claim
    waiter = loop.create_future()
    try:
        await waiter
    except BaseException:  # a cancellation, mostly: what has come meanwhile goes back, then it goes on
        if arrived := claim.recall() + (waiter.done() and not waiter.cancelled()):
            claim.refund(arrived)
        raise
    return claim


def blocking_turn(limits: tuple[Limit, ...], item: Any) -> Claim:
    """Do the same on a plain thread, without a loop; a signal's exception ends the wait."""
    bell = _Bell()
    claim = Claim(limits, item, loop=None, granted=bell.granted, look_at=bell.look_at)
    try:
        if claim.ask(1):
            return claim
        while not bell.arrived:
            bell.wait(claim)
    except BaseException:  # a KeyboardInterrupt, mostly, as above
        if arrived := claim.recall() + bell.arrived:
            claim.refund(arrived)
        raise
    return claim


class _Bell:
    """Wakes a thread when it was granted something, or has to look at the clock earlier than it meant to."""

    def __init__(self) -> None:
        self.arrived = 0
        self._gate = threading.Lock()
        self._gate.acquire()
        self._next = -inf  # when it looks again by itself

    def granted(self, count: int) -> None:
        self.arrived += count
        self._ring()

    def look_at(self, due: float) -> None:
        """Wake the thread if it would sleep past `due`; it is the first in line now, or the line has moved."""
        if due < self._next:
            self._next = due
            self._ring()

    def wait(self, claim: Claim) -> None:
        """Do what a loop's timer does, look at the clock and grant what is due, then sleep until the next look."""
        with lock:
            self._next = -inf  # awake: it needs no ringing
            wait = GLANCE
            if (line := claim.line) is not None:
                line.serve()
            if (line := claim.line) is not None and line.parties[0] is claim:
                refusal = claim.refusal()
                wait = min(GLANCE, max(LEAST, refusal[1])) if refusal is not None else 0.0
            self._next = monotonic() + wait
        settle()
        if not self.arrived:
            self._gate.acquire(timeout=wait)

    def _ring(self) -> None:
        try:
            self._gate.release()
        except RuntimeError:
            pass  # it has been rung already
