"""A map inside a map, and plain code beside a running loop."""

import asyncio
import sys
from types import SimpleNamespace

import pytest
from kit import Gauge, virtually

import whilst


@virtually
async def test_a_map_inside_an_async_function() -> None:
    gauge = Gauge()

    async def outer(x: int) -> int:
        total = 0
        async for value in whilst.map(gauge, range(x), concurrency=2):
            total += value
        return total + sum(await whilst.map(gauge, range(x)))

    assert await whilst.map(outer, range(6), concurrency=3) == [2 * sum(range(x)) for x in range(6)]


@virtually
@pytest.mark.parametrize("waits", ["for a permit", "for another attempt", "in tasks", "in a stream"])
async def test_a_flow_inside_a_call_gives_up_no_place_of_the_run_that_makes_the_call(waits: str) -> None:
    """Only what is inline in a flow of the run itself holds nothing else while it waits."""
    tried, inside, most = set[int](), 0, 0

    async def inner(x: int) -> int:
        await asyncio.sleep(0.1)
        if waits == "for another attempt" and x not in tried:
            tried.add(x)
            raise ConnectionError
        return x

    retry = 3 if waits == "for another attempt" else None
    one = whilst.step(inner, limit=whilst.Limit(concurrency=1), retry=retry)
    stream = whilst.sequence(one, lambda x: [x], whilst.each(str))

    async def outer(x: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        try:
            if waits == "in tasks":
                await asyncio.gather(one.aio(x), one.aio(x))
            elif waits == "in a stream":
                await stream.stream(x)
            else:
                await one.aio(x)
        finally:
            inside -= 1
        return x

    assert await whilst.map(outer, range(12), concurrency=2) == [*range(12)]
    assert most == 2


def test_a_map_inside_a_blocking_function() -> None:
    def outer(x: int) -> int:
        return sum(value for value in whilst.map(lambda y: y, range(x), concurrency=3))

    assert whilst.map(outer, range(20), concurrency=4).list() == [sum(range(x)) for x in range(20)]


def test_a_map_inside_a_map_inside_a_map() -> None:
    async def leaf(x: int) -> int:
        await asyncio.sleep(0)
        return 1

    def middle(x: int) -> int:
        return sum(whilst.map(leaf, range(x), concurrency=2).list())

    async def outer(x: int) -> int:
        return sum(await whilst.map(middle, range(x), concurrency=2))

    assert whilst.map(outer, range(5), concurrency=2).list() == [sum(range(x)) for x in range(5)]


def test_a_run_that_a_function_returns_is_awaited() -> None:
    assert whilst.map(lambda x: whilst.map(str, range(x)), range(3)).list() == [[], ["0"], ["0", "1"]]


def test_a_plain_for_inside_an_async_function_of_the_engine_raises_instead_of_deadlocking() -> None:
    async def outer(x: int) -> list[int]:
        return [*whilst.map(lambda y: y, range(x))]

    with pytest.raises(RuntimeError, match="would wait for ever"):
        whilst.map(outer, [3]).list()


def test_a_plain_for_beside_a_running_loop_warns_and_works() -> None:
    async def main() -> list[int]:
        with pytest.warns(RuntimeWarning, match="blocks the event loop that runs on this thread") as caught:
            values = [*whilst.map(lambda x: x, range(5))]
        assert caught[0].filename == __file__
        return values

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_in_a_notebook_it_does_not_warn(monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "ipykernel", sys)

    async def main() -> list[int]:
        return whilst.map(lambda x: x, range(5)).list()

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


def test_where_ipykernel_is_only_imported_it_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the tests of a project that also has notebooks may do."""
    monkeypatch.setitem(sys.modules, "ipykernel", sys)

    async def main() -> list[int]:
        with pytest.warns(RuntimeWarning, match="blocks the event loop"):
            return whilst.map(lambda x: x, range(5)).list()

    assert asyncio.run(main()) == [0, 1, 2, 3, 4]


@virtually
async def test_a_failure_in_the_inner_map_comes_out_of_the_outer() -> None:
    error = ValueError("inner")

    async def outer(x: int) -> None:
        await whilst.map(Gauge(bad={2: error}), range(x))

    with pytest.raises(ValueError, match="inner") as caught:
        await whilst.map(outer, [1, 2, 3])
    assert caught.value is error
    assert error.__notes__ == ["whilst: input 2 was 2, attempt 1"]


@virtually
async def test_cancelling_the_outer_cancels_the_inner() -> None:
    gauge = Gauge(dict.fromkeys(range(9), 100))

    async def outer(x: int) -> None:
        await whilst.map(gauge, [x], concurrency=2)

    async with asyncio.timeout(5):
        with pytest.raises(TimeoutError):
            await whilst.map(outer, range(3), timeout=2)
    assert sorted(gauge.cancelled) == [0, 1, 2]
