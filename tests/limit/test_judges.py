"""What a limit or a retry asks about one thing must be able to answer: at construction, and when it is asked."""

from __future__ import annotations

import asyncio
import functools
import operator
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import whilst

Make = Callable[[Any], Any]

JUDGES: dict[str, Make] = {
    "by": lambda fn: whilst.Limit(concurrency=1, by=fn),
    "weight": lambda fn: whilst.Limit(rate="1/s", weight=fn),
    "on": lambda fn: whilst.Retry(on=fn),
}


async def native(item: Any) -> int:
    return 1


async def native_generator(item: Any) -> Any:
    yield 1


def generator(item: Any) -> Any:
    yield 1


def nothing() -> int:
    return 1


def two(item: Any, other: Any) -> int:
    return 1


def keyword(item: Any, *, other: Any) -> int:
    return 1


class Native:
    async def __call__(self, item: Any) -> int:
        return 1

    async def method(self, item: Any) -> int:
        return 1

    def of_two(self, item: Any, other: Any) -> int:
        return 1


WRONG: dict[str, tuple[Any, str]] = {
    "async": (native, r"native\(\) is async"),
    "an async partial": (functools.partial(native), r"native\(\) is async"),
    "an async method": (Native().method, r"Native\.method\(\) is async"),
    "a callable that is async": (Native(), r"Native\(\) is async"),
    "an async generator": (native_generator, r"native_generator\(\) is async"),
    "a generator function": (generator, r"generator\(\) is a generator function"),
    "without a parameter": (nothing, "called with one argument"),
    "with two": (two, "called with one argument"),
    "a method with two": (Native().of_two, "called with one argument"),
    "with a keyword": (keyword, "called with one argument"),
    "a partial that has it already": (functools.partial(two, 1, 2), "called with one argument"),
}

RIGHT: dict[str, Any] = {
    "a lambda": lambda item: 1,
    "with a default": lambda item, more=1: 1,
    "with any": lambda *items: 1,
    "a partial": functools.partial(two, 1),
    "a builtin": len,
    "a method of a type": str.lower,
    "a bound method": {}.get,
    "an itemgetter": operator.itemgetter("host"),
    "an attrgetter": operator.attrgetter("host"),
}


@pytest.mark.parametrize("what", WRONG)
@pytest.mark.parametrize("judge", JUDGES)
def test_what_cannot_be_asked_about_one_thing_is_refused_when_it_is_given(judge: str, what: str) -> None:
    fn, says = WRONG[what]
    with pytest.raises(TypeError, match=rf"(?s)^{judge} .*{says}.*try: {judge}=lambda"):
        JUDGES[judge](fn)


@pytest.mark.parametrize("what", RIGHT)
@pytest.mark.parametrize("judge", JUDGES)
def test_what_can_be_asked_is_taken(judge: str, what: str) -> None:
    JUDGES[judge](RIGHT[what])


@pytest.mark.parametrize("of", [str, int, Path, type])
def test_a_class_may_tell_the_key(of: type) -> None:
    whilst.Limit(concurrency=1, by=of)


@pytest.mark.parametrize("given", [{"by": lambda item: native(item)}, {"weight": lambda item: native(item)}])
def test_an_answer_that_is_to_be_awaited_fails_its_input_and_leaves_no_coroutine(given: dict[str, Any]) -> None:
    limit = whilst.Limit(rate="1000/s", **given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "never awaited"
        [outcome] = whilst.map(abs, [-1], limit=limit).outcomes()
        assert isinstance(outcome.error, TypeError)
        assert "cannot be async" in str(outcome.error)
        with pytest.raises(TypeError, match="cannot be async"), limit.of(1):
            pass
    assert limit.statistics().in_flight == 0


def test_a_judge_that_answers_with_a_coroutine_ends_the_retries_and_says_so() -> None:
    calls: list[int] = []

    def fails(item: int) -> None:
        calls.append(item)
        raise ConnectionError("reset")

    judge: Any = native
    retry = whilst.Retry(on=lambda error: judge(error), base=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [outcome] = whilst.map(fails, [1], retry=retry).outcomes()
    assert calls == [1]
    assert isinstance(outcome.error, ConnectionError)
    assert any("must answer at once" in note and "cannot be async" in note for note in outcome.error.__notes__)


def test_an_awaitable_key_is_refused_whatever_it_is() -> None:
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    limit = whilst.Limit(concurrency=1, by=lambda item: future)
    with pytest.raises(TypeError, match="cannot be async"), limit.of(1):
        pass
    loop.close()
