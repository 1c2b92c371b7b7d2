"""Windows of so many calls each, as far as refusals tell of them."""

from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.windows import LOOKS, Windows


def known(period: float = 10.0, count: int = 100) -> Windows:
    """Return what two windows have taught, of which the second ended at twice `period`, to 0.2 s."""
    windows = Windows(began=0.0)
    for number in (1, 2):
        windows.opened(number * period - 0.1, number * period + 0.1, number * count, full=True)
    return windows


def test_two_windows_that_took_the_same_number_tell_how_many_and_how_long() -> None:
    windows = known()
    assert windows.count == windows.room == 100
    assert windows.rate == pytest.approx(10.0)
    assert 29.6 < windows.due(22.0) <= 30.0


@pytest.mark.parametrize(
    ("second", "full"),
    [
        (260, True),  # 160 in the second: not the same
        (200, False),  # a bucket gives one back as soon
    ],
)
def test_whoever_takes_another_number_or_gives_single_calls_back_has_no_windows(second: int, full: bool) -> None:
    windows = Windows(began=0.0)
    windows.opened(9.9, 10.1, 100, full=True)
    windows.opened(19.9, 20.1, second, full=full)
    assert windows.count == 0


def test_looks_for_the_next_window_come_closer_where_it_may_begin_any_moment_and_once_a_second_when_it_is_late() -> (
    None
):
    windows = known()
    assert windows.due(29.75) - 29.75 < 0.2
    assert windows.due(35.0) == 36.0


def test_each_window_that_is_seen_to_begin_tells_better_when_the_next_does() -> None:
    windows = known()
    vague = windows._next
    windows.opened(29.95, 30.05, 300, full=True)
    assert windows._next[1] - windows._next[0] < vague[1] - vague[0]


def test_who_has_no_refusal_to_spare_begins_the_next_window_when_it_has_come_for_sure_and_tries_no_more() -> None:
    windows = known(count=20)
    for number in (3, 4, 5, 6):
        windows.opened(10 * number - 0.1, 10 * number + 0.1, 20 * number, full=True)
    soonest, last = windows._next
    assert soonest < windows.due(62.0) < last
    assert windows.room == 21
    windows.refused()
    windows.refused()
    assert windows.due(62.0) == last
    assert windows.room == 20
    for number in (7, 8, 9):
        windows.opened(10 * number - 0.1, 10 * number + 0.1, 20 * number, full=True)
    assert windows.due(92.0) < windows._next[1]  # sixty calls have been taken since


def test_many_windows_tell_how_long_one_is() -> None:
    windows = known()
    for number in range(3, 23):
        windows.opened(10 * number - 0.1, 10 * number + 0.1, 100 * number, full=True)
    soonest, last = windows._next
    assert windows._most - windows._least <= 0.4 / 20 + 1e-9
    assert last - soonest < 0.25


def test_a_window_that_took_fewer_is_none() -> None:
    windows = known()
    windows.opened(29.9, 30.1, 270, full=True)
    assert windows.count == 0


def test_now_and_then_more_is_tried_and_always_more_while_that_is_taken() -> None:
    windows, taken, rooms = known(), 200, []
    for number in range(3, 4 + LOOKS):
        rooms.append(windows.room)
        taken += 100  # one more is refused
        windows.opened(10 * number - 0.1, 10 * number + 0.1, taken, full=True)
    assert rooms == [100] * LOOKS + [101]
    for number in range(4 + LOOKS, 12 + 2 * LOOKS):
        taken += windows.room  # all are taken
        windows.opened(10 * number - 0.1, 10 * number + 0.1, taken, full=True)
    assert windows.room > 125


def test_a_window_that_is_not_used_up_ends_nevertheless() -> None:
    windows = known()
    assert not windows.rolls(30.0, taken=230)
    assert windows.rolls(31.0, taken=240)
    assert windows.due(31.0) > 39.0
    windows.opened(39.9, 40.1, 325, full=True)  # some of these were counted to the window before
    assert windows.count == 100


def test_after_many_windows_that_nobody_saw_begin_nothing_is_known() -> None:
    windows, now = known(), 20.0
    for _ in range(100):
        now += 10.4
        windows.rolls(now, taken=0)
    assert windows.vague


def test_another_clock_moves_everything() -> None:
    windows = known()
    due = windows.due(22.0)
    windows.shift(1000.0)
    assert windows.due(1022.0) == pytest.approx(1000.0 + due)


@given(
    period=st.floats(1.0, 600.0),
    phase=st.floats(0.0, 1.0),
    gaps=st.lists(st.floats(0.01, 0.3), min_size=3, max_size=30),
)
def test_the_next_window_never_begins_out_of_the_bounds(period: float, phase: float, gaps: list[float]) -> None:
    """Whatever part of the gap between two calls the window begins in."""
    windows = Windows(began=0.0)
    for number, gap in enumerate(gaps, 1):
        begins = phase * period + number * period
        if windows.count:
            soonest, last = windows._next
            assert soonest - 1e-6 <= begins <= last + 1e-6
        windows.opened(begins - gap * phase, begins + gap * (1 - phase) + 1e-9, 50 * number, full=True)
    assert windows._from[0] > -inf
