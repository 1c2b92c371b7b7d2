"""How soon the next call may start: parsing, the pace, the quotas."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.rates import BUCKETS, LATENESS, Gcra, Quota, Rate, parse_rates

ROUNDING = 1e-6  # calls; times are floats


@pytest.mark.parametrize(
    ("text", "count", "period"),
    [
        ("100/s", 100, 1),
        ("5000/h", 5000, 3600),
        ("30/min", 30, 60),
        ("30/m", 30, 60),
        ("7/d", 7, 86400),
        ("2.5/s", 2.5, 1),
        (" 1_000 / 10 s ", 1000, 10),
        ("10/10s", 10, 10),
        ("3/0.5min", 3, 30),
        ("5/100ms", 5, 0.1),
        ("9/Seconds", 9, 1),
        ("9/minutes", 9, 60),
    ],
)
def test_a_rate_is_a_count_per_unit_of_time(text: str, count: float, period: float) -> None:
    (rate,) = parse_rates(text)
    assert (rate.amount, rate.period) == (count, pytest.approx(period))
    assert str(rate) == text.replace(" ", "")


def test_of_several_rates_the_shortest_period_comes_first() -> None:
    assert [str(rate) for rate in parse_rates(("5000/h", "100/s", "9000/d"))] == ["100/s", "5000/h", "9000/d"]


@pytest.mark.parametrize(
    ("value", "error", "says"),
    [
        ("ten", ValueError, "got 'ten'.*try: rate=\"100/s\""),
        ("", ValueError, "count per unit"),
        ("100", ValueError, "count per unit"),
        ("100/", ValueError, "count per unit"),
        ("100/fortnight", ValueError, "count per unit"),
        ("/s", ValueError, "count per unit"),
        ("nan/s", ValueError, "count per unit"),
        ("1/s extra", ValueError, "count per unit"),
        ("0/s", ValueError, "more than 0, got '0/s'"),
        ("-5/s", ValueError, "more than 0"),
        ("5/0s", ValueError, "period more than 0"),
        ("9" * 400 + "/s", ValueError, "finite"),
        (100, TypeError, "must be text, got 100; a number alone"),
        (2.5, TypeError, "must be text"),
        (True, TypeError, "must be text, got True"),
        (None, TypeError, "must be text"),
        (b"1/s", TypeError, "must be text"),
        ([], ValueError, "at least one"),
        (["1/s", 5], TypeError, "must be text, got 5"),
        (["100/s", "5/s"], ValueError, "two values for one period: 100/s and 5/s"),
        (["60/min", "30/60s"], ValueError, "two values for one period"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_a_line_that_would_work(
    value: Any, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=f"(?s){says}"):
        parse_rates(value)


# -- the pace -----------------------------------------------------------------------------------------------------

counts = st.sampled_from([0.3, 1.0, 7.0, 100.0, 3000.0, 50_000.0])
bursts = st.integers(1, 40)
gaps = st.lists(st.one_of(st.just(0.0), st.floats(0, 0.01), st.floats(0, 5)), min_size=1, max_size=60)


def rate_of(count: float, period: float = 1.0) -> Rate:
    return Rate(count, period, f"{count}/{period}s")


def starts(meter: Gcra | Quota, gaps: list[float], weights: list[float] | None = None) -> list[tuple[float, float]]:
    """Ask after each gap, wait as long as is said, start: (when, weight) of each."""
    now, found = 0.0, []
    for gap, weight in zip(gaps, weights or [1.0] * len(gaps), strict=False):
        now += gap
        for _ in range(3):  # rounding may leave the clock a hair early
            if wait := meter.delay(now, weight):
                now += wait + 1e-12 * max(1.0, now)
        assert meter.delay(now, weight) == 0.0, "whoever waits as long as was said may start"
        meter.take(now, weight)
        found.append((now, weight))
    return found


@given(counts, bursts, gaps)
def test_never_more_than_rate_plus_burst_start_in_any_window(count: float, burst: int, gaps: list[float]) -> None:
    pace = Gcra(rate_of(count), burst)
    times = [when for when, _ in starts(pace, gaps)]
    for (i, first), (j, last) in itertools.combinations(enumerate(times), 2):
        assert j - i + 1 <= count * (last - first) + pace.most_at_once + ROUNDING


@given(counts, bursts)
def test_all_of_a_burst_may_start_at_once_and_no_more(count: float, burst: int) -> None:
    pace = Gcra(rate_of(count), burst)
    started = 0
    while pace.delay(100.0) == 0.0:
        pace.take(100.0)
        started += 1
    assert started == int(pace.most_at_once + ROUNDING) or started == int(pace.most_at_once - ROUNDING)
    assert started >= burst
    assert pace.most_at_once == pytest.approx(max(burst, 1 + LATENESS * count), abs=0.01)


@given(counts, bursts, gaps, st.lists(st.floats(0, 50), min_size=60, max_size=60))
def test_a_heavy_call_starts_as_soon_as_a_light_one_and_is_paid_for_afterwards(
    count: float, burst: int, gaps: list[float], weights: list[float]
) -> None:
    pace = Gcra(rate_of(count), burst)
    found = starts(pace, gaps, weights)
    for i, j in itertools.combinations(range(len(found)), 2):
        if found[j][1]:
            paid = sum(weight for _, weight in found[i:j])  # all but the last, which is not paid yet
            assert paid <= count * (found[j][0] - found[i][0]) + pace.most_at_once - 1 + ROUNDING * (1 + paid)


def test_a_saturated_pace_keeps_its_rate_though_every_look_at_the_clock_is_late() -> None:
    pace, now, times = Gcra(rate_of(1000.0)), 0.0, []
    while now < 5.0:
        while pace.delay(now) == 0.0:
            pace.take(now)
            times.append(now)
        now += max(pace.delay(now), 0.001) + 0.0007
    assert (len(times) - 1) / (times[-1] - times[0]) == pytest.approx(1000, rel=0.003)


def test_a_clock_that_stands_still_gives_one_burst() -> None:
    pace = Gcra(rate_of(10.0), burst=3)
    assert [pace.delay(1.0) == 0.0 and pace.take(1.0) is None for _ in range(5)] == [True] * 3 + [False] * 2
    assert pace.delay(1.0) == pace.delay(1.0)


def test_what_weighs_nothing_never_waits() -> None:
    pace, quota = Gcra(rate_of(1.0)), Quota(rate_of(1.0))
    for meter in (pace, quota):
        meter.take(0.0)
        assert meter.delay(0.0) > 0
        assert meter.delay(0.0, 0.0) == 0.0
        meter.take(0.0, 0.0)
        assert meter.delay(1.0) == 0.0


@given(counts, bursts, st.lists(st.tuples(st.floats(0, 0.5), st.booleans()), max_size=60))
def test_what_was_undone_leaves_no_more_than_the_rate_to_the_others(
    count: float, burst: int, steps: list[tuple[float, bool]]
) -> None:
    pace, now, times = Gcra(rate_of(count), burst), 0.0, []
    taken: list[float] = []  # could be undone
    for gap, undo in steps:
        now += gap
        if undo and taken:
            pace.undo(taken.pop(0 if len(taken) % 2 else -1))
        elif pace.delay(now) == 0.0:
            pace.take(now)
            if undo:
                taken.append(now)
            else:
                times.append(now)
    for (i, first), (j, last) in itertools.combinations(enumerate(times), 2):
        assert j - i + 1 <= count * (last - first) + pace.most_at_once + ROUNDING


def test_undone_in_the_same_moment_nothing_was_spent() -> None:
    for meter in (Gcra(rate_of(1.0), burst=4), Quota(rate_of(4.0))):
        for _ in range(4):
            meter.take(7.0)
        assert meter.delay(7.5) > 0
        meter.undo(7.0, 4.0)
        assert meter.delay(7.5, 4.0) == 0.0


def test_a_changed_pace_forgets_debts_of_the_old_one_but_for_one_call() -> None:
    pace = Gcra(rate_of(0.01))
    pace.take(0.0)
    assert pace.delay(0.0) == pytest.approx(100 - LATENESS)
    pace.change(rate_of(10.0), 0.0)
    assert pace.delay(0.0) == pytest.approx(0.1 - LATENESS)


# -- quotas -------------------------------------------------------------------------------------------------------


@given(
    st.sampled_from([1.0, 3.0, 20.0]),
    st.sampled_from([1.0, 60.0, 3600.0]),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.25, 1.0])), max_size=80),
)
def test_never_more_than_the_quota_starts_in_any_window(
    most: float, period: float, steps: list[tuple[float, float]]
) -> None:
    found = starts(
        Quota(rate_of(most, period)), [gap * period / 5 for gap, _ in steps], [weight for _, weight in steps]
    )
    for when, _ in found:
        assert sum(weight for at, weight in found if when - period * (1 - 1e-9) < at <= when) <= most + ROUNDING


@given(st.integers(1, 30), st.lists(st.floats(0, 0.3), max_size=80))
def test_a_quota_is_hardly_later_than_an_exact_log(most: int, gaps: list[float]) -> None:
    quota, exact, now = Quota(rate_of(most, 1.0)), list[float](), 0.0
    for gap in gaps:
        now += gap
        recent = [at for at in exact if at + 1.0 > now]
        if len(recent) < most and quota.delay(now) > 0:
            assert quota.delay(now) <= 1.0 / BUCKETS + 1e-9
        if quota.delay(now) == 0.0:
            assert len(recent) < most
            quota.take(now)
            exact.append(now)


def test_a_quota_may_be_spent_at_once_and_then_waits_for_the_window() -> None:
    quota = Quota(rate_of(5000.0, 3600.0))
    for _ in range(5000):
        assert quota.delay(10.0) == 0.0
        quota.take(10.0)
    assert quota.delay(10.0) == 3600.0
    assert quota.delay(3610.0) == 0.0


def test_the_memory_of_a_quota_is_bounded() -> None:
    quota, now = Quota(rate_of(1e6, 60.0)), 0.0
    for _ in range(20_000):
        quota.take(now)
        now += 0.01
    quota.delay(now)
    assert len(quota._buckets) <= BUCKETS + 2


def test_a_weight_over_the_whole_quota_starts_when_all_of_it_is_there() -> None:
    quota = Quota(rate_of(10.0))
    quota.take(0.0)
    assert (quota.delay(0.5, 10.5), quota.room(3, 0.5, 10.5)) == (0.5, 0)
    assert (quota.delay(1.0, 10.5), quota.room(3, 1.0, 10.5)) == (0.0, 1)
    quota.take(1.0, 10.5)
    assert quota.delay(1.5, 10.5) == 0.5
    assert Quota(rate_of(10.0)).delay(0.0, 10.0) == 0.0


@given(st.floats(-1e6, 1e6))
def test_another_clock_changes_no_answer(shift: float) -> None:
    for meter in (Gcra(rate_of(3.0), burst=2), Quota(rate_of(3.0))):
        for _ in range(3):
            meter.take(50.0)
        before = meter.delay(50.2)
        meter.shift(shift)
        assert meter.delay(50.2 + shift) == pytest.approx(before, abs=1e-6)
        assert meter.idle(60.0 + shift)


@given(st.lists(st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 3.0)), max_size=60), st.integers(1, 5))
def test_taking_one_if_it_may_start_is_asking_and_taking(steps: list[tuple[float, float]], burst: int) -> None:
    asked, in_one, now = Gcra(rate_of(10.0), burst), Gcra(rate_of(10.0), burst), 0.0
    for gap, weight in steps:
        now += gap
        may = asked.delay(now, weight) == 0.0
        if may:
            asked.take(now, weight)
        assert in_one.take_one(now, weight) == may
        assert in_one.delay(now) == asked.delay(now)


LINES = [lambda: Gcra(rate_of(4.0), burst=3), lambda: Quota(rate_of(4.0))]


@given(
    st.sampled_from(LINES),
    st.lists(st.tuples(st.sampled_from([0.0, 0.125, 0.5, 2.0]), st.sampled_from([1.0, 2.0, 4.0])), max_size=8),
    st.sampled_from([1.0, 2.0, 3.0]),
)
def test_there_is_room_for_as_many_as_may_start_one_after_the_other(
    make: Any, before: list[tuple[float, float]], weight: float
) -> None:
    line, now = make(), 100.0
    for wait, heavy in before:
        now += wait + line.delay(now + wait, heavy)
        line.take(now, heavy)
    said = [line.room(most, now, weight) for most in (1, 2, 50)]
    started = 0
    while started < 50 and line.delay(now, weight) <= 0.0:
        line.take(now, weight)
        started += 1
    assert said == [min(most, started) for most in (1, 2, 50)]


@pytest.mark.parametrize("make", LINES)
def test_a_call_that_never_started_leaves_no_trace(make: Any) -> None:
    untouched, line = make(), make()
    for rate in (untouched, line):
        rate.take(100.0)
    line.take(100.0)
    line.undo(100.0)
    assert [line.room(50, at) for at in (100.0, 100.3, 101.5)] == [
        untouched.room(50, at) for at in (100.0, 100.3, 101.5)
    ]
