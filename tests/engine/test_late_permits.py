"""Calls on threads that are left behind: whenever they come home, permits come back, and the run is let go of once."""

from __future__ import annotations

import asyncio
import threading
from time import monotonic
from typing import Any

import pytest

import whilst
from whilst.engine.driver import Driver
from whilst.engine.passing import Abandoned
from whilst.engine.step_calls import LeafCall
from whilst.lanes.calls import Calls
from whilst.lanes.pool import ThreadPool


async def _cancelled(limit: whilst.Limit, inside: threading.Event, release: threading.Event) -> None:
    """Cancel a run while the call of its step is on its thread."""

    def call(value: int) -> int:
        inside.set()
        release.wait(20)
        return value

    async def main() -> Any:
        return await whilst.map(whilst.step(call), [1], limit=limit)

    task = asyncio.create_task(main())
    await asyncio.to_thread(inside.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    release.set()


def test_where_the_call_returns_in_the_moment_in_which_it_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    inside, release, home = threading.Event(), threading.Event(), threading.Event()
    add, returned = Abandoned.add, LeafCall.returned

    def first_comes_home(self: Abandoned, index: Any, line: Any) -> None:
        release.set()
        home.wait(0.2)  # which it does not, as long as it has to wait for this
        add(self, index, line)

    def comes_home(self: LeafCall) -> None:
        returned(self)
        home.set()

    monkeypatch.setattr(Abandoned, "add", first_comes_home)
    monkeypatch.setattr(LeafCall, "returned", comes_home)
    limit = whilst.Limit(concurrency=1)
    asyncio.run(_cancelled(limit, inside, release))
    assert home.wait(20)
    assert limit.statistics().in_flight == 0


def test_where_a_thread_took_the_call_and_all_was_over_then(monkeypatch: pytest.MonkeyPatch) -> None:
    asyncio.run(_taken_too_late(monkeypatch))


async def _taken_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    calls = Calls(asyncio.get_running_loop(), 1)
    pool: ThreadPool = calls._pool

    def now() -> float:  # asked by the thread between taking the call and making it
        pool.close()
        return monotonic()

    monkeypatch.setattr(pool, "_clock", now)
    task = asyncio.create_task(calls.call(pytest.fail, after=over.set))
    assert await asyncio.to_thread(over.wait, 20)
    task.cancel()
    await asyncio.wait([task])
    await calls.close()


def test_where_several_come_home_at_once_and_their_loop_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last of them let go of the run, each for itself: AttributeError on a thread."""
    count, wrong = 4, list[Any]()
    inside, all_home, ended = threading.Semaphore(0), threading.Barrier(count), threading.Semaphore(0)
    release, summary, late = threading.Event(), Driver.summary, Driver.returned_late

    def call(value: int) -> None:
        inside.release()
        release.wait(20)

    def at_once(self: Driver, index: int) -> None:
        all_home.wait(20)
        try:
            late(self, index)
        finally:
            ended.release()

    def slow(self: Driver) -> whilst.Summary:
        release.wait(0.05)  # there is time for the others
        threading.Event().wait(0.05)
        return summary(self)

    async def main() -> Any:
        return await whilst.map(call, range(count), concurrency=count)

    async def cancelled() -> None:
        task = asyncio.create_task(main())
        for _ in range(count):
            await asyncio.to_thread(inside.acquire, timeout=20)
        task.cancel()
        await asyncio.wait([task])

    monkeypatch.setattr(threading, "excepthook", wrong.append)
    asyncio.run(cancelled())
    monkeypatch.setattr(Driver, "returned_late", at_once)
    monkeypatch.setattr(Driver, "summary", slow)
    release.set()
    for _ in range(count):
        assert ended.acquire(timeout=20)
    assert not wrong
