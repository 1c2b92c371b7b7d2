"""How each contestant does the same job: whilst, its peers, and what one would write by hand.

Peers are imported inside their function: a child process loads the one it measures and no other.
"""

import asyncio
import functools
import threading
from collections.abc import AsyncIterable, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.model import WHILST, Contestant, Job


def async_job(main: Callable[[Job], Coroutine[Any, Any, None]]) -> Callable[[Job], None]:
    """Run an async contestant from plain code; its loop's start and end are part of its time."""

    def run(job: Job) -> None:
        asyncio.run(main(job))

    return run


async def take_all(values: AsyncIterable[int], job: Job) -> None:
    take = job.take
    async for value in values:
        take(value)


# whilst: the same three for async and for blocking functions


def whilst_for(job: Job) -> None:
    import whilst

    take = job.take
    for value in whilst.map(job.fn, job.inputs, concurrency=job.concurrency):
        take(value)


async def whilst_async_for(job: Job) -> None:
    import whilst

    await take_all(whilst.map(job.fn, job.inputs, concurrency=job.concurrency), job)


def whilst_unordered(job: Job) -> None:
    import whilst

    take = job.take
    for value in whilst.map(job.fn, job.inputs, concurrency=job.concurrency, ordered=False):
        take(value)


# Floors: the least code that does the work, without order, failures, backpressure or clean-up


async def bare_workers(job: Job) -> None:
    inputs, fn, take = iter(job.inputs), job.fn, job.take

    async def work() -> None:
        for x in inputs:
            take(await fn(x))

    await asyncio.gather(*(work() for _ in range(job.concurrency)))


def bare_threads(job: Job) -> None:
    inputs, fn, take = iter(job.inputs), job.fn, job.take  # the iterator of a list may be shared

    def work() -> None:
        for x in inputs:
            take(fn(x))

    threads = [threading.Thread(target=work) for _ in range(job.concurrency)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# Peers that call async functions


async def gather_semaphore(job: Job) -> None:
    semaphore = asyncio.Semaphore(job.concurrency)

    async def one(x: int) -> int:
        async with semaphore:
            value: int = await job.fn(x)
            return value

    for value in await asyncio.gather(*(one(x) for x in job.inputs)):
        job.take(value)


async def anyio_amap(job: Job) -> None:
    """Call amap, which starts everything at once, under a limiter."""
    import anyio

    limiter = anyio.CapacityLimiter(job.concurrency)

    async def one(x: int) -> int:
        async with limiter:
            value: int = await job.fn(x)
            return value

    for value in await anyio.amap(one, job.inputs):
        job.take(value)


async def pyarallel_async(job: Job) -> None:
    import pyarallel

    async for result in pyarallel.async_parallel_iter(job.fn, job.inputs, concurrency=job.concurrency, ordered=True):
        job.take(result.value or 0)


async def aiometer_run_all(job: Job) -> None:
    import aiometer

    calls = [functools.partial(job.fn, x) for x in job.inputs]
    for value in await aiometer.run_all(calls, max_at_once=job.concurrency):
        job.take(value)


async def aiostream_map(job: Job) -> None:
    from aiostream import stream

    fn: Any = job.fn  # its type wants a function of any number of inputs
    values = stream.map(stream.iterate(job.inputs), fn, task_limit=job.concurrency)
    async with values.stream() as streamer:
        await take_all(streamer, job)


def streamable_map(job: Job) -> None:
    from streamable import stream

    take = job.take
    for value in stream(job.inputs).map(job.fn, concurrency=job.concurrency):
        take(value)


async def streamable_async(job: Job) -> None:
    from streamable import stream

    await take_all(stream(job.inputs).map(job.fn, concurrency=job.concurrency), job)


# Peers that call blocking functions


def executor_map(job: Job) -> None:
    with ThreadPoolExecutor(job.concurrency) as pool:
        for value in pool.map(job.fn, job.inputs):
            job.take(value)


async def to_thread_gather(job: Job) -> None:
    for value in await asyncio.gather(*(asyncio.to_thread(job.fn, x) for x in job.inputs)):
        job.take(value)


async def run_in_executor_gather(job: Job) -> None:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(job.concurrency) as pool:
        for value in await asyncio.gather(*(loop.run_in_executor(pool, job.fn, x) for x in job.inputs)):
            job.take(value)


def pyarallel_threads(job: Job) -> None:
    import pyarallel

    for result in pyarallel.parallel_iter(job.fn, job.inputs, workers=job.concurrency, ordered=True):
        job.take(result.value or 0)


async def anyio_threads(job: Job) -> None:
    import anyio
    import anyio.to_thread

    limiter = anyio.CapacityLimiter(job.concurrency)
    values: dict[int, int] = {}

    async def one(index: int, x: int) -> None:
        values[index] = await anyio.to_thread.run_sync(job.fn, x, limiter=limiter)

    async with anyio.create_task_group() as group:
        for index, x in enumerate(job.inputs):
            group.start_soon(one, index, x)
    for index in range(len(values)):
        job.take(values[index])


def joblib_threading(job: Job) -> None:
    from joblib import Parallel, delayed

    parallel = Parallel(n_jobs=job.concurrency, backend="threading", return_as="generator")
    for value in parallel(delayed(job.fn)(x) for x in job.inputs):
        job.take(value)


OURS = (
    Contestant(WHILST, whilst_for, needs="whilst", kind="whilst"),
    Contestant("whilst, async for", async_job(whilst_async_for), needs="whilst", kind="whilst"),
    Contestant("whilst, ordered=False", whilst_unordered, needs="whilst", kind="whilst", ordered=False),
)
ASYNC = (
    Contestant("workers by hand", async_job(bare_workers), kind="floor", ordered=False),
    *OURS,
    Contestant("streamable", streamable_map, needs="streamable", slow=4),
    Contestant("streamable, async for", async_job(streamable_async), needs="streamable"),
    Contestant("gather + semaphore", async_job(gather_semaphore)),
    Contestant("pyarallel", async_job(pyarallel_async), needs="pyarallel", slow=4),
    Contestant("anyio.amap + limiter", async_job(anyio_amap), needs="anyio", slow=10),
    Contestant("aiometer", async_job(aiometer_run_all), needs="aiometer", slow=10),
    Contestant("aiostream", async_job(aiostream_map), needs="aiostream", slow=20),
)
THREADS = (
    Contestant("threads by hand", bare_threads, kind="floor", ordered=False),
    *OURS,
    Contestant("ThreadPoolExecutor.map", executor_map),
    Contestant("streamable", streamable_map, needs="streamable", slow=2),
    Contestant("pyarallel", pyarallel_threads, needs="pyarallel", slow=2),
    Contestant("joblib, threading", joblib_threading, needs="joblib", slow=5),
    Contestant("run_in_executor + gather", async_job(run_in_executor_gather), slow=5),
    Contestant("anyio.to_thread", async_job(anyio_threads), needs="anyio", slow=10),
    Contestant("to_thread + gather", async_job(to_thread_gather), slow=20),
)
