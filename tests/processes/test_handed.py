"""Functions without an argument, of several, of tuples, decorated ones and unwanted values, in worker processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import handed
import pytest

import whilst


def test_a_function_without_an_argument() -> None:
    pids = whilst.map(handed.pid, range(5), executor="process", concurrency=1).list()
    assert len(set(pids)) == 1
    assert os.getpid() not in pids


@pytest.mark.parametrize(
    ("fn", "inputs", "values"),
    [
        (handed.pair, ([1, 2], [3, 4]), [(1, 3), (2, 4)]),
        (whilst.spread(handed.pair), ([(1, 2), {"left": 5}],), [(1, 2), (5, 0)]),
        (handed.added, ([(1, 2), [3, 4]],), [3, 7]),
    ],
)
def test_several_iterables_and_what_is_spread(fn: Any, inputs: Any, values: list[Any]) -> None:
    assert whilst.map(fn, *inputs, executor="process", concurrency=1).list() == values


def test_a_decorated_function_makes_its_attempts_over_there(tmp_path: Path) -> None:
    run = whilst.map(handed.third_time, [str(tmp_path)], executor="process", concurrency=1)
    assert (run.list(), run.summary().retried) == ([2], 0)


def test_values_are_judged_here() -> None:
    retry = whilst.Retry(attempts=2, base=0.0, on_value=lambda value: value == "running")
    run = whilst.map(handed.state, [1, 2], executor="process", concurrency=1, retry=retry)
    first, second = run.outcomes()
    assert isinstance(first.error, whilst.UnwantedValue)
    assert (first.attempts, first.error.value, second.value) == (2, "running", "done")
