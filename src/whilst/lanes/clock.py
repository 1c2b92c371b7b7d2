"""Which time does a loop keep? The real one, or the virtual one of `whilst.testing`."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial
from types import BuiltinFunctionType
from typing import Final, Protocol


def _real() -> Callable[[], float]:
    now: Callable[[], float] = time.monotonic
    if not isinstance(now, BuiltinFunctionType):  # loaded while it is frozen
        now = getattr(sys.modules.get("freezegun.api"), "real_monotonic", now)
    return partial(now)


monotonic: Final[Callable[[], float]] = _real()
"""`time.monotonic`, also in a test that has frozen it: freezegun replaces the function wherever a module has it so.
Whoever waits for a moment by a clock that stands still waits for ever."""


class Worker(Protocol):
    """Something that has threads of its own."""

    def at_work(self) -> bool:
        """Whether one of them is doing something whose end the loop will learn of."""
        ...


def clock_of(loop: asyncio.AbstractEventLoop) -> Callable[[], float]:
    """Return what tells the loop's time, on any thread."""
    clock: Callable[[], float] = getattr(loop, "virtual_clock", monotonic)
    return clock


def is_virtual(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether its time is not the real one."""
    return hasattr(loop, "virtual_clock")


def announce(worker: Worker, loop: asyncio.AbstractEventLoop) -> None:
    """Have virtual time stand back while `worker.at_work()`."""
    if (clock := getattr(loop, "virtual_clock", None)) is not None:
        clock.watch(worker)
