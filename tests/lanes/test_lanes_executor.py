"""One contract for every place where calls are made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from lanekit import BarePort

from whilst.lanes.calls import Calls
from whilst.lanes.loop import LOOP
from whilst.lanes.port import Executor, Lanes
from whilst.lanes.threads import THREADS

EXECUTORS = [LOOP, THREADS]
var: ContextVar[str] = ContextVar("var", default="unset")


class Doors:
    """A function in the executor's colour; a call of a negative input ends when its door is opened, or it is ended."""

    def __init__(self, executor: Executor) -> None:
        self.executor = executor
        self.inside: list[int] = []
        self.open = threading.Event()

    @property
    def fn(self) -> Callable[[int], Any]:
        return self.later if self.executor is LOOP else self.block

    def block(self, x: int) -> int:
        self.inside.append(x)
        if x < 0:
            assert self.open.wait(20)
        return self.made_of(x)

    async def later(self, x: int) -> int:
        self.inside.append(x)
        while x < 0 and not self.open.is_set():
            await asyncio.sleep(0.001)
        return self.made_of(x)

    def made_of(self, x: int) -> int:
        if x == 13:
            raise LookupError(x)
        return x * 10

    async def until_inside(self, count: int) -> None:
        async with asyncio.timeout(20):
            while len(self.inside) < count:
                await asyncio.sleep(0.001)


@asynccontextmanager
async def lanes_of(executor: Executor, inputs: Any, concurrency: int = 3) -> AsyncIterator[tuple[Any, Lanes, Doors]]:
    port, doors = BarePort(inputs), Doors(executor)
    lanes = executor.lanes(port, doors.fn, concurrency, 0.1, name="contract")
    try:
        lanes.wake()
        yield port, lanes, doors
    finally:
        doors.open.set()
        lanes.close()
        await lanes.gone()


def contract(main: Callable[[Executor], Any]) -> Callable[[Executor], None]:
    @pytest.mark.parametrize("executor", EXECUTORS, ids=lambda it: it.name)
    def test(executor: Executor) -> None:
        asyncio.run(main(executor))

    return test


def by_itself(main: Callable[[], Any]) -> Callable[[], None]:
    def test() -> None:
        asyncio.run(main())

    return test


@contract
async def test_each_input_has_one_record(executor: Executor) -> None:
    async with lanes_of(executor, [*range(12), 13, *range(14, 40)]) as (port, lanes, _):
        await port.until(lambda: len(port.records) == 39)
        found = {record[0]: record for record in port.records}
        assert len(found) == 39
        for index, item, value, error, started, took, attempts in found.values():
            assert (value, type(error)) == ((None, LookupError) if item == 13 else (item * 10, type(None)))
            assert port.clock() >= started + took >= started > 0
            assert attempts == 1
            assert index == item if item < 13 else index == item - 1
        assert (lanes.abandoned, lanes.left_behind(), port.unwanted, port.errors) == (0, (), [], [])


@contract
async def test_where_nothing_is_to_be_called_a_lane_is_idle(executor: Executor) -> None:
    async with lanes_of(executor, []) as (_, lanes, doors):
        assert lanes.idle
        assert not doors.inside


@contract
async def test_no_more_calls_are_in_flight_than_the_concurrency(executor: Executor) -> None:
    async with lanes_of(executor, [-1] * 10) as (port, lanes, doors):
        await doors.until_inside(3)
        await asyncio.sleep(0.02)
        assert len(doors.inside) == 3
        assert len(port.queue) == 7
        assert not lanes.idle
        doors.open.set()
        await port.until(lambda: len(port.records) == 10)


@contract
async def test_calls_behind_an_index_are_dropped_and_the_others_go_on(executor: Executor) -> None:
    async with lanes_of(executor, [-1] * 3) as (port, lanes, doors):
        await doors.until_inside(3)
        lanes.drop(0)
        await port.until(lambda: sorted(port.unwanted) == [1, 2])
        doors.open.set()
        await port.until(lambda: [record[0] for record in port.records] == [0])
        assert sorted(port.behind) == ([] if executor is LOOP else [1, 2])


@contract
async def test_what_is_in_flight_at_the_deadline_fails_of_it(executor: Executor) -> None:
    error = TimeoutError("the deadline")
    async with lanes_of(executor, [-1] * 3) as (port, lanes, doors):
        await doors.until_inside(3)
        lanes.expire(error)
        await port.until(lambda: len(port.records) == 3)
        assert {record[3] for record in port.records} == {error}
        assert lanes.abandoned == (0 if executor is LOOP else 3)


@contract
async def test_a_call_past_its_time_ends_and_another_takes_its_lane(executor: Executor) -> None:
    async with lanes_of(executor, [-1, -1, -1, 1, 2]) as (port, lanes, doors):
        await doors.until_inside(3)
        port.patience = 0.0
        lanes.sweep(port.clock())
        port.patience = 1000.0
        await port.until(lambda: len(port.records) == 5)
        kinds = {record[0]: type(record[3]) for record in port.records}
        assert kinds == {0: TimeoutError, 1: TimeoutError, 2: TimeoutError, 3: type(None), 4: type(None)}


@contract
async def test_closing_ends_what_runs(executor: Executor) -> None:
    async with lanes_of(executor, [-1] * 5) as (port, lanes, doors):
        await doors.until_inside(3)
        lanes.close()
        await lanes.gone()
        assert port.records == []
        assert lanes.abandoned == (0 if executor is LOOP else 3)
        assert bool(lanes.left_behind()) is (executor is THREADS)


@by_itself
async def test_single_calls_return_raise_and_see_their_callers_context() -> None:
    calls, doors, over = Calls(asyncio.get_running_loop(), 2), Doors(THREADS), []
    try:
        found = await asyncio.gather(*(calls.call(doors.fn, x, after=lambda: over.append(1)) for x in range(5)))
        assert found == [0, 10, 20, 30, 40]
        with pytest.raises(LookupError):
            await calls.call(doors.fn, 13, after=lambda: over.append(1))
        assert len(over) == 6
        var.set("mine")
        assert await calls.call(var.get) == "mine"
    finally:
        await calls.close()


@by_itself
async def test_a_single_call_that_is_cancelled_is_left_behind() -> None:
    calls, doors, over = Calls(asyncio.get_running_loop(), 2), Doors(THREADS), threading.Event()
    call = asyncio.create_task(calls.call(doors.fn, -1, after=over.set))
    await doors.until_inside(1)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert not over.is_set()
    assert calls.abandoned == 1
    assert calls.left_behind()
    doors.open.set()
    assert await asyncio.to_thread(over.wait, 20)
    await calls.close()
