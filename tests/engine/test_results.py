"""What comes out, in which order, with how many in flight."""

import asyncio
import functools

import pytest
from kit import Gauge, asynchronously, outcomes_until_error, virtually

import whilst
from whilst import testing

NAPS = {0: 5, 1: 1, 2: 3, 3: 2, 4: 4}


@virtually
async def test_values_come_in_the_order_of_the_inputs() -> None:
    assert await whilst.map(Gauge(NAPS), range(5), concurrency=5) == [0, 1, 2, 3, 4]


@virtually
async def test_unordered_values_come_as_they_finish() -> None:
    assert await whilst.map(Gauge(NAPS), range(5), concurrency=5, ordered=False) == [1, 3, 2, 4, 0]


@virtually
async def test_ordered_values_come_as_soon_as_their_turn_allows() -> None:
    loop, times = asyncio.get_running_loop(), []
    async for _ in whilst.map(Gauge(NAPS), range(5), concurrency=5):
        times.append(loop.time())  # noqa: PERF401
    assert times == [5, 5, 5, 5, 5]
    times.clear()
    async for _ in whilst.map(Gauge(dict(enumerate([1, 4, 2, 6, 3]))), range(5), concurrency=5):
        times.append(loop.time() - 5)  # noqa: PERF401
    assert times == [1, 4, 4, 6, 6]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("concurrency", [1, 2, 7, 100])
@virtually
async def test_the_concurrency_is_reached_and_never_exceeded(concurrency: int, ordered: bool) -> None:
    gauge = Gauge({i: 1 + i % 3 for i in range(300)})
    assert sorted(await whilst.map(gauge, range(300), concurrency=concurrency, ordered=ordered)) == [*range(300)]
    assert gauge.most == concurrency


@pytest.mark.parametrize("concurrency", [3, 1000])
@virtually
async def test_equal_calls_take_their_time_divided_by_the_concurrency(concurrency: int) -> None:
    run = whilst.map(Gauge(), range(3000), concurrency=concurrency, ordered=False)
    await run
    assert run.summary().elapsed == 3000 / concurrency


@virtually
async def test_without_inputs_nothing_comes() -> None:
    assert await whilst.map(Gauge(), []) == []
    assert await whilst.map(Gauge(), iter([])) == []
    assert await whilst.map(Gauge(), asynchronously([])) == []
    assert await whilst.map(Gauge(), ()).outcomes() == []


@virtually
async def test_every_outcome_tells_its_input_its_start_and_how_long_it_took() -> None:
    gauge = Gauge({"a": 2, "b": 3}, bad={"b": ValueError("no b")})
    good, bad, later = await whilst.map(gauge, ["a", "b", "c"], concurrency=2).outcomes()
    assert (good.index, good.input, good.ok, good.value, good.error) == (0, "a", True, "a", None)
    assert (good.started, good.took, good.attempts) == (0, 2, 1)
    assert (bad.index, bad.input, bad.ok, bad.took) == (1, "b", False, 3)
    assert str(bad.error) == "no b"
    assert (later.index, later.started, later.took) == (2, 2, 1)


@virtually
async def test_a_value_that_is_an_exception_is_a_value() -> None:
    async def give(x: int) -> Exception:
        return ValueError(x)

    values = await whilst.map(give, [1])
    assert [str(value) for value in values] == ["1"]


@virtually
async def test_a_single_pass_is_all_there_is() -> None:
    run = whilst.map(Gauge(), [1])
    assert await run == [1]
    for again in (run, run.outcomes()):
        with pytest.raises(RuntimeError, match=r"can be iterated once: call whilst\.map"):
            await again
    with pytest.raises(RuntimeError, match="iterated before"):
        run.list()


def test_nothing_runs_before_the_first_iteration() -> None:
    seen: list[int] = []

    def inputs():
        seen.append(1)
        yield 1

    run = whilst.map(seen.append, inputs())
    iterator = iter(run)
    run.outcomes()
    assert seen == []
    assert run.summary() == whilst.Summary("list.append", None, 0, 0, 0, 0, 0.0, 32)
    assert repr(run) == "<Run of list.append, not started; for, await or .list() starts it>"
    assert [*iterator] == [None]
    assert seen == [1, 1]


class Getter:
    def __init__(self, offset: int) -> None:
        self.offset = offset

    async def get(self, x: int) -> int:
        await asyncio.sleep(0)
        return x + self.offset

    def get_plain(self, x: int) -> int:
        return x + self.offset

    async def __call__(self, x: int) -> int:
        return await self.get(x)


SHAPES = [
    Getter(1).get,
    Getter(1).get_plain,
    Getter(1),
    functools.partial(lambda y, x: x + y, 1),
    functools.partial(Getter.get, Getter(1)),
    lambda x: Getter(1).get(x),
    (1).__add__,
]


@pytest.mark.parametrize("fn", SHAPES, ids=[str(i) for i in range(len(SHAPES))])
def test_every_shape_of_function_works_from_both_kinds_of_code(fn) -> None:
    wanted = [*range(1, 101)]
    assert whilst.map(fn, range(100)).list() == wanted
    assert [*whilst.map(fn, iter(range(100)))] == wanted
    assert testing.run(_await(whilst.map(fn, range(100)))) == wanted
    assert testing.run(_await(whilst.map(fn, asynchronously(range(100))))) == wanted


async def _await(run):
    return await run


@virtually
async def test_the_summary_counts_at_every_moment() -> None:
    run = whilst.map(Gauge(bad={1: ValueError("x"), 3: ValueError("y")}), range(6), concurrency=2, name="six")
    seen = []
    async for _ in run.outcomes():
        now = run.summary()
        seen.append((now.ok, now.failed, now.in_flight, now.elapsed, now.done))
    assert seen[0] == (1, 1, 0, 1, False)  # both have ended, and until one is taken there is no room
    end = run.summary()
    assert (end.name, end.total, end.ok, end.failed, end.in_flight, end.elapsed, end.done) == (
        "six",
        6,
        4,
        2,
        0,
        3,
        True,
    )
    assert end.failures == {"ValueError": 2}
    assert repr(run) == "<Run of six: 4 ok, 2 failed (2 ValueError) in 3.00 s (2/s)>"


@virtually
async def test_calls_that_never_wait_leave_a_turn_to_other_tasks() -> None:
    turns = 0

    async def tick() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def at_once(x: int) -> int:
        return x

    ticking = asyncio.create_task(tick())
    assert len(await whilst.map(at_once, range(20_000))) == 20_000
    ticking.cancel()
    assert turns > 10


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="new in 3.12")
def test_a_loop_with_eager_tasks_changes_nothing() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)

        async def at_once(x: int) -> int:
            if x == 1500:
                raise ValueError(x)
            return x

        run = whilst.map(at_once, range(3000), concurrency=2000, ordered=False)
        with pytest.raises(ValueError, match="1500"):
            await run
        assert (await outcomes_until_error(whilst.map(Gauge(), range(50), concurrency=20)))[0] == [*range(50)]

    testing.run(main())
