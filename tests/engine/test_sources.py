"""Sources of every kind: what they raise, where they run, how they are left."""

import asyncio
import collections
import contextlib
import contextvars
import itertools
import threading
import time
import types
from collections import deque
from collections.abc import Iterator
from typing import Any

import pytest
from kit import Gauge, asynchronously, outcomes_until_error, values_until_error, virtually

import whilst
from whilst import testing
from whilst.engine.source import ThreadFeeder

CONTAINERS = [
    [1, 2, 3],
    (1, 2, 3),
    {1: "a", 2: "b", 3: "c"},
    {1: 0, 2: 0, 3: 0}.keys(),
    {"a": 1, "b": 2, "c": 3}.values(),
    {1, 2, 3},
    frozenset([1, 2, 3]),
    range(1, 4),
    collections.deque([1, 2, 3]),
    map(int, "123"),
    iter([1, 2, 3]),
    bytearray([1, 2, 3]),
    collections.OrderedDict.fromkeys([1, 2, 3]),
]


@pytest.mark.parametrize("inputs", CONTAINERS, ids=lambda it: type(it).__name__)
@virtually
async def test_any_iterable_will_do(inputs) -> None:
    assert await whilst.map(Gauge(), inputs, concurrency=2) == [1, 2, 3]


@virtually
async def test_an_old_style_sequence_will_do() -> None:
    class Old:
        def __getitem__(self, index: int) -> int:
            if index == 3:
                raise IndexError
            return index

    assert await whilst.map(Gauge(), Old()) == [0, 1, 2]


@virtually
async def test_a_run_is_a_source_for_another() -> None:
    assert await whilst.map(Gauge(), whilst.map(Gauge(), range(20), concurrency=3), concurrency=2) == [*range(20)]


def breaking(count: int, error: BaseException):
    yield from range(count)
    raise error


async def breaking_async(count: int, error: BaseException):
    for i in range(count):
        yield i
    raise error


class MySourceError(Exception):
    pass


@pytest.mark.parametrize("make", [breaking, breaking_async])
@pytest.mark.parametrize("count", [0, 1, 50])
@virtually
async def test_a_source_that_raises_delivers_what_it_gave_then_its_own_error(make, count: int) -> None:
    for collect in (values_until_error, outcomes_until_error):
        error = MySourceError("half way")
        seen, raised = await collect(whilst.map(Gauge(), make(count, error), concurrency=7))
        assert (seen, raised) == ([*range(count)], error)
        assert not hasattr(raised, "__notes__")


@pytest.mark.parametrize("count", [0, 1, 50])
def test_in_plain_code_too(count: int) -> None:
    error, seen = MySourceError("half way"), []
    with pytest.raises(MySourceError) as caught:
        seen.extend(whilst.map(lambda x: x, breaking(count, error), concurrency=7))
    assert (seen, caught.value) == ([*range(count)], error)


@virtually
async def test_a_source_whose_iter_raises_gives_that_error() -> None:
    class Broken:
        def __iter__(self):
            raise MySourceError("iter")

        def __aiter__(self):
            raise MySourceError("aiter")

    seen, raised = await outcomes_until_error(whilst.map(Gauge(), Broken()))
    assert (seen, str(raised)) == ([], "aiter")


@virtually
async def test_a_failure_before_the_sources_error_comes_first() -> None:
    gauge = Gauge(bad={1: KeyError("mine")})
    values, raised = await values_until_error(whilst.map(gauge, breaking_async(3, MySourceError()), concurrency=9))
    assert values == [0]
    assert isinstance(raised, KeyError)


@virtually
async def test_a_dict_that_changes_meanwhile_raises_as_it_would_in_a_loop() -> None:
    inputs = {i: i for i in range(10)}
    iterator = aiter(whilst.map(Gauge(), inputs, concurrency=2))
    assert await anext(iterator) == 0
    inputs[99] = 99
    with pytest.raises(RuntimeError, match="changed size during iteration"):
        [value async for value in iterator]


