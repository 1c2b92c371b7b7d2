"""How each contestant runs nested calls, stages and single blocking calls from async code.

The work is the same for all: nine no-op leaves in a tree of depth 5, three stages, a thousand calls at once. What
peers there are for flows is little: nesting is what one writes by hand, stages are two libraries' own subject.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.contestants import async_job, take_all
from bench.model import WHILST, Contestant, Job

LEAVES = 9  # calls that the tree makes for one input
AT_ONCE = 1000  # calls from async code in flight at once
STAGE = 100  # concurrency of each stage
PAUSE = 0.010


# The leaves -----------------------------------------------------------------------------------------------------


async def same(x: int) -> int:
    return x


async def add_one(x: int) -> int:
    return x + 1


async def first_of(values: tuple[int, ...]) -> int:
    return values[0]


async def pause(x: int) -> int:
    await asyncio.sleep(PAUSE)
    return x


def blocking_same(x: int) -> int:
    return x


def blocking_add_one(x: int) -> int:
    return x + 1


# Nine leaves in a tree of depth 5: two joins, and the sequences around them -------------------------------------


def tree(fn: Callable[[int], Any] = same, last: Callable[[int], Any] = add_one) -> Any:
    from whilst import sequence, together

    innermost = sequence(fn, fn)
    inner = sequence(fn, together(innermost, fn), first_of)
    return sequence(fn, together(inner, fn), first_of, last)


def whilst_tree(job: Job) -> None:
    import whilst

    take = job.take
    for value in whilst.map(tree(), job.inputs, concurrency=job.concurrency):
        take(value)


async def tree_by_task_groups(x: int) -> int:
    """Write what the tree says."""
    x = await same(x)
    async with asyncio.TaskGroup() as group:
        left, right = group.create_task(inner_by_task_groups(x)), group.create_task(same(x))
    return await add_one(await first_of((left.result(), right.result())))


async def inner_by_task_groups(x: int) -> int:
    x = await same(x)
    async with asyncio.TaskGroup() as group:
        left, right = group.create_task(innermost_by_hand(x)), group.create_task(same(x))
    return await first_of((left.result(), right.result()))


async def tree_by_gather(x: int) -> int:
    x = await same(x)
    return await add_one(await first_of(tuple(await asyncio.gather(inner_by_gather(x), same(x)))))


async def inner_by_gather(x: int) -> int:
    x = await same(x)
    return await first_of(tuple(await asyncio.gather(innermost_by_hand(x), same(x))))


async def innermost_by_hand(x: int) -> int:
    return await same(await same(x))


def over_inputs(call: Callable[[int], Awaitable[int]]) -> Callable[[Job], None]:
    """Map by hand: workers that share the inputs, without order, failures or backpressure."""

    async def main(job: Job) -> None:
        inputs, take = iter(job.inputs), job.take

        async def work() -> None:
            for x in inputs:
                take(await call(x))

        await asyncio.gather(*(work() for _ in range(job.concurrency)))

    return async_job(main)


# One flow, called from plain code -------------------------------------------------------------------------------


def whilst_flow_call(job: Job) -> None:
    flow = tree()
    for x in job.inputs:
        job.take(flow(x))


def whilst_blocking_flow_call(job: Job) -> None:
    flow = tree(blocking_same, blocking_add_one)
    for x in job.inputs:
        job.take(flow(x))


def asyncio_run_call(job: Job) -> None:
    for x in job.inputs:
        job.take(asyncio.run(tree_by_task_groups(x)))


def threadsafe_call(job: Job) -> None:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    for x in job.inputs:
        job.take(asyncio.run_coroutine_threadsafe(tree_by_task_groups(x), loop).result())
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


# Three stages -----------------------------------------------------------------------------------------------------


def whilst_stages(job: Job) -> None:
    from whilst import each, sequence

    stages = [each(fn, concurrency=STAGE) for fn in (pause, pause, job.fn)]
    for value in sequence(iter, *stages).stream(job.inputs):
        job.take(value)


def whilst_one_stage(job: Job) -> None:
    from whilst import each, sequence

    for value in sequence(iter, each(job.fn, concurrency=STAGE)).stream(job.inputs):  # type: ignore[arg-type]
        job.take(value)


def streamable_stages(job: Job) -> None:
    from streamable import stream

    take, fn = job.take, job.fn
    stages = stream(job.inputs).map(pause, concurrency=STAGE).map(pause, concurrency=STAGE).map(fn, concurrency=STAGE)
    for value in stages:
        take(value)


async def streamable_stages_async(job: Job) -> None:
    from streamable import stream

    stages = stream(job.inputs).map(pause, concurrency=STAGE).map(pause, concurrency=STAGE)
    await take_all(stages.map(job.fn, concurrency=STAGE), job)


async def aiostream_stages(job: Job) -> None:
    from aiostream import stream

    source: Any = stream.iterate(job.inputs)
    for fn in (pause, pause, job.fn):
        source = stream.map(source, fn, task_limit=STAGE)
    async with source.stream() as streamer:
        await take_all(streamer, job)


async def queues_by_hand(job: Job) -> None:
    """Three rows of workers with a queue before each, without order, failures or an early end."""
    queues: list[asyncio.Queue[int | None]] = [asyncio.Queue(2 * STAGE) for _ in range(3)]

    async def work(place: int, fn: Callable[[int], Awaitable[int]]) -> None:
        while (x := await queues[place].get()) is not None:
            value = await fn(x)
            if place == 2:
                job.take(value)
            else:
                await queues[place + 1].put(value)

    async with asyncio.TaskGroup() as group:
        rows = [
            [group.create_task(work(place, fn)) for _ in range(STAGE)]
            for place, fn in enumerate((pause, pause, job.fn))
        ]
        for x in job.inputs:
            await queues[0].put(x)
        for queue, row in zip(queues, rows, strict=True):
            for _ in row:
                await queue.put(None)
            await asyncio.wait(row)


# A blocking function, awaited a thousand times at once -------------------------------------------------------------


def awaited(way: Callable[[Callable[[int], int]], Callable[[int], Awaitable[int]]]) -> Callable[[Job], None]:
    """Have `AT_ONCE` tasks await calls of the blocking function made async; a task a call would cost too."""

    async def main(job: Job) -> None:
        call, inputs, take = way(job.fn), iter(job.inputs), job.take

        async def work() -> None:
            for x in inputs:
                take(await call(x))

        await asyncio.gather(*(work() for _ in range(AT_ONCE)))

    return async_job(main)


def by_unblock(fn: Callable[[int], int]) -> Callable[[int], Awaitable[int]]:
    import whilst

    return whilst.unblock(fn)


def by_to_thread(fn: Callable[[int], int]) -> Callable[[int], Awaitable[int]]:
    return lambda x: asyncio.to_thread(fn, x)


def by_anyio(fn: Callable[[int], int]) -> Callable[[int], Awaitable[int]]:
    import anyio.to_thread

    return lambda x: anyio.to_thread.run_sync(fn, x)


def by_executor(fn: Callable[[int], int]) -> Callable[[int], Awaitable[int]]:
    loop, pool = asyncio.get_running_loop(), ThreadPoolExecutor(32)
    return lambda x: loop.run_in_executor(pool, fn, x)


TREE = (
    Contestant("TaskGroups by hand", over_inputs(tree_by_task_groups), kind="floor", ordered=False),
    Contestant("gather by hand", over_inputs(tree_by_gather), kind="floor", ordered=False),
    Contestant(WHILST, whilst_tree, needs="whilst", kind="whilst"),
)
FLOW_CALL = (
    Contestant("a loop on a thread by hand", threadsafe_call, kind="floor"),
    Contestant("asyncio.run by hand", asyncio_run_call, kind="floor"),
    Contestant(WHILST, whilst_flow_call, needs="whilst", kind="whilst"),
    Contestant("whilst, blocking leaves", whilst_blocking_flow_call, needs="whilst", kind="whilst"),
)
ONE_STAGE = "whilst, one stage alone"
STAGES = (
    Contestant("queues by hand", async_job(queues_by_hand), kind="floor", ordered=False),
    Contestant(ONE_STAGE, whilst_one_stage, needs="whilst", kind="whilst"),
    Contestant(WHILST, whilst_stages, needs="whilst", kind="whilst"),
    Contestant("streamable", streamable_stages, needs="streamable"),
    Contestant("streamable, async for", async_job(streamable_stages_async), needs="streamable"),
    Contestant("aiostream", async_job(aiostream_stages), needs="aiostream", slow=5),
)
TO_THREAD = "asyncio.to_thread"
UNBLOCK = (
    Contestant(WHILST, awaited(by_unblock), needs="whilst", kind="whilst", ordered=False),
    Contestant("run_in_executor, 32 threads", awaited(by_executor), ordered=False),
    Contestant("anyio.to_thread", awaited(by_anyio), needs="anyio", ordered=False, slow=4),
    Contestant(TO_THREAD, awaited(by_to_thread), ordered=False, slow=2),
)
