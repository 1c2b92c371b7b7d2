"""Runs meet sides that refuse and tell nothing: by chance, by so many at once, in small and in short windows."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from calling import LATENCY, Refused, play
from meters import Window
from vendors import Reply, Vendor, answered

import whilst
from whilst import testing

pytestmark = pytest.mark.once


class Chance:
    """Refuses a share of the calls, whatever their rate."""

    def permits(self, seconds: float) -> float:
        return 32 / LATENCY * seconds


def by_chance(share: float, status: int) -> Vendor:
    def make() -> tuple[Any, Any]:
        rng = random.Random(3)
        return Chance(), lambda now: Reply(status if rng.random() < share else 200, answered(now))

    return Vendor("by chance", "no", make, "an edge that refuses at random")


@pytest.mark.parametrize(
    ("share", "used", "status"),
    [(0.003, 99.4, 429), (0.01, 98.4, 503), (0.05, 94.3, 429), (0.05, 94.3, 503), (0.2, 79.3, 429), (0.2, 79.3, 503)],
)
def test_to_find_out_that_refusals_come_by_chance_costs_next_to_nothing(share: float, used: float, status: int) -> None:
    found, _ = play(by_chance(share, status), reads=False, retry=5)
    assert found.used >= used, found  # without any look for a rate: 99.7, 99, 95 and 80


@pytest.mark.parametrize("slots", [2, 8, 20])
def test_a_side_that_takes_so_many_at_once_is_used_better_than_by_retries_alone(slots: int) -> None:
    busy = taken = 0

    async def call(item: int) -> int:
        nonlocal busy, taken
        await asyncio.sleep(LATENCY / 5)
        if busy >= slots:
            raise Refused(Reply(429, answered(0.0)))
        busy += 1
        try:
            await asyncio.sleep(LATENCY)
        finally:
            busy -= 1
        taken += 1
        return item

    async def main() -> None:
        run = whilst.map(call, range(10**7), ordered=False, retry=8, concurrency=32)
        asyncio.get_running_loop().call_later(60.0, run.cancel)
        with pytest.raises(whilst.RunCancelled):
            async for _ in run.outcomes():
                pass

    testing.run(main())
    assert taken > {2: 70, 8: 200, 20: 1000}[slots]  # 35, 107 and 251 by retries that only wait


@pytest.mark.parametrize(("count", "refused"), [(20, 0.03), (100, 0.015)])
def test_to_keep_to_small_windows_costs_little_once_they_are_known(count: int, refused: float) -> None:
    seen: list[tuple[float, int]] = []

    def make() -> tuple[Any, Any]:
        window = Window(count, 10.0)

        def reply(now: float) -> Reply:
            status = 200 if window.take(now) else 429
            seen.append((now, status))
            return Reply(status, answered(now))

        return window, reply

    play(Vendor("windows", "no", make, "a quota of so many in ten seconds"), 300.0, reads=False, retry=5)
    known = [status for now, status in seen if now >= 100.0]
    assert known.count(200) >= 0.95 * 20 * count
    assert known.count(429) <= refused * len(known), known.count(429)


@pytest.mark.parametrize(
    ("count", "period", "status"),
    [
        *((40, 1.0, 503), (50, 1.0, 429), (50, 1.0, 503), (400, 2.0, 429)),
        *((100, 2.0, 429), (100, 2.0, 503), (60, 5.0, 429), (60, 5.0, 503)),
    ],
)
def test_short_windows_of_which_nothing_is_told_are_kept_to(count: int, period: float, status: int) -> None:
    """Without a look at the moments at which a window is used up, 12 to 79 % of the calls were refused for ever."""

    def make() -> tuple[Any, Any]:
        window = Window(count, period, first=0.4 * period)
        return window, lambda now: Reply(200 if window.take(now) else status, answered(now))

    found, _ = play(Vendor("windows", "no", make, "so many in each second or few"), reads=False, retry=5)
    assert found.used >= 85.0, found
    assert found.refused <= 5.0, found
