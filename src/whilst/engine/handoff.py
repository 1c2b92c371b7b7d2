"""How do finished records reach the consumer, in which order, and how far may a run read ahead of it?

A run may have started at most `Window.size` inputs that were not delivered yet. The window begins at the run's
concurrency (or below it, where the concurrency adapts itself) and doubles only when it is proven to be the bottleneck:
the consumer ran dry while lanes stood idle for want of room. So a slow consumer stays `concurrency` behind, a fast one
gets batches that pay for the wake-ups (measured: 4.4 µs an input with a window of 100, 1.4 with 1,024).

A consumer that wants values is given these alone: the rest of a record is freed on the loop, where it was made, and
not kept until the consumer comes to it, perhaps on another core.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from time import sleep
from typing import Any, Protocol

from ..core.frozen import NamedTuple
from ..core.outcome import Record
from ..lanes.clock import monotonic
from ..lanes.interrupted import GLANCE

LEAST_CAP = 1024
CAP_PER_LANE = 8


class Window:
    """The run-ahead window: inputs below `limit` may start."""

    __slots__ = ("asked", "cap", "delivered", "size")

    def __init__(self, concurrency: int, start: int | None = None) -> None:
        self.size: int = concurrency if start is None else start
        self.cap: int = max(LEAST_CAP, CAP_PER_LANE * concurrency)
        self.delivered: int = 0  # written by the consumer alone, perhaps on another thread
        self.asked: int = 0
        """The source was asked for inputs below this index: more than once, but not each time that there is room."""

    def resize(self, concurrency: int) -> None:
        """Hold to another concurrency: what it needs may start, and what has started may be far ahead of less."""
        self.size = max(self.size, concurrency)
        self.cap = max(self.cap, CAP_PER_LANE * concurrency)

    @property
    def limit(self) -> int:
        """The first index that may not start yet."""
        return self.delivered + self.size

    @property
    def refill_at(self) -> int:
        """How many must be delivered before reading on is worth a wake-up while lanes still have work."""
        return self.delivered + (self.size + 1) // 2

    def grow(self) -> None:
        """Double: the consumer ran dry while lanes were idle for want of room."""
        self.size = min(self.cap, self.size * 2)


class Order(NamedTuple):
    """`push` takes a record as it finishes; `flush` lets go of what still waits for one that will never come."""

    push: Callable[[Record], None]
    flush: Callable[[], None]


class Failed(tuple[Any, ...]):
    """The record of a failure, among values."""

    __slots__ = ()


def in_order(ready: deque[Any], *, values: bool = False) -> Order:
    """Hold a record back until all before it have been pushed, then append it to `ready`, or its value alone."""
    held: dict[int, Any] = {}
    following = 0

    def push(record: Record) -> None:
        nonlocal following
        given = record if not values else record[2] if record[3] is None else Failed(record)
        if record[0] != following:
            held[record[0]] = given
            return
        ready.append(given)
        following += 1
        while held and following in held:
            ready.append(held.pop(following))
            following += 1

    def flush() -> None:
        ready.extend(held[index] for index in sorted(held))
        held.clear()

    return Order(push, flush)


def as_finished(ready: deque[Any], *, values: bool = False) -> Order:
    """Append every record to `ready` at once, or its value alone."""
    append = ready.append

    def push(record: Record) -> None:
        append(record[2] if record[3] is None else Failed(record))

    return Order(push if values else append, lambda: None)


# A wake-up of a thread costs both sides some 15 µs (they take turns with the interpreter's lock), so a consumer whose
# records come that fast lets several come together: as many as a quarter of the window, so that no lane stands idle
# for it, and for no longer than nobody notices. 20,000 requests to a fast server: 143 -> 105 µs of CPU each. Records
# that come faster than that wake-up come together by themselves, but in ten times as many turns: `sleep(0)` 3.0 -> 2.9
# µs, with a third of the switches. No-ops fill a quarter of the window before a nap is worth it.
A_WAKE_UP = 30e-6  # seconds between two records; of those that come faster none waits for more than half as long
LOOK_EVERY = 32  # waits
BRISK = (2e-6, 500e-6)  # seconds between two records
NAP = (100e-6, 2e-3)  # seconds; the operating system's sleep is no finer


class Handoff(Protocol):
    """Records that are ready, and a consumer that may be waiting for more."""

    ready: deque[Any]
    values: bool
    """Whether it takes values alone, and records only of failures, as `Failed`."""
    waiting: bool
    """Whether the consumer ran dry; set by the consumer, cleared by whoever wakes it."""

    def wake(self) -> None:
        """Let the waiting consumer look again; called on the loop."""

    def together(self, begins: bool) -> None:
        """Take note, on the loop, that several records come now, and then that these were all."""

    def call(self, callback: Callable[[], None]) -> None:
        """Have the driver run `callback` on its loop soon; called by the consumer."""


class LoopHandoff:
    """The consumer is a task on the same loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, values: bool = False) -> None:
        self.ready: deque[Any] = deque()
        self.values: bool = values
        self.waiting: bool = False
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None

    def wake(self) -> None:
        """Wake the consumer's task."""
        self.waiting = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def together(self, begins: bool) -> None:
        """Nothing: the consumer runs when this step of the loop is over."""

    def call(self, callback: Callable[[], None]) -> None:
        """Run `callback` in the loop's next round."""
        self._loop.call_soon(callback)

    async def wait(self) -> None:
        """Wait until `wake`; the caller has seen `ready` empty in this same step."""
        self._waiter = self._loop.create_future()
        self.waiting = True
        try:
            await self._waiter
        finally:
            self.waiting = False
            self._waiter = None


