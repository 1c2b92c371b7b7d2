"""When does a breaker open, for how long, and what closes it?"""

from __future__ import annotations

import os
from collections.abc import Callable
from math import inf

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from whilst.core.breaker import FIRST_PAUSE, LEAST, LONGEST_PAUSE, SLOT, SPAN, Breaker

SOAK = int(os.environ.get("WHILST_SOAK", "1"))


def fail(breaker: Breaker, times: int, now: float = 0.0, ended: int = 0) -> list[bool]:
    return [breaker.failed(n, ended + n + 1, now) for n in range(times)]


def opened(now: float = 0.0) -> Breaker:
    breaker = Breaker(now)
    fail(breaker, LEAST, now)
    assert breaker.open_until == now + FIRST_PAUSE
    return breaker


def test_twenty_failures_open_it_and_nineteen_do_not() -> None:
    breaker = Breaker(0.0)
    assert fail(breaker, LEAST - 1) == [False] * (LEAST - 1)
    assert (breaker.room(0.0), breaker.open_until) == (inf, None)
    assert breaker.failed("the twentieth", LEAST, 0.0)
    assert (breaker.room(0.0), breaker.open_until, breaker.opened) == (0.0, FIRST_PAUSE, 1)


@pytest.mark.parametrize(("well", "opens"), [(0, True), (20, True), (15, True), (10, False), (5, False), (2, False)])
def test_fewer_than_one_in_ten_must_go_well(well: int, opens: bool) -> None:
    """`well`: every n-th call goes well."""
    breaker = Breaker(0.0)
    for ended in range(1, 401):
        if not (well and ended % well == 1) and breaker.failed(ended, ended, ended * 0.01):
            break
    assert (breaker.opened > 0) == opens


def test_failures_that_are_spread_over_a_long_time_do_not_open_it() -> None:
    breaker = Breaker(0.0)
    assert not any(breaker.failed(n, n + 1, n * SPAN / (LEAST - 4)) for n in range(1000))


def test_failures_before_the_span_do_not_count() -> None:
    breaker = Breaker(0.0)
    fail(breaker, LEAST - 1, now=0.0)
    assert not breaker.failed("later", 20, SPAN + 2 * SLOT)


@pytest.mark.parametrize(
    ("well", "before", "failures", "within", "opens"),
    [
        (0, 5.0, 20, 1.0, True),
        (2, 5.0, 20, 1.0, True),  # all within the span
        (3, 5.0, 20, 1.0, False),
        (1000, 5.0, 20, 0.0, False),  # a connection that many calls had in common broke
        (1000, 5.0, 1000, 5.0, False),
        (1000, 5.0, 1000, 14.5, True),  # what went well is ten seconds ago, most of it
        (1000, 100.0, 95, 1.0, False),  # a hundred of them in the last 10 s
        (1000, 100.0, 950, 1.0, True),
        (1000, 10_000.0, 20, 0.0, True),  # one of them in the last 10 s
    ],
)
def test_what_went_well_in_the_same_span_counts_too(
    well: int, before: float, failures: int, within: float, opens: bool
) -> None:
    breaker = Breaker(0.0)
    told = [breaker.failed(n, well + n + 1, before + n * within / failures) for n in range(failures)]
    assert any(told) == opens


def test_an_outage_after_ten_good_seconds_opens_it_in_nine_whether_or_not_something_failed_before() -> None:
    for now_and_then in (False, True):
        breaker, ended, when = Breaker(0.0), 0, 0.0
        while breaker.open_until is None:
            ended, when = ended + 1, when + 0.01
            if when > 100.0 or (now_and_then and ended % 200 == 0):
                breaker.failed(ended, ended, when)
        assert 108.5 < when < 109.6


def test_after_the_pause_there_is_one_probe() -> None:
    breaker = opened()
    assert breaker.room(FIRST_PAUSE - 0.001) == 0.0
    assert breaker.room(FIRST_PAUSE) == 1.0
    breaker.start("probe")
    assert breaker.room(FIRST_PAUSE) == 0.0
    assert breaker.succeeded("probe", LEAST)
    assert breaker.room(FIRST_PAUSE) == inf


