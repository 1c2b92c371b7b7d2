"""contextvars reach every call and do not leak from one input to the next."""

import asyncio
import contextvars
import threading

import pytest
from kit import asynchronously, virtually

import whilst

VAR: contextvars.ContextVar[object] = contextvars.ContextVar("VAR", default="default")


def blocking(x: int) -> object:
    before = VAR.get()
    VAR.set(f"leaked from {x}")
    return before


async def coro(x: int) -> object:
    before = VAR.get()
    VAR.set(f"leaked from {x}")
    await asyncio.sleep(0)
    assert VAR.get() == f"leaked from {x}"
    return before


def returns_awaitable(x: int):
    VAR.set(VAR.get())
    return coro(x)


@pytest.mark.parametrize("fn", [blocking, coro, returns_awaitable])
@pytest.mark.parametrize("concurrency", [1, 4])
@virtually
async def test_the_context_of_the_call_of_map_reaches_every_call_and_none_leaks(fn, concurrency: int) -> None:
    VAR.set("mine")
    run = whilst.map(fn, range(40), concurrency=concurrency)
    VAR.set("later")
    assert await run == ["mine"] * 40
    assert VAR.get() == "later"


@pytest.mark.parametrize("fn", [blocking, coro, returns_awaitable])
def test_in_plain_code_too(fn) -> None:
    token = VAR.set("mine")
    try:
        run = whilst.map(fn, range(40), concurrency=4)
        VAR.set("later")
        assert run.list() == ["mine"] * 40
    finally:
        VAR.reset(token)


@virtually
async def test_the_source_runs_in_the_context_of_map_too() -> None:
    async def source():
        for _ in range(3):
            yield VAR.get()

    def plain():
        for _ in range(3):
            yield VAR.get()

    VAR.set("mine")
    runs = [whilst.map(lambda x: x, source()), whilst.map(lambda x: x, plain())]
    VAR.set("later")
    for run in runs:
        assert await run == ["mine"] * 3


@virtually
async def test_a_value_that_cannot_be_compared_does_not_break_the_lane() -> None:
    class Array:
        def __eq__(self, other: object) -> bool:
            raise ValueError("the truth value of an array is ambiguous")

        __hash__ = None  # type: ignore[assignment]

    async def sets(x: int) -> bool:
        clean = VAR.get() is first
        VAR.set(Array())
        return clean

    first = Array()
    VAR.set(first)
    assert await whilst.map(sets, range(10), concurrency=2) == [True] * 10


@virtually
async def test_a_variable_that_was_set_and_reset_is_no_leak() -> None:
    async def traced(x: int) -> object:
        token = VAR.set(x)
        await asyncio.sleep(0)
        VAR.reset(token)
        return VAR.get()

    VAR.set("mine")
    assert await whilst.map(traced, asynchronously(range(20)), concurrency=3) == ["mine"] * 20


def test_threads_of_a_lane_see_the_context_of_each_run() -> None:
    seen = []
    for i in range(3):
        context = contextvars.copy_context()
        context.run(VAR.set, i)
        seen += context.run(lambda: whilst.map(lambda _: (VAR.get(), threading.get_ident()), range(2)).list())
    assert [value for value, _ in seen] == [0, 0, 1, 1, 2, 2]
