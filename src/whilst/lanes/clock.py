"""Which time does a loop keep, the real one or the virtual one of tests; and how long has a thread computed?

On a processor or queued for one: what a thread did not spend so, it waited.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable
from contextvars import Context
from functools import partial
from types import BuiltinFunctionType
from typing import Any, Final, Protocol


def _real() -> partial[float]:
    now: Callable[[], float] = time.monotonic
    if not isinstance(now, BuiltinFunctionType):  # loaded while it is frozen
        now = getattr(sys.modules.get("freezegun.api"), "real_monotonic", now)
    return partial(now)


monotonic: Final[partial[float]] = _real()
"""`time.monotonic`, also in a test that has frozen it: freezegun replaces the function wherever a module has it so.
Whoever waits for a moment by a clock that stands still waits for ever."""


class Worker(Protocol):
    """Something that has threads of its own."""

    def at_work(self) -> bool:
        """Whether one of them is doing something whose end the loop will learn of."""
        ...


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return what tells the loop's time, on any thread."""
    clock: Callable[[], float] = getattr(loop, "virtual_clock", monotonic.func)
    return clock


def is_virtual(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether its time is not the real one."""
    return hasattr(loop, "virtual_clock")


def alone_later(
    loop: asyncio.AbstractEventLoop, delay: float, callback: Callable[..., object], *args: Any
) -> asyncio.TimerHandle:
    """Do as `loop.call_later`, in an empty context.

    A timer that is cancelled stays with its loop until it would have been due, and its context with it: that of the
    call, or of the web handler, in which it was set.
    """
    return loop.call_later(delay, callback, *args, context=Context())


def announce(worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
    """Have virtual time stand back while `worker.at_work()`."""
    if (clock := getattr(loop, "virtual_clock", None)) is not None:
        clock._watch(worker)


def processors() -> int:
    """Return how many processors this process may use."""
    count = getattr(os, "process_cpu_count", None)  # 3.13 on
    if count is not None:
        return count() or 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def used(tid: int, process: int | str = "self") -> tuple[float, float, int] | None:
    """Return seconds that thread `tid` ran, seconds it queued for a processor, and how often it was put on one.

    None where that cannot be known: the thread is gone, or this is not Linux.

    >>> used(0) is None
    True
    """
    try:
        file = os.open(f"/proc/{process}/task/{tid}/schedstat", os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:  # of a file object, each of seven calls would let go of the GIL
            ran, queued, turns = os.read(file, 100).split()
        finally:
            os.close(file)
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