def test_each_failed_probe_doubles_the_pause_up_to_a_minute_and_a_good_one_resets_it() -> None:
    breaker, now, pauses = opened(), 0.0, []
    for n in range(7):
        assert breaker.open_until is not None
        pauses.append(breaker.open_until - now)
        now = breaker.open_until + 0.5
        breaker.start(n)
        assert breaker.failed(n, 100 + n, now)
    assert pauses == [2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert max(pauses) == LONGEST_PAUSE
    now = (breaker.open_until or 0.0) + 0.5
    breaker.start("good")
    assert breaker.succeeded("good", 1000)
    fail(breaker, LEAST, now, ended=1000)
    assert breaker.open_until == now + FIRST_PAUSE


@pytest.mark.parametrize(
    "tell",
    [
        lambda breaker: breaker.failed("old", 50, 6.0),
        lambda breaker: breaker.succeeded("old", 50),
        lambda breaker: breaker.withdrawn("old"),
        lambda breaker: breaker.failed(None, 50, 6.0),
        lambda breaker: breaker.succeeded(None, 50),
    ],
)
def test_calls_sent_before_it_opened_change_nothing(tell: Callable[[Breaker], object]) -> None:
    breaker = opened()
    tell(breaker)
    assert (breaker.open_until, breaker.opened, breaker.room(FIRST_PAUSE)) == (FIRST_PAUSE, 1, 1.0)
    breaker.start("probe")
    tell(breaker)
    assert (breaker.open_until, breaker.opened, breaker.room(FIRST_PAUSE)) == (FIRST_PAUSE, 1, 0.0)
    assert breaker.succeeded("probe", LEAST)


def test_a_probe_that_ends_without_a_word_lets_another_go() -> None:
    breaker = opened()
    breaker.start(0)
    breaker.withdrawn(0)
    assert breaker.room(FIRST_PAUSE) == 1.0
    breaker.start(1)
    assert breaker.failed(1, 60, FIRST_PAUSE)


def test_what_failed_before_a_good_probe_is_forgotten() -> None:
    breaker = opened()
    breaker.start("probe")
    breaker.succeeded("probe", LEAST)
    assert not any(fail(breaker, LEAST - 1, FIRST_PAUSE, ended=LEAST))


def test_one_that_saw_nothing_lately_may_be_forgotten() -> None:
    breaker = Breaker(0.0)
    assert not breaker.idle(SPAN)  # calls may have gone well
    assert breaker.idle(SPAN + 0.1)
    fail(breaker, 3, now=1.0)
    assert not breaker.idle(1.0 + SPAN)
    assert breaker.idle(1.0 + SPAN + 0.1)
    assert not opened().idle(1000.0)


class BreakerMachine(RuleBasedStateMachine):
    """Calls start and end as they like; the breaker must keep to its word."""

    @initialize()
    def begin(self) -> None:
        self.breaker, self.now, self.ended, self.number = Breaker(0.0), 0.0, 0, 0
        self.flying: list[int] = []
        self.probe: int | None = None
        self.pause = FIRST_PAUSE
        self.failures: list[float] = []

    @rule(seconds=st.sampled_from([0.01, 0.3, 2.0, 5.0, 11.0, 61.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: len(self.flying) < 40)
    @rule(count=st.integers(1, 12))
    def start(self, count: int) -> None:
        for _ in range(int(min(count, self.breaker.room(self.now)))):
            if self.breaker.open_until is not None:
                assert self.probe is None
                assert self.now >= self.breaker.open_until
                self.probe = self.number
            self.breaker.start(self.number)
            self.flying.append(self.number)
            self.number += 1

    @precondition(lambda self: self.flying)
    @rule(data=st.data(), how=st.sampled_from(["failed", "failed", "failed", "succeeded", "withdrawn"]))
    def end(self, data: st.DataObject, how: str) -> None:
        call = self.flying.pop(data.draw(st.integers(0, len(self.flying) - 1)))
        was_open, is_probe = self.breaker.open_until, call == self.probe
        self.probe = None if is_probe else self.probe
        if how == "withdrawn":
            self.breaker.withdrawn(call)
            return
        self.ended += 1
        if how == "succeeded":
            assert self.breaker.succeeded(call, self.ended) == is_probe
            if is_probe:
                self.pause, self.failures = FIRST_PAUSE, []
            return
        opens = self.breaker.failed(call, self.ended, self.now)
        self.failures.append(self.now)
        if was_open is not None:
            assert opens == is_probe
            self.pause = min(LONGEST_PAUSE, 2 * self.pause) if is_probe else self.pause
        elif opens:
            lately = [when for when in self.failures if when >= self.now - SPAN - SLOT]
            assert len(lately) >= LEAST / 2
        if opens:
            self.failures = []
            assert self.breaker.open_until == self.now + self.pause

    @invariant()
    def lets_one_through_or_none_or_all(self) -> None:
        if not hasattr(self, "breaker"):
            return
        room = self.breaker.room(self.now)
        if self.breaker.open_until is None:
            assert room == inf
        else:
            assert room == (0.0 if self.probe is not None or self.now < self.breaker.open_until else 1.0)


BreakerMachine.TestCase.settings = settings(max_examples=60 * SOAK, stateful_step_count=60)
test_random_calls_find_what_the_breaker_promises = pytest.mark.slow(BreakerMachine.TestCase)
