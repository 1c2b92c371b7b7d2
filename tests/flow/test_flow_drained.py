"""A flow that is told to start nothing new: what waits for its first call is not in flight, and is given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import whilst
from whilst import testing

Made = list[tuple[str, int]]


def called(name: str, made: Made) -> Callable[[int], Any]:
    async def call(x: int) -> int:
        made.append((name, x))
        await asyncio.sleep(0.01)
        return x

    return call


async def drained(flow: Any, made: Made, **policies: Any) -> tuple[list[int], float, whilst.Summary]:
    """Map the flow over a hundred inputs, drain after 0.7 s; return the values, when it was over, and the summary."""
    loop = asyncio.get_running_loop()
    run = whilst.map(flow, range(100), concurrency=10, **policies)
    began = loop.time()
    loop.call_later(0.7, run.drain)
    values = [value async for value in run]
    return values, loop.time() - began, run.summary()


@pytest.mark.parametrize("shape", ["map", "step", "sequence", "nested", "timeout"])
def test_inputs_that_wait_for_their_first_call_are_given_back(shape: str) -> None:
    made: Made = []
    limit = whilst.Limit(rate="2/s")
    first, then = called("first", made), called("then", made)
    step = whilst.step(first, limit=limit)
    flow: Any = {
        "map": first,
        "step": step,
        "sequence": whilst.sequence(step, then),
        "nested": whilst.sequence(whilst.sequence(step, then), then),
        "timeout": whilst.step(whilst.sequence(step, then), timeout=60),
    }[shape]
    values, took, summary = testing.run(drained(flow, made, **({"limit": limit} if shape == "map" else {})))
    assert values == [0, 1]  # two calls were let through: at once, and after half a second
    assert [x for name, x in made if name == "first"] == [0, 1]
    assert took == pytest.approx(0.7, abs=0.05)
    assert (summary.ok, summary.failed, summary.in_flight) == (2, 0, 0)


def test_what_has_had_its_first_call_flows_through_to_the_end() -> None:
    made: Made = []
    flow = whilst.sequence(called("first", made), whilst.step(called("then", made), limit=whilst.Limit(rate="20/s")))
    values, took, _ = testing.run(drained(flow, made))
    begun = [x for name, x in made if name == "first"]
    assert values == sorted(begun) == sorted(x for name, x in made if name == "then")
    assert took > 0.75  # those that had waited for the second step were not given up


def test_a_part_that_is_tried_again_has_had_its_first_call() -> None:
    made: Made = []
    failed: set[int] = set()

    async def fails_once(x: int) -> int:
        made.append(("then", x))
        if x not in failed:
            failed.add(x)
            raise ConnectionError("once")
        return x

    part = whilst.sequence(whilst.step(called("first", made), limit=whilst.Limit(rate="2/s")), fails_once)
    flow = whilst.step(part, retry=whilst.Retry(2, base=0.1, budget=None, breaker=False))
    values, _, _ = testing.run(drained(flow, made))
    assert set(values) >= {0, 1}  # their second attempt waits at the limit, when the run is drained


def test_a_stage_gives_back_items_that_wait_for_its_first_call() -> None:
    made: Made = []
    step = whilst.step(called("first", made), limit=whilst.Limit(rate="2/s"))
    flow = whilst.sequence(range, whilst.each(step, concurrency=10), whilst.each(called("then", made)))

    async def main() -> tuple[list[Any], float]:
        loop = asyncio.get_running_loop()
        run = flow.stream(100)
        began = loop.time()
        loop.call_later(0.7, run.drain)
        return [item async for item in run], loop.time() - began

    items, took = testing.run(main())
    assert items == [0, 1]
    assert took == pytest.approx(0.7, abs=0.05)
