"""Refusals that do not say when to come again: of a rate, or by chance?"""

from __future__ import annotations

import random

import pytest

from whilst.core.suspicion import CALM, REFUSED, Answer, Suspicion


class Side:
    """Refuses by chance, or whoever goes faster than `rate`; tells a suspicion of it."""

    def __init__(self, *, share: float = 0.0, rate: float = 0.0, sure: bool = False) -> None:
        self.share, self.rate, self.sure = share, rate, sure
        self.now, self.tokens = 0.0, 1.0
        self.taken = self.refused = 0
        self.rng = random.Random(1)
        self.suspicion = Suspicion()

    def call(self, speed: float) -> Answer:
        self.now += 1 / speed
        self.tokens = min(10.0, self.tokens + self.rate / speed)
        if self.rng.random() >= self.share and (not self.rate or self.tokens >= 1.0):
            self.tokens -= 1.0
            self.taken += 1
            return ""
        self.refused += 1
        return self.suspicion.refused(
            self.now, self.now, sure=self.sure, taken=self.taken, in_flight=0, refused=self.refused
        )

    def calls(self, count: int, speed: float) -> list[Answer]:
        return [answer for _ in range(count) if (answer := self.call(speed))]


@pytest.mark.parametrize("sure", [False, True])
@pytest.mark.parametrize("share", [0.002, 0.01, 0.02])
def test_refusals_now_and_then_are_never_those_of_a_rate(share: float, sure: bool) -> None:
    side = Side(share=share, sure=sure)
    answers = side.calls(20_000, speed=300.0)
    assert "rate" not in answers
    assert answers.count("try") <= (1 if share <= 0.01 else 10)


@pytest.mark.parametrize("speed", [110.0, 150.0, 320.0])
def test_a_rate_is_tried_at_which_calls_were_taken_and_is_one_if_hardly_any_is_refused_then(speed: float) -> None:
    side = Side(rate=100.0)
    while side.call(speed) != "try":
        assert side.taken < 2000
    assert side.suspicion.rate == pytest.approx(100.0, rel=0.2)
    assert side.calls(1000, speed=99.0) == []
    assert side.calls(200, speed=130.0)[0] == "rate"
    assert side.suspicion.tries


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_whoever_refuses_the_same_share_of_fewer_calls_refuses_by_chance_and_the_next_try_takes_twice_as_many(
    share: float,
) -> None:
    side, took = Side(share=share), list[int]()
    for _ in range(4):
        ended = side.refused
        while side.call(20.0) != "try":
            pass
        took.append(side.refused - ended)
        while (answer := side.call(15.0)) in ("", "not yet"):
            pass
        assert answer == "no rate"
        assert not side.suspicion.tries
    assert took[0] >= REFUSED
    assert took[3] >= 8 * REFUSED


@pytest.mark.parametrize(("sure", "answers"), [(True, {"rate"}), (False, set())])
def test_where_all_are_refused_only_those_that_say_that_they_were_too_many_tell_of_a_rate(
    sure: bool, answers: set[Answer]
) -> None:
    """The others may be an outage, which the breaker looks after."""
    side = Side(share=1.0, sure=sure)
    assert set(side.calls(200, speed=100.0)) == answers


def test_calls_that_were_under_way_when_a_try_began_are_not_counted_in_it() -> None:
    side = Side(rate=100.0)
    while side.call(320.0) != "try":
        pass
    began = side.now
    for _ in range(30):
        side.refused += 1
        answer: Answer = side.suspicion.refused(
            began - 0.05, side.now, sure=False, taken=side.taken, in_flight=0, refused=side.refused
        )
        assert answer == "not yet"
    assert side.suspicion.tries


def test_the_rest_of_a_window_that_is_used_up_is_not_counted_in_a_try() -> None:
    """Whoever counts in windows refuses all until the next one, whatever the rate."""
    suspicion, taken, refused, answers = Suspicion(), 0, 0, list[Answer]()
    for tick in range(400):  # a hundred a second; thirty in each second are taken, then none
        now = tick / 100
        if tick % 100 < 30:
            taken += 1
            continue
        refused += 1
        answers.append(suspicion.refused(now, now, sure=False, taken=taken, in_flight=0, refused=refused))
        if answers[-1] == "try":
            break
    assert suspicion.rate == pytest.approx(30.0, rel=0.05)  # from one moment of being used up to the next
    for _ in range(50):
        refused += 1
        assert suspicion.refused(2.0, 2.0, sure=False, taken=taken, in_flight=0, refused=refused) == "not yet"
    refused += 1
    answer = suspicion.refused(4.0, 4.0, sure=False, taken=taken + 60, in_flight=0, refused=refused)
    assert answer == "rate"


def test_once_doubted_a_word_is_not_enough_any_more() -> None:
    side = Side(share=1.0, sure=True)
    assert side.calls(20, speed=100.0)
    assert side.suspicion.doubts(side.taken, side.refused)
    assert side.calls(200, speed=100.0) == []


def test_a_rate_that_has_far_less_refused_is_not_doubted() -> None:
    side = Side(share=1.0, sure=True)
    assert side.calls(20, speed=100.0)[-1] == "rate"
    assert not side.suspicion.doubts(side.taken + 100, side.refused + 30)
    assert side.suspicion.tries
    assert side.suspicion.doubts(side.taken + 100, side.refused + 120)
    assert not side.suspicion.tries


def test_a_series_ends_when_nothing_is_refused_for_a_while_and_another_clock_moves_it() -> None:
    suspicion = Suspicion()
    suspicion.refused(0.0, 0.0, sure=False, taken=1, in_flight=0, refused=1)
    suspicion.shift(1000.0)
    for refused in range(2, 17):
        answer = suspicion.refused(1001.0, 1001.0, sure=False, taken=40 + refused, in_flight=0, refused=refused)
    assert answer == "try"
    other = Suspicion()
    other.refused(0.0, 0.0, sure=False, taken=1, in_flight=0, refused=1)
    later = 1.1 * CALM
    assert not other.refused(later, later, sure=False, taken=40, in_flight=0, refused=17)
