"""What levels of concurrency say of each other."""

from __future__ import annotations

from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.outcome import Record
from whilst.core.scaling import LEAST_CALLS, Level, Levels, Scaling, fitted, knee_of, levels_of

TAKES = 0.1  # seconds a call, where none waits for others


def server(takes: int, slots: int) -> Level:
    """A server that takes so many at once; what is more waits there."""
    return Level(slots, 1000, TAKES * max(1.0, slots / takes))


def seen(takes: int, slots: list[int]) -> dict[int, tuple[int, float, float]]:
    """The same, as `Levels.seen` tells of many calls."""
    return {it: (1000, server(takes, it).took, server(takes, it).took) for it in slots}


powers = st.lists(st.sampled_from([1, 2, 4, 8, 16, 32, 64]), min_size=2, max_size=6, unique=True).map(sorted)


@given(st.integers(1, 64), powers)
def test_no_level_is_proposed_that_gets_no_more_done_than_one_below(takes: int, slots: list[int]) -> None:
    found = knee_of(levels_of(seen(takes, slots)))
    lower = [it for it in slots if it < found.slots]
    assert not [it for it in lower if server(takes, it).rate >= 0.99 * found.rate]
    assert found.slots < 2 * takes or found.slots == slots[0]


@given(powers)
def test_calls_that_do_not_wait_for_each_other_have_no_end(slots: list[int]) -> None:
    assert knee_of(levels_of(seen(1000, slots))).slots == slots[-1]


def test_levels_of_too_few_calls_say_nothing() -> None:
    assert levels_of({4: (LEAST_CALLS - 1, 0.1, 0.1), 8: (3, 0.1, 0.1)}) == []


def test_the_mean_of_few_calls_is_what_the_long_ones_among_all_make_of_it() -> None:
    (level,) = levels_of({4: (LEAST_CALLS, 0.1, 0.1)}, typical=3.0)
    assert level.took == pytest.approx(0.3)
    assert level.mean == 0.1, "which is what was measured"


def test_a_call_belongs_to_the_level_at_which_it_began() -> None:
    levels = Levels()
    levels.moved(0.0, 2)
    levels.moved(1.0, 8)
    levels.moved(2.0, 0)  # some slots are idle: what begins then says nothing of a level
    for started, took in ((0.5, 0.2), (0.9, 0.4), (1.5, 0.8), (2.5, 5.0)):
        levels.add(started, took)
    assert levels.seen() == {2: (2, pytest.approx(0.3), 0.4), 8: (1, 0.8, 0.8)}


def test_what_passes_by_on_its_way_counts_as_what_is_told() -> None:
    told, passed, seen = Levels(), Levels(), list[Record]()
    see = passed.seeing(seen.append)
    for levels in (told, passed):
        levels.moved(0.0, 2)
    for index in range(350):
        if index == 120:
            for levels in (told, passed):
                levels.moved(120.0, 8)
        record: Record = (index, None, None, None, index + 0.5, float(index % 7), 1)
        see(record)
        told.add(record[4], record[5])
    for late in (110.0, 0.0, -1.0, nan):  # begun at the level before, or before there was one, or recalled
        see((0, None, None, None, late, 50.0, 1))
        told.add(late, 50.0)
    see((0, None, None, ValueError(), 300.0, 99.0, 1))
    see((0, None, None, None, 300.0, 99.0, 2))  # it took several attempts
    assert passed.seen() == told.seen()
    assert passed.seen()[2][0] == 122
    assert len(seen) == 356


def test_what_began_before_anything_moved_is_not_counted() -> None:
    levels = Levels()
    levels.moved(1.0, 2)
    levels.moved(2.0, 8)
    levels.add(0.5, 9.0)
    assert levels.seen() == {}


@pytest.mark.parametrize(("queue", "cost"), [(0.0, 0.0), (0.1, 0.0), (0.02, 0.001), (0.2, 0.01)])
def test_the_law_is_found_again(queue: float, cost: float) -> None:
    law = Scaling(50.0, queue, cost)
    found = fitted([Level(n, 1000, n / law.rate(n)) for n in (1, 2, 4, 8, 16, 32)])
    assert found is not None
    assert found.one == pytest.approx(50.0, rel=0.02)
    assert found.queue == pytest.approx(queue, abs=0.01)
    assert found.cost == pytest.approx(cost, abs=0.001)


def test_two_levels_are_no_law() -> None:
    assert fitted([Level(1, 10, 0.1), Level(2, 20, 0.1)]) is None
