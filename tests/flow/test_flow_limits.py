"""Limits belong to the run: shared, fair, never exceeded, never a deadlock."""

import asyncio
import contextlib
import threading
from typing import Any

import pytest
from flowkit import Gate, Gauge, cancelled_at_every_round, eventually

import whilst
from whilst import testing
from whilst.engine.slots import Slots


def idle(limit: whilst.Limit) -> bool:
    now = limit.statistics()
    return (now.in_flight, now.waiting) == (0, 0)


def watched(gauge: Gauge, seconds: float = 1.0) -> Any:
    async def nap(value: Any) -> Any:
        with gauge:
            await asyncio.sleep(seconds)
        return value

    return nap


def test_a_limit_holds_over_several_steps_and_runs_on_one_loop() -> None:
    limit, gauge = whilst.Limit(concurrency=3), Gauge()
    nap = watched(gauge)
    flow = whilst.together(whilst.step(nap, limit=limit), whilst.step(nap, limit=limit), whilst.step(nap, limit=limit))

    async def main() -> None:
        await asyncio.gather(
            flow.aio(1), whilst.map(flow, range(5)), whilst.map(whilst.step(nap, limit=limit), range(9))
        )

    testing.run(main())
    assert gauge.most == 3
    assert gauge.calls == 3 + 15 + 9
    assert idle(limit)


