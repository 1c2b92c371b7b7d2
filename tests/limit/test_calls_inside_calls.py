"""A permit belongs to the call or block that took it: what that starts takes what is free, or waits if that can end."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import pytest
from limitkit import ALREADY, idle, on_thread, virtually

import whilst


async def take(limit: whilst.Limit, item: Any = None, nap: float = 0.0) -> str:
    async with limit if item is None else limit.of(item):
        await asyncio.sleep(nap)
    return "took it"


# -- blocks -------------------------------------------------------------------------------------------------------


@virtually
async def test_what_a_block_starts_takes_a_free_permit_at_once() -> None:
    limit = whilst.Limit(concurrency=5)
    async with limit:
        began = asyncio.get_running_loop().time()
        assert await asyncio.create_task(take(limit)) == "took it"
        assert asyncio.get_running_loop().time() == began
    assert idle(limit)


@virtually
async def test_all_who_hold_a_permit_would_wait_for_what_they_started_so_it_raises() -> None:
    limit = whilst.Limit(concurrency=1)
    async with limit:
        with pytest.raises(RuntimeError, match=f"(?s){ALREADY}.*try"):
            await asyncio.gather(take(limit), take(limit))
    assert idle(limit)
    assert await take(limit) == "took it"


@virtually
async def test_of_four_who_each_await_a_child_one_raises_and_three_go_on() -> None:
    limit = whilst.Limit(concurrency=4)

    async def parent() -> str:
        async with limit:
            await asyncio.sleep(1)
            return await asyncio.create_task(take(limit, nap=1))

    async with asyncio.timeout(60):
        found = await asyncio.gather(*(parent() for _ in range(4)), return_exceptions=True)
    assert sorted(map(str, found))[1:] == ["took it"] * 3
    assert [ALREADY in str(error) for error in found if isinstance(error, RuntimeError)] == [True]
    assert idle(limit)


@virtually
async def test_who_waits_inside_for_one_who_waits_inside_waits_as_long_as_the_last_of_them_can_leave() -> None:
    """Each holds one limit, and wants that of the next; the last wants none, so nobody waits for ever."""
    limits = [whilst.Limit(concurrency=1) for _ in range(5)]

    async def chained(place: int) -> int:
        async with limits[place]:
            await asyncio.sleep(1 + 0.1 * (len(limits) - place))  # the last is the first to ask
            if place + 1 == len(limits):
                await asyncio.sleep(10)
            else:
                async with limits[place + 1]:
                    pass
        return place

    async with asyncio.timeout(60):
        assert await asyncio.gather(*map(chained, range(len(limits)))) == [0, 1, 2, 3, 4]
    assert all(map(idle, limits))


@virtually
async def test_in_a_ring_of_those_who_wait_inside_for_each_other_one_raises_and_the_others_go_on() -> None:
    limits = [whilst.Limit(concurrency=1) for _ in range(5)]

    async def ringed(place: int) -> int:
        async with limits[place]:
            await asyncio.sleep(1 + 0.1 * place)
            async with limits[(place + 1) % len(limits)]:
                return place

    async with asyncio.timeout(60):
        found = await asyncio.gather(*map(ringed, range(len(limits))), return_exceptions=True)
    assert [type(each) for each in found].count(RuntimeError) == 1
    assert sum(isinstance(each, int) for each in found) == 4
    assert all(map(idle, limits))


@virtually
async def test_a_task_that_nobody_awaits_waits_while_its_starter_is_inside_and_gets_it() -> None:
    limit, tasks = whilst.Limit(concurrency=2), list[asyncio.Task[str]]()

    async def stranger() -> None:
        async with limit:
            await asyncio.sleep(2)

    async def starter() -> None:
        async with limit:
            tasks.append(asyncio.create_task(take(limit)))
            await asyncio.sleep(5)

    other = asyncio.create_task(stranger())
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    waits = asyncio.create_task(starter())
    await asyncio.sleep(1)
    assert limit.statistics().waiting == 1
    assert await tasks[0] == "took it"
    assert asyncio.get_running_loop().time() - began == pytest.approx(2, abs=0.01)
    await asyncio.gather(other, waits)
    assert idle(limit)


@virtually
async def test_once_its_starter_has_left_a_task_is_a_stranger() -> None:
    limit = whilst.Limit(concurrency=1)

    async def later() -> str:
        await asyncio.sleep(1)
        return await take(limit)

    async with limit:
        task = asyncio.create_task(later())
    async with limit:  # of somebody else, as far as the task is concerned
        await asyncio.sleep(5)
    assert await task == "took it"
    assert idle(limit)


@virtually
async def test_one_who_waits_inside_may_be_cancelled_and_counts_no_more() -> None:
    limit = whilst.Limit(concurrency=2)

    async def holds(until: asyncio.Event) -> None:
        async with limit:
            await until.wait()

    over = asyncio.Event()
    stranger = asyncio.create_task(holds(over))
    await asyncio.sleep(0)
    async with limit:
        waits = asyncio.create_task(take(limit))
        await asyncio.sleep(1)
        waits.cancel()
        await asyncio.wait([waits])
        assert limit.statistics().waiting == 0
    over.set()
    await stranger
    assert idle(limit)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_asking_again_in_the_same_task_or_thread_raises_though_permits_are_free(concurrency: int) -> None:
    limit, keyed = whilst.Limit(concurrency=concurrency), whilst.Limit(concurrency=concurrency, by=str)

    async def twice() -> None:
        async with limit:
            with pytest.raises(RuntimeError, match=ALREADY):
                async with limit:
                    pass
        async with keyed.of("a"):
            with pytest.raises(RuntimeError, match=ALREADY):
                async with keyed.of("b"):
                    pass
        async with limit:
            with pytest.raises(RuntimeError, match=ALREADY):
                await whilst.step(abs, limit=limit).aio(-1)
            with pytest.raises(RuntimeError, match=ALREADY):
                await whilst.map(abs, [1], limit=limit)

    asyncio.run(twice())
    with limit:
        with pytest.raises(RuntimeError, match=ALREADY), limit:
            pass
        with pytest.raises(RuntimeError, match=ALREADY):
            whilst.step(abs, limit=limit)(-1)
        with pytest.raises(RuntimeError, match=ALREADY):
            whilst.map(abs, [1], limit=limit).list()
        with keyed.of("a"):  # another limit is another matter
            pass
    assert idle(limit)
    assert idle(keyed)


def test_a_thread_that_inherits_the_context_takes_what_is_free_and_one_that_does_not_is_a_stranger() -> None:
    limit = whilst.Limit(concurrency=2)

    def block() -> str:
        with limit:
            return "took it"

    with limit:
        context = contextvars.copy_context()
        assert on_thread(lambda: context.run(block)) == "took it"
        assert on_thread(block) == "took it"
        entered, leave = threading.Event(), threading.Event()

        def stay() -> None:
            with limit:
                entered.set()
                leave.wait(20)

        stranger = threading.Thread(target=stay)
        stranger.start()
        entered.wait(20)
        child = threading.Thread(target=lambda: contextvars.copy_context().run(context.run, block))
        child.start()
        while not limit.statistics().waiting:
            pass
        leave.set()
        child.join(20)
        stranger.join(20)
        assert not child.is_alive()
    only = whilst.Limit(concurrency=1)

    def of_the_only_one() -> None:
        with only:
            pass

    with only:
        context = contextvars.copy_context()
        with pytest.raises(RuntimeError, match=ALREADY):
            on_thread(lambda: context.run(of_the_only_one))
    assert idle(limit)
    assert idle(only)


@virtually
async def test_rates_never_count() -> None:
    rate = whilst.Limit(rate="1/s")
    async with rate, rate, rate.of(1):
        assert await asyncio.create_task(take(rate)) == "took it"
        assert await whilst.map(lambda x: x, [1], limit=rate) == [1]
    assert idle(rate)


@virtually
async def test_a_chain_of_tasks_that_each_start_the_next_keeps_nothing_of_those_that_are_over() -> None:
    from whilst.limit.holders import held

    limit, longest = whilst.Limit(concurrency=8), 0
    done = asyncio.Event()

    async def tick(left: int) -> None:
        nonlocal longest
        async with limit:
            link, length = held.get(), 0
            while link is not None:
                link, length = link.outer, length + 1
            longest = max(longest, length)
            if left:
                chain.append(asyncio.create_task(tick(left - 1)))
            else:
                done.set()
            for _ in range(left % 3):
                await asyncio.sleep(0)

    chain = [asyncio.create_task(tick(200))]
    await done.wait()
    await asyncio.gather(*chain)
    assert longest <= 4
    assert idle(limit)


# -- keys and several limits --------------------------------------------------------------------------------------


@virtually
async def test_the_holder_of_one_key_may_wait_for_another_unless_that_one_waits_for_its_own() -> None:
    limit = whilst.Limit(concurrency=1, by=str)

    async def first_then(key: str, other: str) -> str:
        async with limit.of(key):
            await asyncio.sleep(1)
            return await asyncio.create_task(take(limit, other))

    async with asyncio.timeout(60):
        assert await asyncio.gather(first_then("a", "b"), take(limit, "b", 5)) == ["took it"] * 2
        found = await asyncio.gather(first_then("a", "b"), first_then("b", "a"), return_exceptions=True)
        assert [type(one) for one in found].count(RuntimeError) == 1
        assert found.count("took it") == 1
        found = await asyncio.gather(
            first_then("a", "b"),
            first_then("b", "c"),
            first_then("c", "a"),
            take(limit, "d", 9),
            return_exceptions=True,
        )
        assert [type(one) for one in found].count(RuntimeError) == 1
    assert idle(limit)


@pytest.mark.parametrize("same_task", [True, False])
@virtually
async def test_two_limits_taken_in_opposite_orders_raise_once_instead_of_waiting_for_ever(same_task: bool) -> None:
    a, b = whilst.Limit(concurrency=1), whilst.Limit(concurrency=1)

    async def one_then(first: whilst.Limit, second: whilst.Limit) -> str:
        async with first:
            await asyncio.sleep(1)
            inner = take(second)
            return await (inner if same_task else asyncio.create_task(inner))

    async with asyncio.timeout(60):
        found = await asyncio.gather(one_then(a, b), one_then(b, a), return_exceptions=True)
    assert [type(one) for one in found].count(RuntimeError) == 1
    assert found.count("took it") == 1
    assert idle(a)
    assert idle(b)


@virtually
async def test_one_limit_inside_another_is_no_circle_however_many_wait() -> None:
    outer, inner = whilst.Limit(concurrency=8), whilst.Limit(concurrency=2)

    async def both() -> str:
        async with outer:
            return await asyncio.create_task(take(inner, nap=1))

    assert await asyncio.gather(*(both() for _ in range(30))) == ["took it"] * 30
    assert idle(outer)
    assert idle(inner)


@virtually
async def test_a_limit_that_becomes_smaller_lets_nobody_wait_for_ever() -> None:
    """An adaptive one may, and then nobody but those who wait for their own hold a permit."""
    from whilst.limit.limit import state_of

    limit = whilst.Limit(concurrency=3)
    over = asyncio.Event()

    async def parent() -> str:
        async with limit:
            await asyncio.sleep(1)
            return await asyncio.create_task(take(limit))

    async def stranger() -> None:
        async with limit:
            await over.wait()

    others = asyncio.create_task(stranger())
    waiting = [asyncio.create_task(parent()) for _ in range(2)]
    await asyncio.sleep(2)
    state_of(limit).keys.queues[0].throttle._room = 2
    over.set()
    async with asyncio.timeout(60):
        found = await asyncio.gather(*waiting, return_exceptions=True)
    await others
    assert [type(one) for one in found].count(RuntimeError) == 1
    assert found.count("took it") == 1
    assert idle(limit)


# -- runs and steps -----------------------------------------------------------------------------------------------


Kind = Callable[[Callable[[int], Any], whilst.Limit], Any]

KINDS: dict[str, Kind] = {
    "a run": lambda fn, limit: whilst.map(fn, range(8), limit=limit),
    "steps": lambda fn, limit: whilst.map(whilst.step(fn, limit=limit), range(8)),
}


@pytest.mark.parametrize("concurrency", [1, 2, 4])
@pytest.mark.parametrize("kind", KINDS)
@virtually
async def test_calls_that_await_tasks_which_use_their_limit_all_end_and_some_succeed(
    kind: str, concurrency: int
) -> None:
    limit = whilst.Limit(concurrency=concurrency)

    async def call(item: int) -> str:
        await asyncio.sleep(1)
        return await asyncio.create_task(take(limit, nap=1))

    async with asyncio.timeout(100):
        found = [outcome async for outcome in KINDS[kind](call, limit).outcomes()]
    wrong = [outcome.error for outcome in found if outcome.error is not None]
    assert all(isinstance(error, RuntimeError) and ALREADY in str(error) for error in wrong)
    assert len(wrong) == 8 if concurrency == 1 else 0 < len(wrong) < 8
    assert idle(limit)


@pytest.mark.parametrize("concurrency", [1, 2])
@pytest.mark.parametrize("kind", KINDS)
@virtually
async def test_a_task_left_by_a_call_gets_its_permit_though_the_lane_makes_other_calls_by_then(
    kind: str, concurrency: int
) -> None:
    limit, left = whilst.Limit(concurrency=concurrency), list[asyncio.Task[str]]()

    async def later() -> str:
        await asyncio.sleep(1.5)  # the call after the next is being made
        return await take(limit)

    async def call(item: int) -> int:
        left.append(asyncio.create_task(later()))
        await asyncio.sleep(1)
        return item

    assert await KINDS[kind](call, limit) == list(range(8))
    assert await asyncio.gather(*left) == ["took it"] * 8
    assert idle(limit)


@virtually
async def test_a_call_that_returns_at_once_is_told_from_the_next_in_its_lane() -> None:
    limit, left = whilst.Limit(concurrency=1), list[asyncio.Task[str]]()

    async def call(item: int) -> int:
        if item == 0:
            left.append(asyncio.create_task(take(limit)))
        else:
            await asyncio.sleep(5)
        return item

    assert await whilst.map(call, range(3), limit=limit) == [0, 1, 2]
    assert await left[0] == "took it"
    assert idle(limit)


@virtually
async def test_the_task_of_a_first_attempt_is_a_stranger_to_the_second() -> None:
    limit, left = whilst.Limit(concurrency=1), list[asyncio.Task[str]]()

    async def later() -> str:
        await asyncio.sleep(0.5)
        return await take(limit)

    async def call(item: int) -> int:
        if not left:
            left.append(asyncio.create_task(later()))
            raise ConnectionError
        await asyncio.sleep(5)
        return item

    assert await whilst.map(call, [1], limit=limit, retry=whilst.Retry(base=0.0)) == [1]
    assert await left[0] == "took it"
    assert idle(limit)


@pytest.mark.parametrize("concurrency", [1, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_a_blocking_call_that_asks_again_raises_and_a_thread_it_starts_takes_what_is_free(
    kind: str, concurrency: int
) -> None:
    limit = whilst.Limit(concurrency=concurrency)

    def block() -> str:
        with limit:
            return "took it"

    def again(item: int) -> str:
        return block()

    def again_by_a_run(item: int) -> list[int]:
        return whilst.map(abs, [item], limit=limit).list()

    def on_another(item: int) -> str:
        context = contextvars.copy_context()
        found: str = on_thread(lambda: context.run(block))
        return found

    for call in (again, again_by_a_run):
        for outcome in KINDS[kind](call, limit).outcomes():
            assert isinstance(outcome.error, RuntimeError)
            assert ALREADY in str(outcome.error)
    found = list(KINDS[kind](on_another, limit).outcomes())
    wrong = [outcome.error for outcome in found if outcome.error is not None]
    assert all(isinstance(error, RuntimeError) and ALREADY in str(error) for error in wrong)
    assert len(wrong) == 8 if concurrency == 1 else len(wrong) < 8
    assert idle(limit)


@virtually
async def test_a_run_inside_a_task_of_a_block_takes_what_is_free_and_raises_where_it_would_wait_for_ever() -> None:
    limit = whilst.Limit(concurrency=3)

    async def inner() -> list[int]:
        return await whilst.map(one, range(4), limit=limit)

    async def one(item: int) -> int:
        await asyncio.sleep(1)
        return item

    async with limit:
        assert await asyncio.create_task(inner()) == [0, 1, 2, 3]
    assert idle(limit)
    only = limit = whilst.Limit(concurrency=1)
    async with only:
        with pytest.raises(RuntimeError, match=ALREADY):
            async with asyncio.timeout(60):
                await asyncio.create_task(inner())
    assert idle(only)


@virtually
async def test_a_call_by_a_function_without_policies_inside_a_block_takes_what_is_free() -> None:
    limit = whilst.Limit(concurrency=4)

    async def call(item: int) -> str:
        return await take(limit)

    async with limit:
        assert await whilst.map(call, range(6)) == ["took it"] * 6
    assert idle(limit)
