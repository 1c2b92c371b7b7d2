"""Does Stop end a cell that awaits? The kernel of a notebook notes the signal, and its loop sees that when it wakes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MOST = 0.25  # seconds that Stop waits


def stay_awake(loop: asyncio.AbstractEventLoop, over: Callable[[], bool]) -> None:
    """Have a loop wake up now and then until it is over, even if nothing else happens there."""
    if not over():
        loop.call_later(MOST, stay_awake, loop, over)
