"""What levels of concurrency say of each other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.scaling import Level, Scaling, best_of, fitted, levels_of, saturates


def server(takes: int, slots: int) -> Level:
    """A server that takes so many at once, each for a tenth of a second; others wait."""
    return Level(slots, 10.0, 100 * min(takes, slots))


@given(st.integers(1, 64), st.lists(st.sampled_from([1, 2, 4, 8, 16, 32, 64]), min_size=2, max_size=6, unique=True))
def test_no_more_are_proposed_than_a_server_takes_if_one_level_was_above_that(takes: int, slots: list[int]) -> None:
    levels = [server(takes, it) for it in sorted(slots)]
    if levels[-1].slots >= 2 * takes:
        assert saturates(levels) or len([it for it in levels if it.slots < 2 * takes]) == 0
        assert best_of(levels).slots == min(it for it in slots if it >= min(takes, max(slots)))


@given(st.lists(st.sampled_from([1, 2, 4, 8, 16, 32]), min_size=2, max_size=6, unique=True))
def test_calls_that_do_not_wait_for_each_other_do_not_saturate(slots: list[int]) -> None:
    assert not saturates([server(1000, it) for it in sorted(slots)])


def test_levels_that_were_too_short_say_nothing() -> None:
    assert levels_of({4: (0.05, 100), 8: (1.0, 3)}) == []
    assert saturates(levels_of({4: (1.0, 40)})) is False


@pytest.mark.parametrize(("queue", "cost"), [(0.0, 0.0), (0.1, 0.0), (0.02, 0.001), (0.2, 0.01)])
def test_the_law_is_found_again(queue: float, cost: float) -> None:
    law = Scaling(50.0, queue, cost)
    found = fitted([Level(n, 1000.0, round(1000 * law.rate(n))) for n in (1, 2, 4, 8, 16, 32)])
    assert found is not None
    assert found.one == pytest.approx(50.0, rel=0.02)
    assert found.queue == pytest.approx(queue, abs=0.01)
    assert found.cost == pytest.approx(cost, abs=0.001)


def test_two_levels_are_no_law() -> None:
    assert fitted([Level(1, 1.0, 10), Level(2, 1.0, 20)]) is None