def test_a_limit_holds_over_loops_and_threads_at_once() -> None:
    limit, gauge = whilst.Limit(concurrency=2), Gauge()

    async def later(value: int) -> int:
        with gauge:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        return value

    def blocking(value: int) -> int:
        with gauge:
            return value

    flow = whilst.together(whilst.step(later, limit=limit), whilst.step(blocking, limit=limit))
    results: list[Any] = []

    def plain() -> None:
        results.append(whilst.map(flow, range(50)).list())

    def on_own_loop() -> None:
        async def main() -> None:
            results.append(await whilst.map(flow, range(50)))

        asyncio.run(main())

    threads = [threading.Thread(target=target) for target in (plain, on_own_loop, plain, on_own_loop)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert results == [[(i, i) for i in range(50)]] * 4
    assert gauge.most <= 2
    assert gauge.calls == 400
    assert idle(limit)


def test_a_limit_on_a_part_of_a_flow_is_held_by_each_call_in_it_and_by_no_node() -> None:
    limit, gauge = whilst.Limit(concurrency=1), Gauge()
    nap = watched(gauge)
    inner = whilst.sequence(nap, whilst.together(nap, nap), whilst.each(nap), list)
    assert testing.run(whilst.step(inner, limit=limit).aio([1])) == [[1], [1]]
    assert gauge.most == 1
    assert idle(limit)


def test_first_come_first_served() -> None:
    limit = whilst.Limit(concurrency=1)
    order: list[int] = []

    async def note(value: int) -> None:
        order.append(value)
        await asyncio.sleep(1)

    async def main() -> None:
        flow = whilst.step(note, limit=limit)
        tasks = []
        for i in range(20):
            tasks.append(asyncio.create_task(flow.aio(i)))
            await asyncio.sleep(0.01)
        assert limit.statistics().waiting == 19
        assert repr(limit) == "<Limit 1/1 in flight, 19 waiting>"
        await asyncio.gather(*tasks)

    testing.run(main())
    assert order == [*range(20)]


def test_a_cancelled_waiter_takes_no_permit_and_keeps_nobody_waiting() -> None:
    limit = whilst.Limit(concurrency=1)
    order: list[int] = []

    async def note(value: int) -> None:
        order.append(value)
        await asyncio.sleep(1)

    async def main() -> None:
        flow = whilst.step(note, limit=limit)
        tasks = []
        for i in range(5):
            tasks.append(asyncio.create_task(flow.aio(i)))
            await asyncio.sleep(0.01)
        tasks[1].cancel()
        tasks[3].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    testing.run(main())
    assert order == [0, 2, 4]
    assert idle(limit)


def test_cancelled_in_any_round_waiters_and_holders_give_everything_back() -> None:
    a, b = whilst.Limit(concurrency=1), whilst.Limit(concurrency=2)
    nap = watched(Gauge())
    both = whilst.step(whilst.step(nap, limit=a), limit=b)

    async def once() -> None:
        await whilst.map(whilst.together(both, whilst.step(nap, limit=b)), range(4))

    def check() -> None:
        assert idle(a)
        assert idle(b)

    assert cancelled_at_every_round(once, check) > 20


def test_a_call_that_was_left_behind_keeps_its_permit_until_it_returns() -> None:
    limit, gate = whilst.Limit(concurrency=1), Gate()
    flow = whilst.step(gate, limit=limit, timeout=0.5)  # by then its thread is in the call
    with pytest.raises(TimeoutError):
        flow(1)
    assert limit.statistics().in_flight == 1
    gate.open.set()
    assert eventually(lambda: idle(limit))
    assert flow(2) == 2


def test_a_blocking_call_that_waits_in_the_queue_gives_its_permit_back_at_once_when_cancelled() -> None:
    limit, gate = whilst.Limit(concurrency=2), Gate()

    async def main() -> None:
        run = whilst.map(whilst.step(gate, limit=limit), range(2), concurrency=1)
        task = asyncio.ensure_future(_list(run))
        await gate.wait_until_entered_aio()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert limit.statistics().in_flight == 1
        gate.open.set()

    asyncio.run(main())
    assert eventually(lambda: idle(limit))


async def _list(run: Any) -> Any:
    return await run


@pytest.mark.parametrize("colour", ["async", "blocking"])
def test_asking_for_a_limit_that_the_call_holds_already_raises(colour: str) -> None:
    limit = whilst.Limit(concurrency=5)
    inner = whilst.step(abs, limit=limit)

    async def later(value: int) -> int:
        return int(await inner.aio(value))

    outer = whilst.step(later if colour == "async" else (lambda value: inner(value)), limit=limit)
    with pytest.raises(RuntimeError, match="holds a permit of this limit already"):
        outer(-1)
    assert idle(limit)


def test_the_same_limit_given_twice_on_the_way_to_a_call_is_taken_once() -> None:
    limit = whilst.Limit(concurrency=1)
    assert whilst.step(whilst.sequence(whilst.step(abs, limit=limit)), limit=limit)(-1) == 1
    assert idle(limit)


def test_a_task_that_outlives_its_call_may_use_the_limit_that_the_call_held() -> None:
    limit = whilst.Limit(concurrency=1)

    async def main() -> None:
        later: list[asyncio.Task[int]] = []

        async def after() -> int:
            await asyncio.sleep(5)
            return int(await whilst.step(abs, limit=limit).aio(-2))

        async def starts(value: int) -> int:
            later.append(asyncio.create_task(after()))
            return value

        assert await whilst.step(starts, limit=limit).aio(1) == 1
        assert await later[0] == 2

    testing.run(main())


def test_two_limits_nested_in_opposite_orders_cannot_deadlock() -> None:
    a, b = whilst.Limit(concurrency=1), whilst.Limit(concurrency=1)
    nap = watched(Gauge())

    def under(first: whilst.Limit, *others: whilst.Limit) -> Any:
        flow = whilst.step(nap, limit=first)
        for limit in others:
            flow = whilst.step(flow, limit=limit)
        return flow

    flow = whilst.together(under(a), under(b), under(a, b), under(b, a), under(a, b), under(b, a))
    assert testing.run(flow.aio(1)) == (1,) * 6
    assert testing.run(_list(whilst.map(flow, range(10)))) == [(i,) * 6 for i in range(10)]


def test_the_concurrency_of_each_holds_over_all_inputs_of_the_run() -> None:
    gauge = Gauge()
    flow = whilst.sequence(range, whilst.each(watched(gauge), concurrency=3))

    async def main() -> None:
        assert await whilst.map(flow, [4] * 20, concurrency=20) == [[0, 1, 2, 3]] * 20

    testing.run(main())
    assert gauge.most == 3


def test_the_concurrency_of_a_map_bounds_the_calls_of_all_steps_together() -> None:
    gauge = Gauge()
    nap = watched(gauge)
    flow = whilst.sequence(whilst.together(nap, nap, nap), whilst.each(nap, concurrency=10), whilst.first(nap, nap))
    testing.run(_list(whilst.map(flow, range(30), concurrency=4)))
    assert gauge.most == 4


@pytest.mark.parametrize("concurrency", [1, 2])
def test_the_concurrency_of_a_map_bounds_blocking_calls_too(concurrency: int) -> None:
    gauge = Gauge()

    def work(value: Any) -> Any:
        with gauge:
            return value

    flow = whilst.sequence(whilst.together(work, work, work), whilst.each(work))
    assert len(whilst.map(flow, range(30), concurrency=concurrency).list()) == 30
    assert gauge.most <= concurrency


@pytest.mark.parametrize("colour", ["async", "blocking", "mixed"])
def test_depth_fifty_on_one_thread_works(colour: str) -> None:
    async def later(value: int) -> int:
        return value + 1

    def blocking(value: int) -> int:
        return value + 1

    flow: Any = {"async": later, "blocking": blocking, "mixed": later}[colour]
    for level in range(50):
        fn = blocking if colour != "async" and level % 2 else later
        shape = level % 4
        if shape == 0:
            flow = whilst.together(flow, fn)
            flow = whilst.sequence(flow, max)
        elif shape == 1:
            flow = whilst.sequence(flow, lambda value: [value], whilst.each(fn), max)
        elif shape == 2:
            flow = whilst.first(flow)
        else:
            flow = whilst.step(whilst.sequence(flow, fn), timeout=30)
    assert whilst.map(flow, [0, 1], concurrency=1).list() == [whilst.map(flow, [i]).list()[0] for i in (0, 1)]


def test_each_in_each_in_each_with_one_permit_everywhere_works() -> None:
    limit = whilst.Limit(concurrency=1)
    flow: Any = whilst.step(abs, limit=limit)
    value: Any = -1
    for _ in range(12):
        flow = whilst.each(flow, concurrency=1)
        value = [value, value] if _ < 4 else [value]
    result = whilst.map(flow, [value], concurrency=1).list()[0]
    assert str(result).count("1") == 16


def test_a_permit_passed_on_in_the_moment_of_a_cancellation_is_not_lost() -> None:
    async def main() -> None:
        for cancel_first in (True, False):
            permits = Slots(1)
            await permits.acquire()
            waiters = [asyncio.create_task(permits.acquire()) for _ in range(2)]
            await asyncio.sleep(0)
            if cancel_first:
                waiters[0].cancel()
                permits.release()
            else:
                permits.release()
                waiters[0].cancel()
            results = await asyncio.gather(*waiters, return_exceptions=True)
            assert isinstance(results[0], asyncio.CancelledError)
            assert results[1] is True
            permits.release()
            assert permits.free == 1

    testing.run(main())


def test_a_loop_that_ends_while_its_calls_wait_for_a_limit_gives_its_place_to_the_others() -> None:
    limit, gate = whilst.Limit(concurrency=1), Gate()
    holder = threading.Thread(target=whilst.step(gate, limit=limit), args=(1,))
    holder.start()
    gate.wait_until_entered()

    async def waits() -> None:
        task = asyncio.create_task(whilst.step(abs, limit=limit).aio(-1))
        while not limit.statistics().waiting:
            await asyncio.sleep(0.001)
        task.add_done_callback(lambda _: None)  # and the loop ends under it

    asyncio.run(waits())
    assert limit.statistics().waiting == 0
    gate.open.set()
    holder.join(10)
    assert whilst.step(abs, limit=limit)(-3) == 3


@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (True, TypeError), (1.5, TypeError), ("3", TypeError)]
)
def test_a_limit_that_cannot_be_meant_is_refused(value: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="concurrency must be"):
        whilst.Limit(concurrency=value)
