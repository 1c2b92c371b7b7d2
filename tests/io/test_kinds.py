"""What is decided of many values at once is what is decided of each."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from whilst.io.kinds import Kind, fitted, fitted_all, kind_of, kind_of_all, settled, unified
from whilst.io.sink import Unfit

PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**65), 2**65)
    | st.integers(0, 9)
    | st.floats()
    | st.text(max_size=2)
    | st.binary(max_size=2)
    | st.dates()
    | st.datetimes(timezones=st.none() | st.just(datetime.UTC))
)
VALUES = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
ALIKE = st.one_of(*(st.lists(it, max_size=5) for it in (st.integers(0, 9), st.floats(), st.none() | st.booleans())))
STRUCTS = st.lists(st.fixed_dictionaries({}, optional={"a": st.floats(), "b": st.lists(st.integers(0, 9))}), max_size=5)
COLUMNS = st.lists(VALUES, max_size=5) | ALIKE | STRUCTS


@given(COLUMNS)
def test_the_kind_of_many_is_that_of_each_together(values: list[Any]) -> None:
    assert kind_of_all(values) == unified(map(kind_of, values))


@given(COLUMNS, COLUMNS)
def test_many_fit_where_each_does_and_as_each_does(before: list[Any], values: list[Any]) -> None:
    kind = settled(kind_of_all(before))
    for column in (before, values):
        assert _told(kind, column, fitted_all) == _told(kind, column, _each)


def _each(kind: Kind, values: list[Any]) -> list[Any]:
    return [fitted(kind, it) for it in values]


def _told(kind: Kind, values: list[Any], fit: Callable[[Kind, list[Any]], Sequence[Any]]) -> str:
    try:
        return repr(_each(kind, [*fit(kind, values)]))  # a field that is missing and one that is None are the same
    except Unfit as unfit:
        return f"Unfit: {unfit}"
