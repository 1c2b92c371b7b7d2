"""Worker processes beside other pools: no-ops in batches, singly and in turn, calls of 1 ms of CPU, and the start."""

import asyncio
import itertools
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Literal

from bench.model import WHILST, Contestant, Job, Sample

WORKERS = 2
CPU = 0.001
KILLED_AFTER = 0.3  # seconds
BEST = 500  # inputs in a chunk: more gains nothing
SPAWN = multiprocessing.get_context("spawn")  # as whilst starts its own: fork beside threads is out

BARE = "whilst, on the loop"
ALONE = "a plain loop"
CHUNK_OF_1 = "ProcessPoolExecutor, chunksize 1"
BEST_CHUNK = f"ProcessPoolExecutor, chunksize {BEST}"
SUBMIT = "ProcessPoolExecutor.submit"
BEST_OF_COMPUTING = "ProcessPoolExecutor, chunksize 10"


def noop(x: int) -> int:
    return x + 1


async def async_noop(x: int) -> int:
    return x + 1


def compute(x: int) -> int:
    ends = time.thread_time() + CPU
    while time.thread_time() < ends:
        pass
    return x + 1


def met(x: int) -> int:
    """Take long enough for the other worker to come."""
    time.sleep(0.05)
    return x + 1


# The contestants


def whilst_process(job: Job) -> None:
    import whilst

    for value in whilst.map(job.fn, job.inputs, executor="process", concurrency=WORKERS):
        job.take(value)


def whilst_on_the_loop(job: Job) -> None:
    import whilst

    for value in whilst.map(async_noop, job.inputs, concurrency=100):
        job.take(value)


def plain_loop(job: Job) -> None:
    for x in job.inputs:
        job.take(job.fn(x))


def executor_of_chunks(size: int) -> Callable[[Job], None]:
    def run(job: Job) -> None:
        with ProcessPoolExecutor(WORKERS, mp_context=SPAWN) as pool:
            for value in pool.map(job.fn, job.inputs, chunksize=size):
                job.take(value)

    return run


def pool_of_chunks(size: int) -> Callable[[Job], None]:
    def run(job: Job) -> None:
        with SPAWN.Pool(WORKERS) as pool:
            for value in pool.imap(job.fn, job.inputs, chunksize=size):
                job.take(value)

    return run


def loky(job: Job) -> None:
    from joblib import Parallel, delayed
    from joblib.externals.loky import get_reusable_executor

    for value in Parallel(n_jobs=WORKERS, return_as="generator")(delayed(job.fn)(x) for x in job.inputs):
        job.take(value)
    get_reusable_executor().shutdown()


IN_BATCHES = (
    Contestant(WHILST, whilst_process, needs="whilst", kind="whilst"),
    Contestant(BARE, whilst_on_the_loop, needs="whilst", kind="floor"),
    Contestant(BEST_CHUNK, executor_of_chunks(BEST)),
    Contestant(CHUNK_OF_1, executor_of_chunks(1), slow=10),
    Contestant(f"multiprocessing.Pool.imap, chunksize {BEST}", pool_of_chunks(BEST)),
    Contestant("multiprocessing.Pool.imap, chunksize 1", pool_of_chunks(1), slow=10),
    Contestant("joblib, loky", loky, needs="joblib", slow=10),
)
COMPUTING = (
    Contestant(WHILST, whilst_process, needs="whilst", kind="whilst"),
    Contestant(ALONE, plain_loop, kind="floor"),
    Contestant(BEST_OF_COMPUTING, executor_of_chunks(10)),
    Contestant(CHUNK_OF_1, executor_of_chunks(1)),
    Contestant("multiprocessing.Pool.imap, chunksize 1", pool_of_chunks(1)),
    Contestant("joblib, loky", loky, needs="joblib"),
)


# Singly: each input travels in a batch of its own


def whilst_singly(job: Job) -> None:
    from whilst.remote import batch

    batch.MOST = 1  # type: ignore[misc]
    whilst_process(job)


SINGLY = (
    Contestant(WHILST, whilst_singly, needs="whilst", kind="whilst"),
    *(each for each in IN_BATCHES if each.name == BARE or each.name.endswith(" 1")),
)


# In turn: the next input is there when the last one has its value


def whilst_in_turn(job: Job) -> None:
    asyncio.run(_in_turn(job.fn, job, "process"))


def whilst_in_turn_on_the_loop(job: Job) -> None:
    asyncio.run(_in_turn(async_noop, job, "auto"))


async def _in_turn(fn: Callable[[int], Any], job: Job, executor: Literal["process", "auto"]) -> None:
    import whilst

    turn, taken = asyncio.Event(), 0

    async def inputs() -> AsyncIterator[int]:
        for place, x in enumerate(job.inputs):
            while taken < place:
                turn.clear()
                await turn.wait()
            yield x

    async for value in whilst.map(fn, inputs(), executor=executor, concurrency=1):
        job.take(value)
        taken += 1
        turn.set()


def submit_and_wait(job: Job) -> None:
    with ProcessPoolExecutor(1, mp_context=SPAWN) as pool:
        for x in job.inputs:
            job.take(pool.submit(job.fn, x).result())


def pool_apply(job: Job) -> None:
    with SPAWN.Pool(1) as pool:
        for x in job.inputs:
            job.take(pool.apply(job.fn, (x,)))


IN_TURN = (
    Contestant(WHILST, whilst_in_turn, needs="whilst", kind="whilst"),
    Contestant(BARE, whilst_in_turn_on_the_loop, needs="whilst", kind="floor"),
    Contestant(SUBMIT, submit_and_wait),
    Contestant("multiprocessing.Pool.apply", pool_apply),
)


# Measuring


def start(contestant: Contestant, n: int) -> Sample:
    """Milliseconds from nothing to two workers that have answered, less the 50 ms that their calls take."""
    taken: list[int] = []
    inputs = list(range(WORKERS))
    plain_loop(Job(noop, inputs, 1, taken.append))
    began = time.perf_counter()
    contestant.run(Job(met, inputs, WORKERS, taken.append))
    took = time.perf_counter() - began
    assert taken == list(itertools.chain(*[range(1, WORKERS + 1)] * 2))
    return Sample(n, (took - 0.05) * 1000)


def spin(seconds: float) -> None:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        pass


def late(contestant: Contestant, n: int) -> Sample:
    """Measure by how many ms the outcome of a call comes after its timeout, in a worker that must be killed for it."""
    import whilst

    (outcome,) = whilst.map(spin, [30.0], executor="process", timeout=KILLED_AFTER).outcomes()
    assert isinstance(outcome.error, TimeoutError)
    return Sample(n, (outcome.took - KILLED_AFTER) * 1000)


KILLING = (Contestant(WHILST, whilst_process, needs="whilst", kind="whilst"),)
STARTING = tuple(each for each in IN_BATCHES if each.name in (WHILST, CHUNK_OF_1, "joblib, loky"))
