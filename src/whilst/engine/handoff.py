"""How finished records reach the consumer, on the loop's own thread or on another."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from time import sleep
from typing import Protocol

from ..core.outcome import Record
from ..core.window import Window
from ..lanes.clock import monotonic

# Seconds that a waiting consumer lets pass without a look around: a signal that comes between the interpreter's last
# look for signals and the system call that waits would else be handled only when the wait ends.
GLANCE = 0.5

# A wake-up of a thread costs both sides some 15 µs (they take turns with the interpreter's lock), so a consumer whose
# records come that fast lets several come together: as many as a quarter of the window, so that no lane stands idle
# for it, and for no longer than nobody notices. 20,000 requests to a fast server: 143 -> 105 µs of CPU each. Records
# that come faster still come together by themselves.
LOOK_EVERY = 32  # waits
BRISK = (30e-6, 500e-6)  # seconds between two records
NAP = (100e-6, 2e-3)  # seconds; the operating system's sleep is no finer


class Handoff(Protocol):
    """Records that are ready, and a consumer that may be waiting for more."""

    ready: deque[Record]
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

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ready: deque[Record] = deque()
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

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.ready: deque[Record] = deque()
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
        nap = min(took / count * window.size / 4, NAP[1])
        return nap if nap >= NAP[0] else 0.0
