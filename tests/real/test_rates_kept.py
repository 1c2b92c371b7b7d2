"""Rates on the real clock: never above what `Limit` promises, and nowhere near idle.

How exactly a rate is met is a matter for `python -m bench --only rate-error`: it depends on the machine.
"""

from __future__ import annotations

import asyncio
import importlib.util
import threading
import time
from collections.abc import Callable, Coroutine
from itertools import count
from typing import Any

import pytest

import whilst

SECONDS = 0.4
TASKS, THREADS = 100, 16
LATE = 0.005  # seconds; see `burst` of `Limit`

Loop = Callable[[], asyncio.AbstractEventLoop]
Times = list[float]


def uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


LOOPS = [
    pytest.param(asyncio.new_event_loop, id="asyncio"),
    pytest.param(
        uvloop, id="uvloop", marks=pytest.mark.skipif(not importlib.util.find_spec("uvloop"), reason="needs uvloop")
    ),
]
RATES = [20, 1_000, 50_000]


def at_once(times: Times, rate: float) -> float:
    """Return the smallest b for which no window of w seconds has more than `w * rate + b` of these times."""
    most, least = 0.0, float("inf")
    for place, at in enumerate(sorted(times)):
        least = min(least, place - at * rate)
        most = max(most, place + 1 - at * rate - least)
    return most


def check(times: Times, rate: int, burst: int, bunched: float) -> None:
    """Check both bounds.

    Args:
        times: when calls started.
        rate: a second.
        burst: as the limit was told.
        bunched: how many calls may have been permitted and not yet begun when the system stopped this process for a
            while: they begin together afterwards. No limit can see that.
    """
    promised = max(burst, LATE * rate + 1)
    assert at_once(times, rate) <= promised + bunched + 1e-6 * rate
    span = max(times) - min(times)
    assert len(times) / span > rate / 10


def test_the_smallest_burst_is_found() -> None:
    assert at_once([0.0, 1.0, 2.0, 3.0], 1.0) == pytest.approx(1.0)
    assert at_once([0.0, 0.0, 0.0, 3.0], 1.0) == pytest.approx(3.0)
    assert at_once([0.0, 9.0, 9.5, 9.5, 20.0], 2.0) == pytest.approx(2.0)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("rate", RATES)
def test_async_calls_of_a_run_keep_a_rate(loop: Loop, rate: int) -> None:
    times: Times = []

    async def call(_: int) -> None:
        times.append(time.monotonic())

    async def run() -> None:
        await whilst.map(call, range(most(rate)), rate=f"{rate}/s", concurrency=TASKS)

    running(loop, run)
    check(times, rate, 1, bunched=LATE * rate + 1)


@pytest.mark.parametrize("rate", RATES[:2])
def test_blocking_calls_of_a_run_keep_a_rate(rate: int) -> None:
    times: Times = []

    def call(_: int) -> None:
        times.append(time.monotonic())

    whilst.map(call, range(most(rate)), rate=f"{rate}/s", concurrency=THREADS).list()
    check(times, rate, 1, bunched=THREADS)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("rate", RATES)
def test_blocks_of_tasks_keep_a_rate(loop: Loop, rate: int) -> None:
    limit, times, numbers = whilst.Limit(rate=f"{rate}/s", burst=7), Times(), iter(range(most(rate)))

    async def work() -> None:
        for _ in numbers:
            async with limit:
                times.append(time.monotonic())

    async def run() -> None:
        await asyncio.gather(*(work() for _ in range(TASKS)))

    running(loop, run)
    check(times, rate, 7, bunched=LATE * rate + 7)


def test_a_run_tasks_and_threads_share_a_rate_and_all_get_their_turn() -> None:
    rate = 1_000
    limit, ends = whilst.Limit(rate=f"{rate}/s"), time.monotonic() + 2 * SECONDS
    by_run, by_tasks, by_threads = Times(), Times(), Times()

    async def call(_: int) -> None:
        by_run.append(time.monotonic())

    async def task() -> None:
        while time.monotonic() < ends:
            async with limit:
                by_tasks.append(time.monotonic())

    def thread() -> None:
        while time.monotonic() < ends:
            with limit:
                by_threads.append(time.monotonic())

    async def run() -> None:
        async with whilst.map(call, count(), limit=limit, concurrency=4) as calls:
            tasks = [asyncio.create_task(task()) for _ in range(4)]
            async for _ in calls:
                if time.monotonic() > ends:
                    break
            await asyncio.gather(*tasks)

    threads = [threading.Thread(target=thread) for _ in range(4)]
    for each in threads:
        each.start()
    asyncio.run(run())
    for each in threads:
        each.join()
    check([*by_run, *by_tasks, *by_threads], rate, 1, bunched=LATE * rate + 12)
    fair = (len(by_run) + len(by_tasks) + len(by_threads)) / 9  # of each party: the run, four tasks, four threads
    assert len(by_run) > fair / 10
    assert len(by_tasks) > 4 * fair / 10
    assert len(by_threads) > 4 * fair / 10


def most(rate: int) -> int:
    return max(5, int(rate * SECONDS))


def running(loop: Loop, main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())
