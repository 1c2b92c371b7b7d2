"""How long has a thread computed? On a processor or queued for one: what it did not spend so, it waited."""

from __future__ import annotations

import os
import threading
import time


def used(tid: int) -> tuple[float, float, int] | None:
    """Return seconds that thread `tid` ran, seconds it queued for a processor, and how often it was put on one.

    None where that cannot be known: the thread is gone, or this is not Linux.

    >>> used(0) is None
    True
    """
    try:
        with open(f"/proc/self/task/{tid}/schedstat", "rb") as file:
            ran, queued, turns = file.read().split()
    except (OSError, ValueError):
        return None
    return int(ran) / 1e9, int(queued) / 1e9, int(turns)


def busy(tid: int, ident: int) -> float:
    """Return seconds that a thread ran or wanted to; where only the running is known, that."""
    if (seconds := used(tid)) is not None:
        return seconds[0] + seconds[1]
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(ident))
    except (OSError, AttributeError):
        return 0.0


class Threads:
    """Which system thread is which Python thread; a look at all of them only when a new one shows up."""

    def __init__(self) -> None:
        self._tids: dict[int, int] = {}

    def used(self, ident: int) -> tuple[float, float, int] | None:
        """Return what `used` does for a Python thread; its number may be that of one which has ended since."""
        for fresh in (False, True):
            if (tid := self._tid(ident, fresh)) and (seconds := used(tid)) is not None:
                return seconds
        return None

    def _tid(self, ident: int, fresh: bool) -> int:
        if fresh or ident not in self._tids:
            self._tids = {each.ident: each.native_id or 0 for each in threading.enumerate() if each.ident is not None}
            if (main := threading.main_thread().ident) is not None:
                self._tids[main] = os.getpid()  # after a fork, the thread's own number is that of the parent's
            self._tids.setdefault(ident, 0)
        return self._tids[ident]
