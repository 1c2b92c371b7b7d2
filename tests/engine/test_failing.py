"""What a failure does to the run, in every mode."""

import asyncio
import gc
import weakref

import pytest
from kit import Gauge, outcomes_until_error, values_until_error, virtually

import whilst


@virtually
async def test_an_ordered_failure_starts_nothing_new_delivers_what_stands_before_cancels_what_stands_after() -> None:
    error = ValueError("at 3")
    gauge = Gauge({0: 5, 1: 9, 2: 4, 3: 2, 4: 20, 5: 30}, bad={3: error})
    values, raised = await values_until_error(whilst.map(gauge, range(100), concurrency=6))
    assert values == [0, 1, 2]
    assert raised is error
    assert error.__notes__ == ["whilst: input 3 was 3, attempt 1"]
    assert sorted(gauge.cancelled) == [4, 5]
    assert gauge.started == [0, 1, 2, 3, 4, 5]


@virtually
async def test_an_ordered_failure_raises_at_its_place_and_time() -> None:
    loop = asyncio.get_running_loop()
    gauge = Gauge({0: 5, 1: 9, 2: 1}, bad={2: KeyError()})
    iterator = aiter(whilst.map(gauge, range(3), concurrency=3))
    assert (await anext(iterator), loop.time()) == (0, 5)
    assert (await anext(iterator), loop.time()) == (1, 9)
    with pytest.raises(KeyError):
        await anext(iterator)
    assert loop.time() == 9
    with pytest.raises(StopAsyncIteration):
        await anext(iterator)


@virtually
async def test_the_first_failure_in_order_is_the_one_that_raises() -> None:
    early, late = ValueError("early in order, late in time"), ValueError("late in order, early in time")
    values, raised = await values_until_error(
        whilst.map(Gauge({1: 5, 4: 1}, {1: early, 4: late}), range(9), concurrency=9)
    )
    assert (values, raised) == ([0], early)


@virtually
async def test_an_unordered_failure_raises_at_once_and_cancels_the_rest() -> None:
    gauge = Gauge({0: 5, 1: 9, 2: 2, 3: 3}, bad={3: ValueError("x")})
    run = whilst.map(gauge, range(4), concurrency=4, ordered=False)
    values, raised = await values_until_error(run)
    assert values == [2]
    assert isinstance(raised, ValueError)
    assert sorted(gauge.cancelled) == [0, 1]
    assert run.summary().elapsed == 3


@virtually
async def test_await_and_list_raise_the_first_failure_too() -> None:
    error = KeyError("k")
    with pytest.raises(KeyError) as caught:
        await whilst.map(Gauge(bad={2: error}), range(5))
    assert caught.value is error


@pytest.mark.parametrize("ordered", [True, False])
@virtually
async def test_in_outcomes_failures_are_data_and_the_run_goes_on(ordered: bool) -> None:
    gauge = Gauge(bad={i: ValueError(i) for i in range(0, 100, 3)})
    outcomes = await whilst.map(gauge, range(100), concurrency=7, ordered=ordered).outcomes()
    assert sorted(o.input for o in outcomes) == [*range(100)]
    assert sorted(o.input for o in outcomes if not o.ok) == [*range(0, 100, 3)]
    assert gauge.cancelled == []


@virtually
async def test_the_traceback_of_a_failure_shows_the_users_frames_and_not_the_engines() -> None:
    async def inner() -> None:
        raise ValueError("deep")

    async def outer(x: int) -> None:
        await inner()

    (outcome,) = await whilst.map(outer, [1]).outcomes()
    assert outcome.error is not None
    frames, trace = [], outcome.error.__traceback__
    while trace is not None:
        frames.append(trace.tb_frame.f_code.co_name)
        trace = trace.tb_next
    assert frames == ["outer", "inner"]


def _stop(x: object) -> None:
    raise StopIteration(x)


async def _cancel(x: object) -> None:
    raise asyncio.CancelledError(x)


def _cancel_plain(x: object) -> None:
    raise asyncio.CancelledError(x)


async def _stop_async(x: object) -> None:
    raise StopAsyncIteration(x)


async def _stop_in_coroutine(x: object) -> None:
    raise StopIteration(x)


