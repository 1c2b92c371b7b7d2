"""What does a call cost under a limit that holds for each key by itself? So many keys, in turn."""

from collections.abc import Callable

from bench.measuring import calls
from bench.model import Contestant, Job, Sample

COUNTS = (1, 1_000, 1_100, 10_000, 100_000)
AT_ONCE = 100


def contestant(keys: int) -> Contestant:
    return Contestant(named(keys), under_limit(keys), needs="whilst", kind="whilst")


def named(keys: int) -> str:
    return f"{keys:,} key{'s' if keys > 1 else ''}"


def under_limit(keys: int) -> Callable[[Job], None]:
    def run(job: Job) -> None:
        import whilst

        take, limit = job.take, whilst.Limit(concurrency=AT_ONCE, by=lambda x: x % keys)
        for value in whilst.map(job.fn, job.inputs, concurrency=job.concurrency, limit=limit):
            take(value)

    return run


async def noop(x: int) -> int:
    return x + 1


def cost(contestant: Contestant, n: int) -> Sample:
    """Measure µs of CPU a call."""
    sample = calls(noop, AT_ONCE, "µs", n)(contestant, n)
    return Sample(n, sample.cpu, sample.mib, sample.cpu)


CONTESTANTS = tuple(contestant(keys) for keys in COUNTS)
