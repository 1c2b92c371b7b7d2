"""Calls at a rate: hand-written code under a limiter, from a hundred tasks at once.

Each limiter may start what its rate gives in 5 ms at once, as timers are no finer, or one call if that is more.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

from bench.contestants import async_job
from bench.model import WHILST, Contestant, Job, Sample

TASKS = 100
AT_ONCE = 0.005  # seconds' worth of calls
WARM_UP = 10  # calls: what is loaded on first use is not part of the cost
PEERS = ("aiolimiter", "aiometer", "pyrate-limiter")


def contestants(rate: int) -> tuple[Contestant, ...]:
    """Everybody who can call `job.fn` at most `rate` times a second."""
    aiolimiter, aiometer, pyrate = PEERS
    return (
        Contestant(WHILST, async_job(lambda job: whilst_limit(job, rate)), needs="whilst", kind="whilst"),
        Contestant(f"{WHILST}, uvloop", lambda job: on_uvloop(job, rate), needs="uvloop", kind="whilst"),
        Contestant(aiolimiter, async_job(lambda job: aiolimiter_block(job, rate)), needs="aiolimiter"),
        Contestant(aiometer, async_job(lambda job: aiometer_run_each(job, rate)), needs="aiometer"),
        Contestant(pyrate, async_job(lambda job: pyrate_limiter_acquire(job, rate)), needs="pyrate_limiter"),
    )


def cost(contestant: Contestant, n: int) -> Sample:
    """Measure µs of CPU a call: the rest of the time is the waiting that was asked for."""
    started(contestant, WARM_UP)
    began, cpu = time.perf_counter(), time.process_time()
    stamps = started(contestant, n)
    cpu = (time.process_time() - cpu) / n * 1e6
    took = (time.perf_counter() - began) / n * 1e6
    assert len(stamps) == n
    return Sample(n, cpu, cpu=took)


def error(rate: int) -> Callable[[Contestant, int], Sample]:
    """Measure by how many per cent the rate of n calls is off."""

    def measure(contestant: Contestant, n: int) -> Sample:
        stamps = started(contestant, n)
        found = (n - 1) / (stamps[-1] - stamps[0])
        return Sample(n, abs(found / rate - 1) * 100)

    return measure


def started(contestant: Contestant, n: int) -> list[float]:
    """Return when each call started."""
    stamps: list[float] = []

    async def stamp(_: int) -> int:
        stamps.append(time.monotonic())
        return 0

    contestant.run(Job(stamp, range(n), TASKS, lambda _: None))
    return stamps


async def whilst_limit(job: Job, rate: int) -> None:
    import whilst

    await workers(job, whilst.Limit(rate=f"{rate}/s"))


def on_uvloop(job: Job, rate: int) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whilst_limit(job, rate))


async def aiolimiter_block(job: Job, rate: int) -> None:
    from aiolimiter import AsyncLimiter

    at_once = burst(rate)
    await workers(job, AsyncLimiter(at_once, at_once / rate))


async def aiometer_run_each(job: Job, rate: int) -> None:
    import aiometer

    await aiometer.run_on_each(job.fn, list(job.inputs), max_at_once=job.concurrency, max_per_second=rate)


async def pyrate_limiter_acquire(job: Job, rate: int) -> None:
    from pyrate_limiter import Limiter, Rate

    at_once = burst(rate)
    limiter = Limiter(Rate(at_once, round(at_once / rate * 1000)))
    inputs = iter(job.inputs)

    async def work() -> None:
        for x in inputs:
            await limiter.try_acquire_async("call")
            await job.fn(x)

    await side_by_side(work, job)


async def workers(job: Job, limit: AbstractAsyncContextManager[Any]) -> None:
    inputs: Iterator[int] = iter(job.inputs)

    async def work() -> None:
        for x in inputs:
            async with limit:
                await job.fn(x)

    await side_by_side(work, job)


async def side_by_side(work: Callable[[], Coroutine[Any, Any, None]], job: Job) -> None:
    await asyncio.gather(*(work() for _ in range(job.concurrency)))


def burst(rate: int) -> int:
    return max(1, int(rate * AT_ONCE))
