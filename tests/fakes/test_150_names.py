"""150 names from a side that permits fifty a second, with retries alone: how long does it take, what is refused?

Refusals say in whole seconds when to come again, as HTTP does. Ideal are two seconds. With 32 calls at once, of 30 ms
each, the first refusal is heard after 60 ms and says "in a second", whether a bucket has a call again in 20 ms or a
window begins anew in 0.94 s. So nothing is sent until 1.06 s, and up to 0.05 s later, as not all clients shall come at
once. A bucket is full by then: fifty at once, and the last fifty one by one, until 2.1 s. A window has fifty, too, and
refuses the next one, which nobody knows before. It says "in a second", too, and with 0.1 s until that is heard, 1 s,
up to 0.05 s and 0.06 s for the last fifty, that makes 2.3 s.
"""

from __future__ import annotations

import asyncio
import random
from statistics import median
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from calling import Refused, play
from vendors import BY_ITS_SECONDS, DEMO, Vendor, by_its_seconds

import whilst
from whilst import testing
from whilst.lanes import chance

pytestmark = pytest.mark.once
NAMES, ROUNDS = 150, 40


def finish(vendor: Vendor, seed: int, takes: float, refuses: float, **policies: Any) -> tuple[float, int]:
    """Call for every name; return the seconds, and how many calls were refused.

    Args:
        vendor: is asked, at the time of the call.
        seed: of the random part of waits.
        takes: seconds until an answer.
        refuses: seconds until a refusal.
    """
    _, reply = vendor.make()
    refusals, pause = 0, 0.0

    async def call(name: int) -> int:
        nonlocal refusals, pause
        loop = asyncio.get_running_loop()
        assert loop.time() >= pause - 1e-9  # a Retry-After is kept
        answer = reply(loop.time())
        await asyncio.sleep(takes if answer.status == 200 else refuses)
        if answer.status != 200:
            refusals += 1
            pause = max(pause, loop.time() + float(answer.headers["retry-after"]))
            raise Refused(answer)
        return name

    async def main() -> float:
        values = await whilst.map(call, range(NAMES), **policies)
        assert values == list(range(NAMES))
        return asyncio.get_running_loop().time()

    rng = random.Random(seed)
    with mock.patch.object(chance, "os", SimpleNamespace(urandom=rng.randbytes)):
        return testing.run(main()), refusals


SIDES = {
    "by its seconds": (BY_ITS_SECONDS, 0.03, 0.03),
    "demo API": (DEMO, 0.03, 0.0),
    "demo API, slowly": (DEMO, 0.1, 0.0),
}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("policies", [{}, {"concurrency": "adaptive"}], ids=["retry", "adaptive"])
def test_150_names_at_fifty_a_second(side: str, policies: dict[str, Any]) -> None:
    rounds = [finish(SIDES[side][0], seed, *SIDES[side][1:], retry=5, **policies) for seed in range(ROUNDS)]
    took = [seconds for seconds, _ in rounds]
    assert median(took) <= 2.35
    assert max(took) <= 2.45
    assert max(refused for _, refused in rounds) <= 20


@pytest.mark.parametrize("policies", [{}, {"concurrency": "adaptive"}], ids=["retry", "adaptive"])
def test_most_of_a_window_of_a_second_is_used_wherever_it_begins(policies: dict[str, Any]) -> None:
    """Each refusal says "in a second", so to look for the limit costs what that second permits: 53 to 67 % once."""
    used: list[float] = []
    for first in (0.25, 0.5, 0.75, 1.0):
        vendor = BY_ITS_SECONDS._replace(make=lambda first=first: by_its_seconds(first))
        found, _ = play(vendor, reads=False, retry=5, **policies)
        assert found.refused <= 1.0
        assert found.early == 0
        used.append(found.used)
    assert min(used) >= 75.0, used
    assert sum(used) / 4 >= 82.0, used
