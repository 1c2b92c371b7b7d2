"""One key of one limit: what holds a call up, and for how long."""

from __future__ import annotations

import itertools
from math import inf
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.rates import parse_rates
from whilst.core.throttle import Throttle, Verdict


class Remembers:
    """A controller of a fixed size that writes down what it is told."""

    def __init__(self, limit: int = 2) -> None:
        self.limit = limit
        self.rate: float | None = None
        self.told: list[Any] = []

    def delay(self, in_flight: int, now: float) -> float:
        return 0.0 if in_flight < self.limit else inf

    def sent(self, in_flight: int, now: float) -> None:
        self.told.append(("sent", in_flight, now))

    def succeeded(self, sent: float, now: float, in_flight: int) -> None:
        self.told.append(("succeeded", sent, now, in_flight))

    def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None) -> None:
        self.told.append(("rejected", sent, now, in_flight, retry_after))

    def paused(self, until: float) -> None:
        self.told.append(("paused", until))

    def failed(self, sent: float, now: float, in_flight: int) -> None:
        self.told.append(("failed", sent, now, in_flight))


def throttle(concurrency: int | None = None, *rates: str, burst: int = 1) -> Throttle:
    return Throttle(concurrency, parse_rates(rates) if rates else (), burst)


def test_without_anything_everything_may_start() -> None:
    free = throttle()
    assert free.concurrency is None
    assert free.room(10**6, 0.0) == 10**6
    free.take(0.0, count=10**6)
    assert free.delay(0.0) == 0.0
    assert free.in_flight == free.started == 10**6


def test_permits_come_back_by_returning_calls_alone() -> None:
    three = throttle(3)
    assert three.room(5, 0.0) == 3
    three.take(0.0, count=3)
    assert (three.room(5, 9.0), three.delay(9.0)) == (0, inf)
    three.give_back(2)
    assert (three.room(5, 9.0), three.delay(9.0)) == (2, 0.0)


def test_all_rates_must_allow() -> None:
    paced = throttle(None, "10/s", "3/min", burst=5)
    for _ in range(3):
        assert paced.delay(0.0) == 0.0
        paced.take(0.0)
    assert paced.delay(0.0) == 60.0
    paced = throttle(None, "10/s", "100/min")
    paced.take(0.0)
    assert paced.delay(0.0) == pytest.approx(0.095)


def test_room_is_what_a_rate_has_left_and_one_at_a_time_under_advice() -> None:
    assert throttle(None, "10/s", burst=5).room(9, 0.0) == 5
    assert throttle(3, "10/s", burst=5).room(9, 0.0) == 3
    assert throttle(None, "10/s", "4/min", burst=5).room(9, 0.0) == 4
    advised = throttle(None, "10/s", burst=5)
    advised.advise(2.0, 10.0, now=0.0)
    assert advised.room(9, 0.0) == 1


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(1, 9), st.sampled_from([0.25, 1.0, 3.0])), max_size=30),
)
def test_several_calls_at_once_are_as_many_as_one_after_the_other(
    burst: int, steps: list[tuple[float, int, float]]
) -> None:
    rates = "10/s", "30/7s"
    batch, single, now = throttle(None, *rates, burst=burst), throttle(None, *rates, burst=burst), 0.0
    for gap, most, weight in steps:
        now += gap
        allowed = 0
        while allowed < most and single.delay(now, weight) == 0.0:
            single.take(now, weight)
            allowed += 1
        room = batch.room(most, now, weight)
        assert (room > 0) == (batch.delay(now, weight) == 0.0)
        batch.take(now, weight, room)
        assert room == allowed
        assert batch.delay(now, weight) == pytest.approx(single.delay(now, weight), abs=1e-9)


def test_a_pause_holds_everything_up_and_the_longest_one_holds() -> None:
    two = throttle(2)
    two.pause(10.0)
    two.pause(4.0)
    assert (two.delay(3.0), two.room(5, 3.0)) == (7.0, 0)
    assert not two.idle(9.0)
    assert (two.delay(10.0), two.room(5, 10.0)) == (0.0, 2)
    assert two.idle(10.0)


def test_advice_paces_for_its_window() -> None:
    free = throttle()
    free.advise(2.0, 10.0, now=0.0)
    free.take(0.0)
    assert free.delay(0.0) == pytest.approx(0.495)
    free.advise(20.0, 10.0, now=0.0)  # later advice replaces it, and its debts
    assert free.delay(0.0) == pytest.approx(0.045)
    assert not free.idle(9.0)
    assert free.delay(10.0) == 0.0
    free.take(10.0, count=free.room(7, 10.0))
    assert free.in_flight == 8
    free.give_back(8)
    assert free.idle(10.0)


