"""Stages whose limits move while they run: lanes, places, threads and window of a stage move with them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import whilst
from whilst import testing


class Inside:
    """An async function that knows how many of it are inside; each call takes a second."""

    def __init__(self, seconds: float = 1.0) -> None:
        self.inside = self.most = self.calls = 0
        self.seconds = seconds
        self.allowed: Callable[[], int] = lambda: 1 << 30
        self.too_many: list[tuple[int, int]] = []

    async def __call__(self, item: Any) -> Any:
        self.inside += 1
        self.calls += 1
        self.most = max(self.most, self.inside)
        if self.inside > self.allowed():
            self.too_many.append((self.inside, self.allowed()))
        try:
            await asyncio.sleep(self.seconds)
        finally:
            self.inside -= 1
        return item


async def same(item: Any) -> Any:
    return item


def numbers(_: Any) -> list[int]:
    return [*range(40)]


Way = Callable[[Any], Any]  # of a stage, to what is awaited

WAYS: dict[str, Way] = {
    "the last stage, streamed": lambda stage: whilst.sequence(numbers, stage).stream(0),
    "a stage in the middle": lambda stage: whilst.sequence(numbers, stage, whilst.each(same)).stream(0),
    "one value": lambda stage: whilst.sequence(numbers, stage).aio(0),
    "a stage in a branch": lambda stage: whilst.together(whilst.sequence(numbers, stage), same).aio(0),
    "mapped over several inputs": lambda stage: whilst.map(whilst.sequence(numbers, stage), range(3)),
    "in a stage": lambda stage: whilst.sequence(
        lambda _: [0, 1], whilst.each(whilst.sequence(numbers, stage), concurrency=2)
    ).stream(0),
}


async def collect(made: Any) -> Any:
    return [item async for item in made] if hasattr(made, "__aiter__") else await made


async def settled() -> None:
    await asyncio.sleep(0.001)  # of virtual time: all that is due in this instant has happened


@pytest.mark.parametrize("way", WAYS)
def test_more_and_less_at_once(way: str) -> None:
    async def main() -> None:
        limit, inside = whilst.Limit(concurrency=2), Inside()
        task = asyncio.ensure_future(collect(WAYS[way](whilst.each(inside, limit=limit))))
        await asyncio.sleep(0.5)
        assert inside.inside == 2
        limit.set(concurrency=6)
        await settled()
        assert inside.inside == 6
        limit.set(concurrency=1)
        await asyncio.sleep(1.1)  # of the six calls in flight none is left, and one has begun
        assert inside.calls == 7
        inside.most = 0
        await asyncio.sleep(5)
        assert inside.most == 1
        limit.set(concurrency=40)
        await settled()
        assert inside.inside >= 34 - 6  # all that is left, at least of one input
        await task

    testing.run(main())


@pytest.mark.parametrize("way", WAYS)
def test_what_is_inside_a_stage_follows_too(way: str) -> None:
    async def main() -> None:
        limit, inside = whilst.Limit(concurrency=2), Inside()
        stage = whilst.each(whilst.sequence(inside, same), limit=limit)
        task = asyncio.ensure_future(collect(WAYS[way](stage)))
        await asyncio.sleep(0.5)
        limit.set(concurrency=5)
        await settled()
        assert inside.inside == 5
        await task

    testing.run(main())


def test_a_number_of_its_own_bounds_how_far_a_stage_follows() -> None:
    async def main() -> None:
        limit, inside = whilst.Limit(concurrency=2), Inside()
        stage = whilst.each(inside, limit=limit, concurrency=4)
        task = asyncio.ensure_future(collect(whilst.sequence(numbers, stage).stream(0)))
        await asyncio.sleep(0.5)
        limit.set(concurrency=10)
        await settled()
        assert inside.inside == 4
        await task
        assert inside.most == 4

    testing.run(main())


def test_a_stage_begins_with_what_its_limit_allows_by_then() -> None:
    limit, inside = whilst.Limit(concurrency=2), Inside()
    flow = whilst.sequence(numbers, whilst.each(inside, limit=limit))
    limit.set(concurrency=7)
    assert "7 at once" in str(flow.plan())
    assert testing.run(flow.aio(0)) == numbers(0)
    assert inside.most == 7


def test_a_limit_without_a_number_may_get_a_large_one() -> None:
    async def main() -> None:
        limit, inside = whilst.Limit(rate="100000/s"), Inside(100)
        flow = whilst.sequence(lambda _: range(2000), whilst.each(inside, limit=limit))
        task = asyncio.ensure_future(collect(flow.stream(0)))
        await asyncio.sleep(1)
        assert inside.inside == 32
        limit.set(concurrency=1500)
        await asyncio.sleep(1)
        assert inside.inside == 1500
        task.cancel()
        await asyncio.wait([task])

    testing.run(main())


def test_each_of_two_stages_follows_its_own_limit() -> None:
    async def main() -> None:
        limits = whilst.Limit(concurrency=2), whilst.Limit(concurrency=3)
        first, second = Inside(), Inside(2)
        flow = whilst.sequence(numbers, whilst.each(first, limit=limits[0]), whilst.each(second, limit=limits[1]))
        task = asyncio.ensure_future(collect(flow.stream(0)))
        await asyncio.sleep(3.5)
        assert (first.inside, second.inside) == (2, 3)
        limits[1].set(concurrency=20)
        await asyncio.sleep(4)
        assert (first.inside, first.most) == (2, 2)
        limits[0].set(concurrency=20)
        await asyncio.sleep(1.5)
        assert first.most == 20
        assert second.most > 3
        assert await task == numbers(0)

    testing.run(main())


class Blocking:
    """A blocking function that stays inside until it is opened."""

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.changed = threading.Condition()
        self.open = threading.Event()

    def __call__(self, item: Any) -> Any:
        with self.changed:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.changed.notify_all()
        self.open.wait(20)
        with self.changed:
            self.inside -= 1
            self.changed.notify_all()
        return item

    def wait_for(self, inside: int) -> bool:
        with self.changed:
            return self.changed.wait_for(lambda: self.inside == inside, 20)


BLOCKING: dict[str, Callable[[Blocking, whilst.Limit], Any]] = {
    "the last stage": lambda calls, limit: [*whilst.sequence(numbers, whilst.each(calls, limit=limit)).stream(0)],
    "a stage in the middle": lambda calls, limit: whilst.sequence(
        numbers, whilst.each(calls, limit=limit), whilst.each(same)
    )(0),
    "mapped": lambda calls, limit: whilst.map(whilst.sequence(numbers, whilst.each(calls, limit=limit)), [0]).list()[0],
    "a step": lambda calls, limit: whilst.map(whilst.step(calls), range(40), limit=limit).list(),
    "a step of a flow": lambda calls, limit: whilst.map(whilst.sequence(calls, same), range(40), limit=limit).list(),
}


@pytest.mark.parametrize("way", BLOCKING)
def test_a_blocking_stage_gets_threads_for_what_its_limit_allows(way: str) -> None:
    """More than the 32 that a run has where nothing is said."""
    limit, calls, found = whilst.Limit(concurrency=2), Blocking(), list[Any]()
    thread = threading.Thread(target=lambda: found.extend(BLOCKING[way](calls, limit)))
    thread.start()
    assert calls.wait_for(2)
    limit.set(concurrency=6)
    assert calls.wait_for(6)
    limit.set(concurrency=40)
    assert calls.wait_for(40)
    calls.open.set()
    thread.join(20)
    assert found == numbers(0)
    assert calls.most == 40


@pytest.mark.parametrize("way", BLOCKING)
def test_a_blocking_stage_starts_nothing_new_while_there_is_less_room(way: str) -> None:
    limit, calls, found = whilst.Limit(concurrency=6), Blocking(), list[Any]()
    thread = threading.Thread(target=lambda: found.extend(BLOCKING[way](calls, limit)))
    thread.start()
    assert calls.wait_for(6)
    limit.set(concurrency=1)
    with calls.changed:
        calls.most = 0
    calls.open.set()
    thread.join(20)
    assert found == numbers(0)
    assert calls.most == 1


moves = st.lists(
    st.tuples(st.sampled_from([0.05, 0.3, 0.95, 1.7]), st.sampled_from([1, 2, 3, 5, 8, 33, 70, "pause", "resume"])),
    max_size=8,
)


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=40, deadline=None)
@given(first=st.integers(1, 6), moves=moves)
def test_a_stage_has_as_many_calls_in_flight_as_its_limit_allows_whatever_moves(
    way: str, first: int, moves: list[tuple[float, Any]]
) -> None:
    async def main() -> None:
        limit, inside = whilst.Limit(concurrency=first), Inside()
        count = 40 * {"mapped over several inputs": 3, "in a stage": 2}.get(way, 1)
        now, paused = first, False
        inside.allowed = lambda: 0 if paused else now  # when a call begins, for which it counts itself
        task = asyncio.ensure_future(collect(WAYS[way](whilst.each(inside, limit=limit))))
        for seconds, move in moves:
            await asyncio.sleep(seconds)
            if move == "pause":
                paused = True
                limit.pause()
            elif move == "resume":
                paused = False
                limit.resume()
            else:
                now = move
                limit.set(concurrency=now)
            before = inside.calls
            await settled()
            if paused:
                assert inside.calls == before
            elif not task.done():
                left = 40 if count > 40 else count - inside.calls + inside.inside  # several inputs share the limit
                assert inside.inside >= min(now, left) or inside.calls == count
        limit.resume()
        paused = False
        await task
        assert inside.too_many == []
        assert inside.calls == count

    testing.run(main())


def test_many_threads_move_a_limit() -> None:
    limit, inside, found = whilst.Limit(concurrency=2), Blocking(), list[Any]()
    inside.open.set()
    flow = whilst.sequence(lambda _: range(2000), whilst.each(inside, limit=limit), whilst.each(same))
    over = threading.Event()

    def move(step: int) -> None:
        number = step
        while not over.is_set():
            number = number * 5 % 7 + 1
            limit.set(concurrency=number)

    movers = [threading.Thread(target=move, args=[step]) for step in (1, 2, 3)]
    for thread in movers:
        thread.start()
    try:
        found += flow(0)
    finally:
        over.set()
        for thread in movers:
            thread.join(20)
    assert found == [*range(2000)]
    assert inside.most <= 7
    inside.open.clear()
    limit.set(concurrency=5)
    thread = threading.Thread(target=lambda: flow(0))
    thread.start()
    assert inside.wait_for(5)
    inside.open.set()
    thread.join(20)