@virtually
async def test_a_stop_of_the_sources_own_ends_the_run_with_an_error() -> None:
    async def cancels():
        yield 1
        raise asyncio.CancelledError

    seen, raised = await outcomes_until_error(whilst.map(Gauge(), cancels()))
    assert seen == [1]
    assert "CancelledError of its own accord" in str(raised)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_a_base_exception_of_the_source_comes_out_in_the_consumer(kind: type[BaseException]) -> None:
    with pytest.raises(kind):
        whilst.map(str, breaking(3, kind())).list()


@virtually
async def test_two_runs_over_one_async_generator_both_end() -> None:
    """It cannot be asked twice at a time, nor be closed while it is asked: the second run waited for ever."""

    async def source():
        for number in range(3):
            await asyncio.sleep(1)
            yield number

    shared = source()
    ways = await asyncio.gather(*(whilst.map(str, shared) for _ in range(2)), return_exceptions=True)
    assert ways[0] == ["0", "1", "2"]
    assert isinstance(ways[1], RuntimeError)
    assert "already running" in str(ways[1])


@virtually
async def test_an_async_generator_is_closed_when_the_run_is_left() -> None:
    closed = []

    async def source():
        try:
            while True:
                await asyncio.sleep(1)
                yield 1
        finally:
            await asyncio.sleep(0.1)
            closed.append(True)

    async with whilst.map(Gauge(), source(), concurrency=2) as run:
        async for _ in run:
            break
    assert closed == [True]


def test_a_blocking_source_does_not_hold_back_what_it_already_gave() -> None:
    more = threading.Event()

    def source():
        yield from range(3)
        assert more.wait(10)
        yield 3

    async def fn(x: int) -> int:
        return x

    for function in (fn, lambda x: x):
        more.clear()
        iterator = iter(whilst.map(function, source(), concurrency=8))
        assert [next(iterator) for _ in range(3)] == [0, 1, 2]
        more.set()
        assert [*iterator] == [3]


@pytest.mark.parametrize("blocking", [True, False])
def test_a_slow_source_gets_its_concurrency(blocking: bool) -> None:
    """Each input is given only when the call of the one before has begun, and no call ends before all have."""
    begun = [threading.Semaphore(0) for _ in range(5)]
    all_in = threading.Event()

    def source():
        for i in range(5):
            yield i
            assert begun[i].acquire(timeout=10), f"{i} did not begin while the others run"

    def began(x: int) -> None:
        begun[x].release()
        if x == 4:
            all_in.set()

    def plain(x: int) -> int:
        began(x)
        assert all_in.wait(20)
        return x

    async def coro(x: int) -> int:
        began(x)
        while not all_in.is_set():
            await asyncio.sleep(0.001)
        return x

    assert whilst.map(plain if blocking else coro, source(), concurrency=5).list() == [0, 1, 2, 3, 4]


def test_leaving_early_while_the_source_blocks_does_not_wait_for_it_and_names_it(eventually) -> None:
    release = threading.Event()

    def source():
        yield 1
        assert release.wait(10)
        yield 2

    run = whilst.map(str, source(), concurrency=2)
    for value in run:
        assert value == "1"
        break
    assert "the source, inside next()" in run.summary().left_behind
    release.set()
    assert eventually(lambda: not run.summary().left_behind)


@pytest.mark.parametrize("way", ["ignores", "holds"])
def test_an_async_source_that_does_not_end_is_left_behind_and_named(way: str, eventually) -> None:
    """It goes on although it was cancelled, or does not come to hear of it, as it holds the loop."""
    release, holds = threading.Event(), threading.Event()

    async def source():
        yield 1
        if way == "holds":
            await asyncio.sleep(0)
            holds.set()
            assert release.wait(20)
        while not release.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.01)

    run = whilst.map(str, source(), concurrency=2)
    for value in run:
        assert value == "1"
        assert way == "ignores" or holds.wait(20)
        break
    told = {"ignores": "which ignored being cancelled", "holds": "inside anext(), where it holds the loop"}
    assert run.summary().left_behind == (f"the source, {told[way]}",)
    release.set()
    assert eventually(lambda: not run.summary().left_behind)
    assert eventually(lambda: run.summary().done)


