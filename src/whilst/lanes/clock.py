"""Which time does a loop keep? The real one, or the virtual one of `whilst.testing`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Worker(Protocol):
    """Something that has threads of its own."""

    def at_work(self) -> bool:
        """Whether one of them is doing something whose end the loop will learn of."""
        ...


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return what tells the loop's time, on any thread."""
    clock: Callable[[], float] = getattr(loop, "virtual_clock", time.monotonic)
    return clock


def announce(worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
    """Have virtual time stand back while `worker.at_work()`."""
    if (clock := getattr(loop, "virtual_clock", None)) is not None:
        clock.watch(worker)
