"""Giving up, cancelling, draining: before the start, in the middle, after the end."""

import asyncio

import pytest
from kit import Gauge, asynchronously, outcomes_until_error, values_until_error, virtually

import whilst


@virtually
async def test_stop_after_a_number_starts_nothing_new_finishes_what_is_in_flight_and_raises() -> None:
    gauge = Gauge({0: 9}, bad={1: ValueError("one"), 2: KeyError("two")})
    seen, error = await outcomes_until_error(whilst.map(gauge, range(100), concurrency=4, stop_after=2, name="work"))
    assert seen == [0, ValueError, KeyError, 3]
    assert isinstance(error, whilst.Stopped)
    assert "2 of the first" in str(error)
    assert "calls of work failed (1 ValueError, 1 KeyError)" in str(error)
    assert "KeyError: 'two'" in str(error)
    assert "stop_after=2 ended the run" in str(error)
    assert gauge.cancelled == []


@virtually
async def test_stop_after_a_share_counts_against_the_total_where_it_is_known() -> None:
    gauge = Gauge(bad={i: ValueError(i) for i in range(0, 200, 4)})
    seen, error = await outcomes_until_error(whilst.map(gauge, range(200), concurrency=2, stop_after="5%"))
    assert seen.count(ValueError) == 10
    assert isinstance(error, whilst.Stopped)
    assert "stop_after=5%" in str(error)


@virtually
async def test_stop_after_a_share_of_an_unknown_total_waits_for_a_hundred() -> None:
    gauge = Gauge(bad={i: ValueError(i) for i in range(0, 1000, 10)})
    source = asynchronously(range(1000))
    seen, error = await outcomes_until_error(whilst.map(gauge, source, concurrency=2, stop_after="5%"))
    assert 100 <= len(seen) <= 104
    assert isinstance(error, whilst.Stopped)
    source = asynchronously(range(1000))
    seen, error = await outcomes_until_error(whilst.map(gauge, source, concurrency=2, stop_after="11%"))
    assert (len(seen), error) == (1000, None)


@virtually
async def test_cancel_cancels_what_is_in_flight_and_the_iteration_raises() -> None:
    gauge = Gauge({i: i for i in range(9)})
    run = whilst.map(gauge, range(9), concurrency=4, name="work")
    asyncio.get_running_loop().call_later(1.5, run.cancel)
    values, error = await values_until_error(run)
    assert values == [0, 1]
    assert isinstance(error, whilst.RunCancelled)
    assert str(error) == "work: the run was cancelled"
    assert sorted(gauge.cancelled) == [2, 3, 4, 5]
    assert run.summary().done


@virtually
async def test_drain_finishes_what_is_in_flight_and_the_iteration_ends_normally() -> None:
    gauge = Gauge({i: i for i in range(9)})
    run = whilst.map(gauge, range(9), concurrency=4)
    seen: list[tuple[bool, int]] = []
    later = asyncio.get_running_loop().call_later

    def look() -> None:
        now = run.summary()
        seen.append((now.stopping, now.in_flight))

    for when, act in ((1.4, look), (1.5, run.drain), (1.6, look), (2.5, look)):
        later(when, act)
    assert await run == [0, 1, 2, 3, 4, 5]
    assert seen == [(False, 4), (True, 4), (True, 3)]
    assert gauge.cancelled == []


@pytest.mark.parametrize("source", [lambda: range(9), lambda: iter(range(9)), lambda: asynchronously(range(9))])
@virtually
async def test_a_word_said_before_the_start_counts(source) -> None:
    gauge = Gauge()
    run = whilst.map(gauge, source())
    run.cancel()
    with pytest.raises(whilst.RunCancelled):
        await run
    run = whilst.map(gauge, source())
    run.drain()
    assert await run == []
    assert gauge.started == []


def test_a_word_said_before_the_start_counts_in_plain_code() -> None:
    run = whilst.map(str, range(9))
    run.cancel()
    with pytest.raises(whilst.RunCancelled):
        run.list()
    run = whilst.map(str, range(9))
    run.drain()
    assert run.list() == []


@virtually
async def test_a_word_said_after_the_end_changes_nothing() -> None:
    run = whilst.map(Gauge(), range(3))
    assert await run == [0, 1, 2]
    before = run.summary()
    run.cancel()
    run.drain()
    await asyncio.sleep(1)
    assert run.summary() == before


@virtually
async def test_what_a_drain_leaves_behind_a_gap_comes_out_although_the_consumer_waits() -> None:
    async def work(x: int) -> int:
        await asyncio.sleep(0.1 if x < 4 else 0.3)
        return x

    # of one key are the first four: three of them wait, and are forgotten while the last one is in flight
    run = whilst.map(work, range(5), concurrency=4, limit=whilst.Limit(concurrency=1, by=lambda x: x < 4))
    seen = list[int]()
    async with asyncio.timeout(20.0):
        async for outcome in run.outcomes():
            seen.append(outcome.index)
            run.drain()
    assert seen[0] == 0
    assert seen[-1] == 4


