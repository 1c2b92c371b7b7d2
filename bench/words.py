"""What do small words cost a run that uses them? Whole runs, with the word and without it, turn about, in CPU."""

import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from bench.model import WHILST, Contestant, Job, Sample

TURNS = 9


async def noop(x: int) -> int:
    return x + 1


def run(fn: Callable[[int], Any], inputs: range, **policies: Any) -> float:
    """Return µs of CPU an input."""
    import whilst

    async def main() -> int:
        return sum([value async for value in whilst.map(fn, inputs, concurrency=100, **policies)])

    began = time.process_time()
    total = asyncio.run(main())
    took = (time.process_time() - began) / len(inputs) * 1e6
    assert total == sum(inputs) + len(inputs)
    return took


def asked(inputs: range) -> tuple[float, float]:
    from whilst import current_call

    async def asking(x: int) -> int:
        current_call()
        return x + 1

    return run(noop, inputs), run(asking, inputs)


def shared(inputs: range) -> tuple[float, float]:
    return run(noop, inputs), run(noop, inputs, share=True)


def logged(inputs: range) -> tuple[float, float]:
    """Retries of one input in ten are said at INFO: nobody listens as a rule, against nobody could."""
    import whilst

    def once() -> float:
        failed = set[int]()

        async def failing(
            x: int,
        ) -> int:  # a lambda would be called on a thread, which costs six times as much as all this
            if x % 10 == 0 and x not in failed:
                failed.add(x)
                raise ConnectionResetError
            return x + 1

        return run(failing, inputs, retry=whilst.Retry(3, base=0.0, budget=None, breaker=False))

    with disabled():
        without = once()
    return without, once()


def limited(inputs: range) -> tuple[float, float]:
    """A limit on a step, beside the same step without."""
    import whilst

    free = whilst.Limit(concurrency=1000)
    return run(whilst.step(noop), inputs), run(whilst.step(noop, limit=free), inputs)


def traced(inputs: range) -> tuple[float, float]:
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        return run(noop, inputs), run(noop, inputs, trace=os.path.join(folder, "run.trace"))


@contextmanager
def disabled() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


def _pass(job: Job) -> None:
    """Run nothing: `difference` does."""


CONTESTANTS = (Contestant(WHILST, _pass, needs="whilst", kind="whilst"),)


def difference(turn: Callable[[range], tuple[float, float]]) -> Callable[[Contestant, int], Sample]:
    """Measure by how many µs of CPU an input is dearer with the word: the best of each, as others use the cores too."""

    def measure(contestant: Contestant, n: int) -> Sample:
        inputs = range(n // TURNS)
        turn(inputs)  # which warms up
        turns = [turn(inputs) for _ in range(TURNS)]
        without, using = (min(figures) for figures in zip(*turns, strict=True))
        return Sample(n, max(0.0, using - without), cpu=using)

    return measure
