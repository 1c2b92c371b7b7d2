"""However a run ends, it leaves no task, thread, socket or file, and keeps neither inputs nor results alive."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

import whilst

SOAK = int(os.environ.get("WHILST_SOAK", "1"))


class Thing:
    """Something whose end can be seen."""

    alive: ClassVar[weakref.WeakSet[Thing]] = weakref.WeakSet()

    def __init__(self, number: int) -> None:
        self.number = number
        self.alive.add(self)


def things(count: int) -> Iterator[Thing]:
    return (Thing(i) for i in range(count))


async def things_async(count: int):
    for i in range(count):
        await asyncio.sleep(0)
        yield Thing(i)


class Boom(Exception):
    pass


async def coro(thing: Thing) -> Thing:
    await asyncio.sleep(0.001)
    if thing.number == 13:
        raise Boom(thing)
    return Thing(thing.number)


def blocking(thing: Thing) -> Thing:
    if thing.number == 13:
        raise Boom(thing)
    return Thing(thing.number)


def either(thing: Thing) -> Any:
    return coro(thing)


FUNCTIONS: list[Callable[[Thing], Any]] = [coro, blocking, either]
SOURCES: list[Callable[[int], Any]] = [things, things_async, lambda n: list(things(n))]


def all_values(run: whilst.Run[Any, Any]) -> None:
    for _ in run:
        pass


def all_outcomes(run: whilst.Run[Any, Any]) -> None:
    for _ in run.outcomes():
        pass


def a_break(run: whilst.Run[Any, Any]) -> None:
    for _ in run:
        break


def take_one(run: whilst.Run[Any, Any]) -> None:
    for _ in run.outcomes():
        break


def an_error(run: whilst.Run[Any, Any]) -> None:
    for _ in run:
        raise Boom


def a_block(run: whilst.Run[Any, Any]) -> None:
    with run:
        next(iter(run.outcomes()))


def a_cancel(run: whilst.Run[Any, Any]) -> None:
    for _ in run.outcomes():
        run.cancel()


def a_drain(run: whilst.Run[Any, Any]) -> None:
    for _ in run.outcomes():
        run.drain()


def nothing_at_all(run: whilst.Run[Any, Any]) -> None:
    iter(run)


def a_list(run: whilst.Run[Any, Any]) -> None:
    run.list()


WAYS = [all_values, all_outcomes, a_break, an_error, a_block, a_cancel, a_drain, nothing_at_all, a_list]


async def all_values_async(run: whilst.Run[Any, Any]) -> None:
    async for _ in run:
        pass


async def all_outcomes_async(run: whilst.Run[Any, Any]) -> None:
    async for _ in run.outcomes():
        pass


async def a_break_async(run: whilst.Run[Any, Any]) -> None:
    async for _ in run:
        break


async def an_error_async(run: whilst.Run[Any, Any]) -> None:
    async for _ in run:
        raise Boom


async def a_block_async(run: whilst.Run[Any, Any]) -> None:
    async with run:
        await anext(aiter(run.outcomes()))


async def a_cancel_async(run: whilst.Run[Any, Any]) -> None:
    async for _ in run.outcomes():
        run.cancel()


async def a_timeout_async(run: whilst.Run[Any, Any]) -> None:
    async with asyncio.timeout(0.005):
        await run


async def the_end_of_the_loop(run: whilst.Run[Any, Any]) -> None:
    left_alone.append(aiter(run))
    await anext(left_alone[-1])


left_alone: list[Any] = []

ASYNC_WAYS = [
    all_values_async,
    all_outcomes_async,
    a_break_async,
    an_error_async,
    a_block_async,
    a_cancel_async,
    a_timeout_async,
    the_end_of_the_loop,
]


def open_files() -> list[str]:
    """Return what this process has open; the engine's own loop is there before the first test."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(found)


