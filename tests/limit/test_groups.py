"""Those who wait for a limit: tasks of one loop as one party, threads with a bell."""

from __future__ import annotations

import asyncio
import contextlib
import threading

from limitkit import idle

import whilst
from whilst.limit.acquire import _Bell
from whilst.limit.acquirer import Acquirer
from whilst.limit.limit import state_of


async def block(limit: whilst.Limit) -> None:
    async with limit:
        pass


def test_what_is_granted_to_a_task_that_is_cancelled_in_this_moment_goes_back() -> None:
    limit, held, release = whilst.Limit(concurrency=1), threading.Event(), threading.Event()

    def hold() -> None:
        with limit:
            held.set()
            assert release.wait(20)

    async def main() -> None:
        thread = threading.Thread(target=hold, daemon=True)
        thread.start()
        assert held.wait(20)
        task = asyncio.create_task(block(limit))
        while not limit.statistics().waiting:
            await asyncio.sleep(0)
        release.set()
        thread.join(20)  # by now it is the task's, which is told in the next round
        assert limit.statistics().in_flight == 1
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert idle(limit)

    asyncio.run(main())


def test_a_thread_that_would_sleep_past_that_is_woken_to_look_at_the_clock() -> None:
    bell = _Bell()
    bell._next = 10.0  # it sleeps until then
    bell.look_at(20.0)
    assert not bell._gate.acquire(blocking=False)
    bell.look_at(5.0)
    assert bell._gate.acquire(blocking=False)


def test_a_party_that_retires_leaves_the_line_and_is_not_woken() -> None:
    limit, woken = whilst.Limit(concurrency=1), list[str]()
    first, second, third = (
        Acquirer((state_of(limit),), None, loop=None, wake=lambda name=name: woken.append(name))
        for name in ("first", "second", "third")
    )
    assert [party.ask(1) for party in (first, second, third)] == [1, 0, 0]
    second.retire()
    assert limit.statistics().waiting == 1
    first.give_back()
    assert woken == ["third"]
    assert third.collect() == 1
    third.give_back()
    assert idle(limit)