def test_advice_of_nothing_left_pauses_until_the_window_ends() -> None:
    free = throttle()
    free.advise(0.0, 30.0, now=5.0)
    assert free.delay(5.0) == 30.0


def test_an_undone_call_gives_permit_and_rate_back() -> None:
    both = throttle(1, "1/min", "1/h")
    both.take(0.0, 1.0)
    both.undo(0.0, 1.0)
    assert (both.delay(0.0), both.in_flight, both.started) == (0.0, 0, 0)
    assert both.idle(0.0)


@pytest.mark.parametrize(
    ("verdict", "told"),
    [
        ("ok", ("succeeded", 1.0, 3.0, 1)),
        ("failed", ("failed", 1.0, 3.0, 1)),
        ("rejected", ("paused", 10.0)),
    ],
)
def test_a_controller_learns_how_calls_end(verdict: Verdict, told: tuple[Any, ...]) -> None:
    controller = Remembers()
    found = Throttle(adaptive=lambda: controller)
    assert found.concurrency == 2
    for now in (1.0, 2.0):
        assert found.room(5, now) == 1
        found.take(now)
    assert found.delay(2.0) == inf
    found.finished(1.0, 3.0, verdict, 7.0 if verdict == "rejected" else None)
    assert controller.told == [("sent", 1, 1.0), ("sent", 2, 2.0), told]
    assert (found.in_flight, found.rejected) == (1, verdict == "rejected")
    assert found.delay(3.0) == (7.0 if verdict == "rejected" else 0.0)


def test_a_call_follows_another_unasked_while_at_most_a_controller_has_to_hear_of_it() -> None:
    controller = Remembers(limit=2)
    found = Throttle(adaptive=lambda: controller)
    for now in (0.0, 0.1):
        found.take(now)
    assert found.exchanges(1.0)
    controller.limit = 1  # it came down: one call less has to be in flight first
    assert not found.exchanges(1.0)
    controller.limit, controller.rate = 2, 5.0
    assert not found.exchanges(1.0)
    controller.rate = None
    found.pause(2.0)
    assert not found.exchanges(1.0)
    assert found.exchanges(2.0)
    assert throttle(1).exchanges(0.0)
    assert not throttle(None, "10/s").exchanges(0.0)


def test_another_clock_changes_no_answer_and_a_controller_begins_anew() -> None:
    made: list[Remembers] = []
    found = Throttle(None, parse_rates(["1/s", "2/min"]), adaptive=lambda: (made.append(Remembers()), made[-1])[1])
    found.take(1000.0)
    found.pause(1004.0)
    found.advise(0.1, 100.0, 1000.0)
    found.shift(-900.0)
    assert found.delay(100.0) == pytest.approx(4.0)
    assert found.delay(104.0) == 0.0
    assert len(made) == 2


steps = st.lists(
    st.tuples(st.sampled_from(["start", "start", "start", "return", "undo"]), st.floats(0, 0.4)), max_size=80
)


@given(st.one_of(st.none(), st.integers(1, 4)), st.integers(1, 5), steps)
def test_no_limit_is_ever_exceeded_and_whoever_waits_as_told_may_start(
    concurrency: int | None, burst: int, steps: list[tuple[str, float]]
) -> None:
    held, now, running = Throttle(concurrency, parse_rates(["5/s", "12/10s"]), burst), 0.0, 0
    times: list[float] = []
    for action, gap in steps:
        now += gap
        if action == "return" and running:
            held.give_back()
            running -= 1
            continue
        wait = held.delay(now)
        if wait == inf:
            assert running == concurrency
            continue
        for _ in range(3):
            now += held.delay(now) * (1 + 1e-12)
        assert held.delay(now) == 0.0
        held.take(now)
        if action == "undo":
            held.undo(now)
        else:
            running += 1
            times.append(now)
        assert held.in_flight == running <= (concurrency or inf)
    most = max(burst + 0.001, 1.025)
    for (i, first), (j, last) in itertools.combinations(enumerate(times), 2):
        assert j - i + 1 <= 5 * (last - first) + most + 1e-6
    for last in times:
        assert sum(last - 10 + 1e-9 < at <= last for at in times) <= 12
