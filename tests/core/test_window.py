"""How far a run may read ahead."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from whilst.engine.handoff import CAP_PER_LANE, LEAST_CAP, Window


def test_a_window_begins_at_the_concurrency() -> None:
    window = Window(7)
    assert (window.size, window.limit) == (7, 7)


def test_the_limit_moves_with_what_was_delivered() -> None:
    window = Window(7)
    window.delivered = 5
    assert window.limit == 12


@given(st.integers(1, 5000))
def test_growing_doubles_up_to_a_cap_and_stays_there(concurrency: int) -> None:
    window = Window(concurrency)
    sizes = [window.size]
    for _ in range(20):
        window.grow()
        sizes.append(window.size)
    cap = max(LEAST_CAP, CAP_PER_LANE * concurrency)
    assert sizes[-1] == window.cap == cap
    assert all(later == min(cap, 2 * size) for size, later in itertools.pairwise(sizes))


@given(st.integers(1, 5000), st.integers(0, 10**6))
def test_a_refill_is_asked_for_before_the_window_is_empty_and_not_for_every_input(size: int, delivered: int) -> None:
    window = Window(size)
    window.delivered = delivered
    assert delivered < window.refill_at <= window.limit
    assert window.refill_at - delivered >= size / 2