class ThreadHandoff:
    """The consumer is plain code on another thread.

    `waiting` and the look at `ready` are ordered oppositely on the two sides, so a wake-up cannot be lost; one too
    many is harmless, the consumer looks again.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, *, values: bool = False) -> None:
        self.ready: deque[Any] = deque()
        self.values: bool = values
        self.waiting: bool = False
        self._loop = loop
        self._waits = 0  # since the pace was looked at
        self._nap = 0.0
        self._delivered = 0  # when it was
        self._looked = monotonic()
        self._together = self._due = False
        self._gate = threading.Lock()
        self._gate.acquire()

    def together(self, begins: bool) -> None:
        """Wake the consumer after the last of several records: after the first it would fight for the interpreter."""
        self._together = begins
        if self._due and not begins:
            self._due = False
            self.wake()

    def wake(self) -> None:
        """Open the gate."""
        self.waiting = False
        if self._together:
            self._due = True
            return
        try:
            self._gate.release()
        except RuntimeError:
            pass  # open already

    def call(self, callback: Callable[[], None]) -> None:
        """Run `callback` on the engine's loop."""
        self._loop.call_soon_threadsafe(callback)

    def wait(self, ended: Callable[[], bool], window: Window) -> None:
        """Block until something is ready or `ended()`, or for a while; a signal's exception comes out of here."""
        self._waits += 1
        if self._waits >= LOOK_EVERY:
            self._nap = self._pace(window)
        if self._nap and not ended():
            sleep(self._nap)
            if self.ready:
                return
        self.waiting = True
        if not self.ready and not ended():
            self._gate.acquire(timeout=GLANCE)

    def _pace(self, window: Window) -> float:
        """Return how long to let records come together, from how fast the last ones came."""
        now = monotonic()
        count, took = window.delivered - self._delivered, now - self._looked
        self._waits, self._delivered, self._looked = 0, window.delivered, now
        if not BRISK[0] * count <= took <= BRISK[1] * count:
            return 0.0
        each = took / count
        nap = min(each * window.size / 4, NAP[1] if each >= A_WAKE_UP else NAP[1] / 2)
        return nap if nap >= NAP[0] else 0.0
