"""A consumer that leaves, at every point where it can: nothing is left, and every started call has seen its end."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from kit import Gauge, asynchronously, virtually

import whilst
from whilst import testing


async def take_values(run: whilst.Run[Any, Any]) -> None:
    async for _ in run:
        await asyncio.sleep(0.3)


async def take_outcomes(run: whilst.Run[Any, Any]) -> None:
    async for _ in run.outcomes():
        await asyncio.sleep(0.3)


async def take_all(run: whilst.Run[Any, Any]) -> None:
    await run


async def take_in_a_block(run: whilst.Run[Any, Any]) -> None:
    async with run:
        async for _ in run:
            await asyncio.sleep(0.3)


def plain(gauge: Gauge) -> Any:
    return whilst.map(gauge, range(7), concurrency=3)


def unordered(gauge: Gauge) -> Any:
    return whilst.map(gauge, range(7), concurrency=3, ordered=False)


def with_timeouts(gauge: Gauge) -> Any:
    return whilst.map(gauge, asynchronously(range(7), gap=0.2), concurrency=3, timeout=1.5, deadline=4)


def nested(gauge: Gauge) -> Any:
    async def outer(x: int) -> None:
        async for _ in whilst.map(gauge, [10 * x, 10 * x + 1], concurrency=2):
            pass

    return whilst.map(outer, range(3), concurrency=2)


def returning_awaitables(gauge: Gauge) -> Any:
    return whilst.map(lambda x: gauge(x), range(7), concurrency=3)


def limited(gauge: Gauge, **limit: Any) -> whilst.Limit:
    """Return a limit whose permits must all be back at the end."""
    made = whilst.Limit(**limit)
    vars(gauge).setdefault("limits", []).append(made)
    return made


def with_a_limit(gauge: Gauge) -> Any:
    return whilst.map(gauge, range(7), concurrency=5, limit=limited(gauge, concurrency=2))


def with_a_rate(gauge: Gauge) -> Any:
    return whilst.map(gauge, asynchronously(range(7)), concurrency=5, limit=limited(gauge, rate="3/s"))


def with_keys_and_retries(gauge: Gauge) -> Any:
    gauge.bad = {1: ConnectionResetError("reset"), 4: whilst.Throttled(retry_after=0.7)}
    limit = limited(gauge, concurrency=1, rate="9/s", by=lambda item: item % 3)
    retry = whilst.Retry(attempts=2, base=0.3, budget=None)
    return whilst.map(gauge, range(7), concurrency=4, limit=limit, retry=retry, ordered=False)


def with_hedged_steps(gauge: Gauge) -> Any:
    gauge.bad = {2: ConnectionResetError("reset")}
    retry = whilst.Retry(attempts=2, base=0.3, budget=None, total=6)
    step = whilst.step(gauge, limit=limited(gauge, concurrency=2), retry=retry, hedge=True, timeout=1.8)
    return whilst.map(whilst.sequence(step, _same), range(7), concurrency=4)


async def _same(item: Any) -> Any:
    return item


class Cut:
    """Awaits a coroutine and throws a cancellation in at its n-th suspension."""

    def __init__(self, coroutine: Any, at: int) -> None:
        self.coroutine, self.at, self.reached = coroutine, at, False

    def __await__(self):
        step = 0
        iterator = self.coroutine.__await__()
        try:
            future = next(iterator)
            while True:
                if step == self.at:
                    self.reached = True
                    if future is not None:
                        future._asyncio_future_blocking = False  # nobody waits for it now
                    future = iterator.throw(asyncio.CancelledError())
                else:
                    try:
                        yield future
                    except BaseException as error:  # a cancellation from outside belongs to the coroutine
                        future = iterator.throw(error)
                        step += 1
                        continue
                    future = next(iterator)
                step += 1
        except StopIteration as stop:
            return stop.value


CLEANUP = 0.05
MAKES = [
    plain,
    unordered,
    with_timeouts,
    nested,
    returning_awaitables,
    with_a_limit,
    with_a_rate,
    with_keys_and_retries,
    with_hedged_steps,
]


def check_permits(gauge: Gauge) -> None:
    for limit in vars(gauge).get("limits", ()):
        assert limit.statistics().in_flight == limit.statistics().waiting == 0


class Careful(Gauge):
    """Takes time to clean up, as calls that close a connection do."""

    async def __call__(self, item: Any) -> Any:
        try:
            return await super().__call__(item)
        finally:
            await asyncio.sleep(CLEANUP)


async def background_ends() -> None:
    """Give clean-ups their time, and threads as much real time as a busy machine makes them take."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, testing.VirtualTimeLoop)
    await asyncio.sleep(2 * CLEANUP)
    while loop.virtual_clock._stands_back():
        await asyncio.sleep(2 * CLEANUP)
    for _ in range(10):  # who waited for the last thread has a few steps to go
        await asyncio.sleep(0)