@pytest.mark.parametrize("fn", [_stop, _cancel, _cancel_plain, _stop_in_coroutine, _stop_async, lambda x: _cancel(x)])
@virtually
async def test_an_exception_that_would_mean_something_else_further_up_becomes_a_runtime_error(fn) -> None:
    seen, raised = await outcomes_until_error(whilst.map(fn, range(3)))
    assert (seen, raised) == ([RuntimeError] * 3, None)
    values, raised = await values_until_error(whilst.map(fn, range(3)))
    assert values == []
    assert type(raised) is RuntimeError
    if fn is not _stop_in_coroutine:  # of which the interpreter makes one before anybody sees it
        assert "of its own accord" in str(raised)  # and not what it makes of the others, which names no function


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("as_outcomes", [True, False])
@virtually
async def test_a_base_exception_in_a_lane_ends_the_run_and_comes_out_in_the_consumer(kind, as_outcomes: bool) -> None:
    gauge = Gauge({0: 9, 1: 2}, bad={1: kind("stop")})
    run = whilst.map(gauge, range(5), concurrency=2)
    with pytest.raises(kind, match="stop"):
        await (run.outcomes() if as_outcomes else run)
    assert gauge.cancelled == [0]
    assert gauge.started == [0, 1]
    assert run.summary().done


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_base_exception_in_a_thread_ends_the_run_and_comes_out_in_the_consumer(kind: type[BaseException]) -> None:
    def fail(x: int) -> None:
        raise kind("stop")

    with pytest.raises(kind, match="stop"):
        whilst.map(fail, range(100)).list()
    with pytest.raises(kind, match="stop"):
        whilst.map(fail, range(100)).outcomes().list()


def test_an_exception_does_not_keep_itself_alive() -> None:
    """A cycle of error, traceback and frame would keep inputs and results until the collector comes by."""

    class Mine(Exception):
        pass

    def fail(x: int) -> None:
        raise Mine

    gc.disable()
    try:
        try:
            whilst.map(fail, [1]).list()
        except Mine as error:
            gone = weakref.ref(error)
        assert gone() is None
    finally:
        gc.enable()


class Unauthorized(Exception):
    status_code = 401
    url = "https://api.example.com/items"


@virtually
async def test_the_same_failure_from_the_first_call_on_ends_the_run_early() -> None:
    gauge = Gauge(bad={i: Unauthorized() for i in range(10_000) if i >= 10})
    seen, raised = await outcomes_until_error(whilst.map(gauge, range(10_000), concurrency=1, name="fetch"))
    assert isinstance(raised, whilst.Stopped)
    assert str(raised) == (
        "50 of the first 60 calls of fetch failed the same way: 401 Unauthorized (api.example.com)\n"
        "  9,940 inputs are untouched; retrying would not help\n"
        '  mend the credential, then run it again (stop_after="100%" would go on to the end)'
    )
    assert len(seen) == len(gauge.started) == 60


@virtually
async def test_a_mistake_in_the_function_ends_the_run_early_and_stop_after_can_forbid_that() -> None:
    error = AttributeError("'dict' object has no attribute 'nmae'")
    gauge = Gauge(bad=dict.fromkeys(range(200), error))
    seen, raised = await outcomes_until_error(whilst.map(gauge, iter(range(200)), concurrency=7, retry=3))
    assert "50 of the first 50 calls of Gauge failed the same way: AttributeError: 'dict'" in str(raised)
    assert "the other inputs are untouched" in str(raised)
    assert "mend the function" in str(raised)
    assert len(seen) == len(gauge.started) <= 57
    seen, raised = await outcomes_until_error(whilst.map(gauge, range(200), stop_after="100%"))
    assert (len(seen), raised) == (200, None)  # it goes on to the end, and says no more than the outcomes do


@pytest.mark.parametrize("total", [None, 150])
@pytest.mark.parametrize("kind", [TypeError, RuntimeError])
def test_a_failure_of_five_megabytes_is_quoted_in_part(kind: type[Exception], total: int | None) -> None:
    @virtually
    async def main() -> None:
        texts = [f"{'x' * 5_000_000}{half}" for half in range(2)]  # not one for each: that would be a gigabyte
        gauge = Gauge(bad={i: kind(texts[i // 100]) for i in range(200)})
        stop_after = 20 if kind is RuntimeError else None
        inputs = range(200) if total else iter(range(200))
        _, raised = await outcomes_until_error(whilst.map(gauge, inputs, concurrency=1, stop_after=stop_after))
        assert isinstance(raised, whilst.Stopped)
        assert "x" * 400 in str(raised)
        assert len(str(raised)) < 1000

    main()


@virtually
async def test_only_those_that_failed_in_the_one_way_are_counted_as_such() -> None:
    bad: dict[int, BaseException] = {i: ValueError("mine") if i % 9 == 8 else Unauthorized() for i in range(200)}
    _, raised = await outcomes_until_error(whilst.map(Gauge(bad=bad), range(200), concurrency=1))
    assert str(raised).startswith("50 of the first 56 calls of Gauge failed the same way: 401 Unauthorized")
