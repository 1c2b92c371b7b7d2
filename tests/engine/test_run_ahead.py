"""Started minus delivered never exceeds the window, and the window grows only when that pays."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest
from kit import Gauge, asynchronously, virtually

import whilst
from whilst.core.batches import InBatches


class Many(InBatches):
    """Inputs that come seventy at a time."""

    def __init__(self, count: int) -> None:
        self._items = range(count)

    def __iter__(self):
        return iter(self._items)

    def batches(self):
        return (self._items[at : at + 70] for at in range(0, len(self._items), 70))


SOURCES = {
    "batches": Many,
    "a container": lambda count: list(range(count)),
    "a generator": lambda count: (i for i in range(count)),
    "an async generator": lambda count: asynchronously(range(count)),
    "an endless generator": lambda count: itertools.count(),
}


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("source", SOURCES)
@virtually
async def test_a_slow_consumer_stays_a_concurrency_ahead_of_its_calls(source: str, ordered: bool) -> None:
    gauge, taken = Gauge(), 0
    run = whilst.map(gauge, SOURCES[source](1000), concurrency=10, ordered=ordered)
    async for _ in run:
        taken += 1
        assert len(gauge.started) - taken < 10
        await asyncio.sleep(5)
        assert len(gauge.started) - taken <= 10
        if taken == 60:
            break


@pytest.mark.parametrize("source", SOURCES)
@virtually
async def test_a_fast_consumer_behind_one_slow_call_makes_the_window_grow_to_its_cap_and_no_further(
    source: str,
) -> None:
    gauge, ahead = Gauge({0: 10_000}), 0

    async def slow_first(item: int) -> int:
        nonlocal ahead
        ahead = max(ahead, item)
        return await gauge(item)

    run = whilst.map(slow_first, SOURCES[source](20_000), concurrency=4)
    await anext(aiter(run))
    assert 512 <= ahead < 1024


@virtually
async def test_the_window_grows_when_the_consumer_ran_dry_while_lanes_had_no_room() -> None:
    # Every fourth call is slow: the consumer waits for it while the lanes stand at the window's edge.
    gauge = Gauge(dict.fromkeys(range(0, 4000, 4), 10))
    taken, ahead = 0, 0
    async for _ in whilst.map(gauge, range(4000), concurrency=4):
        taken += 1
        ahead = max(ahead, len(gauge.started) - taken)
    assert 4 < ahead <= 1024


@pytest.mark.parametrize("source", ["a generator", "an async generator"])
@virtually
async def test_a_slow_source_does_not_make_the_window_grow(source: str) -> None:
    items = asynchronously(range(60), gap=3)
    gauge, taken = Gauge(), 0
    iterator = aiter(whilst.map(gauge, items, concurrency=4))
    while taken < 50:
        await anext(iterator)
        taken += 1
    await asyncio.sleep(1000)  # now the source is ahead, and the consumer is the slow one
    assert len(gauge.started) - taken <= 4
    await iterator.aclose()


@virtually
async def test_a_source_that_has_become_slow_makes_the_window_grow_no_more() -> None:
    async def source():
        for item in range(400):
            await asyncio.sleep(0 if item < 200 else 3)
            yield item

    run, sizes = whilst.map(Gauge(dict.fromkeys(range(0, 200, 4), 10)), source(), concurrency=4), []
    async for _ in run:
        assert run._driver is not None
        sizes.append(run._driver.ahead.window.size)
    assert sizes[220] > 4
    assert sizes[-1] <= 2 * sizes[220]  # once perhaps, for the room that there was not before


@virtually
async def test_an_endless_source_is_read_no_further_than_the_window_and_left() -> None:
    read = 0

    def endless():
        nonlocal read
        for read in itertools.count(1):  # noqa: UP028
            yield read

    async for value in whilst.map(Gauge(), endless(), concurrency=5):
        assert read - value <= 2048
        if value == 100:
            break


@pytest.mark.parametrize("concurrency", [1, 3, 32])
@virtually
async def test_a_source_is_read_lazily_not_one_input_beyond_the_window(concurrency: int) -> None:
    read: list[int] = []

    async def items():
        for i in range(500):
            read.append(i)
            yield i

    iterator = aiter(whilst.map(Gauge(), items(), concurrency=concurrency))
    await anext(iterator)
    await asyncio.sleep(100)
    assert len(read) <= 1 + concurrency + 1  # one more may be in the source's own hand
    await iterator.aclose()


@virtually
async def test_a_source_that_becomes_slow_is_not_taken_for_a_window_that_is_too_small() -> None:
    """That it once waited for room says nothing of now: the window grows once more at most."""

    async def source() -> AsyncIterator[int]:
        for number in range(200):
            if number >= 64:
                await asyncio.sleep(1)
            yield number

    run = whilst.map(Gauge(dict.fromkeys(range(200), 0.01)), source(), concurrency=4)
    sizes = []
    async for _ in run:
        assert run._driver is not None
        sizes.append(run._driver.ahead.window.size)
    assert sizes[66] >= 8  # it grew while the source was quick
    assert sizes[-1] <= 2 * sizes[66]
