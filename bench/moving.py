"""How soon does a run use the room that `limit.set` gives it, when nothing else would wake it? Blocking and async."""

import asyncio
import threading
import time
from typing import Any

from bench.measuring import no_job
from bench.model import Contestant, Sample

BEFORE, AFTER = 2, 6  # calls in flight
CONTESTANTS = tuple(Contestant(colour, no_job, needs="whilst", kind="whilst") for colour in ("blocking", "async"))


def more_room(contestant: Contestant, n: int) -> Sample:
    """Measure ms from `limit.set(concurrency=6)` until six calls are inside, of which none returns meanwhile."""
    import whilst

    inside, changed, leave = 0, threading.Condition(), threading.Event()

    def enter() -> None:
        nonlocal inside
        with changed:
            inside += 1
            changed.notify_all()

    def blocking(_: int) -> None:
        enter()
        leave.wait()

    async def later(_: int) -> None:
        enter()
        await asyncio.to_thread(leave.wait)

    def wait_for(count: int) -> None:
        with changed:
            changed.wait_for(lambda: inside == count)

    limit = whilst.Limit(concurrency=BEFORE)
    fn: Any = blocking if contestant.name == "blocking" else later
    thread = threading.Thread(target=lambda: whilst.map(fn, range(AFTER), limit=limit).list())
    thread.start()
    wait_for(BEFORE)
    began = time.perf_counter()
    limit.set(concurrency=AFTER)
    wait_for(AFTER)
    took = time.perf_counter() - began
    leave.set()
    thread.join()
    return Sample(n, took * 1000)
