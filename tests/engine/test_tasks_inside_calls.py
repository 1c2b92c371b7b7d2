"""Async functions use what asyncio has: timeouts, groups, scopes, eager tasks, debug mode. The lanes stay whole.

A lane makes many calls in one task, so a cancellation that a call has begun and ended must leave nothing behind.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any
from unittest import mock

import anyio
import pytest

import whilst
from whilst import Retry, batched, each, sequence, step
from whilst.engine import driver
from whilst.lanes.loop import LoopLanes
from whilst.lanes.port import Here

COUNT = 12


async def plain(item: int) -> int:
    await asyncio.sleep(0)
    return item


async def timeout_not_reached(item: int) -> int:
    async with asyncio.timeout(60):
        await asyncio.sleep(0)
    return item


async def timeout_reached(item: int) -> int:
    try:
        async with asyncio.timeout(0.001):
            await asyncio.sleep(60)
    except TimeoutError:
        return item
    raise AssertionError("it was reached")


async def timeout_at_once(item: int) -> int:
    try:
        async with asyncio.timeout(0):
            await asyncio.sleep(60)
    except TimeoutError:
        return item
    raise AssertionError("it was reached")


async def wait_for(item: int) -> int:
    try:
        await asyncio.wait_for(asyncio.sleep(60), 0.001)
    except TimeoutError:
        return item
    raise AssertionError("it was reached")


async def task_group(item: int) -> int:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(plain(item)) for _ in range(3)]
    assert [task.result() for task in tasks] == [item] * 3
    return item


async def task_group_that_fails(item: int) -> int:
    async def fail() -> None:
        raise LookupError(item)

    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())
            await asyncio.sleep(60)
    except* LookupError:
        pass
    return item


async def scope_cancelled(item: int) -> int:
    with anyio.CancelScope() as scope:
        scope.cancel()
        await anyio.sleep(60)
    return item


async def scope_of_time(item: int) -> int:
    with anyio.move_on_after(0.001):
        await anyio.sleep(60)
    return item


async def scopes_in_scopes(item: int) -> int:
    with anyio.CancelScope() as outer:
        with anyio.move_on_after(60), anyio.CancelScope(shield=True):
            outer.cancel()
            await anyio.sleep(0)
        await anyio.sleep(60)
    return item


async def anyio_group(item: int) -> int:
    async with anyio.create_task_group() as group:
        group.start_soon(anyio.sleep, 60)
        await anyio.sleep(0)
        group.cancel_scope.cancel()
    return item


async def child_cancelled(item: int) -> int:
    task = asyncio.ensure_future(asyncio.sleep(60))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        return item
    raise AssertionError("it was cancelled")


async def gathers(item: int) -> int:
    return max(await asyncio.gather(plain(item), plain(item)))


async def nested_run(item: int) -> int:
    return max(await whilst.map(plain, [item, item]))


CALLS = [
    plain, timeout_not_reached, timeout_reached, timeout_at_once, wait_for, task_group, task_group_that_fails,
    scope_cancelled, scope_of_time, scopes_in_scopes, anyio_group, child_cancelled, gathers, nested_run,
]  # fmt: skip

Fn = Callable[[int], Awaitable[int]]
WAYS: dict[str, Callable[[Fn], Any]] = {
    "map": lambda fn: whilst.map(fn, range(COUNT), concurrency=3),
    "map with policies": lambda fn: whilst.map(
        fn, range(COUNT), concurrency=3, timeout=50.0, retry=2, limit=whilst.Limit(concurrency=2, by=lambda n: n % 2)
    ),
    "step": lambda fn: whilst.map(step(fn, timeout=50.0, retry=Retry(2), concurrency=2), range(COUNT), concurrency=3),
    "hedged": lambda fn: whilst.map(step(fn, hedge=True), range(COUNT), concurrency=3),
    "flow": lambda fn: whilst.map(sequence(fn, whilst.together(fn, fn), max), range(COUNT), concurrency=3),
    "each": lambda fn: sequence(range, each(fn, concurrency=3)).stream(COUNT),
    "pipeline": lambda fn: sequence(range, batched(1), each(max), each(fn, timeout=50.0)).stream(COUNT),
}


def factory(eager: bool) -> Callable[[], asyncio.AbstractEventLoop]:
    def make() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        if eager:
            loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined, unused-ignore]
        return loop

    return make


MODES = ["as it is", "debug", *(["eager", "eager, debug"] if sys.version_info >= (3, 12) else [])]


def run_in(mode: str, main: Any) -> Any:
    with asyncio.Runner(debug="debug" in mode, loop_factory=factory("eager" in mode)) as runner:
        runner.get_loop().slow_callback_duration = 60.0  # a busy machine is no fault
        return runner.run(main)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("call", CALLS)
def test_calls_may_use_what_asyncio_has_and_leave_no_cancellation(call: Fn, way: str, mode: str) -> None:
    left: list[int] = []

    async def watched(item: int) -> int:
        task = asyncio.current_task()
        assert task is not None
        left.append(task.cancelling())
        value = await call(item)
        left.append(task.cancelling())
        return value

    async def main() -> list[int]:
        here = asyncio.current_task()
        values = await WAYS[way](watched)
        assert here is not None
        assert not here.cancelling()
        assert asyncio.all_tasks() == {here}
        return values

    assert run_in(mode, main()) == list(range(COUNT))
    assert left
    assert not any(left)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("call", CALLS)
def test_one_value_through_a_flow_leaves_none_either(call: Fn, mode: str) -> None:
    async def main() -> int:
        here = asyncio.current_task()
        value = await sequence(call, step(call, timeout=50.0)).aio(7)
        assert here is not None
        assert not here.cancelling()
        return value

    assert run_in(mode, main()) == 7


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("way", ["map", "each", "step"])
def test_a_run_inside_a_timeout_or_a_group_ends_with_it(way: str, mode: str) -> None:
    inside = 0

    async def for_ever(item: int) -> int:
        nonlocal inside
        inside += 1
        try:
            await asyncio.sleep(3600)
        finally:
            inside -= 1
        return item

    async def main() -> None:
        here = asyncio.current_task()
        assert here is not None
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await WAYS[way](for_ever)
        assert here.cancelling() == 0
        with pytest.raises(ExceptionGroup):
            await _beside_one_that_fails(WAYS[way](for_ever))
        assert here.cancelling() == 0
        with anyio.move_on_after(0.05) as scope:
            await WAYS[way](for_ever)
        assert scope.cancelled_caught
        assert here.cancelling() == 0
        assert inside == 0
        assert asyncio.all_tasks() == {here}

    run_in(mode, main())


async def _fail_soon() -> None:
    await asyncio.sleep(0.05)
    raise LookupError


async def _beside_one_that_fails(run: Any) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(_fail_soon())
        await run


def test_a_lane_that_somebody_cancels_before_it_begins_ends_the_run() -> None:
    """Nobody would count it down: an input that was added later woke no lane, and the run hung."""

    async def main() -> None:
        main_task = asyncio.current_task()

        async def call(x: int) -> int:
            if x == 0:
                for task in asyncio.all_tasks() - {main_task, asyncio.current_task()}:
                    task.cancel()
            await asyncio.sleep(0)
            return x

        run = whilst.map(call, [0, 1, 2], concurrency=3)
        async with asyncio.timeout(20):
            async for value in run:
                if 2 <= value < 6:
                    run.add(value + 1)

    with pytest.raises(whilst.RunCancelled, match="was shut down"):
        asyncio.run(main())


@pytest.mark.parametrize("inputs", [1, 2, 3, 7, 40])
def test_no_more_lanes_begin_than_there_are_inputs(inputs: int) -> None:
    """A map of one input is one task: each of the wakes at its start would else begin one more."""

    async def main() -> None:
        begun = list[str]()

        class Noted(LoopLanes):
            def _start_lane(self) -> None:
                begun.append("lane")
                super()._start_lane()

        async def call(x: int) -> int:
            await asyncio.sleep(0.01)
            return x

        with mock.patch.dict(driver.EXECUTORS, loop=Here("loop", Noted)):
            assert await whilst.map(call, range(inputs), concurrency=32) == [*range(inputs)]
        assert len(begun) == min(inputs, 32)

    asyncio.run(main())
