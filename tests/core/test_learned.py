"""What refusals that say how long to wait teach of the limit behind them."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.learned import FINE, HOLD, Learned
from whilst.core.rates import parse_rates
from whilst.core.throttle import Throttle


def refused(passed: int, at: float, retry_after: float) -> Learned:
    """Return what is known once the silence after a first refusal is over."""
    learned = Learned()
    learned.refused(at, at, retry_after, started=0.0)
    learned.room(1, at + retry_after, taken=passed)
    return learned


@pytest.mark.parametrize(
    ("passed", "at", "retry_after", "rate"),
    [
        (55, 0.1, 1.0, 50.0),  # a bucket of a second's worth
        (100, 2.0, 8.0, 10.0),  # a window of ten seconds
        (50, 0.0, 60.0, 50 / 60),
    ],
)
def test_what_was_taken_until_the_silence_is_over_is_the_rate(
    passed: int, at: float, retry_after: float, rate: float
) -> None:
    assert refused(passed, at, retry_after).most == pytest.approx(rate)


def test_nothing_is_sent_in_the_silence_and_what_a_bucket_has_at_once_after_it() -> None:
    learned = Learned()
    learned.refused(sent=0.1, now=0.15, retry_after=1.0, started=0.0)
    learned.refused(sent=0.12, now=0.2, retry_after=1.0, started=0.0)  # one more of those that were under way
    assert learned.delay(0.5, taken=55) == pytest.approx(0.7)
    assert learned.room(100, 1.19, taken=55) == 0
    assert 40 <= learned.room(100, 1.2, taken=55) <= 50
    learned.take(learned.room(100, 1.2, taken=55))
    assert 0 < learned.delay(1.2, taken=55) <= 1 / 45


def test_a_guess_is_kept_for_a_while_and_then_tried_beyond() -> None:
    learned = refused(50, 0.0, 1.0)
    learned.room(1, 1.0 + HOLD, taken=50)
    assert learned.rate == pytest.approx(50.0)
    learned.room(1, 1.0 + HOLD + 2.0, taken=150)
    assert learned.rate == pytest.approx(100.0)
    learned.room(1, 1000.0, taken=150)
    assert learned.rate == pytest.approx(400.0)
    assert not learned.gone


def test_the_second_refusal_corrects_the_guess_and_the_rate_stays_just_below() -> None:
    learned = refused(40, 0.1, 2.0)  # a bucket of 40 that had been full
    learned.refused(sent=2.2, now=2.3, retry_after=2.0, started=0.0)
    learned.room(1, 4.3, taken=80)
    assert learned.most == pytest.approx(40 / 2.2)
    assert learned.rate == pytest.approx(FINE * learned.most)


def test_an_estimate_from_a_few_calls_grows_and_looks_further_back() -> None:
    learned = refused(40, 0.1, 2.0)
    learned.refused(sent=2.2, now=2.2, retry_after=2.0, started=0.0)
    learned.room(1, 4.2, taken=44)
    assert learned.most == pytest.approx(4.5 / 2.1)
    assert (learned.rate or 0) == pytest.approx(learned.most)
    learned.refused(sent=9.0, now=9.0, retry_after=2.0, started=0.0)
    learned.room(1, 11.0, taken=57)
    assert learned.most == pytest.approx(17.5 / 8.9)  # of both silences together


def test_where_all_was_there_and_nothing_came_back_calls_are_counted_in_windows() -> None:
    learned = refused(50, 0.03, 1.0)
    learned.take(50)
    learned.room(1, 1.05, taken=50)
    learned.refused(sent=1.15, now=1.18, retry_after=1.0, started=0.0)
    assert learned.room(100, 2.17, taken=100) == 0
    assert learned.room(100, 2.18, taken=100) == 50  # a bucket would have had no more than came back
    learned.take(50)
    window = 50 / learned.most
    assert learned.delay(2.2, taken=150) > window - 0.1  # and nothing until the next window
    assert learned.room(1, 2.18 + window + 0.05, taken=150) == 1
    assert learned.rate == pytest.approx(learned.most, rel=0.05)
    later = learned.rate or 0.0
    learned.room(1, 2.18 + window + 1.0, taken=180)
    assert (learned.rate or 0.0) > 1.2 * later  # the second that was told may have been too long


def test_of_a_rate_that_grows_what_was_refused_and_what_was_taken_are_the_bounds() -> None:
    learned = refused(50, 0.03, 1.0)
    learned.take(50)
    learned.room(1, 1.05, taken=50)
    learned.refused(sent=1.15, now=1.18, retry_after=1.0, started=0.0)
    learned.take(learned.room(100, 2.18, taken=100))
    taken, now = 150, 2.18
    while (learned.rate or 0.0) < 60.0:
        now += 0.05
        while learned.room(1, now, taken):
            learned.take(1)
            taken += 1
    before = learned.rate or 0.0
    learned.refused(sent=now, now=now + 0.03, retry_after=1.0, started=0.0)
    learned.room(1, now + 1.03, taken=taken)
    assert 45.0 < learned.most < before


def test_with_nothing_but_refusals_one_call_after_each_silence_probes() -> None:
    learned = refused(0, 0.0, 1.0)
    assert learned.room(9, 1.0, taken=0) == 9  # it may have been the first second only
    learned.take(9)
    learned.refused(sent=1.0, now=1.1, retry_after=1.0, started=0.0)
    assert learned.room(9, 2.1, taken=0) == 1
    learned.take(1)
    assert learned.delay(2.1, taken=0) == pytest.approx(1.0)
    learned.refused(sent=2.1, now=2.2, retry_after=3.0, started=0.0)
    assert learned.room(9, 5.2, taken=0) == 1
    learned.take(1)
    assert learned.room(9, 5.3, taken=1) == 0
    assert learned.gone  # one was taken, and of a rate nothing is known


def test_what_was_known_comes_back_when_an_outage_is_over() -> None:
    learned = refused(500, 5.0, 5.0)
    learned.refused(sent=11.0, now=11.0, retry_after=5.0, started=0.0)
    learned.room(1, 16.0, taken=560)
    known = learned.most
    for at in (16.1, 21.2):
        learned.refused(sent=at, now=at, retry_after=5.0, started=0.0)
        assert learned.room(50, at + 5.0, taken=560) == 1
        learned.take(1)
    learned.room(1, 26.5, taken=561)
    assert learned.most == known
    assert learned.rate == pytest.approx(known, rel=0.05)


def test_a_limit_that_is_gone_is_forgotten() -> None:
    learned = refused(500, 5.0, 5.0)
    learned.refused(sent=16.0, now=16.0, retry_after=5.0, started=0.0)
    learned.room(1, 21.0, taken=1000)
    assert not learned.gone
    learned.room(1, 21.0 + 7 * 200, taken=10**6)  # a period is forty silences
    assert learned.gone


def test_where_nothing_had_been_taken_before_the_first_refusal_nothing_is_known() -> None:
    throttle = Throttle()
    throttle.take(0.0)
    throttle.finished(0.0, 0.1, "rejected", 2.0)
    assert throttle.room(1000, 2.0) == 0
    assert throttle.room(1000, 2.1) == 1000


def test_another_clock_moves_everything() -> None:
    learned = refused(55, 0.1, 1.0)
    learned.refused(sent=3.0, now=3.1, retry_after=1.0, started=0.0)
    learned.shift(100.0)
    assert learned.delay(103.5, taken=100) == pytest.approx(0.6)
    assert learned.room(1, 104.1, taken=100) == 1


# -- in a throttle ------------------------------------------------------------------------------------------------


def test_a_throttle_learns_from_refusals_that_say_when_and_from_no_others() -> None:
    for retry_after, learns in ((None, False), (0.0, False), (1.0, True)):
        throttle = Throttle()
        throttle.take(0.0, count=60)
        throttle.give_back(50)
        throttle.finished(0.1, 0.2, "rejected", retry_after)
        throttle.give_back(9)
        assert (throttle.room(1000, 5.0) < 1000) == learns
        assert throttle.exchanges(5.0) != learns


def test_what_a_throttle_was_told_of_before_it_was_asked_counts() -> None:
    throttle = Throttle()
    throttle.take(0.2)
    throttle.count_before(50, 0.0)
    throttle.finished(0.2, 0.25, "rejected", 1.0)
    assert 35 <= throttle.room(1000, 1.25) <= 42


def test_calls_that_were_not_made_are_put_back() -> None:
    throttle = Throttle()
    throttle.take(0.0, count=50)
    throttle.give_back(49)
    throttle.finished(0.1, 0.2, "rejected", 1.0)
    room = throttle.room(1000, 1.2)
    throttle.take(1.2, count=room)
    assert throttle.room(1000, 1.2) == 0
    throttle.undo(1.2, count=3)
    assert throttle.room(1000, 1.2) == 3


def test_calls_that_were_let_through_a_while_ago_and_not_made_were_not_taken() -> None:
    throttle = Throttle()
    throttle.take(0.0, count=60)
    throttle.give_back(49)
    throttle.finished(0.0, 0.5, "rejected", 2.0)
    throttle.never_made(1.0, 10)
    assert (throttle.started, throttle.in_flight) == (50, 0)
    throttle.room(1, 2.5)
    assert throttle.found == "the other side permits 19.6/s"


def test_a_rate_of_ones_own_holds_beside_what_was_learned() -> None:
    throttle = Throttle(rates=parse_rates("10/s"))
    throttle.take(0.0)
    throttle.finished(0.0, 0.1, "rejected", 1.0)
    assert throttle.room(1000, 5.0) == 1


# -- whatever happens -----------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "refuse", "undo"]),
            st.floats(0.0, 20.0),
            st.sampled_from([0.001, 0.1, 1.0, 60.0, 3600.0]),
            st.integers(0, 50),
        ),
        max_size=60,
    )
)
def test_no_order_of_events_lets_a_call_out_of_a_silence_or_stops_for_good(
    events: list[tuple[str, float, float, int]],
) -> None:
    learned, now, taken, sent = Learned(), 0.0, 0, 0
    learned.refused(0.0, 0.0, 1.0, started=0.0)
    silent_until = 1.0
    for kind, passes, retry_after, count in events:
        now += passes
        if kind == "refuse":
            learned.refused(now, now, retry_after, started=0.0)
            silent_until = max(silent_until, now + retry_after)
        elif kind == "undo":
            learned.take(-min(count, sent))
            sent -= min(count, sent)
        room = learned.room(50, now, taken)
        wait = learned.delay(now, taken)
        assert 0.0 <= wait < inf
        assert (room == 0) == (wait > 0.0)
        if now < silent_until - 1e-9:
            assert room == 0
        learned.take(room)
        taken, sent = taken + room, room
    later = now + learned.delay(now, taken) + 1e-6
    assert learned.room(1, later, taken) == 1 or learned.delay(later, taken) < 1e-3