@pytest.fixture(autouse=True, scope="module")
def collecting_is_cheap() -> Iterator[None]:
    """Leave what is there before the tests out of every collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def leaves_nothing(eventually: Callable[..., bool]) -> Iterator[None]:
    whilst.map(str, [1]).list()  # the engine is up
    gc.collect()
    threads, files, alive = threading.active_count(), open_files(), len(Thing.alive)
    yield
    left_alone.clear()
    assert eventually(lambda: threading.active_count() <= threads), threading.enumerate()

    def nothing_is_left() -> bool:
        gc.collect()
        return len(Thing.alive) <= alive and open_files() == files

    assert eventually(nothing_is_left), (len(Thing.alive), open_files())


expected = (Boom, TimeoutError, whilst.RunCancelled)


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fn", FUNCTIONS)
@pytest.mark.parametrize("way", WAYS)
def test_a_run_in_plain_code_leaves_nothing_after(way: Any, fn: Any, source: Any) -> None:
    with contextlib.suppress(*expected):
        way(whilst.map(fn, source(60), concurrency=5))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.usefixtures("leaves_nothing")
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("fn", FUNCTIONS)
@pytest.mark.parametrize("way", ASYNC_WAYS)
def test_a_run_in_async_code_leaves_nothing_after(way: Any, fn: Any, source: Any) -> None:
    async def main() -> None:
        with contextlib.suppress(*expected):
            await way(whilst.map(fn, source(60), concurrency=5))
        if way is not the_end_of_the_loop:
            await no_task_is_left()

    asyncio.run(main())


async def no_task_is_left() -> None:
    ends = time.monotonic() + 5
    while left := asyncio.all_tasks() - {asyncio.current_task()}:
        assert time.monotonic() < ends, left
        await asyncio.sleep(0.001)


@pytest.mark.parametrize("fn", [coro, blocking])
def test_results_are_let_go_without_the_collector_while_the_run_goes_on(fn: Any) -> None:
    alive = len(Thing.alive)
    gc.collect()
    gc.disable()
    try:
        seen = most = 0
        for _ in whilst.map(fn, (Thing(i + 100) for i in range(2000)), concurrency=2):
            seen += 1
            most = max(most, len(Thing.alive) - alive)
        assert seen == 2000
        assert most <= 2 * 1024 + 50  # what stands in the window, as input and as result
    finally:
        gc.enable()


@pytest.mark.usefixtures("leaves_nothing")
def test_a_run_that_is_kept_for_its_summary_keeps_no_results() -> None:
    run = whilst.map(coro, things(60), concurrency=5)
    take_one(run)
    gc.collect()
    assert len(Thing.alive) == 0
    assert run.summary().done


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
@pytest.mark.usefixtures("leaves_nothing")
def test_cancelling_at_random_instants_leaves_nothing() -> None:
    instants = random.Random(7)

    async def main() -> None:
        for i in range(200 * SOAK):
            fn, source = FUNCTIONS[i % 3], SOURCES[i // 3 % 3]
            run = whilst.map(fn, source(2000), concurrency=8, timeout=5, ordered=bool(i % 2))
            task = asyncio.create_task(all_outcomes_async(run))
            await asyncio.sleep(instants.random() * 0.02)
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await no_task_is_left()

    asyncio.run(main())


@pytest.mark.slow
@pytest.mark.usefixtures("leaves_nothing")
def test_words_from_another_thread_at_random_instants_end_the_run() -> None:
    instants = random.Random(8)
    for i in range(24 * SOAK):
        run = whilst.map(FUNCTIONS[i % 3], SOURCES[i // 3 % 3](100_000), concurrency=8, ordered=bool(i % 2))
        timer = threading.Timer(instants.random() * 0.02, run.cancel if i % 4 < 2 else run.drain)
        timer.start()
        with contextlib.suppress(whilst.RunCancelled):
            indexes = [outcome.index for outcome in run.outcomes()]
            assert sorted(indexes) == [*range(len(indexes))]
        timer.join()
        assert run.summary().done
