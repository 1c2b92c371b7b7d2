"""What do policies cost a call? The same run with and without them, turn about in one process.

A difference of a fifth of a microsecond is lost between processes on a busy machine; the best of several turns is not.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any

from bench.model import WHILST, Contestant, Job, Sample

TURNS = 11
CONCURRENCY = 100
ALL_ON = "whilst, retry= timeout= limit="
TIMEOUT = "whilst, timeout="


def with_policies(make: Callable[[], Mapping[str, Any]]) -> Callable[[Job], None]:
    """Run a job under the policies that `make` makes anew for each run."""

    def run(job: Job) -> None:
        import whilst

        take = job.take
        for value in whilst.map(job.fn, job.inputs, **{"concurrency": job.concurrency, **make()}):
            take(value)

    return run


def limit(**of: Any) -> Any:
    import whilst

    return whilst.Limit(**of)


def contestant(name: str, make: Callable[[], Mapping[str, Any]]) -> Contestant:
    return Contestant(name, with_policies(make), needs="whilst", kind="whilst")


BARE = contestant(WHILST, dict)
CONTESTANTS = (
    BARE,  # what two runs of the same differ by
    contestant(ALL_ON, lambda: {"retry": 3, "timeout": 30.0, "limit": limit(concurrency=CONCURRENCY)}),
    contestant(TIMEOUT, lambda: {"timeout": 30.0}),
    contestant("whilst, retry=", lambda: {"retry": 3}),
    contestant("whilst, limit=", lambda: {"limit": limit(concurrency=CONCURRENCY)}),
    contestant("whilst, limit= with by=", lambda: {"limit": limit(concurrency=CONCURRENCY, by=lambda x: x % 10)}),
    contestant("whilst, limit= with a rate of 10M/s", lambda: {"limit": limit(rate="10000/ms")}),
    contestant("whilst, concurrency=adaptive", lambda: {"concurrency": "adaptive"}),
)


def ratio(fn: Callable[[int], Any]) -> Callable[[Contestant, int], Sample]:
    """Measure how many times a call under a contestant's policies takes what a bare one does."""

    def measure(contestant: Contestant, n: int) -> Sample:
        bare, under = turn_about(contestant, fn, n)
        return Sample(n, under / bare, cpu=under)

    return measure


def above_bare(fn: Callable[[int], Any]) -> Callable[[Contestant, int], Sample]:
    """Measure by how many µs a call takes longer than a bare one."""

    def measure(contestant: Contestant, n: int) -> Sample:
        bare, under = turn_about(contestant, fn, n)
        return Sample(n, max(0.0, under - bare), cpu=under)

    return measure


def turn_about(contestant: Contestant, fn: Callable[[int], Any], n: int) -> tuple[float, float]:
    """Return the best µs a call, bare and under the contestant's policies."""
    inputs = list(range(n // TURNS))
    bare = [timed(BARE, fn, inputs)]  # the first of each warms up
    under = [timed(contestant, fn, inputs)]
    for _ in range(TURNS):
        bare.append(timed(BARE, fn, inputs))
        under.append(timed(contestant, fn, inputs))
    return min(bare[1:]), min(under[1:])


def timed(contestant: Contestant, fn: Callable[[int], Any], inputs: list[int]) -> float:
    count = 0

    def take(_: int) -> None:
        nonlocal count
        count += 1

    started = time.perf_counter()
    contestant.run(Job(fn, inputs, CONCURRENCY, take))
    took = (time.perf_counter() - started) / len(inputs) * 1e6
    assert count == len(inputs), f"{contestant.name}: {count} results for {len(inputs)} inputs"
    return took
