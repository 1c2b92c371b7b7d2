"""Answers that go well say how many calls are left: the run keeps to that, and uses it."""

from __future__ import annotations

import asyncio
import random
import threading
from typing import Any

import pytest
from kit import virtually

import whilst
from whilst.core.headers import Left
from whilst.lanes.calling import listener_now

PER_WINDOW = 100
WINDOW = 10.0


class Refused(Exception):
    status_code = 429


class Counting:
    """An API that permits so many calls in each window, says with each answer what is left, and refuses the rest."""

    def __init__(self, seed: int = 0, naps: float = 0.5) -> None:
        self.answered: dict[Any, int] = {}
        self.refused = 0
        self._draw = random.Random(seed)
        self._naps = naps
        self._began: float | None = None

    async def __call__(self, item: Any) -> Any:
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._draw.uniform(0, self._naps))
        now = loop.time()
        if self._began is None:
            self._began = now
        number, into = divmod(now - self._began, WINDOW)
        key = (item["host"] if isinstance(item, dict) else "", number)
        if self.answered.get(key, 0) >= PER_WINDOW:
            self.refused += 1
            raise Refused
        self.answered[key] = self.answered.get(key, 0) + 1
        until, left = now + WINDOW - into, PER_WINDOW - self.answered[key]
        await asyncio.sleep(self._draw.uniform(0, self._naps))  # answers overtake each other
        listener = listener_now()
        assert listener is not None
        listener.allow(Left(left, until - loop.time()) if until > loop.time() else Left(left, 0.0))
        return item


def host(item: Any) -> Any:
    return item["host"]


def step_with_a_limit(server: Counting) -> Any:
    return whilst.sequence(whilst.step(server, limit=whilst.Limit(concurrency=40)))


WAYS: dict[str, Any] = {
    "no limit": lambda server, rows: whilst.map(server, rows),
    "concurrency": lambda server, rows: whilst.map(server, rows, limit=whilst.Limit(concurrency=20)),
    "rate": lambda server, rows: whilst.map(server, rows, rate="200/s"),
    "adaptive": lambda server, rows: whilst.map(server, rows, concurrency="adaptive"),
    "a step": lambda server, rows: whilst.map(step_with_a_limit(server), rows),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("way", sorted(WAYS))
def test_nothing_is_refused_and_hardly_anything_of_what_is_permitted_stays_unused(way: str, seed: int) -> None:
    @virtually
    async def main() -> None:
        server = Counting(seed)
        outcomes = await WAYS[way](server, range(450)).outcomes()
        assert [outcome.ok for outcome in outcomes] == [True] * 450
        assert server.refused == 0
        *whole, _ = server.answered.values()
        assert way == "adaptive" or min(whole) >= 0.85 * PER_WINDOW  # it looks for less than that by itself

    main()


def test_each_key_keeps_to_what_it_was_told() -> None:
    @virtually
    async def main() -> None:
        server = Counting()
        rows = [{"host": "ab"[number % 2], "number": number} for number in range(500)]
        outcomes = await whilst.map(server, rows, limit=whilst.Limit(concurrency=20, by=host)).outcomes()
        assert all(outcome.ok for outcome in outcomes)
        assert min(server.answered[name, window] for name in "ab" for window in (0, 1)) >= 0.85 * PER_WINDOW

    main()


def test_a_block_under_a_limit_keeps_to_what_it_was_told() -> None:
    @virtually
    async def main() -> None:
        server, limit = Counting(), whilst.Limit(concurrency=20)

        async def one(item: int) -> None:
            async with limit.of(item):
                await server(item)

        await asyncio.gather(*(one(item) for item in range(250)))
        assert server.refused == 0
        assert server.answered["", 0] >= 0.85 * PER_WINDOW
        assert listener_now() is None

    main()


def test_what_a_call_on_a_thread_is_told_counts_too() -> None:
    seen: list[int] = []

    def call(item: int) -> int:
        seen.append(item)
        listener = listener_now()
        assert listener is not None
        listener.allow(Left(0, 30.0))
        return item

    run = whilst.map(call, range(50), concurrency=2, deadline=0.5)
    with pytest.raises(whilst.DeadlineExceeded):
        run.list()
    assert len(seen) <= 4


def test_what_is_told_when_the_call_is_over_is_nobodys() -> None:
    left: list[Any] = []

    async def call(item: int) -> int:
        left.append(listener_now())
        return item

    def blocking(item: int) -> int:
        left.append(listener_now())
        return item

    whilst.map(call, range(3)).list()
    whilst.map(blocking, range(3)).list()
    for listener in left:
        listener.allow(Left(0, 30.0))
        thread = threading.Thread(target=listener.allow, args=(Left(0, 30.0),))
        thread.start()
        thread.join()
    assert whilst.map(call, range(3)).list() == [0, 1, 2]


def test_a_rate_that_was_told_holds_for_calls_that_hand_their_permit_on() -> None:
    class Slower(Exception):
        status_code = 429
        headers = {"RateLimit": '"d";r=50;t=10'}  # noqa: RUF012

    starts: list[float] = []

    async def call(item: int) -> None:
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.5 if item < 20 else 0.001)
        if item == 0:
            raise Slower

    @virtually
    async def main() -> None:
        await whilst.map(call, range(60), limit=whilst.Limit(concurrency=2)).outcomes()
        told = starts[0] + 0.5
        paced = [at for at in starts if told < at <= told + 9.0]
        assert len(paced) <= 9.0 * 5 + 2

    main()
