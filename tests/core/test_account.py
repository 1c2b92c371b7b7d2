"""Lane-time adds up: permitted slots x time is what was busy and what was idle, by reason, whatever happens between."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.account import MEANINGS, Account, added, meaning, shares, split

reasons = st.sampled_from(["source", "consumer", "limit: rate=100/s", "tail"])
turns = st.lists(
    st.tuples(
        st.floats(0.0, 100.0),
        st.integers(0, 50),
        st.lists(st.tuples(reasons, st.integers(1, 50)), max_size=3).map(tuple),
    ),
    max_size=30,
)


@given(turns, st.floats(0.0, 100.0))
def test_the_seconds_are_slots_times_time(
    history: list[tuple[float, int, tuple[tuple[str, int], ...]]], rest: float
) -> None:
    now, expected, slots = 5.0, 0.0, 0
    account = Account(now)
    for passed, busy, idle in history:
        expected += slots * passed
        now += passed
        account.turn(now, busy, idle)
        slots = busy + sum(count for _, count in idle)
    expected += slots * rest
    assert sum(account.seconds(now + rest).values()) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    assert account.peak == max((busy for _, busy, _ in history), default=0)


@given(turns)
def test_the_shares_add_up_to_one_and_the_largest_is_first(
    history: list[tuple[float, int, tuple[tuple[str, int], ...]]],
) -> None:
    now = 0.0
    account = Account(now)
    for passed, busy, idle in history:
        now += passed
        account.turn(now, busy, idle)
    found = shares(account.seconds(now + 1.0))
    assert not found or sum(found.values()) == pytest.approx(1.0, abs=0.01)
    assert [*found.values()] == sorted(found.values(), reverse=True)


def test_looking_at_it_changes_nothing() -> None:
    account = Account(0.0)
    account.turn(1.0, 2, (("source", 1),))
    assert account.seconds(3.0) == account.seconds(3.0) == {"busy": 4.0, "source": 2.0}
    account.turn(4.0, 0)
    assert account.seconds(9.0) == {"busy": 6.0, "source": 3.0}


def test_a_clock_that_stands_still_or_goes_back_adds_nothing() -> None:
    account = Account(5.0)
    account.turn(5.0, 3)
    account.turn(4.0, 3)
    assert account.seconds(5.0) == {}


@given(st.integers(0, 50), st.lists(st.tuples(reasons, st.integers(0, 30)), min_size=1, max_size=4))
def test_a_split_gives_away_every_slot_once(idle: int, claims: list[tuple[str, int]]) -> None:
    found = split(idle, *claims)
    assert sum(slots for _, slots in found) == idle
    assert all(slots > 0 for _, slots in found)


def test_every_reason_has_a_meaning_that_is_not_its_name() -> None:
    assert all(meaning(reason) != reason for reason in MEANINGS)
    assert meaning("limit: concurrency=4 per key") == "held by concurrency=4 per key"


def test_accounts_are_added_reason_by_reason() -> None:
    assert added([]) == {}
    assert added([{"busy": 1.0}, {"tail": 2.0, "busy": 0.5}]) == {"busy": 1.5, "tail": 2.0}
