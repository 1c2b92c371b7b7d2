"""An API that allows fifty calls a second and says 429 to more, and 150 names to ask it: with retries alone.

It counts by its own seconds, as many do, and answers after 30 ms; a refusal says in whole seconds when to come back, as
HTTP does. Ideal are two seconds: fifty at once, fifty a second later, fifty another second later.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Any

from bench.contestants import async_job
from bench.model import WHILST, Contestant, Job, Sample

RATE = 50
NAMES = 150
TAKES = 0.030
AT_ONCE = 32
ATTEMPTS = 10
ADAPTIVE = "whilst, concurrency=adaptive"


class Refused(Exception):
    """As the errors of HTTP clients are."""

    def __init__(self, after: int) -> None:
        super().__init__("429 Too Many Requests")
        self.response = Answer(429, {"retry-after": str(after)})


class Answer:
    def __init__(self, status_code: int, headers: dict[str, str]) -> None:
        self.status_code, self.headers = status_code, headers


class Server:
    """Allows `RATE` calls in each second since the first."""

    def __init__(self) -> None:
        self.refused = 0
        self._began = 0.0
        self._second, self._count = 0, 0

    async def ask(self, x: int) -> int:
        self._began = self._began or time.monotonic()
        since = time.monotonic() - self._began
        if int(since) != self._second:
            self._second, self._count = int(since), 0
        self._count += 1
        allowed = self._count <= RATE
        await asyncio.sleep(TAKES)
        if not allowed:
            self.refused += 1
            raise Refused(max(1, ceil(self._second + 1 - since)))
        return x + 1


async def whilst_retry(job: Job, **how: Any) -> None:
    import whilst

    async for value in whilst.map(job.fn, job.inputs, **{"concurrency": job.concurrency, **how}, retry=ATTEMPTS):
        job.take(value)


async def pyarallel_retry(job: Job) -> None:
    import pyarallel

    retry = pyarallel.Retry.for_http(on=(Refused,), attempts=ATTEMPTS)
    values = await pyarallel.async_parallel_map(job.fn, job.inputs, concurrency=job.concurrency, retry=retry)
    for value in values:
        job.take(value)


def by_workers(decorate: Callable[[Any], Callable[[int], Awaitable[int]]]) -> Callable[[Job], None]:
    """Have workers by hand call the decorated function; values are sorted, as these workers know no order."""

    async def main(job: Job) -> None:
        ask, inputs, values = decorate(job.fn), iter(job.inputs), list[int]()

        async def work() -> None:
            for x in inputs:
                values.append(await ask(x))

        await asyncio.gather(*(work() for _ in range(job.concurrency)))
        for value in sorted(values):
            job.take(value)

    return async_job(main)


def with_tenacity(fn: Any) -> Any:
    from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

    wait = wait_random_exponential(multiplier=0.5, max=30)
    return retry(stop=stop_after_attempt(ATTEMPTS), wait=wait, retry=retry_if_exception_type(Refused))(fn)


def with_stamina(fn: Any) -> Any:
    from stamina import retry

    return retry(on=Refused, attempts=ATTEMPTS)(fn)


CONTESTANTS = (
    Contestant(WHILST, async_job(whilst_retry), needs="whilst", kind="whilst"),
    Contestant(
        ADAPTIVE, async_job(lambda job: whilst_retry(job, concurrency="adaptive")), needs="whilst", kind="whilst"
    ),
    Contestant("pyarallel", async_job(pyarallel_retry), needs="pyarallel"),
    Contestant("tenacity", by_workers(with_tenacity), needs="tenacity"),
    Contestant("stamina", by_workers(with_stamina), needs="stamina"),
)


def time_and_refusals(contestant: Contestant, n: int) -> Sample:
    """Measure seconds for all names; `other` is how many calls were refused."""
    server, values = Server(), list[int]()
    began, cpu = time.perf_counter(), time.process_time()
    contestant.run(Job(server.ask, list(range(n)), AT_ONCE, values.append))
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    if values != list(range(1, n + 1)):
        raise RuntimeError(f"{contestant.name}: {len(values)} values for {n} names")
    return Sample(n, took, cpu=cpu / n * 1e6, other=server.refused)
