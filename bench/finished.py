"""What stays of a run that has ended? Batches of large values one after the other, with the garbage collector off."""

import asyncio
import gc

from bench.contestants import async_job
from bench.memory import peak_mib
from bench.model import WHILST, Contestant, Job, Sample

MIB = 1 << 20
CALLS = 20  # in a batch, of a MiB each


async def large(x: int) -> bytearray:
    await asyncio.sleep(0)
    return bytearray(MIB)


async def whilst_batch(job: Job) -> None:
    import whilst

    for value in await whilst.map(job.fn, job.inputs, concurrency=job.concurrency):
        job.take(len(value))


async def gather_batch(job: Job) -> None:
    for value in await asyncio.gather(*(job.fn(x) for x in job.inputs)):
        job.take(len(value))


async def pyarallel_batch(job: Job) -> None:
    import pyarallel

    for value in await pyarallel.async_parallel_map(job.fn, job.inputs, concurrency=job.concurrency):
        job.take(len(value))


CONTESTANTS = (
    Contestant("gather", async_job(gather_batch), kind="floor"),
    Contestant(WHILST, async_job(whilst_batch), needs="whilst", kind="whilst"),
    Contestant("pyarallel", async_job(pyarallel_batch), needs="pyarallel"),
)


def kept(contestant: Contestant, n: int) -> Sample:
    """MiB by which the peak grows from the first batch to the last of n more."""
    sizes: list[int] = []
    gc.disable()
    contestant.run(Job(large, range(CALLS), CALLS, sizes.append))
    first = peak_mib()
    for _ in range(n):
        contestant.run(Job(large, range(CALLS), CALLS, sizes.append))
    grown = peak_mib() - first
    gc.enable()
    assert sizes == [MIB] * CALLS * (n + 1)
    return Sample(n, grown, grown)
