"""How finished records reach the consumer, on the loop's own thread or on another."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ..core.outcome import Record

# Seconds that a waiting consumer lets pass without a look around: a signal that comes between the interpreter's last
# look for signals and the system call that waits would else be handled only when the wait ends.
GLANCE = 0.5


class Handoff(Protocol):
    """Records that are ready, and a consumer that may be waiting for more."""

    ready: deque[Record]
    waiting: bool
    """Whether the consumer ran dry; set by the consumer, cleared by whoever wakes it."""

    def wake(self) -> None:
        """Let the waiting consumer look again; called on the loop."""

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
        self._gate = threading.Lock()
        self._gate.acquire()

    def wake(self) -> None:
        """Open the gate."""
        self.waiting = False
        try:
            self._gate.release()
        except RuntimeError:
            pass  # open already

    def call(self, callback: Callable[[], None]) -> None:
        """Run `callback` on the engine's loop."""
        self._loop.call_soon_threadsafe(callback)

    def wait(self, ended: Callable[[], bool]) -> None:
        """Block until something is ready or `ended()`, or for a while; a signal's exception comes out of here."""
        self.waiting = True
        if not self.ready and not ended():
            self._gate.acquire(timeout=GLANCE)
