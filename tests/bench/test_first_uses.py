"""No first use holds up a caller's loop: every public name, and what runs do, each in a fresh process.

What is measured is the CPU of the loop's thread between two turns of the loop, as a share of what importing asyncio
took in the same process (some 50 ms on a quiet machine), which is as slow where somebody else computes.
`tests/real/test_first_use_on_a_loop.py` has what may be imported there.
"""

from __future__ import annotations

import pytest
from bench.loops import USES, longest

import whilst

MOST = 0.5  # of the time of importing asyncio; the bench asks for 10 ms by the clock, on a quiet machine, a fifth of it
TRIES = 3  # the first one may compile what it imports
NAMES = [name for name in whilst.__all__ if not any(f"whilst.{name}" in use for use in USES.values())]


@pytest.mark.clocked  # a core that somebody else uses, too, takes twice as long for the same
@pytest.mark.parametrize("use", [*USES, *NAMES])
def test_a_first_use_lets_the_loop_go_on(use: str) -> None:
    found: list[float] = []
    while len(found) < TRIES and min(found, default=MOST) >= MOST:
        found.append(longest(use).share)
    assert min(found) < MOST, found