@virtually
async def test_cancel_after_drain_ends_what_the_drain_waits_for() -> None:
    gauge = Gauge({0: 1, 1: 1000})
    run = whilst.map(gauge, range(9), concurrency=2)
    asyncio.get_running_loop().call_later(0.5, run.drain)
    asyncio.get_running_loop().call_later(2.5, run.cancel)
    values, error = await values_until_error(run)
    assert values == [0]
    assert isinstance(error, whilst.RunCancelled)
    assert gauge.cancelled == [1]


@virtually
async def test_cancel_from_inside_a_call_works() -> None:
    async def traitor(x: int) -> int:
        if x == 2:
            run.cancel()
        await asyncio.sleep(1)
        return x

    run = whilst.map(traitor, range(9), concurrency=3)
    with pytest.raises(whilst.RunCancelled):
        await run


@virtually
async def test_cancel_ends_a_run_that_waits_for_its_source() -> None:
    run = whilst.map(Gauge(), asynchronously([1, 2], gap=1000), concurrency=3)
    asyncio.get_running_loop().call_later(1, run.cancel)
    with pytest.raises(whilst.RunCancelled):
        await run
    assert run.summary().elapsed == 1


@virtually
async def test_leaving_the_block_closes_the_run() -> None:
    gauge = Gauge({i: 1 + i for i in range(9)})
    async with whilst.map(gauge, range(9), concurrency=3) as run:
        async for _ in run:
            break
    assert run.summary().done
    assert sorted(gauge.cancelled) == gauge.started[1:]


@virtually
async def test_a_plain_with_in_async_code_closes_the_run_without_waiting() -> None:
    gauge = Gauge({i: 1 + i for i in range(9)})
    loop = asyncio.get_running_loop()
    with whilst.map(gauge, range(9), concurrency=3) as run:
        iterator = aiter(run)
        await anext(iterator)
    assert loop.time() == 1
    await asyncio.sleep(0.01)
    assert run.summary().done
    assert sorted(gauge.cancelled) == gauge.started[1:]
    await iterator.aclose()


@virtually
async def test_a_block_around_a_run_that_was_never_iterated_closes_nothing() -> None:
    async with whilst.map(Gauge(), range(9)) as run:
        pass
    with run:
        pass
    with pytest.raises(RuntimeError, match="iterated before"):
        await run


@virtually
async def test_a_run_that_was_closed_early_does_not_look_complete() -> None:
    iterator = None
    async with whilst.map(Gauge({0: 1, 1: 1}), range(9), concurrency=2) as run:
        iterator = aiter(run)
        await anext(iterator)
    with pytest.raises(whilst.RunCancelled, match="closed before its end"):
        [value async for value in iterator]


def test_a_plain_run_that_was_closed_early_does_not_look_complete() -> None:
    with whilst.map(str, range(1000), concurrency=2) as run:
        iterator = iter(run)
        next(iterator)
    with pytest.raises(whilst.RunCancelled, match="closed before its end"):
        [*iterator]


def test_what_stands_behind_a_dropped_input_is_given_while_the_consumer_has_one_in_hand() -> None:
    """Drained with an outcome in hand: an input that is dropped then leaves a gap, behind which nothing is lost."""

    async def main() -> None:
        gate = asyncio.Event()

        async def call(x: int) -> int:
            if x == 1:
                await gate.wait()
            return x

        run = whilst.map(call, range(4), concurrency=4)
        outcomes = aiter(run.outcomes())
        first = await anext(outcomes)
        assert first.index == 0
        for _ in range(5):
            await asyncio.sleep(0)
        assert run._driver is not None
        run._driver.stop(None)
        run._driver.drop(0)  # as a deadline does where values are wanted
        for _ in range(5):
            await asyncio.sleep(0)
        assert [outcome.index async for outcome in outcomes] == [2, 3]

    asyncio.run(main())


@virtually
async def test_who_is_let_through_and_not_called_yet_gives_its_permit_back_at_once_when_the_run_is_drained() -> None:
    """Others may use it before this run has ended."""
    limit, gauge = whilst.Limit(concurrency=8), Gauge()
    run = whilst.map(gauge, range(20), limit=limit)
    task = asyncio.ensure_future(values_until_error(run))
    while not limit.statistics().in_flight:
        await asyncio.sleep(0)
    assert (limit.statistics().in_flight, gauge.started) == (8, [])
    assert run._driver is not None
    run._driver.drain()
    assert limit.statistics().in_flight == 0
    assert await task == ([], None)
