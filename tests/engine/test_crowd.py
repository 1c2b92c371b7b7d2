"""Tasks of one loop that wait for one limit as one party: their turns, their cancellations, and what they cost."""

from __future__ import annotations

import asyncio
import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit import virtually
from partykit import party

import whilst
from whilst import testing
from whilst.limit.acquirer import Acquirer
from whilst.limit.limit import state_of
from whilst.limit.queue import WaitQueue

LIMITS = {"a rate": {"rate": "10/s", "burst": 1}, "a concurrency": {"concurrency": 1}}


async def turns() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("kind", LIMITS)
@virtually
async def test_first_come_first_served_though_another_party_comes_in_between(kind: str) -> None:
    limit, order = whilst.Limit(**LIMITS[kind]), []  # type: ignore[arg-type]

    async def block(name: str) -> None:
        async with limit:
            order.append(name)
            await asyncio.sleep(0.5)

    tasks = [asyncio.create_task(block("first"))]
    await turns()
    tasks += [asyncio.create_task(block(name)) for name in ("a", "b")]
    await turns()
    between = party((limit,), None, loop=asyncio.get_running_loop(), granted=lambda count: order.append("run"))
    assert between.ask(1) == 0
    tasks += [asyncio.create_task(block(name)) for name in ("c", "d")]
    await asyncio.sleep(3)
    between.give_back()
    await asyncio.gather(*tasks)
    assert order == ["first", "a", "b", "run", "c", "d"]
    assert (limit.statistics().in_flight, limit.statistics().waiting) == (0, 0)


@virtually
async def test_a_permit_that_comes_back_goes_to_the_next_who_waits_not_to_one_who_comes_now() -> None:
    limit, order, over = whilst.Limit(concurrency=1), list[str](), asyncio.Event()

    async def block(name: str) -> None:
        async with limit:
            order.append(name)

    async def first() -> None:
        async with limit:
            await over.wait()
            waiting[0].cancel()  # and it does not know yet when the permit comes back
        assert (limit.statistics().in_flight, order) == (1, [])  # the next has it already

    holder = asyncio.create_task(first())
    await turns()
    waiting = [asyncio.create_task(block(name)) for name in ("cancelled", "next", "last")]
    await turns()
    over.set()
    await holder
    await asyncio.gather(block("late"), *waiting, return_exceptions=True)
    assert order == ["next", "last", "late"]
    now = limit.statistics()
    assert (now.in_flight, now.waiting, now.started) == (0, 0, 4)


def test_the_ends_of_blocks_of_a_rate_are_counted_on_many_threads_at_once() -> None:
    limit, calls, threads = whilst.Limit(rate="1000000/s"), 1000, 4
    entered = limit.statistics().in_flight

    def work() -> None:
        for _ in range(calls):
            with limit:
                pass

    with limit:
        workers = [threading.Thread(target=work) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        now = limit.statistics()
    assert (now.started, now.in_flight) == (threads * calls + 1, 1)
    assert limit.statistics().in_flight == entered == 0


@virtually
async def test_after_a_pause_a_limit_of_one_rate_keeps_its_pace() -> None:
    limit, loop = whilst.Limit(rate="10/s"), asyncio.get_running_loop()
    starts: list[float] = []

    async def block() -> None:
        async with limit:
            starts.append(loop.time())

    await block()
    began = loop.time()
    starts.clear()
    state_of(limit).keys.queues[0].throttle.pause(began + 2.0)
    await asyncio.gather(*(block() for _ in range(20)))
    assert 2.0 <= starts[0] - began <= 2.2
    assert all(b - a >= 0.09 for a, b in itertools.pairwise(starts))
    assert starts[-1] - starts[0] == pytest.approx(1.9, abs=0.02)


steps = st.lists(st.tuples(st.sampled_from(["come", "come", "cancel", "wait"]), st.integers(0, 9)), max_size=60)


@pytest.mark.parametrize("kind", LIMITS)
@given(steps)
def test_whoever_is_cancelled_takes_nothing_and_the_others_keep_their_order(
    kind: str, steps: list[tuple[str, int]]
) -> None:
    testing.run(coming_and_going(whilst.Limit(**LIMITS[kind]), steps))  # type: ignore[arg-type]


async def coming_and_going(limit: whilst.Limit, steps: list[tuple[str, int]]) -> None:
    tasks: list[asyncio.Task[None]] = []
    order: list[int] = []

    async def block(number: int) -> None:
        async with limit:
            order.append(number)
            await asyncio.sleep(0.02)

    for what, number in steps:
        if what == "come":
            tasks.append(asyncio.create_task(block(len(tasks))))
        elif what == "cancel" and tasks:
            tasks[-1 - number % len(tasks)].cancel()  # some of them in the moment of their grant
        elif what == "wait":
            await asyncio.sleep(number / 20)
    await asyncio.gather(*tasks, return_exceptions=True)
    assert order == sorted(order)
    done = {number for number, task in enumerate(tasks) if not task.cancelled()}
    assert done <= set(order)
    now = limit.statistics()
    assert (now.in_flight, now.waiting) == (0, 0)
    async with asyncio.timeout(5):  # and there is nothing that still holds it up
        async with limit:
            pass


def test_tasks_that_find_a_pace_used_up_wait_together_though_it_is_due_a_moment_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Code that runs as fast as the pace would else be refused and served one by one, and its loop never rest."""
    stood: list[float] = []
    stand = Acquirer.stand

    def counted(acquirer: Acquirer, count: int) -> None:
        stood.append(acquirer.clock())
        stand(acquirer, count)

    monkeypatch.setattr(Acquirer, "stand", counted)

    class Passing(testing.VirtualClock):
        def __call__(self) -> float:
            self.now += 6e-6  # each look takes its time
            return self.now

    async def main() -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, testing.VirtualTimeLoop)
        limit, numbers = whilst.Limit(rate="100000/s"), iter(range(20_000))
        loop.virtual_clock.__class__ = Passing

        async def work() -> None:
            for _ in numbers:
                async with limit:
                    pass

        await asyncio.gather(*(work() for _ in range(50)))
        assert len(stood) <= 1 + loop.time() / 0.001

    testing.run(main())
    assert stood


@pytest.mark.parametrize("style", ["blocks", "a run"])
def test_a_line_is_looked_at_once_a_millisecond_however_many_calls_return(
    style: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    serve = WaitQueue.serve

    def counted(queue: WaitQueue) -> None:
        looks.append(queue.clock())
        serve(queue)

    monkeypatch.setattr(WaitQueue, "serve", counted)
    limit, calls = whilst.Limit(rate="20000/s"), 2000

    async def noop(_: int) -> None:
        await asyncio.sleep(0)

    async def blocks() -> None:
        numbers = iter(range(calls))

        async def work() -> None:
            for number in numbers:
                async with limit:
                    await noop(number)

        await asyncio.gather(*(work() for _ in range(50)))

    async def run() -> None:
        await whilst.map(noop, range(calls), limit=limit, concurrency=50)

    testing.run(blocks() if style == "blocks" else run())
    took = calls / 20_000 - 0.005
    assert looks[-1] - looks[0] == pytest.approx(took, rel=0.1)
    assert len(looks) < 2.2 * took / 0.001
