"""When may a second call go beside a late one?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.hedge import CALM, LEAST, MOST_TOKENS, QUANTILE, REMEMBERED, SHARE, Hedge


def learned(*latencies: float) -> Hedge:
    hedge = Hedge()
    for latency in latencies:
        hedge.succeeded(latency)
    return hedge


def test_too_few_latencies_say_nothing() -> None:
    hedge = learned(*[1.0] * (LEAST - 1))
    assert hedge.delay() is None
    hedge.succeeded(1.0)
    assert hedge.delay() == 1.0


def test_the_delay_is_what_95_of_100_calls_take_at_most() -> None:
    assert learned(*range(100)).delay() == 94


@given(st.lists(st.floats(0, 100), min_size=LEAST, max_size=3 * REMEMBERED))
def test_the_delay_is_a_quantile_of_the_last_latencies(latencies: list[float]) -> None:
    lately = sorted(latencies[-REMEMBERED:])
    delay = learned(*latencies).delay()
    assert delay == lately[int(QUANTILE * (len(lately) - 1))]
    assert sum(one <= delay for one in lately) >= QUANTILE * (len(lately) - 1)


def test_there_is_a_hedge_for_each_twenty_calls() -> None:
    hedge, made = learned(*[1.0] * LEAST), 0
    for _ in range(1000):
        hedge.delay()
        made += hedge.take(now=0.0)
    assert made == hedge.made == pytest.approx(SHARE * 1000, abs=1)


def test_calls_without_hedges_save_up_for_ten_at_most() -> None:
    hedge = learned(*[1.0] * LEAST)
    for _ in range(10_000):
        hedge.delay()
    assert sum(hedge.take(now=0.0) for _ in range(100)) == MOST_TOKENS


def test_there_are_none_for_a_while_after_the_other_side_said_slower() -> None:
    hedge = learned(*[1.0] * LEAST)
    for _ in range(100):
        hedge.delay()
    hedge.throttled(now=50.0)
    assert not hedge.take(50.0)
    assert not hedge.take(50.0 + CALM - 0.001)
    assert hedge.take(50.0 + CALM)
