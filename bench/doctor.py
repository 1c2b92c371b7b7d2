"""What does looking cost? The same program with and without the doctor, turn about in one process.

The best of several turns of each counts: what others do on this machine is in the rest.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from bench.model import WHILST, Contestant, Job, Sample

TURNS = 5
DEBUG, AFTER = "asyncio's debug mode", f"{WHILST}, when the block has ended"
WAIT = 0.005


def unused(_: Job) -> None:
    """Nothing is mapped here: what is measured is `program(n)`."""


CONTESTANTS = (
    Contestant(WHILST, unused, needs="whilst", kind="whilst"),
    Contestant(AFTER, unused, needs="whilst", kind="whilst"),
    Contestant(DEBUG, unused, slow=10),
)


async def empty_steps(n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def waits(n: int) -> None:
    """Twenty tasks that wait 5 ms at a time, as requests in flight do."""

    async def task() -> None:
        for _ in range(n // 20):
            await asyncio.sleep(WAIT)

    await asyncio.gather(*[task() for _ in range(20)])


async def many_waits(n: int) -> None:
    """A thousand tasks, each with a few coroutines in one another, of which most wait all the time."""

    async def deep(depth: int) -> None:
        await (deep(depth - 1) if depth else asyncio.sleep(WAIT * 10))

    async def task() -> None:
        for _ in range(max(1, n // 1000)):
            await deep(6)

    await asyncio.gather(*[task() for _ in range(1000)])


def thread_waits(n: int) -> None:
    """Eight threads that wait 5 ms at a time."""

    def work() -> None:
        for _ in range(n // 8):
            time.sleep(WAIT)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def added(
    program: Callable[[int], Coroutine[Any, Any, None] | None], clock: Callable[[], float] = time.perf_counter
) -> Callable[[Contestant, int], Sample]:
    """Measure by how many per cent a program takes longer, by the clock, or in time on a processor over all threads."""

    def measure(contestant: Contestant, n: int) -> Sample:
        share = max(1, n // TURNS)
        bare, under = [], []
        for _ in range(TURNS):
            bare.append(timed(program, share, nullcontext, clock, debug=False))
            if contestant.name == AFTER:
                timed(program, 20, looking, clock, debug=False)
            inside = looking if contestant.name == WHILST else nullcontext
            under.append(timed(program, share, inside, clock, debug=contestant.name == DEBUG))
        return Sample(n, (min(under) / min(bare) - 1) * 100, cpu=min(under) / share * 1e6)

    return measure


def looking() -> AbstractContextManager[object]:
    import whilst

    return whilst.doctor(quiet=True)


def timed(
    program: Callable[[int], Coroutine[Any, Any, None] | None],
    n: int,
    inside: Callable[[], AbstractContextManager[object]],
    clock: Callable[[], float],
    debug: bool,
) -> float:
    """Return the seconds of the program alone, between the doctor's beginning and its verdict."""
    with inside():
        began = clock()
        coroutine = program(n)
        if coroutine is not None:
            asyncio.run(coroutine, debug=debug)
        return clock() - began
