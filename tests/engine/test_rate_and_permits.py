"""A rate and permits that both bind lose next to nothing by each other."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from policykit import most_in_any

import whilst
from whilst import testing
from whilst.core.rates import Gcra, parse_rates


def starts_of(calls: int, spread: float, **policies: Any) -> list[float]:
    """Return when calls of a tenth of a second, more or less, began."""
    rng, starts = random.Random(1), list[float]()

    async def call(_: int) -> None:
        starts.append(asyncio.get_running_loop().time())
        await asyncio.sleep(0.1 + spread * (2 * rng.random() - 1))

    async def main() -> None:
        await whilst.map(call, range(calls), ordered=False, **policies)

    testing.run(main())
    return starts


BOTH: dict[str, Any] = {
    "rate= and limit=": lambda: {"rate": "100/s", "limit": whilst.Limit(concurrency=10)},
    "rate= and concurrency=": lambda: {"rate": "100/s", "concurrency": 10},
    "one limit": lambda: {"limit": whilst.Limit(rate="100/s", concurrency=10)},
    "two limits' rates": lambda: {"rate": "100/s", "limit": whilst.Limit(rate=["100/s", "360000/h"], concurrency=10)},
    "each host": lambda: {"rate": "100/s", "limit": whilst.Limit(concurrency=10, by=lambda item: "a")},
}


@pytest.mark.parametrize("spread", [0.0, 0.02, 0.05, 0.1])
@pytest.mark.parametrize("both", BOTH)
def test_both_together_use_98_percent_of_the_tighter(both: str, spread: float) -> None:
    starts = starts_of(3000, spread, **BOTH[both]())
    assert (len(starts) - 1) / (starts[-1] - starts[0]) >= 98.0


@pytest.mark.parametrize("both", BOTH)
def test_what_is_saved_up_is_no_more_than_a_call_for_each_permit(both: str) -> None:
    starts = starts_of(2000, 0.1, **BOTH[both]())
    for seconds in (0.05, 0.2, 1.0, 5.0):
        assert most_in_any(starts, seconds) <= 100 * seconds + 2 + 2 * 11


def test_a_rest_saves_up_nothing() -> None:
    """Only what permits held back is made up for: after a rest, one call may start at once."""

    async def call(_: int) -> None:
        pass

    async def main() -> None:
        limit = whilst.Limit(rate="10/s", concurrency=5)
        await whilst.map(call, range(3), limit=limit)
        await asyncio.sleep(60)
        began = asyncio.get_running_loop().time()
        await whilst.map(call, range(11), limit=limit)
        assert asyncio.get_running_loop().time() - began >= 0.99

    testing.run(main())


def test_a_pace_makes_up_for_what_was_held_and_for_no_more() -> None:
    pace = Gcra(parse_rates("10/s")[0])
    pace.take(0.0)
    pace.held(0.0, 1.0, most=3)
    taken = 0
    while pace.take_one(1.0):
        taken += 1
    assert taken == 4  # three that were saved up, and the one that is due
    assert pace.delay(1.0) == pytest.approx(0.095)
    pace.held(1.0, 1.05, most=3)  # it was not due before
    assert not pace.take_one(1.05)