async def cut(make: Callable[[Gauge], Any], take: Callable[[Any], Any], at: int) -> bool:
    gauge = Careful({0: 2, 4: 2, 5: 2, 10: 2})
    cutting = Cut(take(make(gauge)), at)
    with contextlib.suppress(asyncio.CancelledError, OSError, whilst.DeadlineExceeded, whilst.Throttled):
        await cutting
    for _ in range(10):
        await asyncio.sleep(0)
    if asyncio.all_tasks() - {asyncio.current_task()}:
        await background_ends()  # an iterator that was left without closing it closes in the background
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"cut at {at}: {left}"
    assert sorted(gauge.started) == sorted(gauge.ended), f"cut at {at}"
    assert gauge.inside == 0
    check_permits(gauge)
    return cutting.reached


@pytest.mark.parametrize("take", [take_values, take_outcomes, take_all, take_in_a_block])
@pytest.mark.parametrize("make", MAKES)
def test_cancelling_the_consumer_at_every_await_point_leaves_nothing(
    make: Callable[[Gauge], Any], take: Callable[[Any], Any]
) -> None:
    at = 0
    while testing.run(cut(make, take, at)):
        at += 1
    assert at >= 1


@pytest.mark.parametrize("take", [take_values, take_outcomes, take_all, take_in_a_block])
@pytest.mark.parametrize("make", MAKES)
def test_cancelling_the_consumers_task_at_many_moments_leaves_nothing(
    make: Callable[[Gauge], Any], take: Callable[[Any], Any]
) -> None:
    async def main(after: float) -> bool:
        gauge = Careful({0: 2, 4: 2, 5: 2, 10: 2})
        task = asyncio.create_task(take(make(gauge)))
        await asyncio.sleep(after)
        ended = task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, whilst.DeadlineExceeded, whilst.Throttled):
            await task
        await background_ends()
        assert not asyncio.all_tasks() - {asyncio.current_task()}
        assert sorted(gauge.started) == sorted(gauge.ended)
        check_permits(gauge)
        return ended

    moment = 0.0
    while not testing.run(main(moment)):
        moment += 0.27
    assert moment > 1


@virtually
async def test_every_call_in_flight_has_seen_its_cancellation_before_the_block_ends() -> None:
    gauge = Careful(dict.fromkeys(range(9), 100))
    async with whilst.map(gauge, range(9), concurrency=4) as run:
        task = asyncio.create_task(take_all(run))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert sorted(gauge.cancelled) == [0, 1, 2, 3]
        assert gauge.inside == 0


@virtually
async def test_breaking_out_cancels_what_is_in_flight() -> None:
    gauge = Gauge({i: 1 + i for i in range(9)})
    async for _ in whilst.map(gauge, range(9), concurrency=4):
        break
    await asyncio.sleep(0.01)
    assert sorted(gauge.cancelled) == gauge.started[1:]


@virtually
async def test_an_exception_in_the_consumer_cancels_what_is_in_flight_and_comes_out() -> None:
    gauge = Gauge({i: 1 + i for i in range(9)})
    with pytest.raises(LookupError, match="mine"):  # noqa: PT012
        async for _ in whilst.map(gauge, range(9), concurrency=4):
            raise LookupError("mine")
    await asyncio.sleep(0.01)
    assert sorted(gauge.cancelled) == gauge.started[1:]


def test_breaking_out_in_plain_code_ends_everything_at_once() -> None:
    gauge = Gauge({i: 100 if i else 0 for i in range(9)})
    for _ in whilst.map(gauge, range(9), concurrency=4):
        break
    assert sorted(gauge.cancelled) == sorted(gauge.started)[1:]
    with pytest.raises(LookupError, match="mine"):  # noqa: PT012
        for _ in whilst.map(gauge, range(9), concurrency=4):
            raise LookupError("mine")
    assert gauge.inside == 0


def test_an_iterator_that_is_collected_on_the_engines_thread_ends_its_run() -> None:
    """The garbage collector runs where it likes; waiting for the engine on its own thread would be for ever."""
    gauge = Gauge({i: 100 if i else 0 for i in range(9)})
    run = whilst.map(gauge, range(9), concurrency=4)
    iterators = [iter(run)]
    next(iterators[0])

    async def collect(x: int) -> None:
        iterators.clear()

    whilst.map(collect, [1]).list()
    assert run.summary().elapsed >= 0
    deadline = asyncio.run(_until(lambda: run.summary().done and gauge.inside == 0))
    assert deadline


async def _until(condition: Callable[[], bool]) -> bool:
    for _ in range(5000):
        if condition():
            return True
        await asyncio.sleep(0.001)
    return False


def test_closing_a_loop_under_a_run_ends_it() -> None:
    gauge = Gauge({i: 100 if i else 0 for i in range(9)})

    async def main() -> Any:
        run = whilst.map(gauge, range(9), concurrency=4)
        iterator = aiter(run)
        await anext(iterator)
        return run, iterator

    run, iterator = asyncio.run(main())
    assert run.summary().done
    assert gauge.inside == 0
    del iterator