def test_a_source_that_waits_for_room_is_asked_for_nothing_more_once_it_is_closed(eventually) -> None:
    asked: list[int] = []
    loop = asyncio.new_event_loop()
    reader: Any = types.SimpleNamespace(loop=loop, source_context=contextvars.copy_context(), arrived=None, ended=None)
    feeder = ThreadFeeder(reader, map(asked.append, itertools.count()), deque())
    feeder.fill(2)
    assert eventually(lambda: feeder.full)
    feeder.close()
    assert feeder._thread is not None
    feeder._thread.join(20)
    assert not feeder.waiting
    assert asked == [0, 1]
    loop.close()


@pytest.mark.parametrize("way", ["failure", "break", "block", "stage", "virtual"])
def test_a_generator_is_closed_before_the_run_is_left(way: str) -> None:
    """Its clean-up takes as long as a busy machine may take to begin with it."""
    closed = []

    def source():
        try:
            yield from itertools.count()
        finally:
            time.sleep(0.1)
            closed.append(True)

    async def picky(n: int) -> int:
        if n == 5:
            raise ValueError(n)
        return n

    async def failing() -> None:
        with pytest.raises(ValueError, match="5"):
            await whilst.map(picky, source(), concurrency=2)

    match way:
        case "failure":
            asyncio.run(failing())
        case "break":
            for n in whilst.map(picky, source(), concurrency=2):
                if n == 3:
                    break
        case "block":
            with whilst.map(picky, source(), concurrency=2) as run:
                next(iter(run))
        case "stage":
            with pytest.raises(ValueError, match="5"):
                whilst.sequence(source, whilst.each(picky), whilst.batched(2))()
        case "virtual":
            testing.run(failing())
    assert closed == [True]


@virtually
async def test_the_total_is_known_where_len_works() -> None:
    class Liar(list):
        def __len__(self) -> int:
            raise OSError("no")

    class Unsized:
        def __len__(self) -> int:
            raise TypeError("unsized")

        def __iter__(self):
            return iter([1])

    assert whilst.map(str, [1, 2]).summary().total == 2
    assert whilst.map(str, iter([1, 2])).summary().total is None
    assert whilst.map(str, asynchronously([])).summary().total is None
    assert whilst.map(str, [1, 2], total=9).summary().total == 9
    assert whilst.map(str, Liar([1])).summary().total is None
    assert whilst.map(str, Unsized()).summary().total is None


@virtually
async def test_the_total_is_known_once_the_source_has_ended() -> None:
    def count(to: int) -> Iterator[int]:
        yield from range(to)

    async def nap(item: int) -> int:
        await asyncio.sleep(1.0)
        return item

    for source in (count(5), iter([1, 2, 3, 4, 5]), asynchronously(range(5))):
        run = whilst.map(nap, source, concurrency=2)
        async for _ in run:
            if (now := run.summary()).finished == 3:
                await asyncio.sleep(0.5)  # of virtual time, which stands still while a thread reads
                now = run.summary()
                assert (now.total, now.done) == (5, False)
        assert run.summary().total == 5


@virtually
async def test_the_total_stays_unknown_where_the_source_did_not_come_to_its_end() -> None:
    def fails() -> Iterator[int]:
        yield 1
        raise KeyError

    failed, drained = whilst.map(str, fails()), whilst.map(str, iter(range(1000)), concurrency=1)
    with pytest.raises(KeyError):
        await failed
    async for _ in drained:
        drained.drain()
    assert failed.summary().total is None
    assert drained.summary().total is None


@virtually
async def test_what_is_added_to_a_source_without_a_length_counts_in_the_total() -> None:
    def half(n: int) -> int:
        call = whilst.current_call()
        if n > 1 and call is not None:
            call.add(n // 2)
        return n

    run = whilst.map(half, iter([5, 3]))
    run.add(8)
    assert len(await run) == run.summary().total == 9
