"""How long plain code that takes records naps, so that they come together."""

from __future__ import annotations

import asyncio

import pytest

from whilst.engine import handoff
from whilst.engine.handoff import Window


@pytest.mark.parametrize(
    ("count", "took", "size", "nap"),
    [
        (100, 0.01, 64, 0.0016),  # the time of a quarter of the window
        (100, 0.01, 1000, 0.002),  # no longer than that
        (100, 0.01, 2, 0.0),  # nor shorter than the system sleeps
        (100, 0.001, 2000, 0.001),  # half as long where they come faster than a thread wakes
        (100, 0.0004, 512, 0.000512),
        (100, 0.00015, 1024, 0.0),  # they come faster than one could nap
        (100, 0.06, 64, 0.0),  # so slowly that each is waited for
        (0, 0.01, 64, 0.0),
    ],
)
def test_it_naps_while_a_quarter_of_the_window_comes(
    count: int, took: float, size: int, nap: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr(handoff, "monotonic", lambda: now)
    loop = asyncio.new_event_loop()
    loop.close()  # nothing is called on it here
    taken, window = handoff.ThreadHandoff(loop), Window(size)
    now, window.delivered = now + took, count
    assert taken._pace(window) == pytest.approx(nap)
