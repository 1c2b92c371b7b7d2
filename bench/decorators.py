"""What does a decorator for retries cost a call that goes well? Turn about with the function itself, in one process."""

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any

from bench.model import WHILST, Contestant, Job, Sample

TURNS = 11


def whilst_retry(fn: Any) -> Any:
    import whilst

    return whilst.Retry(attempts=5)(fn)


def tenacity_retry(fn: Any) -> Any:
    from tenacity import retry, stop_after_attempt, wait_random_exponential

    return retry(stop=stop_after_attempt(5), wait=wait_random_exponential(multiplier=0.1, max=30))(fn)


def stamina_retry(fn: Any) -> Any:
    from stamina import retry

    return retry(on=OSError, attempts=5)(fn)


def calling(decorate: Callable[[Any], Any]) -> Callable[[Job], None]:
    """Decorate the function of a job, of either colour, and call it on every input, one after the other."""

    def run(job: Job) -> None:
        fn, take = decorate(job.fn), job.take
        if not inspect.iscoroutinefunction(job.fn):
            for x in job.inputs:
                take(fn(x))
            return

        async def main() -> None:
            for x in job.inputs:
                take(await fn(x))

        asyncio.run(main())

    return run


BARE = Contestant("the function itself", calling(lambda fn: fn))
CONTESTANTS = (
    Contestant(WHILST, calling(whilst_retry), needs="whilst", kind="whilst"),
    BARE,  # what two turns of the same differ by
    Contestant("tenacity", calling(tenacity_retry), needs="tenacity", slow=10),
    Contestant("stamina", calling(stamina_retry), needs="stamina", slow=10),
)


def above_bare(fn: Callable[[int], Any]) -> Callable[[Contestant, int], Sample]:
    """Measure by how many µs a call of the decorated function takes longer."""

    def measure(contestant: Contestant, n: int) -> Sample:
        inputs = list(range(n // TURNS))
        bare, under = [timed(BARE, fn, inputs)], [timed(contestant, fn, inputs)]  # the first of each warms up
        for _ in range(TURNS):
            bare.append(timed(BARE, fn, inputs))
            under.append(timed(contestant, fn, inputs))
        best = min(under[1:])
        return Sample(n, max(0.0, best - min(bare[1:])), cpu=best)

    return measure


def timed(contestant: Contestant, fn: Callable[[int], Any], inputs: list[int]) -> float:
    values: list[int] = []
    started = time.perf_counter()
    contestant.run(Job(fn, inputs, 1, values.append))
    took = (time.perf_counter() - started) / len(inputs) * 1e6
    assert values == [x + 1 for x in inputs], f"{contestant.name}: wrong results"
    return took
