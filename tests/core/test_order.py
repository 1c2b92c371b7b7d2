"""Outcomes leave in the order of the inputs, or as they finish."""

from collections import deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.core.outcome import Record
from whilst.engine.handoff import Failed, as_finished, in_order


def record(index: int) -> Record:
    return (index, f"input {index}", f"value {index}", None, 0.0, 0.0, 1)


@given(st.integers(0, 60).flatmap(lambda n: st.permutations(range(n))))
def test_any_permutation_comes_out_in_order_nothing_lost_nothing_doubled(order: list[int]) -> None:
    ready: deque[Record] = deque()
    push = in_order(ready).push
    for pushed, index in enumerate(order, 1):
        push(record(index))
        present = set(order[:pushed])
        whole = next((i for i in range(len(order)) if i not in present), len(order))
        assert list(ready) == [record(i) for i in range(whole)]  # as much as can leave has left
    assert list(ready) == [record(i) for i in range(len(order))]


@given(st.permutations(range(30)), st.data())
def test_a_consumer_may_take_records_in_between(order: list[int], data: st.DataObject) -> None:
    ready: deque[Record] = deque()
    push, taken = in_order(ready).push, []
    for index in order:
        push(record(index))
        taken += [ready.popleft()[0] for _ in range(data.draw(st.integers(0, len(ready))))]
    assert [*taken, *(left[0] for left in ready)] == list(range(30))


@pytest.mark.parametrize("make", [in_order, as_finished])
def test_what_waits_for_one_missing_record_is_released_with_it(make) -> None:
    ready: deque[Record] = deque()
    push = make(ready).push
    for index in (3, 2, 1):
        push(record(index))
    assert [r[0] for r in ready] == ([] if make is in_order else [3, 2, 1])
    push(record(0))
    assert [r[0] for r in ready] == ([0, 1, 2, 3] if make is in_order else [3, 2, 1, 0])


@pytest.mark.parametrize("make", [in_order, as_finished])
@pytest.mark.parametrize("value", [None, 0, (7, "a tuple"), ValueError("returned")])
def test_a_consumer_of_values_gets_these_alone_and_the_records_of_failures(make, value: object) -> None:
    ready: deque[Any] = deque()
    push, error = make(ready, values=True).push, ValueError("raised")
    push((0, "input 0", value, None, 0.0, 0.0, 1))
    push((2, "input 2", value, None, 0.0, 0.0, 1))
    push((1, "input 1", None, error, 0.0, 0.0, 2))
    given, failed = [it for it in ready if it is value], [it for it in ready if type(it) is Failed]
    assert len(given) == 2
    assert failed == [(1, "input 1", None, error, 0.0, 0.0, 2)]
    assert ready.index(failed[0]) == (1 if make is in_order else 2)


@given(st.permutations(range(30)))
def test_without_order_everything_leaves_at_once(order: list[int]) -> None:
    ready: deque[Record] = deque()
    push = as_finished(ready).push
    for index in order:
        push(record(index))
        assert ready[-1][0] == index
    assert [r[0] for r in ready] == order


@given(st.permutations(range(20)), st.integers(0, 20))
def test_flushing_lets_go_of_what_waits_behind_a_gap_in_order(order: list[int], pushed: int) -> None:
    ready: deque[Record] = deque()
    push, flush = in_order(ready)
    for index in order[:pushed]:
        push(record(index))
    flush()
    assert [r[0] for r in ready] == sorted(order[:pushed])


@given(st.sets(st.integers(0, 40)).flatmap(lambda some: st.permutations(sorted(some))))
def test_what_waits_for_a_record_that_never_comes_is_let_go_in_order(order: list[int]) -> None:
    ready: deque[Record] = deque()
    push, flush = in_order(ready)
    for index in order:
        push(record(index))
    flush()
    assert [r[0] for r in ready] == sorted(order)
    flush()
    assert len(ready) == len(order)
