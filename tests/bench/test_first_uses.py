"""No first use holds up a caller's loop: every public name, and what runs do, each in a fresh process.

What is measured is the CPU of the loop's thread between two turns of the loop: on a busy machine a loop waits for a
processor, too. `tests/real/test_first_use_on_a_loop.py` has what may be imported there.
"""

from __future__ import annotations

import pytest
from bench.loops import USES, longest

import whilst

MOST = 20.0  # ms; the bench asks for 10 by the clock, on a quiet machine
TRIES = 3  # the first one may compile what it imports
LARGE = ("http",)  # a client library and msgspec, 18 ms
NAMES = [name for name in whilst.__all__ if not any(f"whilst.{name}" in use for use in USES.values())]


@pytest.mark.clocked  # a core that somebody else uses, too, takes twice as long for the same
@pytest.mark.parametrize("use", [use for use in (*USES, *NAMES) if use not in LARGE])
def test_a_first_use_lets_the_loop_go_on(use: str) -> None:
    found: list[float] = []
    while len(found) < TRIES and min(found, default=MOST) >= MOST:
        found.append(longest(use).cpu)
    assert min(found) < MOST, found
