"""The engine's own loop, for callers that have none."""

from __future__ import annotations

import asyncio
import threading

from whilst.engine.background import Background


def test_who_stops_it_cancels_what_runs_and_its_thread_ends() -> None:
    background, begun, cancelled = Background(), threading.Event(), threading.Event()

    async def runs() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    future = asyncio.run_coroutine_threadsafe(runs(), background.loop)
    assert begun.wait(20)
    background.stop()
    assert cancelled.is_set()
    assert future.cancelled()
    background.thread.join(20)
    assert not background.thread.is_alive()
