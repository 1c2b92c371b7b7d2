"""Percentiles of the calls of a run: right within 1 %, whatever their number, in a few kilobytes."""

from __future__ import annotations

import random
import sys
from math import ceil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whilst.core.timings import LONG, MANY, NO_TIMINGS, Slow, Timings


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[max(0, ceil(share * len(values) - 1e-9) - 1)]


@settings(max_examples=50)
@given(st.lists(st.floats(LONG, 100.0), min_size=1, max_size=MANY - 1))
def test_few_calls_are_kept_as_they_are(values: list[float]) -> None:
    timings = Timings()
    for index, took in enumerate(values):
        timings.add(took, index)
    times = timings.snapshot().times(len(values))
    assert times.p50 == percentile(values, 0.5)
    assert times.p99 == percentile(values, 0.99)
    assert times.longest == max(values)
    assert times.mean == pytest.approx(sum(values) / len(values))
    assert not times.sampled


@pytest.mark.parametrize("seed", range(4))
def test_many_calls_are_right_within_one_percent(seed: int) -> None:
    chance = random.Random(seed)
    values = [LONG + chance.lognormvariate(-4, 1.5) for _ in range(20_000)]
    timings = Timings()
    for index, took in enumerate(values):
        timings.add(took, index)
    times = timings.snapshot().times(len(values))
    for share, found in ((0.5, times.p50), (0.9, times.p90), (0.99, times.p99), (0.999, times.p999)):
        assert found == pytest.approx(percentile(values, share), rel=0.01)
    assert times.mean == pytest.approx(sum(values) / len(values), rel=0.001)
    slow = sorted(((took, -index) for index, took in enumerate(values)), reverse=True)[:5]
    assert times.slowest == tuple(Slow(-index, took) for took, index in slow)


def test_short_calls_that_were_looked_at_stand_for_the_others() -> None:
    timings = Timings()
    for index in range(0, 1600, 16):
        timings.add(2e-6, index)
    for index in range(16):
        timings.add(0.5, 2000 + index)
    times = timings.snapshot().times(1616)
    assert times.sampled
    assert (times.p50, times.p90, times.p999) == (2e-6, 2e-6, 0.5)
    assert times.mean == pytest.approx((1600 * 2e-6 + 16 * 0.5) / 1616)


def test_nothing_is_said_of_no_calls() -> None:
    assert NO_TIMINGS.times(0) == Timings().snapshot().times(0)
    assert (NO_TIMINGS.times(0).p50, NO_TIMINGS.times(0).slowest) == (0.0, ())


def test_memory_does_not_grow_with_the_calls() -> None:
    timings, chance = Timings(), random.Random(1)
    for index in range(100_000):
        timings.add(chance.uniform(1e-5, 10.0), index)
    held = [getattr(timings, name) for name in Timings.__slots__]
    assert sum(sys.getsizeof(it) for it in held) < 200_000


def test_the_slowest_stay_when_a_quicker_call_comes_sixth() -> None:
    timings = Timings()
    for index, took in enumerate((0.1, 0.2, 0.3, 0.4, 0.5, 0.05)):
        timings.add(took, index)
    assert [it.index for it in timings.snapshot().times(6).slowest] == [4, 3, 2, 1, 0]


def test_a_snapshot_is_of_its_moment() -> None:
    timings = Timings()
    timings.add(0.5, 0)
    before = timings.snapshot()
    timings.add(9.0, 1)
    assert before.times(1).longest == 0.5
    assert timings.snapshot().times(2).longest == 9.0
