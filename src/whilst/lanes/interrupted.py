"""How does Ctrl-C come out where plain code starts a thread, or waits for another one? As what it is.

`threading` waits in a condition, which a KeyboardInterrupt between two of its instructions leaves with "release
unlocked lock" instead. A lock by itself can be interrupted anywhere.
"""

from __future__ import annotations

import threading
from math import inf
from typing import Final

from .clock import monotonic

# Seconds that a wait lets pass without a look around: a signal that comes between the interpreter's last look for
# signals and the system call that waits would else be handled only when the wait ends.
GLANCE: Final = 0.5


def start(thread: threading.Thread) -> None:
    """Start a thread, which waits until it runs; raises what `Thread.start` does."""
    try:
        thread.start()
    except RuntimeError as error:
        raise_interrupt(error)
        raise


def raise_interrupt(error: RuntimeError) -> None:
    """Raise the KeyboardInterrupt that stands behind an error of `threading`, if one does."""
    if isinstance(interrupt := error.__context__, KeyboardInterrupt):
        raise interrupt from None


class Latch:
    """Waits until something is so, which it stays; any thread may say it, and any number of threads wait."""

    def __init__(self) -> None:
        self.is_open: bool = False
        """Whether it is so."""
        self._lock = threading.Lock()
        self._lock.acquire()

    def open(self) -> None:
        """Say that it is so; who says it again, on the same thread, changes nothing."""
        if not self.is_open:
            self.is_open = True
            self._lock.release()

    def wait(self, timeout: float = inf) -> bool:
        """Wait, no longer than so many seconds; return whether it is so."""
        until = monotonic() + timeout
        while not self.is_open and (left := until - monotonic()) > 0.0:
            if self._lock.acquire(timeout=min(left, GLANCE)):
                self._lock.release()
        return self.is_open
