"""`Retry(on_value=…)`, `Retry(on_retry=…)` and `whilst.testing.no_waits()`, in a map and in a step alike."""

from __future__ import annotations

import asyncio
import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import virtually

import whilst

Way = Callable[..., whilst.Run[Any, Any]]


def as_map(fn: Any, inputs: Any, *, retry: whilst.Retry, **more: Any) -> whilst.Run[Any, Any]:
    return whilst.map(fn, inputs, retry=retry, **more)


def as_step(fn: Any, inputs: Any, *, retry: whilst.Retry, **more: Any) -> whilst.Run[Any, Any]:
    return whilst.map(whilst.step(fn, retry=retry), inputs, **more)


def as_part(fn: Any, inputs: Any, *, retry: whilst.Retry, **more: Any) -> whilst.Run[Any, Any]:
    return whilst.map(whilst.step(whilst.sequence(fn, _later), retry=retry), inputs, **more)


every_way = pytest.mark.parametrize("way", [as_map, as_step, as_part])


class Job:
    """Says "running" so often for each input, then what it was asked for."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.asked: dict[Any, int] = {}

    async def __call__(self, item: Any) -> Any:
        await asyncio.sleep(1)
        self.asked[item] = self.asked.get(item, 0) + 1
        return "running" if self.asked[item] <= self.times else item


def is_running(value: Any) -> bool:
    return bool(value == "running")


@every_way
@virtually
async def test_a_value_that_is_not_wanted_is_asked_for_again(way: Way) -> None:
    job = Job(2)
    run = way(job, ["a", "b"], retry=whilst.Retry(attempts=3, on_value=is_running))
    assert [(it.value, it.ok) for it in await run.outcomes()] == [("a", True), ("b", True)]
    assert (job.asked, run.summary().retried, run.summary().failed) == ({"a": 3, "b": 3}, 4, 0)


@every_way
@virtually
async def test_used_up_the_outcome_fails_with_the_value(way: Way) -> None:
    run = way(Job(9), ["a"], retry=whilst.Retry(attempts=3, on_value=is_running))
    [outcome] = await run.outcomes()
    assert isinstance(outcome.error, whilst.UnwantedValue)
    assert (outcome.error.value, outcome.value) == ("running", None)
    assert "Retry(on_value=is_running) does not want 'running'" in str(outcome.error)
    assert run.summary().failures == {"UnwantedValue": 1}
    with pytest.raises(whilst.UnwantedValue) as caught:
        await way(Job(9), ["a"], retry=whilst.Retry(attempts=2, on_value=is_running))
    assert any("input 0 was 'a'" in note for note in caught.value.__notes__)


@every_way
@virtually
async def test_seconds_are_waited_and_no_budget_holds_them_up(way: Way) -> None:
    run = way(Job(2), range(40), retry=whilst.Retry(attempts=5, on_value=lambda v: 30 if v == "running" else None))
    assert len(await run) == 40
    assert run.summary().elapsed == pytest.approx(3 * 1 + 2 * 30 + 3 * 1, abs=4)


@every_way
@virtually
async def test_zero_seconds_are_another_attempt_at_once(way: Way) -> None:
    run = way(Job(2), ["a"], retry=whilst.Retry(attempts=3, on_value=lambda v: 0 if v == "running" else False))
    assert (await run, run.summary().elapsed) == (["a"], 3)


@every_way
@virtually
async def test_values_and_failures_share_the_attempts(way: Way) -> None:
    answers = iter([ConnectionError("reset"), "running", ConnectionError("reset"), "done"])

    async def answer(_: int) -> str:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    retry = whilst.Retry(attempts=4, on_value=is_running)
    assert await way(answer, [1], retry=retry) == ["done"]


@every_way
@virtually
async def test_total_bounds_them(way: Way) -> None:
    run = way(Job(9), ["a"], retry=whilst.Retry(attempts=9, total=10.0, on_value=lambda v: 4.0))
    [outcome] = await run.outcomes()
    assert isinstance(outcome.error, whilst.UnwantedValue)
    assert run.summary().elapsed <= 10


@pytest.mark.parametrize("fn", [lambda x: x, lambda x: _later(x)])
@every_way
def test_blocking_functions_and_those_of_unknown_colour_are_judged_too(way: Way, fn: Any) -> None:
    seen = itertools.count()
    retry = whilst.Retry(attempts=2, base=0.0, on_value=lambda value: next(seen) == 0)
    run = way(fn, ["a", "b"], retry=retry, concurrency=1)
    assert run.list() == ["a", "b"]
    assert run.summary().retried == 1


async def _later(x: Any) -> Any:
    await asyncio.sleep(0)
    return x


@every_way
@pytest.mark.parametrize(
    ("judge", "why"),
    [
        (lambda value: value["state"], "itself raised TypeError("),
        (lambda value: "yes", "must return True, False, None or seconds of at least 0, got 'yes'"),
        (lambda value: -1, "got -1"),
        (lambda value: _later(value), "it cannot be async"),
    ],
)
@virtually
async def test_a_judge_that_raises_fails_the_outcome_and_loses_nothing(way: Way, judge: Any, why: str) -> None:
    job = Job(0)
    [outcome] = await way(job, ["a"], retry=whilst.Retry(attempts=5, on_value=judge)).outcomes()
    assert isinstance(outcome.error, whilst.UnwantedValue)
    assert why in str(outcome.error)
    assert (outcome.error.value, job.asked) == ("a", {"a": 1})
    assert isinstance(outcome.error.__cause__, (TypeError, ValueError))


@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_a_journal_keeps_that_it_failed_and_the_next_run_asks_again(tmp_path: Path, commit: Any) -> None:
    answers = iter(["running", "running", "done"])

    def ask(item: str) -> str:
        return next(answers)

    retry = whilst.Retry(attempts=2, base=0.0, on_value=is_running)
    [first] = whilst.map(ask, ["a"], retry=retry, journal=whilst.Journal(tmp_path / "run.db", commit=commit)).outcomes()
    [second] = whilst.map(
        ask, ["a"], retry=retry, journal=whilst.Journal(tmp_path / "run.db", commit=commit)
    ).outcomes()
    assert (first.ok, second.value) == (False, "done")


@virtually
async def test_the_permits_of_a_limit_come_back() -> None:
    limit = whilst.Limit(concurrency=2)
    run = whilst.map(Job(1), range(6), limit=limit, retry=whilst.Retry(attempts=2, on_value=is_running))
    assert await run == list(range(6))
    assert (limit.statistics().in_flight, limit.statistics().started) == (0, 12)


# -- on_retry ---------------------------------------------------------------------------------------------------------


@every_way
@virtually
async def test_each_attempt_that_is_made_again_is_told(way: Way) -> None:
    told: list[whilst.AttemptFailed] = []
    answers = iter([ConnectionError("reset"), "running", "done"])

    async def answer(item: str) -> str:
        await asyncio.sleep(2)
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    retry = whilst.Retry(
        attempts=3, budget=None, on_value=lambda v: 7.0 if v == "running" else None, on_retry=told.append
    )
    assert await way(answer, ["page"], retry=retry) == ["done"]
    assert [(it.index, it.attempt, it.kind, it.input) for it in told] == [
        (0, 1, "ConnectionError", "'page'"),
        (0, 2, "UnwantedValue", "'page'"),
    ]
    assert (0 <= told[0].wait <= 0.1, told[1].wait, told[0].took) == (True, 7.0, 2)
    assert isinstance(told[0].error, ConnectionError)


@every_way
@virtually
async def test_the_last_failure_and_a_final_one_are_not_told(way: Way) -> None:
    told: list[whilst.AttemptFailed] = []

    async def fail(item: str) -> str:
        raise KeyError(item) if item == "final" else ConnectionError(item)

    run = way(fail, ["final", "again"], retry=whilst.Retry(attempts=2, on_retry=told.append))
    assert [it.ok for it in await run.outcomes()] == [False, False]
    assert [it.input for it in told] == ["'again'"]


@every_way
@pytest.mark.parametrize("broken", [lambda event: 1 / 0, lambda event: _later(event)])
def test_one_that_raises_is_reported_once_and_harms_nothing(way: Way, broken: Any) -> None:
    calls = itertools.count()

    def flaky(item: int) -> int:
        if next(calls) % 2 == 0:
            raise ConnectionError("reset")
        return item

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = way(flaky, range(5), retry=whilst.Retry(attempts=5, base=0.0, on_retry=broken), concurrency=1)
        assert run.list() == list(range(5))
    assert [it.category for it in said] == [RuntimeWarning]
    assert "Retry(on_retry=…) raised" in str(said[0].message)
    assert "it is not told any more" in str(said[0].message)


# -- no waits ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_no_time() -> Iterator[None]:
    began = time.monotonic()
    with whilst.testing.no_waits():
        yield
    assert time.monotonic() - began < 20, "an hour was to be waited"


@every_way
def test_retries_wait_for_nothing_and_attempts_still_count(way: Way, in_no_time: None) -> None:
    told: list[whilst.AttemptFailed] = []

    def throttled(item: int) -> None:
        raise whilst.Throttled("come back in an hour", retry_after=3600)

    run = way(throttled, range(40), retry=whilst.Retry(attempts=4, base=600.0, cap=600.0, on_retry=told.append))
    assert {it.ok for it in run.outcomes()} == {False}
    assert (run.summary().retried, {it.wait for it in told}) == (120, {0.0})


def test_breakers_wait_for_nothing_either(in_no_time: None) -> None:
    def down(item: int) -> None:
        raise ConnectionError("refused")

    run = whilst.map(down, range(60), retry=whilst.Retry(attempts=3, budget=None), stop_after=1000)
    assert [it.attempts for it in run.outcomes()] == [3] * 60
    assert any("times, because fewer than one in ten calls" in note for note in run.summary().notes)


def test_a_limit_that_is_told_to_pause_does_not(in_no_time: None) -> None:
    limit = whilst.Limit(concurrency=2)
    for _ in range(3):
        with pytest.raises(whilst.Throttled), limit:
            raise whilst.Throttled(retry_after=3600)
    assert limit.statistics().paused_for == 0.0


@whilst.testing.no_waits()
def test_it_may_be_a_decorator_and_be_nested() -> None:
    with whilst.testing.no_waits():
        pass
    run = whilst.map(Job(2), ["a"], retry=whilst.Retry(attempts=3, on_value=lambda v: 900.0 if v == "running" else 0))
    assert len(run.outcomes().list()) == 1


def test_afterwards_waits_are_waits_again() -> None:
    with pytest.raises(ZeroDivisionError), whilst.testing.no_waits():
        raise ZeroDivisionError
    told: list[whilst.AttemptFailed] = []
    retry = whilst.Retry(attempts=2, on_value=lambda value: 0.001 if not told else None, on_retry=told.append)
    assert whilst.map(str, [1], retry=retry).list() == ["1"]
    assert [it.wait for it in told] == [0.001]


# -- bad input --------------------------------------------------------------------------------------------------------


async def later(value: Any) -> bool:
    return True


def many(value: Any) -> Iterator[bool]:
    yield True


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"on_value": later}, "on_value must be a plain function, because its answer is needed at once; later() is async"),
    ({"on_value": many}, "on_value must be a function that returns its answer; many() is a generator function"),
    ({"on_value": lambda: True}, "on_value is called with one argument, the value; <lambda>() cannot be"),
    ({"on_value": "running"}, "on_value must be callable, got 'running' (str)"),
    ({"on_retry": later}, "on_retry must be a plain function"),
    ({"on_retry": many}, "on_retry must be a function that returns"),
    ({"on_retry": []}, "on_retry must be callable, got [] (list)\n  try: on_retry=lambda event: …"),
    ({"on_retry": lambda a, b: None}, "on_retry is called with one argument, the event"),
]


@pytest.mark.parametrize(("given", "text"), REFUSED)
def test_what_cannot_be_asked_is_refused_at_construction(given: dict[str, Any], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        whilst.Retry(**given)
    assert text in str(caught.value)
