"""A permit that went to a loop which stood still and was closed comes back."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest
from limitkit import idle

import whilst
from whilst.limit.acquire import acquire
from whilst.limit.limit import state_of


def quiet_loop() -> asyncio.AbstractEventLoop:
    """Return one that does not complain of tasks that are destroyed while they wait: that is what is tested here."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _, __: None)
    return loop


async def block(limit: whilst.Limit, entered: list[str] | None = None) -> None:
    async with limit:
        if entered is not None:
            entered.append("entered")


async def item_block(limit: whilst.Limit, entered: list[str] | None = None) -> None:
    async with limit.of(1):
        if entered is not None:
            entered.append("entered")


async def call_of_a_step(limit: whilst.Limit) -> None:
    acquirer = await acquire((state_of(limit),), 1)
    acquirer.give_back()


BY_HAND: dict[str, Callable[..., Any]] = {"with": block, "of": item_block, "a step": call_of_a_step}
ALL = {
    **BY_HAND,
    "a flow": lambda limit: whilst.step(abs, limit=limit).aio(-1),
    "a run": lambda limit: listed(whilst.map(abs, [-1], limit=limit)),
}


async def listed(run: whilst.Run[Any, Any]) -> Any:
    return await run


@pytest.fixture(params=BY_HAND)
def way(request: pytest.FixtureRequest) -> Callable[..., Any]:
    return BY_HAND[request.param]


def stands_still(way: Callable[..., Any], limit: whilst.Limit) -> tuple[asyncio.AbstractEventLoop, Any]:
    """Return a loop on which a task waits for a permit, and that does not run any more."""
    loop = quiet_loop()

    async def main() -> Any:
        task = asyncio.ensure_future(way(limit))
        while not limit.statistics().waiting:
            await asyncio.sleep(0.001)
        return task

    return loop, contextvars.Context().run(loop.run_until_complete, main())  # of a stranger to who holds it


@pytest.mark.parametrize("closed", ["before it is granted", "after"])
@pytest.mark.parametrize("waits", ["a thread", "a task"])
def test_whoever_waits_gets_what_was_granted_on_a_loop_that_is_closed(
    way: Callable[..., Any], closed: str, waits: str
) -> None:
    limit = whilst.Limit(concurrency=1)
    with limit:
        loop, task = stands_still(way, limit)
        if closed == "before it is granted":
            loop.close()
    if closed == "after":
        assert limit.statistics().in_flight == 1
        loop.close()
    if waits == "a task":
        asyncio.run(asyncio.wait_for(block(limit), 20))
    else:
        with limit:
            pass
    assert idle(limit)
    del task


@pytest.mark.slow
@pytest.mark.parametrize("waits", ["a thread", "a task"])
def test_whoever_waits_already_when_the_loop_is_closed_gets_it_soon(way: Callable[..., Any], waits: str) -> None:
    limit, entered = whilst.Limit(concurrency=1), list[str]()

    def plain() -> None:
        with limit:
            entered.append("entered")

    with limit:
        loop, task = stands_still(way, limit)
        other = threading.Thread(
            target=plain if waits == "a thread" else lambda: asyncio.run(block(limit, entered)), daemon=True
        )
        other.start()
        while limit.statistics().waiting < 2:
            time.sleep(0.001)
    assert limit.statistics().in_flight == 1  # of the task that stands still
    assert not entered
    loop.close()
    other.join(20)
    assert entered == ["entered"]
    assert idle(limit)
    del task


def test_who_comes_next_has_those_told_who_waited_before_the_loop_was_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.limit.queue.HEARTBEAT", 1000.0)  # they do not look by themselves
    limit, entered = whilst.Limit(concurrency=1), list[str]()
    with limit:
        loop, task = stands_still(block, limit)
        other = threading.Thread(target=lambda: asyncio.run(block(limit, entered)), daemon=True)
        other.start()
        while limit.statistics().waiting < 2:
            time.sleep(0.001)
    loop.close()
    asyncio.run(asyncio.wait_for(block(limit), 20))
    other.join(20)
    assert entered == ["entered"]
    assert idle(limit)
    del task


@pytest.mark.slow
def test_who_waits_for_time_behind_a_loop_that_stands_still_looks_by_itself() -> None:
    limit = whilst.Limit(rate="2/s")
    with limit:
        pass
    loop, task = stands_still(block, limit)
    asyncio.run(asyncio.wait_for(block(limit), 20))
    loop.close()
    with limit:  # which takes back what was granted there
        pass
    del task


def test_a_permit_passed_on_in_the_last_round_of_a_loop_comes_back() -> None:
    limit = whilst.Limit(concurrency=1)
    loop = quiet_loop()

    async def outside() -> None:
        async with limit:
            await asyncio.sleep(0.01)
            loop.stop()  # and the permit goes to the next in this round, who has no turn any more

    tasks = [loop.create_task(outside()), loop.create_task(block(limit))]
    loop.run_forever()
    loop.close()
    assert limit.statistics().in_flight == 1
    with limit:
        pass
    assert idle(limit)
    tasks.clear()
    gc.collect()
    assert idle(limit)  # and does not come back a second time


@pytest.mark.parametrize("kind", ALL)
def test_when_asyncio_run_ends_those_who_wait_take_nothing(kind: str) -> None:
    limit, way = whilst.Limit(concurrency=1), ALL[kind]

    async def main() -> None:
        task = asyncio.ensure_future(way(limit))
        while not limit.statistics().waiting:
            await asyncio.sleep(0.001)
        assert not task.done()

    with limit:
        contextvars.Context().run(asyncio.run, main())
    assert idle(limit)


def test_nothing_of_a_closed_loop_is_kept_once_its_permit_is_back() -> None:
    limit = whilst.Limit(concurrency=1)
    with limit:
        loop, task = stands_still(block, limit)
    loop.close()
    with limit:
        pass
    gone = weakref.ref(loop)
    del loop, task
    gc.collect()
    assert gone() is None
